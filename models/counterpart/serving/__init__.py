"""Starts the MONAI Label server, says what it is, and talks to it over HTTP; needs no torch."""
