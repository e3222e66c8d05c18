"""Retrains the model on a site's own healthy scans, as one process that can be killed and resumed.

==================== ==================================================================
``plan``             what is asked for, read strictly from ``plan.json``
``pace``             how many steps, and how long they take
``split``            who trains, who is held out: by subject
``pipeline``         the stages one after the other, each skipped when it was finished
``progress``         ``progress.json``, all that others need to read
``report``           ``report.html``: pictures, curves, the gates' numbers
==================== ==================================================================
"""
