"""Writes the card of a model: what it was made from, how it was set, how good it is."""

from __future__ import annotations

import math
from dataclasses import dataclass

from counterpart.bundle import ModelSettings
from counterpart.cohort import PARTS, Cohort
from counterpart.results import DISCLAIMER
from counterpart.selection import Choice

REGIONS_SENTENCE = (
    "The regions that findings are named after hold, voxel by voxel of template space, what most "
    "of the label maps of the subjects trained on say there."
)
_ROWS = 4
_KINDS = ("levels of r", "levels of d", "powers")


@dataclass(frozen=True)
class CardFacts:
    """What the settings do not know.

    Args:
        name: Of the model.
        parameters: Number of parameters.
        training: Steps, hardware, duration, in words.
        data: Source and licence of the scans, in words.
        regions: Whether the bundle names the regions of findings.
    """

    name: str
    parameters: int
    training: str
    data: str
    regions: bool = False


def model_card(
    facts: CardFacts, settings: ModelSettings, table: list[Choice], cohort: Cohort
) -> str:
    """The card as Markdown.

    Args:
        facts: What the settings do not know.
        settings: Of the model.
        table: How the settings were chosen.
        cohort: Trained on.
    """
    count = {part: sum(s.part == part for s in cohort.subjects) for part in PARTS}
    widths = "–".join(str(width) for width in settings.network.channels)
    levels = settings.reconstruction
    powers = settings.anomaly
    rows = [row for kind in _KINDS for row in _best_rows(table, kind)]
    regions = f" {REGIONS_SENTENCE}" if facts.regions else ""
    lines = [
        f"# {facts.name}: a diffusion denoiser that repaints brain MR slices as healthy",
        "",
        f"**{DISCLAIMER}. Not for clinical use.**",
        "",
        f"{facts.parameters / 1e6:.1f} million parameters, channels {widths}, float16, averaged "
        f"(EMA). {facts.training}",
        "",
        "## Data",
        "",
        f"{facts.data} {count['train']} healthy subjects were trained on, {count['validate']} were "
        "held out for every choice below. FLAIR, T2 and random contrasts were rendered from the "
        "tissue fractions of the T1 scans: no real scan of these contrasts was seen. No disease "
        f"was seen: the patterns that stand for it are drawn by the program.{regions}",
        "",
        "## Choices",
        "",
        "Made on held-out subjects with pattern families that were never trained on. Noise levels "
        f"{levels.levels}, weights {levels.weights} for the clean slice r is taken from, "
        f"{levels.departure_weights} for the departure channel d; anomaly map = sign(r) · "
        f"|r|^{powers.residual_power:g} · d^{powers.departure_power:g} after a median of "
        f"{powers.median_voxels} voxels.",
        "",
        "The best of each kind, on simulated patterns of 2 ml or more (error in spreads, within "
        "the pattern plus without; AP is voxel average precision):",
        "",
        "| what was varied | levels | powers of r, d | error | AP |",
        "|---|---|---|---|---|",
        *(
            f"| {row.kind} | {row.levels} | {row.powers} | {_figure(row.error)} | "
            f"{_figure(row.ap)} |"
            for row in rows
        ),
        "",
        "## Healthy thresholds",
        "",
        *(f"- {name}: {t.value:g} ({t.source})" for name, t in settings.thresholds.items()),
        "",
    ]
    return "\n".join(lines)


def _best_rows(table: list[Choice], kind: str) -> list[Choice]:
    rows = [row for row in table if row.kind == kind]
    return sorted(rows, key=lambda row: row.error if kind == _KINDS[0] else -row.ap)[:_ROWS]


def _figure(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}"
