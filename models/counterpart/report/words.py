"""Says in words what the reports say: what was found, how to read it, and where it comes from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from counterpart.baselines import baseline_in_words
from counterpart.findings import MIN_VOLUME_ML
from counterpart.results import Result

NOT_CLINICAL = "Not for clinical use"
HOW_TO_READ = (
    "Warm = brighter than this brain would be in health, cool = darker, "
    "grey = as expected. The patient's right (R) is at the left of the picture. "
    "Outlines: the numbered findings. Dashed lines: the slices below."
)
MORE_TO_READ = (
    "Scan, reconstruction and healthy counterpart share one grey window. The reconstruction is the "
    "network's own answer everywhere; the healthy counterpart takes from it only what is flagged "
    "and keeps the scan elsewhere.",
    "The residual is the scan minus the reconstruction, in units of the brain's normal spread of "
    "intensity. The anomaly map has its sign, and a strength in units of what health leaves at "
    "such a place that also heeds where the network says that something departs from health; it is "
    "coloured from the threshold upwards.",
    f"A finding is a connected place of {MIN_VOLUME_ML:g} ml or more where the anomaly map passes "
    "the threshold. Findings are places to look at, not diagnoses; edges, vessels and a wide "
    "ventricle may be flagged, and disease may be missed.",
    "A p-value says how often the strongest finding of a healthy scan is at least as strong as "
    "this one; it counts for all findings of a scan together, and cannot be smaller than the "
    "number of healthy scans allows. Strength is the sum of the anomaly map over the finding. "
    "Where there is none, the threshold comes from rendered brains or from other scans than this "
    "one's kind.",
    "Axial slices are counted from the lowest. R, A and S are millimetres towards the patient's "
    "right, front and top in the scan's own world coordinates. The pictures here are reduced to "
    "about a pixel per millimetre and compressed; the maps are in the NIfTI files.",
)
BASELINE_TO_READ = (
    "What it is: the scan's intensity alone, smoothed, without any network. It flags exactly as "
    "much volume as the findings have, so that both can be compared by eye: where it flags the "
    "same places, the network adds nothing to looking at the scan. Which tissue it flags was "
    "chosen by the scan's contrast beforehand, as what did best on other patients with known "
    "lesions where there were any."
)
RARE = 0.05
PANELS = ("scan", "reconstruction", "counterpart", "residual", "anomaly", "baseline")
_FOLDERS = re.compile(r"(?<![\w./])(?:[A-Za-z]:)?(?:[/\\][\w.+ -]*[\w.+-])+[/\\](?=[\w.+-])")


def panel_words(contrast: str) -> dict[str, tuple[str, str]]:
    """Title and meaning of each panel, by its short name, from left to right."""
    return {
        "scan": ("Scan", "as it was read"),
        "reconstruction": ("Reconstruction", "the network's own answer, everywhere"),
        "counterpart": ("Healthy counterpart", "the scan, healed where flagged"),
        "residual": ("Residual", "scan − reconstruction, in spreads"),
        "anomaly": ("Anomaly map", "strength of the difference, over the scan"),
        "baseline": ("Plain baseline", baseline_in_words(contrast)),
    }


def baseline_volume(result: Result) -> str:
    """How much the plain baseline flags, and why that much."""
    if not (result.mask > 0).any():
        return "nothing flagged, as there is no finding"
    volume = float((result.mask > 0).sum()) * result.scan.grid.voxel_volume_ml
    return f"same volume flagged, {volume:.1f} ml"


def in_plain_words(result: Result) -> str:
    """Say in a sentence or two what was found."""
    findings = result.findings
    if not findings:
        return "No finding above the threshold. This does not rule out disease."
    largest = max(findings, key=lambda finding: finding.volume_ml)
    where = "in the midline" if largest.side == "midline" else f"on the patient's {largest.side}"
    than = f"{largest.direction} than this brain would be in health"
    if len(findings) == 1:
        return f"1 finding above the threshold: {largest.volume_ml:.1f} ml {where}, {than}."
    total = sum(finding.volume_ml for finding in findings)
    return (
        f"{len(findings)} findings above the threshold, {total:.1f} ml in all. "
        f"The largest, {largest.volume_ml:.1f} ml {where}, is {than}."
    )


def evidence_words(result: Result) -> str:
    """Say in a sentence what the findings are worth beside healthy scans."""
    evidence = result.evidence
    if evidence.p_value is None or evidence.p_floor is None:
        return "Not calibrated on healthy scans of this kind: the scores are not p-values."
    known = f"{evidence.healthy_scans} healthy scans, least possible p {evidence.p_floor:.3f}"
    if not result.findings:
        return f"Nothing beyond what healthy brains show ({known})."
    rare = [f for f in result.findings if f.p_value is not None and f.p_value <= RARE]
    if not rare:
        return f"No finding that fewer than 1 in 20 healthy brains show ({known})."
    count = "1 finding" if len(rare) == 1 else f"{len(rare)} findings"
    return f"{count} that fewer than 1 in 20 healthy brains show ({known})."


def p_words(p_value: float | None) -> str:
    """A finding's p-value in three digits, or a dash."""
    return "–" if p_value is None else f"{p_value:.3f}"


