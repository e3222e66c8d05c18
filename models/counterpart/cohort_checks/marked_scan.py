"""A scan that somebody has marked as healthy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class MarkedScan:
    """One scan of a healthy cohort.

    Args:
        subject: Who it is of; the scans of one subject are never split.
        path: Of the file.
        contrast: The sequence, one of `counterpart.contrast.CONTRASTS`, where it is known.
    """

    subject: str
    path: Path
    contrast: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The scan as plain values."""
        return {"subject": self.subject, "path": str(self.path), "contrast": self.contrast}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> MarkedScan:
        """Read a scan; a key that is unknown or missing raises a TypeError."""
        return cls(**{**values, "path": Path(values["path"])})
