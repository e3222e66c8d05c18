"""Which healthy scans a counterpart rests upon (after arXiv 2601.22663)."""
