"""The parts of the MONAI Label app: a room each for jobs, inference, training, cohort, security."""
