"""Training: slabs from a cohort, the healing objective, and the runs that survive being killed."""