def about_scan(result: Result) -> str:
    """Contrast, voxels, planes and threshold in one line."""
    grid = result.scan.grid
    contrast = "contrast unknown" if result.contrast == "unknown" else result.contrast
    shape = "×".join(str(n) for n in grid.shape)
    spacing = "×".join(f"{step:.3g}" for step in grid.spacing)
    tilt = grid.tilt_degrees
    planes = f" · tilted by {tilt:.0f}°, shown in its own planes" if tilt >= 1.0 else ""
    source = clip(str(result.provenance.get("threshold_source", "source not recorded")), 60)
    threshold = f"threshold {plain(result.threshold)} ({source})"
    return f"{contrast} · {shape} voxels of {spacing} mm{planes} · {threshold}"


def small_print(result: Result) -> str:
    """Model, weights and seed in one line."""
    known = result.provenance
    model = f"{known.get('model', 'not recorded')} {known.get('version', '')}".rstrip()
    weights = str(known.get("weights_sha256") or "not recorded")
    short = weights if weights == "not recorded" else weights[:12]
    seed = known.get("seed", "not recorded")
    return f"Model {clip(model, 60)} · weights {short} · seed {seed}"


def provenance_rows(known: dict[str, Any], indent: int = 0) -> list[tuple[int, str, str]]:
    """Everything that is recorded, one row each: depth, name and value in words.

    Args:
        known: Values, lists and dictionaries of such, nested at will.
        indent: Depth of the outermost.
    """
    rows = []
    for key, value in known.items():
        name = str(key).replace("_", " ")
        if isinstance(value, dict):
            rows += [(indent, name, ""), *provenance_rows(value, indent + 1)]
        else:
            rows.append((indent, name, _value_in_words(value)))
    return rows


def _value_in_words(value: Any) -> str:
    if value is None:
        return "not recorded"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}".replace("-", "−")
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_value_in_words(part)}" for key, part in value.items())
    if isinstance(value, list | tuple):
        apart = "; " if any(isinstance(part, list | tuple | dict) for part in value) else ", "
        return apart.join(_value_in_words(part) for part in value) or "none"
    return without_folders(str(value))


def without_folders(words: str) -> str:
    """The words with every absolute path cut down to its last part: folders may name people."""
    return _FOLDERS.sub("", words)


def clip(words: str, most: int) -> str:
    """The words, or their beginning and end where they are longer than ``most`` letters."""
    return words if len(words) <= most else f"{words[: most - 20]}…{words[-19:]}"


def one_line(words: str) -> str:
    """The words on one line, with a box for every character that cannot be printed."""
    return "".join(c if c.isprintable() else "□" for c in " ".join(words.split()))


def wrapped(words: str, most: int) -> list[str]:
    """The words broken between words into lines of at most ``most`` letters."""
    lines: list[str] = []
    for word in words.split():
        if lines and len(lines[-1]) + 1 + len(word) <= most:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def number_lines(numbers: Sequence[int], per_line: int = 4, most: int = 12) -> list[str]:
    """Break a list of finding numbers into short lines; beyond ``most`` they are only counted."""
    shown = [str(number) for number in numbers[:most]]
    lines = [", ".join(shown[at : at + per_line]) for at in range(0, len(shown), per_line)]
    lines = [f"{line}," for line in lines[:-1]] + lines[-1:]
    return [*lines, f"+{len(numbers) - most} more"] if len(numbers) > most else lines


def plain(value: float, sign: str = "") -> str:
    """A number of three digits with a true minus; ``sign`` is ``+`` to show both signs."""
    return f"{value:{sign}.3g}".replace("-", "−")


def signed(value: float) -> str:
    """A whole number with its sign, a true minus; zero has none."""
    whole = round(value)
    return "0" if whole == 0 else f"{whole:+d}".replace("-", "−")
