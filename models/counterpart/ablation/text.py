"""Writes the ablation as Markdown: how it was made, tables by contrast, what each part brings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from counterpart.ablation.rows import (
    AUTOENCODER,
    BASELINE,
    DEPARTURE,
    OUR_LEVELS,
    PAPER_CODE,
    Row,
    Sizes,
    changed_fields,
)
from counterpart.ablation.summary import RowSummary
from counterpart.ablation.training import Mark
from counterpart.denoiser import DenoiserConfig
from counterpart.evaluation.bootstrap import Interval
from counterpart.evaluation.markdown import MISSING, difference, mean_with_ends, table
from counterpart.targets import HELD_OUT_FAMILIES
from counterpart.training.configurations import configuration_named

_FINDING = (("ap", "AP of the map", 1.0), ("within", "error within the pattern, spreads", 1.0))
_LEAVING = (
    ("outside", "error outside it, spreads", 1.0),
    ("healthy", "error on healthy heads, % of the normal range", 100.0),
)
_THRESHOLD = (
    ("findings", "findings per healthy head", 1.0),
    ("flagged_ml", "ml flagged in it", 1.0),
    ("found", "share of patterns found", 1.0),
    ("flagged", "error where the pattern is flagged, spreads", 1.0),
)
_BETTER = {"ap": 1.0, "within": -1.0, "healthy": -1.0}
_WORDS = {
    "ap": "AP",
    "within": "the error within patterns",
    "healthy": "the error on healthy heads",
    "flagged": "the error where patterns are flagged",
}


@dataclass(frozen=True)
class Circumstances:
    """How the rows came about.

    Args:
        command: That made them.
        sizes: That they share.
        subjects: How many subjects each part of the cohort has, by name.
        measured: How many subjects of the part *validate* the rows are measured on.
        marks: Of the networks that have been trained, by name of the row.
        encoders: Of the encoders, likewise.
    """

    command: str
    sizes: Sizes
    subjects: Mapping[str, int]
    measured: int
    marks: Mapping[str, Mark]
    encoders: Mapping[str, Mark]


def ablation_text(
    rows: Sequence[Row], summaries: Sequence[RowSummary], known: Circumstances
) -> str:
    """The whole ablation as Markdown.

    Args:
        rows: All that the table is to have; those without figures are named as missing.
        summaries: Of those that have figures.
        known: How they came about.
    """
    parts = [f"```bash\n{known.command}\n```", _method(known), _deviations(known)]
    for contrast in dict.fromkeys(one.contrast for one in summaries):
        members = [one for one in summaries if one.contrast == contrast]
        parts += [f"### {contrast} heads", *_tables(rows, members)]
    sentences = what_parts_bring(rows, summaries)
    if sentences:
        title = "What each part brings, as far as these subjects can tell:"
        parts += [title, "\n".join(f"- {sentence}" for sentence in sentences)]
    missing = [row.name for row in rows if row.name not in {one.row for one in summaries}]
    if missing:
        parts.append(f"Not measured yet: {', '.join(missing)}.")
    title = "In which settings each row differs from the one before it"
    parts.append(f"<details><summary>{title}</summary>\n\n{_changes(rows)}\n\n</details>")
    return "\n\n".join(parts) + "\n"


def what_parts_bring(rows: Sequence[Row], summaries: Sequence[RowSummary]) -> list[str]:
    """One sentence for each row and contrast that is compared with another row."""
    reverse = {row.name for row in rows if row.reversed}
    found = []
    for one in summaries:
        if one.compared_with is None:
            continue
        said = [
            _told(name, one.differences[name])
            for name in (*_BETTER, "flagged")
            if one.differences.get(name) is not None
            and (name != "flagged" or "flagged" in _changed_at_all(one))
        ]
        if not said:
            continue
        who = f"{one.compared_with} beside the {one.row}" if one.row in reverse else one.row
        found.append(f"{one.contrast}, {who}: {'; '.join(said)}.")
    return found


def _changed_at_all(one: RowSummary) -> set[str]:
    return {
        name
        for name, found in one.differences.items()
        if found is not None and (found.low, found.high) != (0.0, 0.0)
    }


def _told(name: str, found: Interval | None) -> str:
    if found is None:
        return f"{_WORDS[name]} not comparable"
    if found.low == found.high == 0.0:
        return f"{_WORDS[name]} unchanged"
    share = 100.0 if name == "healthy" else 1.0
    figures = difference(_times(found, share)) + (" % of the range" if name == "healthy" else "")
    if found.low <= 0.0 <= found.high:
        return f"{_WORDS[name]} not clearly changed, {figures}"
    gain = found.value * _BETTER.get(name, -1.0) > 0
    return f"{_WORDS[name]} {'better' if gain else 'worse'} by {figures}"


def _tables(rows: Sequence[Row], summaries: Sequence[RowSummary]) -> list[str]:
    known = {one.row: one for one in summaries}
    present = [(row, known[row.name]) for row in rows if row.name in known]
    parts = [_table(present, _FINDING), _table(present, _LEAVING)]
    with_threshold = [(row, one) for row, one in present if one.means["findings"] is not None]
    if with_threshold:
        parts.append(_table(with_threshold, _THRESHOLD, differences=False))
    return parts


def _table(
    rows: Sequence[tuple[Row, RowSummary]],
    columns: Sequence[tuple[str, str, float]],
    *,
    differences: bool = True,
) -> str:
    head = ["row"]
    for _, words, _ in columns:
        head += [words, *(["difference"] if differences else [])]

    def cells(row: Row, one: RowSummary) -> Iterable[str]:
        yield row.name if one.score is None else f"{row.name} ({one.score})"
        for name, _, factor in columns:
            mean = one.means[name]
            yield mean_with_ends(None if mean is None else mean.times(factor))
            if differences:
                yield difference(_times(one.differences[name], factor))

    return table(head, ([*cells(row, one)] for row, one in rows))


def _times(found: Interval | None, factor: float) -> Interval | None:
    if found is None:
        return None
    return Interval(*(factor * end for end in (found.value, found.low, found.high)))


def _method(known: Circumstances) -> str:
    families = " and ".join(HELD_OUT_FAMILIES)
    return f"""\
