"""The healthy cohort: which scans are marked, and what they are."""
