"""Counterpart: how would this very brain look in health, and where does the patient differ?"""

__version__ = "0.1.0"
