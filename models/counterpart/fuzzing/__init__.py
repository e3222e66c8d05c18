"""Damages scans by the thousand and checks that reading them does no harm."""
