"""Damages scans of every format by the thousand and checks that none does harm when it is read.

Run ``counterpart fuzz --count 10000 --seed 0``. What fails is kept in a folder.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from rich.console import Console
from rich.table import Table

from counterpart.fuzzing.mutations import SAME, Mutant, make_mutant
from counterpart.fuzzing.scan_probe import VERDICTS, Probe, Verdict
from counterpart.fuzzing.specimens import Specimen, make_specimens

FAILURES = ("crashed", "hung", "nonsense")
Counts = dict[str, Counter[str]]


def fuzz(
    count: int,
    seed: int,
    keep: Path,
    *,
    limit_s: float = 20.0,
    progress: Callable[[int], None] | None = None,
) -> tuple[Counts, list[str]]:
    """Read damaged scans, each in a process that may crash.

    Args:
        count: How many, dealt to the formats in turn.
        seed: Of the damage; each mutant has its own, so that it can be made again.
        keep: Folder for the scans that fail; made when the first does.
        limit_s: Seconds for one scan.
        progress: Called with how many are done.

    Returns:
        Verdicts by format, and a line for each failure.
    """
    specimens = make_specimens()
    turns = [at for turn in range(5) for at, s in enumerate(specimens) if turn % s.every == 0]
    counts: Counts = {specimen.format: Counter() for specimen in specimens}
    failures: list[str] = []
    probe = Probe(limit_s)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as work:
        originals = [_write(Path(work) / "whole" / s.format, s) for s in specimens]
        try:
            failures += _refused_originals(probe, specimens, originals)
            for number in range(count):
                kind = turns[number % len(turns)]
                mutant = make_mutant(specimens[kind], Random(f"{seed}/{number}"))
                path = _write(Path(work) / "mutant", mutant)
                verdict = probe.read(path, originals[kind], mutant.rule)
                counts[mutant.format][verdict.name] += 1
                if verdict.name in FAILURES:
                    failures.append(_keep(keep / str(number), path, mutant, verdict))
                if progress:
                    progress(number + 1)
        finally:
            probe.close()
    return counts, failures


def _refused_originals(
    probe: Probe, specimens: Sequence[Specimen], originals: Sequence[Path]
) -> list[str]:
    """Undamaged scans that are not read, without which the rest would mean nothing."""
    verdicts = [probe.read(path, path, SAME) for path in originals]
    return [
        f"{specimen.format}, undamaged: {verdict.name}: {verdict.detail}"
        for specimen, verdict in zip(specimens, verdicts, strict=True)
        if verdict.name != "read"
    ]


def _write(folder: Path, scan: Specimen | Mutant) -> Path:
    """The files in a folder of their own; the path to read."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    for name, content in scan.files.items():
        (folder / name).write_bytes(content)
    return folder / scan.entry if scan.entry else folder


def _keep(folder: Path, path: Path, mutant: Mutant, verdict: Verdict) -> str:
    kept = _write(folder, mutant)
    return f"{kept}: {mutant.story}: {verdict.name}: {verdict.detail}".replace(str(path), "…")


def run_campaign(count: int, seed: int, keep: Path) -> int:
    """Fuzz, and show a table of what became of the scans.

    Args:
        count: How many damaged scans.
        seed: Of the damage.
        keep: Folder for the scans that fail.

    Returns:
        0 if every damaged scan was read soundly or refused in words, else 1.
    """
    console = Console()
    with console.status("Damaging scans"):
        counts, failures = fuzz(count, seed, keep)
    console.print(_table(counts))
    for line in failures:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return 1 if failures else 0


def _table(counts: Counts) -> Table:
    table = Table("format", "damaged", *VERDICTS)
    for kind, found in counts.items():
        table.add_row(kind, str(found.total()), *(str(found[name]) for name in VERDICTS))
    total = sum(counts.values(), Counter[str]())
    table.add_section()
    table.add_row("all", str(total.total()), *(str(total[name]) for name in VERDICTS))
    return table
