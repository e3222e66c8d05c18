"""Inference: the processes that compute, and the stock routes that ask them."""
