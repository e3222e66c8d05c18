"""What ``counterpart models`` does, with tables on the console."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from counterpart.bundle import (
    CALIBRATIONS,
    CARD,
    METADATA,
    REFERENCES,
    SETTINGS,
    WEIGHTS,
    bundle_name,
    checked_digests,
    read_calibrations,
    read_references,
)
from counterpart.bundle_files import read_json
from counterpart.calibration.record import HEALTHY_SCANS
from counterpart.cohort import read_cohort
from counterpart.errors import ModelError
from counterpart.registry.gates import GATES
from counterpart.registry.publishing import Publication, Terms, publish
from counterpart.registry.serving import Event, read_serving
from counterpart.registry.verdict import Verdict
from counterpart.registry.versions import Entry, entries, registry_folder, resolve, rollback
from counterpart.registry.withdrawals import withdrawn_references


@dataclass(frozen=True)
class Facts:
    """What a line of the list says of a bundle.

    Args:
        contrasts: That it was calibrated on, with these weights.
        calibrated: Those of them of which there were healthy scans.
        weights_sha256: Of the weights; empty if the bundle is damaged.
        megabytes: Size of all files.
        state: ``intact``, or what is wrong.
    """

    contrasts: tuple[str, ...]
    calibrated: tuple[str, ...]
    weights_sha256: str
    megabytes: float
    state: str


def list_models(root: Path | None = None) -> int:
    """Print every version with what it serves."""
    console = Console()
    place = f"Registry: {registry_folder(root)}"
    console.print(place, soft_wrap=True, markup=False, highlight=False)
    table = Table(box=SIMPLE, pad_edge=False, collapse_padding=True)
    for heading in ("model", "version", "serves", "source"):
        table.add_column(heading, no_wrap=True)
    table.add_column("contrasts", overflow="fold")
    table.add_column("weights", no_wrap=True)
    table.add_column("MB", justify="right")
    damaged = []
    for entry in entries(root):
        facts = bundle_facts(entry.folder)
        if facts.state != "intact":
            damaged.append(facts.state)
        table.add_row(
            entry.name,
            entry.version,
            "yes" if entry.serving else "",
            entry.source,
            _contrasts(facts),
            facts.weights_sha256[:12] or "damaged",
            f"{facts.megabytes:.1f}",
        )
    console.print(table)
    for fault in damaged:
        console.print(f"[red]damaged[/red] {escape(fault)}", soft_wrap=True, highlight=False)
    return 1 if damaged else 0


def show_model(source: str, root: Path | None = None) -> int:
    """Print what is known of one version.

    Returns:
        0; 1 if a file is missing or was changed.
    """
    console = Console()
    folder = resolve(source, root=root)
    facts = bundle_facts(folder)
    entry = next((entry for entry in entries(root) if entry.folder == folder), None)
    lines = (
        ("bundle", str(folder)),
        ("version", _version(entry)),
        ("card", str(folder / CARD)),
        ("weights", facts.weights_sha256),
        ("contrasts", _contrasts(facts)),
        ("manifest", facts.state),
        ("references", _references(folder, root) if facts.state == "intact" else "unknown"),
    )
    for heading, text in lines:
        line = f"[bold]{heading}[/bold] {escape(text)}"
        console.print(line, soft_wrap=True, highlight=False)
    for heading, path in (("metadata", METADATA), ("settings", SETTINGS)):
        console.print(f"[bold]{heading}[/bold] {path}", highlight=False)
        text = json.dumps(read_json(folder / path), indent=1, ensure_ascii=False)
        console.print(text, soft_wrap=True, markup=False, highlight=False)
    known = read_serving(folder.parent)
    for event in known.history if known else ():
        console.print(_event_line(event), soft_wrap=True, highlight=False)
    return 0 if facts.state == "intact" else 1


def publish_model(
    bundle: Path,
    *,
    name: str | None = None,
    cohort: Path | None = None,
    force: Sequence[str] = (),
    reason: str = "",
    device: str = "cpu",
    root: Path | None = None,
) -> int:
    """Publish a bundle and print each verdict.

    Returns:
        0; 1 if a gate was not passed and not overruled, so that nothing was published.
    """
    console = Console()
    overruled: list[str] = []
    held_out = read_cohort(cohort) if cohort else None
    with _gates_bar(console, shown=held_out is not None) as bar:
        task = bar.add_task("Gates", total=float(len(GATES) + 1))
        judged: list[str] = []

        def tell(verdict: Verdict) -> None:
            judged.append(verdict.gate)
            if not verdict.passed and verdict.gate in force:
                overruled.append(verdict.gate)
            console.print(_verdict_line(verdict, overruled), soft_wrap=True, highlight=False)
            bar.update(task, completed=float(len(judged)))

        terms = Terms(
            cohort=held_out,
            force=force,
            reason=reason,
            device=device,
            tell=tell,
            progress=lambda words: bar.update(task, description=words),
            share=lambda share: bar.update(task, completed=len(judged) + share),
        )
        done = publish(bundle, name=name, root=root, terms=terms)
    _print_end(console, done)
    return 0 if done.published else 1


def _print_end(console: Console, done: Publication) -> None:
    model = f"{done.name} {done.version}"
    if not done.published:
        text = f"[red]not published[/red] {escape(model)}: a gate was not passed"
    elif done.verdicts:
        text = f"[green]published[/green] {escape(model)} serves from {escape(str(done.folder))}"
    elif done.serving:
        text = f"{escape(model)} was published with the same content before, and serves"
    else:
        text = (
            f"{escape(model)} was published with the same content before, and does not serve; "
            f"`counterpart models rollback {done.name} --to {done.version}` lets it"
        )
    console.print(text, soft_wrap=True, highlight=False)


def _gates_bar(console: Console, *, shown: bool) -> Progress:
    """A bar with percentage, gone when it is done; without a cohort the gates take no time."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        console=console,
        transient=True,
        disable=not shown,
    )


