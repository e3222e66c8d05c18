"""What the module *Healthy Counterpart* is made of; its shell is HealthyCounterpart.py."""
