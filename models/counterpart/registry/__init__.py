"""Versions of models: which there are, which one serves, and what a new one has to pass."""