Every row is trained on the {known.subjects.get("train", 0)} healthy subjects of the part *train*,
for {known.sizes.steps} steps of {known.sizes.batch_size} slices, with the same schedule and seed,
and measured on {known.measured} subjects of the part *validate*: each head once with a drawn
pattern of a family that no row was trained on ({families}) and once without. The part *calibrate*
has no share in it. *AP* is the voxel average precision of the row's own map within the brain.
*Errors* are mean absolute ones of the ungated reconstruction. A *difference* is the row's figure
minus that of the row before it, paired by subject; for the {AUTOENCODER} and the {BASELINE} it is
the full method's figure minus theirs, and for the rows that have something *instead* it is theirs
minus that of {DEPARTURE}. Intervals are 95 %, from 10,000 resamples of the subjects.
The scale and the threshold of the calibrated rows come from other subjects than those they are
measured on, and the {BASELINE} is chosen with the masks in hand."""


def _deviations(known: Circumstances) -> str:
    sizes = known.sizes
    full, paper = configuration_named("ours"), configuration_named(PAPER_CODE)
    levels = " and ".join(str(level) for level in OUR_LEVELS.levels)
    lines = [
        f"The networks are small: widths {_listed(sizes.channels)} in two residual blocks each, "
        f"where our denoiser has {_listed(DenoiserConfig().channels)} and the published one "
        f"{_listed(paper.denoiser.channels)}; the encoder has widths "
        f"{_listed(sizes.encoder_channels)} in one block each, where ours has two each and the "
        "published one is a ResNet-50.",
        f"Training is short: {sizes.steps} steps of {sizes.batch_size} slices, where ours takes "
        f"{full.healing.steps} of {full.healing.batch_size} and the published one "
        f"{paper.healing.steps} of {paper.healing.batch_size}. The figures say what a part brings "
        "early, not what is reached at the end.",
        "All rows have the learning rate, warm-up, decay and averaging of ours, the published ones "
        "too.",
        f"Rows with a condition use an encoder that had {sizes.encoder_steps} steps of its own "
        "before.",
        f"From + healing on, noise levels are fixed ({levels}) and not chosen anew for each row.",
        "One seed: the intervals cover the choice of subjects and not the luck of a training.",
        "Patterns are drawn and FLAIR is rendered; the first three rows were never shown FLAIR.",
        "The autoencoder sees the contrasts of + rendered contrasts without patterns.",
    ]
    time = _time(known)
    return "\n".join(f"- {line}" for line in [*lines, *([time] if time else [])])


def _time(known: Circumstances) -> str:
    """Machine and seconds, of the last start of each training."""
    marks = [*known.marks.values(), *known.encoders.values()]
    if not marks:
        return ""
    steps = [f"{name} {_per_step(mark)}" for name, mark in known.marks.items()]
    steps += [f"encoder of {name} {_per_step(mark)}" for name, mark in known.encoders.items()]
    minutes = sum(_whole_seconds(mark) for mark in marks) / 60.0
    machines = "; and ".join(dict.fromkeys(mark.machine for mark in marks))
    return (
        f"Machine: {machines}. In all about {minutes:.0f} minutes of processor time; seconds of it "
        f"per step: {', '.join(steps)}."
    )


def _per_step(mark: Mark) -> str:
    return MISSING if not mark.timed_steps else f"{_whole_seconds(mark) / mark.steps:.2f}"


def _whole_seconds(mark: Mark) -> float:
    """Processor seconds, with what a stopped start had done at the pace of the last one."""
    return mark.processor_seconds * mark.steps / max(mark.timed_steps, 1)


def _changes(rows: Sequence[Row]) -> str:
    methods = {row.name: row.method for row in rows}
    lines = []
    for row in rows:
        before = methods.get(str(row.compared_with))
        if row.method is None or before is None or row.reversed:
            continue
        fields = changed_fields(row.method, before)
        said = [f"`{name}`: {_value(a)} → {_value(b)}" for name, (a, b) in fields.items()]
        lines.append([row.name, row.adds, "; ".join(said)])
    return table(["row", "adds", "settings before → now"], lines)


def _value(value: Any) -> str:
    if value is None:
        return MISSING
    return _listed(value) if isinstance(value, tuple | list) else str(value)


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(str(value) for value in values)
