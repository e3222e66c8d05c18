"""Draws the report of a result, as a picture and as a page for the browser."""
