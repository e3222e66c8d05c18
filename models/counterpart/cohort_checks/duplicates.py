"""Finds scans that are there twice: the same bytes, the same voxels, or the same head once more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from counterpart.cohort_checks.fingerprint import SAME_HEAD, likeness
from counterpart.cohort_checks.seen_scan import SeenScan

SAME_BYTES, SAME_VOXELS, SAME_BRAIN = "the same bytes", "the same voxels", "the same head"


@dataclass(frozen=True, eq=False)
class Duplicate:
    """A scan that shows what an earlier one shows.

    Args:
        first: The earlier one, which is kept.
        second: The later one.
        what: What is the same.
        likeness: Of the two heads, where they were compared.
    """

    first: SeenScan
    second: SeenScan
    what: str
    likeness: float | None = None

    @property
    def two_names(self) -> bool:
        """Whether the two were taken for different subjects."""
        return self.first.scan.subject != self.second.scan.subject


def find_duplicates(seen: Sequence[SeenScan]) -> list[Duplicate]:
    """Every scan that is there a second time, each once, with the surest reason.

    The same bytes or voxels count within a subject too; the same head only under two names, since a
    subject may well have been scanned twice.
    """
    found: list[Duplicate] = []
    kept: list[SeenScan] = []
    for one in seen:
        known = next(filter(None, (_compared(other, one) for other in kept)), None)
        if known is None:
            kept.append(one)
        else:
            found.append(known)
    return found


def _compared(first: SeenScan, second: SeenScan) -> Duplicate | None:
    if first.content and first.content == second.content:
        return Duplicate(first, second, SAME_BYTES)
    if first.voxels and first.voxels == second.voxels:
        return Duplicate(first, second, SAME_VOXELS)
    if first.scan.subject == second.scan.subject or first.contrast != second.contrast:
        return None
    if first.fingerprint is None or second.fingerprint is None:
        return None
    alike = likeness(first.fingerprint, second.fingerprint)
    return Duplicate(first, second, SAME_BRAIN, alike) if alike >= SAME_HEAD else None
