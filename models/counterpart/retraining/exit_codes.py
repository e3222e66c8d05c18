"""How a retraining ends, as the number that its process leaves."""

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_BAD_PLAN = 2
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143
