"""What generating a counterpart costs: stages cold and warm, memory, arithmetic."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from counterpart.benchmarking import chain
from counterpart.benchmarking.cold_start import ColdRun, run_cold, time_help
from counterpart.benchmarking.layers import LayerFigures, layer_figures
from counterpart.benchmarking.network_calls import NetworkCalls, overheard
from counterpart.benchmarking.published import SpeedFigures, compare_speeds
from counterpart.benchmarking.sample_head import SHAPE, write_sample_head
from counterpart.benchmarking.timing import Seconds, StageClock, summarised
from counterpart.brain_extraction import DEFAULT_BRAIN_MODEL, BrainModel, load_brain_model
from counterpart.bundle import DEFAULT_MODEL, Model, load_model
from counterpart.denoiser import DenoiserConfig
from counterpart.errors import CounterpartError
from counterpart.scans import read_scan

HELP_TIMES = 5
Progress = Callable[[str], None]


@dataclass(frozen=True)
class GenerateBench:
    """What is measured, and on what.

    Args:
        scan: A scan; None for the sample head.
        model: Name or folder of the bundle.
        brain_model: Name or folder of the brain network's bundle.
        device: torch device.
        repeats: Of everything but ``--help``, after one that does not count.
        shape: Of the sample head, voxels of 1 mm; None for `sample_head.SHAPE`.
        threads: Of torch; its own choice if None.
        help_times: Fresh processes that answer ``--help``.
        published: Size of the published network; None for that of the configuration.
        product_size: Rows of the matrices; None for what suits the device.
    """

    scan: Path | None = None
    model: str = DEFAULT_MODEL
    brain_model: str = DEFAULT_BRAIN_MODEL
    device: str = "cpu"
    repeats: int = 3
    shape: tuple[int, int, int] | None = None
    threads: int | None = None
    help_times: int = HELP_TIMES
    published: DenoiserConfig | None = None
    product_size: int | None = None

    def __post_init__(self) -> None:
        threads = 1 if self.threads is None else self.threads
        if min(self.repeats, self.help_times, threads) < 1:
            raise CounterpartError(
                f"expected at least one repeat and one thread, got {self.repeats} and "
                f"{self.threads}."
            )
        if self.scan is not None and self.shape is not None:
            raise CounterpartError(
                "--shape is that of the sample head; leave it out with a scan of your own."
            )


@dataclass(frozen=True)
class ScanFacts:
    """What was repainted.

    Args:
        source: In words.
        shape: Voxels.
        spacing_mm: Of the voxels.
        slices: Of the frame that hold brain.
        evaluated: Slices times noise levels that the denoiser saw, by stage.
    """

    source: str
    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    slices: int
    evaluated: dict[str, int]


@dataclass(frozen=True)
class StageFigures:
    """Seconds by stage, and from start to overlay.

    Args:
        stages: In the order in which they run.
        overlay: Until the maps are handed over.
    """

    stages: dict[str, Seconds]
    overlay: Seconds


@dataclass(frozen=True)
class MemoryFigures:
    """Most memory of a fresh process, MiB, the largest of the repeats; None where not known.

    Args:
        overlay: Resident, up to the maps.
        report: Resident, up to the report.
        gpu: Of torch's tensors on the GPU.
    """

    overlay: float | None
    report: float | None
    gpu: float | None


@dataclass(frozen=True)
class GenerateFigures:
    """All that is measured.

    Args:
        scan: What was repainted.
        device: torch device.
        warm: In a process that has done it before.
        cold: In fresh processes, from their start.
        help: ``counterpart --help`` in fresh processes.
        memory: Of the fresh processes.
        layers: Where the denoiser's time goes.
        speed: The denoiser beside matrix products and a network of the published size.
    """

    scan: ScanFacts
    device: str
    warm: StageFigures
    cold: StageFigures
    help: Seconds
    memory: MemoryFigures
    layers: LayerFigures
    speed: SpeedFigures


def measure_generate(
    bench: GenerateBench, progress: Progress
) -> tuple[GenerateFigures, dict[str, str]]:
    """Measure everything, in one run.

    Args:
        bench: What, and on what.
        progress: Called with what is being done.

    Returns:
        The figures, and the hashes of the weights by model and version.

    Raises:
        CounterpartError: The scan, a model or the device cannot be used.
    """
    if bench.threads is not None:
        torch.set_num_threads(bench.threads)
    model = load_model(bench.model, device=bench.device)
    brain_model = load_brain_model(bench.brain_model, device=bench.device)
    with tempfile.TemporaryDirectory(prefix="bench-") as work:
        folder = Path(work)
        path = bench.scan or write_sample_head(folder, bench.shape or SHAPE)
        progress("Warming up")
        evaluations, codes = _warm_up(path, model, brain_model, folder)
        warm, cold = _run_in_turn(path, model, brain_model, folder, bench, progress)
        facts = _facts(path, bench, model, evaluations)
    progress("counterpart --help")
    answers = Seconds.of(time_help(bench.help_times))
    progress("The denoiser's layers")
    layers = layer_figures(model.denoiser, evaluations, bench.repeats)
    progress("Matrix products, and a network of the published size")
    speed = compare_speeds(
        model.denoiser,
        evaluations,
        codes,
        facts.slices,
        bench.repeats,
        theirs=bench.published,
        size=bench.product_size,
    )
    figures = GenerateFigures(
        facts,
        bench.device,
        _stage_figures(warm, [chain.overlay_seconds(run) for run in warm]),
        _stage_figures([run.stages for run in cold], [run.to_overlay_s for run in cold]),
        answers,
        _memory_figures(cold),
        layers,
        speed,
    )
    weights = {f"{one.name} {one.version}": one.weights_sha256 for one in (model, brain_model)}
    return figures, weights


def _warm_up(
    path: Path, model: Model, brain_model: BrainModel, folder: Path
) -> tuple[NetworkCalls, NetworkCalls]:
    """The run that does not count; what the networks are asked in it is overheard."""
    clock = StageClock()
    denoiser = model.denoiser
    encoder = torch.nn.Identity() if denoiser.config.encoder is None else denoiser.encoder

    def stage() -> str:
        return clock.running or ""

    with overheard(denoiser, stage) as evaluations, overheard(encoder, stage) as codes:
        result = chain.run_to_overlay(path, model, brain_model, folder, clock)
    chain.run_afterwards(result, folder, clock)
    if not evaluations.batch:
        raise CounterpartError(f"{path}: no slice was repainted; choose a scan with a brain.")
    return evaluations, codes


def _run_in_turn(
    path: Path,
    model: Model,
    brain_model: BrainModel,
    folder: Path,
    bench: GenerateBench,
    progress: Progress,
) -> tuple[list[dict[str, float]], list[ColdRun]]:
    """Warm and cold runs by turns, so that a machine that slows down slows both."""
    warm: list[dict[str, float]] = []
    cold: list[ColdRun] = []
    for number in range(1, bench.repeats + 1):
        progress(f"Run {number} of {bench.repeats}, warm")
        clock = StageClock()
        result = chain.run_to_overlay(path, model, brain_model, folder, clock)
        chain.run_afterwards(result, folder, clock)
        warm.append(clock.seconds)
        progress(f"Run {number} of {bench.repeats}, cold")
        run = run_cold(
            path,
            folder,
            model=bench.model,
            brain_model=bench.brain_model,
            device=bench.device,
            threads=bench.threads,
        )
        cold.append(run)
    return warm, cold


def _stage_figures(runs: Sequence[dict[str, float]], overlay: Sequence[float]) -> StageFigures:
    return StageFigures(summarised(runs), Seconds.of(overlay))


def _memory_figures(runs: Sequence[ColdRun]) -> MemoryFigures:
    return MemoryFigures(
        _most([run.peak_mib for run in runs]),
        _most([run.peak_with_report_mib for run in runs]),
        _most([run.peak_gpu_mib for run in runs]),
    )


def _facts(path: Path, bench: GenerateBench, model: Model, calls: NetworkCalls) -> ScanFacts:
    grid = read_scan(path).grid
    config = model.settings.reconstruction
    per_slice = len(config.levels) * config.draws * config.ddim_steps
    first_pass = next(iter(calls.samples.values()))
    sample = "the sample head, resampled, uncompressed"
    return ScanFacts(
        source=sample if bench.scan is None else "a scan of the user's own",
        shape=grid.shape,
        spacing_mm=tuple(round(step, 4) for step in grid.spacing),
        slices=first_pass // per_slice,
        evaluated=dict(calls.samples),
    )


def _most(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return max(known) if known else None
