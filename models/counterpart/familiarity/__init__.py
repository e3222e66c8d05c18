"""Whether a scan resembles the healthy cohort enough to be answered: traits, limits, the record."""
