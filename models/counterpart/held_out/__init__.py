"""Whole heads of held-out subjects, what the network answers to them, and what is chosen by it."""
