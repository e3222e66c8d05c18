"""Writes the card of a model: what it was made from, how it was set, how good it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from counterpart.bundle import ModelSettings
from counterpart.calibration.calibrating import CalibrationFigures
from counterpart.calibration.record import Calibration
from counterpart.cohort import PARTS, Cohort
from counterpart.familiarity.record import Familiarity
from counterpart.held_out.selection import Choice
from counterpart.results import DISCLAIMER
from counterpart.training.condition_effect import ConditionEffect, effect_table

REGIONS_SENTENCE = (
    "The regions that findings are named after hold, voxel by voxel of template space, what most "
    "of the label maps of the subjects trained on say there."
)
_ROWS = 4
CALIBRATION_HEADING = "## Healthy thresholds"
_KINDS = ("levels of r", "levels of d", "powers", "smoothing", "sampler", "passes")


@dataclass(frozen=True)
class CardFacts:
    """What the settings do not know.

    Args:
        name: Of the model.
        parameters: Number of parameters.
        training: Steps, hardware, duration, in words.
        data: Source and licence of the scans, in words.
        regions: Whether the bundle names the regions of findings.
        deviations: Where it differs from the published configuration that it follows.
    """

    name: str
    parameters: int
    training: str
    data: str
    regions: bool = False
    deviations: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Chosen:
    """What was chosen and measured on held-out subjects.

    Args:
        settings: Of the model.
        table: How levels and powers were chosen.
        calibrations: Of the model.
        figures: How the calibrations fare.
        effects: Of the condition; none without one.
        familiarity: What healthy heads look like to the model, if that is known.
    """

    settings: ModelSettings
    table: list[Choice]
    calibrations: list[Calibration]
    figures: list[CalibrationFigures]
    effects: list[ConditionEffect]
    familiarity: Familiarity | None = None


def model_card(facts: CardFacts, chosen: Chosen, cohort: Cohort) -> str:
    """The card as Markdown.

    Args:
        facts: What the settings do not know.
        chosen: What was chosen and measured on held-out subjects.
        cohort: Trained on.
    """
    settings = chosen.settings
    count = {part: sum(s.part == part for s in cohort.subjects) for part in PARTS}
    widths = "–".join(str(width) for width in settings.network.channels)
    levels = settings.reconstruction
    powers = settings.anomaly
    rows = [row for kind in _KINDS for row in _best_rows(chosen.table, kind)]
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
        f"|z|^{powers.residual_power:g} · d^{powers.departure_power:g} after a median of "
        f"{powers.median_voxels} voxels, z being the residual r in units of what health leaves"
        f"{_smoothing_words(powers.smoothing_mm)}.",
        "",
        "The best of each kind, on simulated patterns of 2 ml or more. Error in spreads, within "
        "the pattern plus without, of the passes within the flagged pattern alone; AP is voxel "
        "average precision. "
        f"{'A second pass is made.' if levels.second_pass else 'No second pass is made.'}",
        "",
        "| what was varied | levels | powers of z, d | error | AP |",
        "|---|---|---|---|---|",
        *(
            f"| {row.kind} | {row.levels} | {row.powers} | {_figure(row.error)} | "
            f"{_figure(row.ap)} |"
            for row in rows
        ),
        "",
    ]
    lines += calibration_section(chosen.calibrations, chosen.figures, chosen.familiarity)
    lines += _condition_section(settings, chosen.effects)
    if facts.deviations:
        lines += ["## Deviations", "", *(f"- {sentence}" for sentence in facts.deviations), ""]
    return "\n".join(lines)


def calibration_section(
    calibrations: Sequence[Calibration],
    figures: Sequence[CalibrationFigures],
    familiarity: Familiarity | None = None,
) -> list[str]:
    """Healthy thresholds, what healthy scans carry at them, and what is refused, as Markdown."""
    known = {(row.contrast, row.kind): row for row in figures}
    lines = [
        CALIBRATION_HEADING,
        "",
        "The smallest threshold at which held-out healthy scans carry on average at most one "
        "finding of 0.1 ml and 1 ml flagged. From healthy scans: threshold from *validate*, "
        "p-values and the figures here from *calibrate*. From simulation: both from rendered "
        "*validate* subjects, no p-value.",
        "",
        "| contrast | from | threshold | scans | findings per scan | ml per scan | least p |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in calibrations:
        row = known.get((one.contrast, one.kind))
        cells = ("", "", "")
        if row is not None:
            cells = (str(row.scans), f"{row.findings:.2f}", f"{row.flagged_ml:.2f}")
        least = "" if one.p_floor is None else f"{one.p_floor:.3f}"
        cells_text = " | ".join(cells)
        lines.append(
            f"| {one.contrast} | {one.kind} | {one.threshold:g} | {cells_text} | {least} |"
        )
    folded = [one for one in calibrations if "cross-fitted" in one.population]
    lines += [f"\n{one.contrast} on {one.population}." for one in folded]
    if familiarity is not None:
        lines += ["", familiarity.sentence]
    return [*lines, ""]


def with_section(card: str, section: Sequence[str]) -> str:
    """A card with another section of the heading that it begins with; at its end, if it had none.

    Args:
        card: Markdown.
        section: Lines, the first a heading of second rank.
    """
    before, _, rest = card.partition(section[0])
    _, heading, after = rest.partition("\n## ")
    return "".join((before.rstrip(), "\n\n", "\n".join(section), heading, after))


def _condition_section(settings: ModelSettings, effects: Sequence[ConditionEffect]) -> list[str]:
    if not effects:
        return []
    return [
        "## What the condition brings",
        "",
        f"The code of the shown slice enters by {settings.network.condition}. Mean absolute error "
        "in spreads on *validate*, patterns of held-out families, T1 and FLAIR; the difference to "
        "the same network without a code, and with the code of another subject's slice at the same "
        "level, paired; interval by resampling subjects. Negative is better.",
        "",
        *effect_table(effects),
        "",
    ]


def _smoothing_words(width_mm: float) -> str:
    if not width_mm:
        return ""
    return (
        f"; smoothed with its sign by {width_mm:g} mm, and nowhere stronger than smoothed by "
        f"{width_mm / 2.0:g} mm"
    )


def _best_rows(table: list[Choice], kind: str) -> list[Choice]:
    """The best rows of a kind; of the powers all, so that each map alone stands beside the two."""
    rows = [row for row in table if row.kind.startswith(kind)]
    best = sorted(rows, key=lambda row: -row.ap if math.isnan(row.error) else row.error)
    return best if kind == "powers" else best[:_ROWS]


def _figure(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}"
