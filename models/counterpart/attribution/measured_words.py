"""What was measured of the attribution, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from counterpart.attribution.exemplars import ExemplarRank, ExemplarTraining
from counterpart.attribution.measuring import CodedHeads, RetrievalRow
from counterpart.attribution.memorised import Memorisation
from counterpart.attribution.retrieval import Found
from counterpart.bundle import Model

_HEADS = (
    "| from step | features | trained on: R@1 | R@5 | R@10 | mAP | held out: R@1 | R@5 | R@10 "
    "| mAP | difference of mAP |"
)


def measured_section(
    model: Model,
    heads: CodedHeads,
    rows: Sequence[RetrievalRow],
    kept: Memorisation,
    ranks: Sequence[ExemplarRank],
    among: int,
    training: ExemplarTraining,
) -> str:
    """The section of a document.

    Args:
        model: That was asked.
        heads: Whose slices were repainted.
        rows: What finds them again.
        kept: What it has kept of its subjects.
        ranks: Of exemplars, before and after.
        among: How many subjects they are ranked among.
        training: Of the copies.
    """
    lines = [
        f"{model.name} {model.version} ({model.weights_sha256[:12]}), {heads.trained} subjects "
        f"trained on and {len(heads.names) - heads.trained} that were not, indexed together. "
        "Each slice of the index's levels is repainted from strong noise, ungated, and ranks the "
        f"{len(heads.names)} subjects by their slices of the same level; one is right. The "
        "difference (trained minus held out) has a 95 % interval by resampling subjects.",
        "",
        _HEADS,
        "|" + "---|" * 11,
        *(
            f"| {row.step} | {row.method} | {_found(row.trained)} | {_found(row.held_out)} | "
            f"{row.gap.mean:+.3f} ({row.gap.low:+.3f} to {row.gap.high:+.3f}) |"
            for row in rows
        ),
        "",
        f"**Memorisation**, from step {kept.step}: {kept.nameless_words}",
        "",
        _exemplar_words(ranks, among, training),
    ]
    return "\n".join(lines)


def _found(found: Found) -> str:
    return " | ".join(f"{value:.3f}" for value in (*found.recall, found.precision))


def _exemplar_words(ranks: Sequence[ExemplarRank], among: int, training: ExemplarTraining) -> str:
    before, after = (
        np.array([getattr(one, when) for one in ranks]) for when in ("before", "after")
    )
    risen = int((after < before).sum())
    p = float(stats.binomtest(risen, max(int((after != before).sum()), 1), 0.5).pvalue)
    return (
        f"**Exemplars**: {len(ranks)} copies of the denoiser, each trained on one subject for "
        f"{training.steps} more steps of {training.batch} slices, repaint {training.asked} "
        f"held-out heads from step {training.asked_step}. Median rank of the exemplar among "
        f"{among}: {np.median(before):.1f} before, {np.median(after):.1f} after; it rises for "
        f"{risen} of {len(ranks)} (sign test, two-sided: p = {p:.2g})."
    )
