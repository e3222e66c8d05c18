"""What ``counterpart bench`` does, with progress and tables on the console."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from counterpart.benchmarking.answer_times import ServerBench
from counterpart.benchmarking.machine import load_average, this_machine
from counterpart.benchmarking.other_sheets import server_sheets, train_sheet
from counterpart.benchmarking.record import Destination, Record, keep
from counterpart.benchmarking.running_server import measure_server
from counterpart.benchmarking.sheets import Sheet
from counterpart.errors import CounterpartError

if TYPE_CHECKING:  # what loads torch and Lightning is imported by the benchmark that needs it
    from counterpart.benchmarking.generating import GenerateBench
    from counterpart.benchmarking.training_steps import TrainBench

GENERATE, TRAIN, SERVER = "bench generate", "bench train", "bench server"
REFERENCES = "bench references"


def bench_generate(bench: GenerateBench, destination: Destination) -> int:
    """Measure what generating a counterpart costs, and show it."""
    from counterpart.benchmarking.generate_sheets import generate_sheets
    from counterpart.benchmarking.generating import measure_generate

    destination.check(GENERATE)
    load = load_average()
    console = Console()
    with console.status("Loading the models") as status:
        figures, weights = measure_generate(bench, status.update)
    words = [
        *([] if bench.scan is None else ["SCAN"]),
        *_given("--model", Path(bench.model).name),
        *_given("--brain-model", Path(bench.brain_model).name),
        *_given("--device", bench.device),
        *_given("--repeats", bench.repeats),
        *_given("--shape", *(bench.shape or ())),
        *_given("--threads", bench.threads),
    ]
    machine = this_machine(bench.device, load=load)
    record = Record(GENERATE, _command(GENERATE, words), machine, figures, weights)
    _show(console, record, generate_sheets(figures), destination)
    return 0


def bench_train(bench: TrainBench, destination: Destination) -> int:
    """Measure what a step of training costs, and show it."""
    from counterpart.benchmarking.training_steps import measure_training

    destination.check(TRAIN)
    load = load_average()
    figures = measure_training(bench)
    words = [
        *("--cohort", "COHORT", "--stage", bench.stage, "--steps", str(bench.steps)),
        *_given("--batch-size", bench.batch_size),
        *_given("--channels", *(bench.channels or ())),
        *_given("--device", bench.device),
    ]
    machine = this_machine(figures.device, load=load)
    record = Record(TRAIN, _command(TRAIN, words), machine, figures)
    _show(Console(), record, [train_sheet(figures)], destination)
    return 0


def bench_server(bench: ServerBench, destination: Destination) -> int:
    """Measure what a server costs, and show it.

    Returns:
        0; 1 if a request failed or a client of the crowd lost something.
    """
    destination.check(SERVER)
    load = load_average()
    console = Console()
    with console.status("Asking once") as status:
        figures = measure_server(bench, status.update)
    own = bench.studies is not None
    words = [
        *(("--studies", "DIR") if own else ("--url", bench.url)),
        *_given("--model", None if bench.model is None else Path(bench.model).name),
        *_given("--device", bench.device),
        *(word for path in bench.paths for word in ("--path", path)),
        *("--clients", str(bench.clients), "--seconds", f"{bench.seconds:g}"),
        *("--pause", f"{bench.pause_s:g}", "--crowd", str(bench.crowd)),
        *([] if bench.token is None else ["--token-file", "FILE"]),
        *(word for _ in bench.images for word in ("--image", "ID")),
    ]
    model = figures.model
    weights = {f"{model['name']} {model['version']}": model["weights_sha256"]} if model else {}
    record = Record(SERVER, _command(SERVER, words), this_machine(load=load), figures, weights)
    _show(console, record, server_sheets(figures), destination)
    return 0 if figures.good else 1


def bench_references(subjects: Sequence[int], repeats: int, destination: Destination) -> int:
    """Measure how the search for healthy references grows with their number, and show it.

    Raises:
        CounterpartError: A number is less than 1.
    """
    from counterpart.benchmarking.reference_search import measure_search, search_sheet

    if min(*subjects, repeats) < 1:
        raise CounterpartError(f"expected numbers of 1 or more, got {subjects} and {repeats}.")
    destination.check(REFERENCES)
    load = load_average()
    console = Console()
    with console.status("Making up references") as status:
        figures = measure_search(subjects, repeats, status.update)
    words = ["--subjects", *map(str, subjects), "--repeats", str(repeats)]
    record = Record(REFERENCES, _command(REFERENCES, words), this_machine(load=load), figures)
    _show(console, record, [search_sheet(figures)], destination)
    return 0


def _show(
    console: Console, record: Record, sheets: Sequence[Sheet], destination: Destination
) -> None:
    console.print(record.machine.words(), soft_wrap=True, markup=False, highlight=False)
    for sheet in sheets:
        console.print()
        sheet.show(console)
    keep(record, sheets, destination)
    for path in (destination.out, destination.document):
        if path is not None:
            console.print(f"Written: {path}", soft_wrap=True, markup=False, highlight=False)


def _given(option: str, *values: object) -> list[str]:
    """An option with its values; nothing where there are none."""
    given = [str(value) for value in values if value is not None]
    return [option, *given] if given else []


def _command(name: str, words: Sequence[str]) -> str:
    """The command in a form that another user can repeat, so without the paths of this one."""
    return f"counterpart {name} {shlex.join(words)}".strip()
