"""Measures what the product costs: seconds by stage, memory, arithmetic rates, answer times."""
