"""The figures of ``counterpart bench generate`` as tables."""

from __future__ import annotations

from counterpart.benchmarking.chain import AFTERWARDS, BEFORE
from counterpart.benchmarking.generating import GenerateFigures, StageFigures
from counterpart.benchmarking.layers import NOTABLE_SHARE, LayerGroup
from counterpart.benchmarking.published import CONFIGURATION, LEVELS, NetworkSpeed
from counterpart.benchmarking.sheets import Sheet, giga, mib, seconds
from counterpart.benchmarking.timing import Seconds


def generate_sheets(figures: GenerateFigures) -> list[Sheet]:
    """Stages, kinds of layers, the slowest groups of layers, and the comparison."""
    return [
        _stage_sheet(figures),
        _kind_sheet(figures),
        _notable_sheet(figures),
        _speed_sheet(figures),
    ]


def _stage_sheet(figures: GenerateFigures) -> Sheet:
    warm, cold = figures.warm, figures.cold
    stages = list(cold.stages)
    early = [_stage_row(stage, warm, cold) for stage in stages if stage in BEFORE]
    middle = [_stage_row(stage, warm, cold) for stage in stages if stage not in BEFORE + AFTERWARDS]
    late = [_stage_row(stage, warm, cold) for stage in stages if stage in AFTERWARDS]
    overlay = ("Until the overlay", *_spread(warm.overlay), *_spread(cold.overlay))
    memory = figures.memory
    gpu = "" if memory.gpu is None else f", on the GPU {mib(memory.gpu)}"
    return Sheet(
        "Seconds by stage",
        ("stage", "warm", "least–most", "cold", "least–most"),
        (*early, *middle, overlay, *late),
        (
            f"{_scan_words(figures)} Medians over {_counted(warm.overlay.times)} in a process "
            f"that has done it before (warm) and over {_counted(cold.overlay.times)} of fresh "
            "processes from their start (cold; files may be in the system's cache), by turns. "
            "Contrast and calibration are chosen with the pose; listing the findings includes the "
            "way back to the scan's grid. The last two stages follow once the overlay is there.",
            f"Peak memory of a fresh process: {mib(memory.overlay)} until the overlay, "
            f"{mib(memory.report)} with the report{gpu}. `counterpart --help` answers in "
            f"{seconds(figures.help.median)} s (median of {figures.help.times} fresh processes).",
        ),
    )


def _kind_sheet(figures: GenerateFigures) -> Sheet:
    layers, speed = figures.layers, figures.speed
    done = sum(group.operations for group in layers.kinds)
    whole = f"{1e3 * speed.ours.evaluation.median:.1f}"
    rows = [_layer_row(group) for group in layers.kinds]
    rows.append(("all, without clocks between", "", whole, "", _work(done), giga(speed.ours.rate)))
    for product in speed.products:
        name = f"product of two {product.size}×{product.size} matrices, {product.precision}"
        time, work = f"{1e3 * product.product.median:.1f}", _work(2 * product.size**3)
        rows.append((name, "", time, "", work, giga(product.rate)))
    shares = " and ".join(
        f"{100.0 * product.share:.0f} % of that of the matrix product in {product.precision}"
        for product in speed.products
    )
    return Sheet(
        f"The denoiser's layers, a batch of {layers.batch} slices in {speed.ours.precision}",
        _LAYER_HEADINGS,
        tuple(rows),
        (f"The denoiser's arithmetic rate is {shares}.",),
    )


def _notable_sheet(figures: GenerateFigures) -> Sheet:
    share = f"{100.0 * NOTABLE_SHARE:.0f} %"
    rows = tuple(_layer_row(group) for group in figures.layers.notable)
    notes = () if rows else (f"No group of equal layers takes more than {share} of the time.",)
    return Sheet(f"Equal layers that take more than {share} of it", _LAYER_HEADINGS, rows, notes)


def _speed_sheet(figures: GenerateFigures) -> Sheet:
    speed = figures.speed
    theirs = speed.published
    each = theirs.seconds_per_slice_and_level / speed.ours.seconds_per_slice_and_level
    levels = ", ".join(str(level) for level in LEVELS)
    reduced = " (convolutions in TensorFloat-32)" if speed.tensor_float_32 else ""
    return Sheet(
        "The denoiser beside a network of the published size",
        ("", "ours", "published size"),
        tuple(
            (name, *cells)
            for name, *cells in zip(
                _SPEED_ROWS, _speed_cells(speed.ours), _speed_cells(theirs), strict=True
            )
        ),
        (
            f"Ours is {each:.1f} times as fast for a slice and noise level, and repaints a scan, "
            f"second pass included, {speed.ratio:.1f} times as fast. The network of the published "
            f"size is the configuration {CONFIGURATION} with random weights in "
            f"{theirs.precision}{reduced}, with the published noise levels t = {levels} for each "
            f"slice that holds brain. It was timed on batches of {theirs.batch} slices, ours on "
            f"{speed.ours.batch}; seconds per slice are a share of a batch's, those per scan their "
            "multiples.",
        ),
    )


_LAYER_HEADINGS = ("layers", "number", "ms", "share", "GFLOP", "GFLOP/s")
_SPEED_ROWS = (
    "parameters, million",
    "precision",
    "GFLOP per slice and noise level",
    "GFLOP/s",
    "seconds per slice and noise level",
    "slices times noise levels per scan",
    "seconds of denoiser and encoder per scan",
)


def _speed_cells(speed: NetworkSpeed) -> tuple[str, ...]:
    return (
        f"{speed.parameters / 1e6:.1f}",
        speed.precision,
        f"{speed.operations_per_slice / 1e9:.1f}",
        giga(speed.rate),
        f"{speed.seconds_per_slice_and_level:.4f}",
        str(speed.evaluations_per_scan),
        f"{speed.seconds_per_scan:.2f}",
    )


def _scan_words(figures: GenerateFigures) -> str:
    scan = figures.scan
    shape = "×".join(str(size) for size in scan.shape)
    spacing = "×".join(f"{step:g}" for step in scan.spacing_mm)
    return (
        f"{scan.source[0].upper()}{scan.source[1:]}: {shape} voxels of {spacing} mm, "
        f"{scan.slices} slices with brain in template pose, on {figures.device}."
    )


def _stage_row(stage: str, warm: StageFigures, cold: StageFigures) -> tuple[str, ...]:
    found = warm.stages.get(stage)
    left = ("", "") if found is None else _spread(found)
    return (stage, *left, *_spread(cold.stages[stage]))


def _spread(taken: Seconds) -> tuple[str, str]:
    return seconds(taken.median), f"{seconds(taken.least)}–{seconds(taken.most)}"


def _layer_row(group: LayerGroup) -> tuple[str, ...]:
    number = str(group.layers) if group.layers else ""
    share = f"{100.0 * group.share:.0f} %"
    time, work = f"{1e3 * group.seconds:.1f}", _work(group.operations)
    return (group.name, number, time, share, work, giga(group.rate))


def _counted(runs: int) -> str:
    return f"{runs} run{'s' * (runs != 1)}"


def _work(operations: int) -> str:
    return f"{operations / 1e9:.2f}" if operations else "–"
