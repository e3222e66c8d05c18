"""How well the counterparts keep the patient, set by set: means with intervals, and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from textwrap import fill

from counterpart.evaluation.bootstrap import MeanFigure, mean_figure
from counterpart.evaluation.borders import ACROSS_MM
from counterpart.evaluation.keeping import ALTERED, HEALTHY_RIM_MM, RIM_MM, RING_MM
from counterpart.evaluation.markdown import mean_with_ends, table
from counterpart.evaluation.records import HEALTHY, KeepingFigures, ModelEvaluation
from counterpart.evaluation.summary import by_set

_OF_LESIONS = ("edge_left", "edge_elsewhere", "edge_ring", "contrast_removed")
FIGURES = tuple(field.name for field in fields(KeepingFigures))
_TEXT = f"""\
What the counterpart does to the patient, means over scans with 95 % intervals (five scans or more).
*Altered* is a voxel in which scan and counterpart differ by more than {ALTERED} of the scan's
normal range (1st to 99th percentile in the brain). *Altered outside* is the altered share of the
brain more than {RIM_MM:.0f} mm (as far as the gate reaches) from every finding, *change outside*
the mean difference there in thousandths of the normal range; *altered in health* the altered share
of the brain more than {RIM_MM:.0f} mm from the lesion mask, of healthy subjects in the whole brain.
A *jump* is the mean difference of two voxels {ACROSS_MM:.0f} mm apart on both sides of a border.
*Seam* is the counterpart's jump across the border of what was altered over the scan's across the
same border moved by 10 to 80 mm into tissue that was left alone: 1 where no seam is seen; *before*
is the scan's own jump at that border, over the same. *Edge left* is the counterpart's jump across
the lesion's border over the scan's: 1 where the whole edge is still there; *edge elsewhere* the
scan's jump across the mirrored border on the other side of the head over the lesion's: what anatomy
alone would leave. *Ring* is the counterpart's mean within {RING_MM[0]:.0f} mm of the lesion's
border less the mean {RING_MM[0]:.0f} to {RING_MM[1]:.0f} mm inside and outside it, over the
lesion's contrast: above 0 where an outline was left standing. *Contrast removed* is the share of
the difference between the lesion and the brain {HEALTHY_RIM_MM[0]:.0f} to {HEALTHY_RIM_MM[1]:.0f}
mm beside it that the counterpart no longer has, where it is more than {ALTERED} of the normal
range. All these figures are ours. Pictures at full resolution of the ten patients' scans with least
and the ten with most edge left, and of healthy scans, lie in `keeping` in the evaluation's folder,
each with a slice and the middle of what was altered."""
_EXPLAINED = fill(" ".join(_TEXT.split()), 100, break_on_hyphens=False)


def keeping_by_set(evaluation: ModelEvaluation) -> dict[str, dict[str, MeanFigure | None]]:
    """The mean of each figure by set; healthy scans are sets by contrast, named ``healthy T1``."""
    sets = {
        f"{group} {contrast}": [row.keeping for row in rows]
        for (group, contrast), rows in by_set(evaluation.patients).items()
    }
    for row in sorted(evaluation.healthy, key=lambda one: one.contrast):
        sets.setdefault(f"{HEALTHY} {row.contrast}", []).append(row.keeping)
    return {name: _means(rows) for name, rows in sets.items()}


def keeping_parts(evaluation: ModelEvaluation) -> list[str]:
    """Heading, explanation and table."""
    head = [
        "set",
        "altered outside, %",
        "change outside, ‰",
        "altered in health, %",
        "seam",
        "before",
    ]
    head += ["edge left", "edge elsewhere", "ring", "contrast removed"]
    rows = [
        [
            name,
            _scaled(known["altered_outside"], 100.0),
            _scaled(known["change_outside"], 1000.0),
            _scaled(known["altered_healthy"], 100.0),
            *(mean_with_ends(known[one], 2) for one in ("rim_jump", "rim_jump_before")),
            *(mean_with_ends(known[one], 2) for one in _OF_LESIONS),
        ]
        for name, known in keeping_by_set(evaluation).items()
    ]
    return ["### Keeping the patient", _EXPLAINED, table(head, rows)]


def _means(rows: Sequence[KeepingFigures]) -> dict[str, MeanFigure | None]:
    return {name: mean_figure(getattr(row, name) for row in rows) for name in FIGURES}


def _scaled(found: MeanFigure | None, factor: float) -> str:
    return mean_with_ends(None if found is None else found.times(factor), 2)
