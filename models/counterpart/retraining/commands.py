"""What ``counterpart retrain`` does: writes a plan, carries it out, shows how far it is."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bar

from counterpart.cohort_checks.marked_scan import MarkedScan
from counterpart.contrast import contrast_from_name
from counterpart.results import DISCLAIMER
from counterpart.retraining.exit_codes import EXIT_BAD_PLAN, EXIT_DONE
from counterpart.retraining.judging import check_terms
from counterpart.retraining.pace import DEFAULT_STEPS
from counterpart.retraining.peers import is_peer
from counterpart.retraining.pipeline import carry_out
from counterpart.retraining.plan import PLAN, Plan, PlanError, Steps, write_plan
from counterpart.retraining.progress import DONE, RUNNING, Progress
from counterpart.scans import SCAN_SUFFIXES, scan_name

_COMPANIONS = ("_labels", "_brain", "_mask", "_lesion")
_CONTRAST = re.compile(r"[_-](T1|T1c|T1ce|T2|FLAIR)$", re.IGNORECASE)


@dataclass(frozen=True)
class RetrainOptions:
    """How a model is retrained; see `counterpart.retraining.plan.Plan`.

    Args:
        steps_encoder: Optimiser steps; None for the default.
        steps_denoiser: The same.
        resume: Go on with the plan that the folder holds.
    """

    mode: str = "auto"
    start: str = "released"
    model: str = "healthy-brain"
    version: str | None = None
    population: str = ""
    steps_encoder: int | None = None
    steps_denoiser: int | None = None
    seed: int = 1
    device: str = "auto"
    devices: str = "1"
    nodes: int = 1
    publish: bool = True
    force: tuple[str, ...] = ()
    reason: str = ""
    registry: Path | None = None
    resume: bool = False


def retrain(scans: Path, run: Path, options: RetrainOptions) -> int:
    """Retrain a model on the healthy scans of a folder.

    Args:
        scans: The folder.
        run: Folder of the retraining.
        options: How.

    Returns:
        One of `counterpart.retraining.exit_codes`.
    """
    if is_peer():
        return carry_out(run)
    try:
        if not (run / PLAN).is_file():
            plan = plan_of(scans, options)
            check_terms(plan)
            write_plan(run, plan)
        elif not options.resume:
            raise PlanError(
                f"{run}: holds a retraining already. Add --resume to go on with it as it was "
                "planned, or choose another folder."
            )
    except PlanError as error:
        print(f"counterpart: {error}", file=sys.stderr)
        return EXIT_BAD_PLAN
    return watched(run)


def watched(run: Path) -> int:
    """Carry out the plan of a folder, with its progress on the console."""
    console = Console()
    with Bar(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[left]}"),
        console=console,
    ) as bar:
        code = carry_out(run, _Screen(console, bar, bar.add_task("beginning", total=1.0, left="")))
    if code == EXIT_DONE:
        report = escape(str((run / "report.html").resolve()))
        console.print(f"Open [bold]{report}[/bold]. {DISCLAIMER}.", soft_wrap=True, highlight=False)
    return code


def plan_of(scans: Path, options: RetrainOptions) -> Plan:
    """The plan for the scans of a folder.

    Raises:
        PlanError: There is no scan, or an option does not fit.
    """
    steps = None
    if options.steps_encoder is not None or options.steps_denoiser is not None:
        default = DEFAULT_STEPS[options.start]
        encoder, denoiser = options.steps_encoder, options.steps_denoiser
        steps = Steps(
            default.encoder if encoder is None else encoder,
            default.denoiser if denoiser is None else denoiser,
        )
    return Plan(
        scans=marked_scans(scans),
        model=options.model,
        registry=None if options.registry is None else options.registry.resolve(),
        version=options.version,
        mode=options.mode,
        start=options.start,
        population=options.population or scans.resolve().name,
        device=options.device,
        devices=options.devices,
        nodes=options.nodes,
        seed=options.seed,
        steps=steps,
        force=options.force,
        reason=options.reason,
        publish=options.publish,
    )


def marked_scans(folder: Path) -> tuple[MarkedScan, ...]:
    """The scans of a folder, all taken for healthy; the subject is what a file's name begins with.

    Raises:
        PlanError: The folder is not there, or holds none.
    """
    if not folder.is_dir():
        raise PlanError(f"{folder}: no such folder. Give the folder with the healthy scans.")
    found = []
    for path in sorted(folder.resolve().iterdir()):
        stem = scan_name(path)
        if not path.name.lower().endswith(SCAN_SUFFIXES) or stem.endswith(_COMPANIONS):
            continue
        contrast = contrast_from_name(stem)
        named = None if contrast is None else contrast.name
        found.append(MarkedScan(_CONTRAST.sub("", stem), path, named))
    if not found:
        raise PlanError(f"{folder}: no scan ({', '.join(SCAN_SUFFIXES)}) in it.")
    return tuple(found)


class _Screen:
    """Shows a retraining's progress on the console."""

    def __init__(self, console: Console, bar: Bar, task: TaskID) -> None:
        self._console = console
        self._bar = bar
        self._task = task
        self._stage = ""
        self._gates = 0

    def __call__(self, now: Progress) -> None:
        """Show what there is to show."""
        if now.stage != self._stage and now.state == RUNNING:
            self._stage = now.stage
            self._say(f"[bold]{now.stage}[/bold] ({now.stage_number} of {now.stages})")
        for verdict in now.verdicts[self._gates :]:
            word = "[green]passed[/green]" if verdict.passed else "[red]not passed[/red]"
            self._say(f"{word} {verdict.gate}: {escape(verdict.reason)}")
        self._gates = max(self._gates, len(now.verdicts))
        epoch = f", epoch {now.epoch} of {now.epochs}" if now.epochs else ""
        self._bar.update(
            self._task,
            completed=now.fraction,
            description=f"{now.stage}: {now.message}{epoch}",
            left="" if now.seconds_left is None else f"{_duration(now.seconds_left)} left",
        )
        if now.state == DONE:
            self._say(f"[bold]{escape(now.message)}[/bold]")

    def _say(self, line: str) -> None:
        self._console.print(line, soft_wrap=True, highlight=False)


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min" if minutes else f"{seconds:.0f} s"