def roll_back(
    name: str, to: str | None = None, *, reason: str = "", root: Path | None = None
) -> int:
    """Let an earlier version serve again, and say which."""
    entry = rollback(name, to, reason=reason, root=root)
    text = f"{entry.name} {entry.version} ({entry.source}) serves from {entry.folder}"
    Console().print(text, soft_wrap=True, markup=False, highlight=False)
    return 0


def bundle_facts(folder: Path) -> Facts:
    """What a line of the list says of a bundle, damaged or not."""
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    try:
        digests = checked_digests(folder)
        found = read_calibrations(folder) if CALIBRATIONS in digests else ()
    except ModelError as error:
        return Facts((), (), "", size, str(error))
    bound = [one for one in found if one.weights_sha256 == digests[WEIGHTS]]
    contrasts = tuple(sorted({one.contrast for one in bound}))
    calibrated = tuple(one.contrast for one in bound if one.kind == HEALTHY_SCANS)
    return Facts(contrasts, calibrated, digests[WEIGHTS], size, "intact")


def _references(folder: Path, root: Path | None) -> str:
    if not (folder / REFERENCES).is_file():
        return "no healthy references"
    named = set(read_references(folder).index.names)
    gone = named & withdrawn_references(bundle_name(folder), root)
    words = f"{len(named - gone)} healthy references"
    if gone:
        words += f"; {len(gone)} withdrawn, whom the weights stay trained on until retrained"
    return words


def _contrasts(facts: Facts) -> str:
    words = (
        name if name in facts.calibrated else f"{name} (simulated)" for name in facts.contrasts
    )
    return ", ".join(words) or "–"


def _version(entry: Entry | None) -> str:
    if entry is None:
        return "of a folder outside the registry"
    serving = "serves" if entry.serving else "does not serve"
    return f"{entry.name} {entry.version}, {entry.source}, {serving}"


def _verdict_line(verdict: Verdict, overruled: Sequence[str]) -> str:
    if verdict.gate in overruled:
        state = "[yellow]overruled[/yellow]"
    elif not verdict.passed:
        state = "[red]failed[/red]"
    else:
        state = "[green]passed[/green]" if verdict.checked else "[yellow]passed[/yellow]"
    return f"{state} {verdict.gate}: {escape(verdict.reason)}"


def _event_line(event: Event) -> str:
    text = f"{event.time} {event.kind} {event.version} ({event.source}) by {event.by}"
    if event.reason:
        text += f": {event.reason}"
    lines = [f"[bold]history[/bold] {escape(text)}"]
    lines += [f"  {_verdict_line(verdict, event.forced)}" for verdict in event.verdicts]
    return "\n".join(lines)
