"""The errors that Counterpart raises, so that callers can tell bad input from a defect.

CounterpartError
├── ScanError            a file or array that is not a usable brain scan
│   ├── BrainError           no plausible brain in the scan
│   └── UnfamiliarScanError  a scan far outside the healthy cohort of the model
├── PoseError            the scan could not be brought into template pose
├── CohortError          a folder of healthy scans that cannot be prepared or read
├── ModelError           weights or a bundle that cannot be used
└── ServingError         a server that cannot be started, does not answer, or refuses
"""

from __future__ import annotations


class CounterpartError(Exception):
    """Base of all errors with a message for a person: what was expected, what came, what to do."""


class ScanError(CounterpartError):
    """The input is not a usable brain scan."""


class BrainError(ScanError):
    """No plausible brain was found in the scan."""


class UnfamiliarScanError(ScanError):
    """The scan lies far outside the healthy cohort that the model has learned from."""


class PoseError(CounterpartError):
    """The scan could not be brought into template pose."""


class CohortError(CounterpartError):
    """A folder of healthy scans cannot be prepared or read."""


class ModelError(CounterpartError):
    """A model bundle is missing, damaged or does not fit this version."""


class ServingError(CounterpartError):
    """A server cannot be started, does not answer, or refuses what it is asked."""
