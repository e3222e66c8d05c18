"""Training: one trainer process, its progress, and the versions of the model."""
