"""What ``counterpart ablate`` does: trains the rows, measures them, writes the table."""

from __future__ import annotations

import csv
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from rich.console import Console

from counterpart.ablation.measured import Figures, measure_rows
from counterpart.ablation.records import HeadFigures
from counterpart.ablation.rows import Row, Sizes, chosen_rows
from counterpart.ablation.summary import RowSummary, summarise_rows
from counterpart.ablation.text import Circumstances, ablation_text
from counterpart.ablation.training import (
    encoder_folder,
    read_mark,
    row_folder,
    settle_sizes,
    settled_sizes,
    train_rows,
    write_json_whole,
)
from counterpart.cohort import Cohort, read_cohort, read_index
from counterpart.document_sections import check_section, replace_section
from counterpart.errors import CounterpartError
from counterpart.evaluation.commands import command_line
from counterpart.results import DISCLAIMER
from counterpart.retraining.run_lock import run_lock
from counterpart.training.machines import ONE_DEVICE, Machines

SECTION = "ablation"
ALL_SUBJECTS = 1000


@dataclass(frozen=True)
class AblateOptions:
    """How the ablation is made; None means the folder's own, or the default of a new one.

    Args:
        steps: Optimiser steps of each row.
        encoder_steps: Optimiser steps of each encoder.
        channels: Widths of the networks.
        seed: Of everything random.
        rows: Names of the rows wanted; none is all.
        subjects: Most subjects of the part *validate* that rows are measured on.
        document: Markdown file whose section is renewed.
        resume: Whether a folder that holds an ablation may be gone on with.
        trains: Whether rows are trained; without, those are measured that have been.
        measures_again: Whether figures that are known are measured again.
        machines: Device and precision.
    """

    steps: int | None = None
    encoder_steps: int | None = None
    channels: tuple[int, ...] | None = None
    seed: int | None = None
    rows: tuple[str, ...] = ()
    subjects: int = ALL_SUBJECTS
    document: Path | None = None
    resume: bool = False
    trains: bool = True
    measures_again: bool = False
    machines: Machines = ONE_DEVICE

    def sizes(self, default: Sizes) -> Sizes:
        """The sizes asked for, where asked for, else those of a default."""
        asked = {
            name: getattr(self, name)
            for name in ("steps", "encoder_steps", "channels", "seed")
            if getattr(self, name) is not None
        }
        return replace(default, **asked)


def ablate(cohort_folder: Path, out: Path, options: AblateOptions) -> int:
    """Train the rows that have not been trained, measure all that have, and write the table.

    Args:
        cohort_folder: From ``counterpart prepare``.
        out: Folder of the ablation.
        options: How.

    Returns:
        0.

    Raises:
        CounterpartError: An option is wrong, the folder holds an ablation already or of other
            sizes, the cohort cannot be used, or no row has been trained.
    """
    # Lightning announces accelerators that are not there, and products.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    settled = settled_sizes(out)
    sizes = options.sizes(settled or Sizes())
    rows = chosen_rows(options.rows, sizes)
    if options.subjects < 1:
        raise CounterpartError(f"--subjects must be at least 1, got {options.subjects}.")
    if options.document is not None:
        check_section(options.document, SECTION)
    if settled is None and not options.trains:
        raise CounterpartError(f"{out}: holds no ablation yet. Leave out --no-training.")
    if settled is not None and options.trains and not options.resume:
        raise CounterpartError(
            f"{out}: holds an ablation already. Add --resume, or choose another folder."
        )
    content_hash = str(read_index(cohort_folder)["content_hash"])
    out.mkdir(parents=True, exist_ok=True)
    settle_sizes(out, content_hash, sizes)
    console = Console()

    def tell(text: str) -> None:
        console.print(text, soft_wrap=True, highlight=False, markup=False)

    if options.trains:
        with run_lock(out):
            train_rows(cohort_folder, out, rows, options.machines, tell)
    cohort = read_cohort(cohort_folder)  # training reads its own
    figures = measure_rows(
        out,
        cohort,
        rows,
        subjects=options.subjects,
        again=options.measures_again,
        tell=tell,
    )
    text = write_ablation(out, rows, figures, _circumstances(out, cohort, rows, sizes, figures))
    if options.document is not None:
        replace_section(options.document, SECTION, text)
    tell(f"Open {out / 'ablation.md'}. {DISCLAIMER}.")
    return 0


def write_ablation(out: Path, rows: Sequence[Row], figures: Figures, known: Circumstances) -> str:
    """Write ``ablation.md``, ``ablation.json`` and ``ablation.csv``.

    Args:
        out: Folder of the ablation.
        rows: Of the table.
        figures: By name of the row.
        known: How the rows came about.

    Returns:
        The Markdown.
    """
    summaries = summarise_rows(rows, figures)
    text = ablation_text(rows, summaries, known)
    (out / "ablation.md").write_text(f"# Ablation\n\n{DISCLAIMER}.\n\n{text}")
    write_json_whole(out / "ablation.json", _plain(rows, summaries, figures, known))
    with (out / "ablation.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        names = [field.name for field in fields(HeadFigures)]
        writer.writerow(["row", *names])
        for row in rows:
            for head in figures.get(row.name, ()):
                writer.writerow([row.name, *(getattr(head, name) for name in names)])
    return text


def _circumstances(
    out: Path, cohort: Cohort, rows: Sequence[Row], sizes: Sizes, figures: Figures
) -> Circumstances:
    marks = {row.name: read_mark(row_folder(out, row)) for row in rows if row.trains}
    encoders = {
        str(row.encoder_of): read_mark(encoder_folder(out, row)) for row in rows if row.encoder_of
    }
    return Circumstances(
        command=command_line(),
        sizes=sizes,
        subjects=Counter(subject.part for subject in cohort.subjects),
        measured=len({head.subject for known in figures.values() for head in known}),
        marks={name: mark for name, mark in marks.items() if mark is not None},
        encoders={name: mark for name, mark in encoders.items() if mark is not None},
    )


def _plain(
    rows: Sequence[Row],
    summaries: Sequence[RowSummary],
    figures: Mapping[str, Sequence[HeadFigures]],
    known: Circumstances,
) -> dict[str, object]:
    return {
        "disclaimer": DISCLAIMER,
        "made": asdict(replace(known, subjects=dict(known.subjects))),
        "rows": [asdict(row) for row in rows],
        "summaries": [asdict(one) for one in summaries],
        "heads": {name: [asdict(head) for head in heads] for name, heads in figures.items()},
    }
