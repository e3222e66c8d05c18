"""What healthy scans teach a model: residual scale, healthy thresholds and p-values."""
