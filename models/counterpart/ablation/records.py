"""What is known of a row: the figures of each head, as they are kept and resampled."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HeadFigures:
    """Figures of one row on one subject's patterned head, and on the same head without a pattern.

    Args:
        subject: Number of the subject within the part *validate*.
        contrast: Of the head.
        pattern_ml: Volume of the pattern.
        ap: Voxel average precision of the row's map within the brain; None without a pattern.
        within: Mean absolute error of the reconstruction where the pattern is, spreads; None for a
            row that repaints nothing.
        outside: The same where the pattern is not.
        healthy: Mean absolute error on the healthy head, as a share of its normal range.
        flagged: Mean absolute error where the pattern is and is repainted, spreads; None where the
            row has no threshold, or nothing of the pattern is flagged.
        findings: Findings in the healthy head at the threshold; None without one.
        flagged_ml: Volume that they have together.
        found: 1 if a tenth of the pattern or more is flagged at the threshold, else 0.
        score: Name of the score, where a row chooses among several.
    """

    subject: int
    contrast: str
    pattern_ml: float
    ap: float | None = None
    within: float | None = None
    outside: float | None = None
    healthy: float | None = None
    flagged: float | None = None
    findings: float | None = None
    flagged_ml: float | None = None
    found: float | None = None
    score: str | None = None


FIGURES = ("ap", "within", "outside", "healthy", "flagged", "findings", "flagged_ml", "found")
