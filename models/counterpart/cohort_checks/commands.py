"""What ``counterpart cohort`` does, with tables on the console."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from counterpart.brain_extraction import load_brain_model
from counterpart.bundle import load_model
from counterpart.cohort_checks.adding import add_cohort
from counterpart.cohort_checks.datastore import marked_scans
from counterpart.cohort_checks.overview import CohortOverview, cohort_overview

_ADVICE = {
    "nothing": "too few scans for anything",
    "calibrate": "calibration alone",
    "train": "training and calibration",
}


def add_scans(folder: Path, studies: Path, *, link: bool = False) -> int:
    """Add a folder of healthy scans to the studies, and say what came of it.

    Returns:
        0; 1 if a scan was left out.
    """
    console = Console()
    with _progress(console) as bar:
        task = bar.add_task("Adding", total=None)

        def tell(done: int, total: int, name: str) -> None:
            bar.update(task, completed=done, total=total, description=name)

        done = add_cohort(folder, studies, link=link, progress=tell)
        bar.update(task, completed=1, total=1, description="Done")
    how = "linked" if link else "copied"
    text = (
        f"{len(done.new)} scans {how} to {studies}, {len(done.there)} lay there before; "
        f"{done.marked} newly marked as healthy"
    )
    console.print(text, soft_wrap=True, markup=False, highlight=False)
    for one in done.refused:
        line = f"[yellow]left out[/yellow] {escape(one.scan)}: {escape(one.reason)}"
        console.print(line, soft_wrap=True, highlight=False)
    return 1 if done.refused else 0


def show_cohort(
    studies: Path, *, read: bool = False, model: str = "healthy-brain", device: str = "cpu"
) -> int:
    """Print what the marked scans of a studies folder are.

    Args:
        studies: The studies folder.
        read: Read every scan, find its brain, and have the model look at it; takes minutes.
        model: Name or folder of that model.
        device: torch device.

    Returns:
        0; 1 if a scan is refused.
    """
    console = Console()
    scans = marked_scans(studies)
    if not read:
        found = cohort_overview(scans)
    else:
        with _progress(console) as bar:
            task = bar.add_task("Loading the networks", total=len(scans) or 1)

            def tell(text: str) -> None:
                bar.update(task, advance=int(bar.tasks[0].description != "Loading the networks"))
                bar.update(task, description=text)

            found = cohort_overview(
                scans,
                brain_model=load_brain_model(device=device),
                model=load_model(model, device=device),
                progress=tell,
            )
            bar.update(task, completed=len(scans) or 1, description="Done")
    _print(console, found)
    return 1 if found.refused else 0


def _print(console: Console, found: CohortOverview) -> None:
    values: dict[str, Any] = found.to_json()
    console.print(
        f"{values['scans']} healthy scans of {values['subjects']} subjects "
        f"(looked at: {values['looked_at']})",
        highlight=False,
    )
    table = Table("contrast", "scans", "subjects", "enough for", box=SIMPLE)
    for name, one in values["contrasts"].items():
        table.add_row(name, str(one["scans"]), str(one["subjects"]), _ADVICE[one["advice"]])
    if values["contrasts"]:
        console.print(table)
    for size in values["voxel_sizes"]:
        words = " x ".join(f"{length:g}" for length in size["mm"])
        console.print(f"voxels of {words} mm: {size['scans']} scans", highlight=False)
    for refused in found.refused:
        line = f"[red]refused[/red] {escape(refused.scan)}: {escape(refused.reason)}"
        console.print(line, soft_wrap=True, highlight=False)
    for warning in found.warnings:
        console.print(f"[yellow]note[/yellow] {escape(warning)}", soft_wrap=True, highlight=False)
    console.print(f"Advice: {_ADVICE[found.advice]}.", highlight=False)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        console=console,
    )
