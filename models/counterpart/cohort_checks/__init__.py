"""Checks of a healthy cohort before anything is learned from it."""
