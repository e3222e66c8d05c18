"""Measures models on patients with lesion masks and on healthy scans, beside plain baselines."""
