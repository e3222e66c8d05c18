"""The figures of ``counterpart bench train`` and ``counterpart bench server`` as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from counterpart.benchmarking.answer_times import AnswerFigures, ServerFigures
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


def server_sheet(figures: ServerFigures) -> Sheet:
    """Answer times in ms, failures, and the inference's seconds."""
    rows = [_answer_row("all", figures.everything)]
    if figures.during_inference is not None:
        rows.append(_answer_row("during an inference", figures.during_inference))
    failures = figures.everything.failures
    told = ", ".join(f"{count} × {reason}" for reason, count in failures.items())
    notes = [
        f"{figures.clients} clients ask for {', '.join(figures.paths)}, each again "
        f"{figures.pause_s:g} s after an answer. Failures: {told or 'none'}.",
    ]
    if figures.inferences:
        taken = ", ".join(
            f"{name} {seconds(spent)} s" for name, spent in figures.inferences.items()
        )
        notes.append(f"Inference: {taken}.")
    headings = ("ms", "requests", "per second", "median", "95 %", "99 %", "most", "failures")
    return Sheet("Answer times of the server", headings, tuple(rows), tuple(notes))


def _row(name: str, taken: Seconds) -> tuple[str, ...]:
    return (name, seconds(taken.median), seconds(taken.least), seconds(taken.most))


def _answer_row(name: str, figures: AnswerFigures) -> tuple[str, ...]:
    times = (figures.median, figures.percentile_95, figures.percentile_99, figures.most)
    cells = ("–" if value is None else f"{value:.1f}" for value in times)
    failed = str(sum(figures.failures.values()))
    return (name, str(figures.requests), f"{figures.per_second:.1f}", *cells, failed)
