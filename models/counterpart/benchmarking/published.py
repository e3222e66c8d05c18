"""The denoiser beside a network of the published size, and beside plain matrix products.

The network of the published size is that of the configuration ``paper-code`` (arXiv 2406.00772 as
its released code has it), in float32, with random weights, on which the speed does not depend.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from counterpart.benchmarking.network_calls import NetworkCalls, evaluate, operations
from counterpart.benchmarking.timing import Seconds, in_turn
from counterpart.denoiser import Denoiser, DenoiserConfig, parameter_count
from counterpart.training.configurations import configuration_named

CONFIGURATION = "paper-code"
LEVELS = (250, 500, 750)
PRODUCT_SIZES = {"cpu": 2048, "cuda": 4096}
# A slice of the published network takes a CPU core seconds.
_PUBLISHED_BATCH = {"cpu": 2}


@dataclass(frozen=True)
class NetworkSpeed:
    """How fast a denoiser is with its encoder.

    Args:
        parameters: Of denoiser and encoder.
        precision: That it is evaluated in.
        batch: Slices per evaluation that was timed; what follows per slice is a share of it.
        evaluation: Seconds of one evaluation of the denoiser, of that many slices.
        coding: Seconds of one evaluation of the encoder; None where there is none.
        operations_per_slice: Floating-point operations of the denoiser for a slice.
        rate: Operations of the denoiser per second.
        evaluations_per_scan: Slices times noise levels, and again where they are repainted twice.
        codes_per_scan: Slices that the encoder sees.
        seconds_per_slice_and_level: Of the denoiser.
        seconds_per_scan: Of denoiser and encoder.
    """

    parameters: int
    precision: str
    batch: int
    evaluation: Seconds
    coding: Seconds | None
    operations_per_slice: float
    rate: float
    evaluations_per_scan: int
    codes_per_scan: int
    seconds_per_slice_and_level: float
    seconds_per_scan: float


@dataclass(frozen=True)
class ProductSpeed:
    """How fast a product of two square matrices is.

    Args:
        size: Rows and columns.
        precision: Of the matrices.
        product: Seconds.
        rate: Operations per second, 2 · size³ each.
        share: Of this rate that our denoiser reaches.
    """

    size: int
    precision: str
    product: Seconds
    rate: float
    share: float


@dataclass(frozen=True)
class SpeedFigures:
    """Ours, theirs and matrix products, timed in turn in one run.

    Args:
        ours: Our denoiser as the product evaluates it.
        published: A network of the published size in float32.
        products: In our precision and in float32.
        ratio: How often our network repaints a scan while the published one does once.
        tensor_float_32: Whether float32 convolutions were allowed to use TensorFloat-32, which
            torch allows on GPUs unless told otherwise.
    """

    ours: NetworkSpeed
    published: NetworkSpeed
    products: tuple[ProductSpeed, ...]
    ratio: float
    tensor_float_32: bool


@dataclass(frozen=True, eq=False)
class _Contender:
    """A denoiser with what is shown to it and to its encoder, and how often for a scan."""

    denoiser: Denoiser
    precision: torch.dtype
    batch: tuple[torch.Tensor, ...]
    shown: tuple[torch.Tensor, ...]
    evaluations: int
    codes: int

    def works(self, name: str) -> dict[str, Callable[[], object]]:
        """What is timed."""

        def evaluation() -> object:
            return evaluate(self.denoiser, self.batch, self.precision)

        def coding() -> object:
            return evaluate(self.denoiser.encoder, self.shown, self.precision)

        return {name: evaluation} | ({f"{name} encoder": coding} if self.shown else {})

    def speed(self, name: str, taken: dict[str, Seconds]) -> NetworkSpeed:
        """The figures of what was timed."""
        count = len(self.batch[0])
        evaluation, coding = taken[name], taken.get(f"{name} encoder")
        per_slice = evaluation.median / count
        done = operations(self.denoiser, self.batch, self.precision)[""]
        per_code = coding.median / len(self.shown[0]) if coding else 0.0
        return NetworkSpeed(
            parameters=parameter_count(self.denoiser),
            precision=_name(self.precision),
            batch=count,
            evaluation=evaluation,
            coding=coding,
            operations_per_slice=done / count,
            rate=done / evaluation.median,
            evaluations_per_scan=self.evaluations,
            codes_per_scan=self.codes,
            seconds_per_slice_and_level=per_slice,
            seconds_per_scan=per_slice * self.evaluations + per_code * self.codes,
        )


def compare_speeds(
    denoiser: Denoiser,
    calls: NetworkCalls,
    codes: NetworkCalls,
    slices: int,
    repeats: int,
    *,
    theirs: DenoiserConfig | None = None,
    size: int | None = None,
) -> SpeedFigures:
    """Time our denoiser, one of the published size and matrix products, by turns.

    Args:
        denoiser: Ours, on the device that shall do the work.
        calls: Its evaluations during a scan.
        codes: Those of its encoder.
        slices: Of the scan that hold brain: as many as the published network repaints.
        repeats: Rounds.
        theirs: The published network; None for that of `CONFIGURATION`.
        size: Of the matrices; None for that of the device in `PRODUCT_SIZES`.
    """
    place = calls.device
    ours = _Contender(
        denoiser, calls.precision, calls.batch, codes.batch,
        calls.samples.total(), codes.samples.total(),
    )  # fmt: skip
    published = _published(theirs or configuration_named(CONFIGURATION).denoiser, calls, slices)
    size = size or PRODUCT_SIZES.get(place.type, 2048)
    precisions = {_name(kind): kind for kind in (calls.precision, torch.float32)}
    works = ours.works("ours") | published.works("published")
    for name, kind in precisions.items():
        works[f"product {name}"] = _product(size, kind, place)
    taken = in_turn(works, repeats, place)
    our_speed, their_speed = ours.speed("ours", taken), published.speed("published", taken)
    products = []
    for name in precisions:
        product = taken[f"product {name}"]
        rate = 2.0 * size**3 / product.median
        products.append(ProductSpeed(size, name, product, rate, our_speed.rate / rate))
    return SpeedFigures(
        our_speed,
        their_speed,
        tuple(products),
        their_speed.seconds_per_scan / our_speed.seconds_per_scan,
        place.type == "cuda" and torch.backends.cudnn.allow_tf32,
    )


def _published(config: DenoiserConfig, calls: NetworkCalls, slices: int) -> _Contender:
    """The network of the published size, shown slices of the size that ours is shown."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        network = Denoiser(config)
    network = network.to(calls.device).to(memory_format=torch.channels_last).eval()
    count = min(_PUBLISHED_BATCH.get(calls.device.type, calls.batch_size), calls.batch_size)
    noisy, brain = calls.smaller(count)[:2]
    step = torch.tensor([LEVELS[n % len(LEVELS)] for n in range(count)], device=calls.device)
    batch: tuple[torch.Tensor, ...] = (noisy, brain, step)
    shown: tuple[torch.Tensor, ...] = ()
    if config.encoder is not None:
        code = torch.zeros((count, config.encoder.code_size), device=calls.device)
        batch, shown = (*batch, code), (noisy,)
    evaluations = slices * len(LEVELS)
    return _Contender(network, torch.float32, batch, shown, evaluations, slices if shown else 0)


def _product(size: int, precision: torch.dtype, place: torch.device) -> Callable[[], object]:
    generator = torch.Generator().manual_seed(0)
    left, right = (
        torch.randn((size, size), generator=generator).to(place, precision) for _ in range(2)
    )
    return lambda: left @ right


def _name(precision: torch.dtype) -> str:
    return str(precision).removeprefix("torch.")
