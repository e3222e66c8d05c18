"""The figures of ``counterpart bench train`` and ``counterpart bench server`` as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from counterpart.benchmarking.answer_times import AnswerFigures
from counterpart.benchmarking.running_server import ServerFigures
from counterpart.benchmarking.server_jobs import CrowdFigures
from counterpart.benchmarking.sheets import Sheet, mib, seconds
from counterpart.benchmarking.timing import Seconds

if TYPE_CHECKING:  # which loads Lightning
    from counterpart.benchmarking.training_steps import TrainFigures


def train_sheet(figures: TrainFigures) -> Sheet:
    """Seconds per step and what they are made of."""
    rows = (
        _row("step", figures.step),
        _row("of which making the examples", figures.making),
        _row("of which the network and the optimiser", figures.network),
    )
    gpu = "" if figures.peak_gpu_mib is None else f", on the GPU {mib(figures.peak_gpu_mib)}"
    return Sheet(
        f"Training the {figures.stage}: {figures.batch_size} {figures.sample} a step",
        ("seconds", "median", "least", "most"),
        rows,
        (
            f"On {figures.device} in {figures.precision}, over {figures.step.times} steps: "
            f"{figures.samples_per_second:.1f} {figures.sample} per second; making the examples "
            f"makes a step {figures.ratio:.2f} times as long. Peak memory "
            f"{mib(figures.peak_mib)}{gpu}.",
        ),
    )


def server_sheets(figures: ServerFigures) -> list[Sheet]:
    """Answer times in ms, seconds of start-up and jobs, memory, and how a crowd fared."""
    sheets = [_answers_sheet(figures)]
    spans = {f"start-up, {name}": value for name, value in figures.start_up.items()}
    spans |= figures.works
    if spans:
        rows = tuple((name, seconds(value)) for name, value in spans.items())
        sheets.append(Sheet("Seconds", ("what", "seconds"), rows, _seconds_notes(figures)))
    if figures.crowd is not None:
        sheets.append(_crowd_sheet(figures.crowd))
    return sheets


def _answers_sheet(figures: ServerFigures) -> Sheet:
    rows = [_answer_row("all", figures.everything)]
    if figures.during_works is not None:
        rows.append(_answer_row("during a job", figures.during_works))
    failures = figures.everything.failures
    told = ", ".join(f"{count} × {reason}" for reason, count in failures.items())
    status = " and the status of a job" if figures.works else ""
    note = (
        f"{figures.clients} clients ask for {', '.join(figures.paths)}{status}, each again "
        f"{figures.pause_s:g} s after an answer. Failures: {told or 'none'}."
    )
    headings = ("ms", "requests", "per second", "median", "95 %", "99 %", "most", "failures")
    return Sheet("Answer times of the server", headings, tuple(rows), (note,))


def _seconds_notes(figures: ServerFigures) -> tuple[str, ...]:
    notes = []
    if figures.works:
        notes.append(
            f"From the question to the answer, on {figures.device}, while the clients ask; "
            "another threshold takes the maps from the cache."
        )
    if figures.peak_mib is not None:
        notes.append(
            f"Peak memory of the server and its processes: {mib(figures.peak_mib)} (shared pages "
            "count once)."
        )
    return tuple(notes)


def _crowd_sheet(crowd: CrowdFigures) -> Sheet:
    told = ", ".join(f"{count} × {reason}" for reason, count in crowd.failures.items())
    row = (crowd.clients, crowd.images, crowd.done, crowd.different, f"{crowd.seconds:.1f}")
    return Sheet(
        "Many clients at once",
        ("clients", "scans", "done", "different", "seconds"),
        (tuple(str(cell) for cell in row),),
        (
            "Each asks for a job, waits, and fetches anomaly map and findings; who asks for the "
            f"same scan must get the same bytes. Failures: {told or 'none'}.",
        ),
    )


def _row(name: str, taken: Seconds) -> tuple[str, ...]:
    return (name, seconds(taken.median), seconds(taken.least), seconds(taken.most))


def _answer_row(name: str, figures: AnswerFigures) -> tuple[str, ...]:
    times = (figures.median, figures.percentile_95, figures.percentile_99, figures.most)
    cells = ("–" if value is None else f"{value:.1f}" for value in times)
    failed = str(sum(figures.failures.values()))
    return (name, str(figures.requests), f"{figures.per_second:.1f}", *cells, failed)
