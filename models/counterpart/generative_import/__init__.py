"""Reads networks that were trained with MONAI Generative Models."""
