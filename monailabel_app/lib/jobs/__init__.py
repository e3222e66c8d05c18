"""Jobs: what is asked, in which order it is done, and where the results lie."""
