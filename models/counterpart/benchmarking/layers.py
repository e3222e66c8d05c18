"""How long each layer of a network takes, and how fast it computes."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from monai.networks.blocks import CrossAttentionBlock, SABlock
from torch import nn

from counterpart.benchmarking.network_calls import NetworkCalls, evaluate, operations
from counterpart.benchmarking.timing import wait_for

NOTABLE_SHARE = 0.1
BETWEEN = "between the layers (additions, joins, resizing)"
_WHOLE = (SABlock, CrossAttentionBlock)
_KINDS = {nn.Conv2d: "convolutions", nn.Linear: "linear layers", nn.GroupNorm: "group norms"}
_KINDS |= {nn.SiLU: "activations", SABlock: "attention", CrossAttentionBlock: "attention"}


@dataclass(frozen=True)
class LayerGroup:
    """Layers that are alike: their time and arithmetic in one evaluation of a batch.

    Args:
        name: What they are.
        layers: How many there are.
        seconds: Of all of them.
        share: Of the time of the evaluation.
        operations: Floating-point operations of all of them.
        rate: Operations per second.
    """

    name: str
    layers: int
    seconds: float
    share: float
    operations: int
    rate: float


@dataclass(frozen=True)
class LayerFigures:
    """Where the time of an evaluation goes.

    Args:
        batch: Slices per evaluation.
        seconds: Of one evaluation with a clock at every layer; without, it is a little faster.
        kinds: All layers by their kind, the slowest first.
        notable: Groups of equal layers that take more than a tenth of the time.
    """

    batch: int
    seconds: float
    kinds: tuple[LayerGroup, ...]
    notable: tuple[LayerGroup, ...]


@dataclass(frozen=True)
class _Layer:
    """A layer as it was met: its kind, its size in words, its seconds."""

    kind: str
    size: str
    seconds: float


def layer_figures(network: nn.Module, calls: NetworkCalls, repeats: int) -> LayerFigures:
    """Time every layer in evaluations of the product's own batch.

    Args:
        network: Evaluated on its own device.
        calls: What was overheard of it.
        repeats: Evaluations; a layer's time is its median, after one that does not count.
    """
    counted = operations(network, calls.batch, calls.precision)
    rounds = [_timed_round(network, calls) for _ in range(1 + repeats)][1:]
    whole = statistics.median(seconds for seconds, _ in rounds)
    layers = {
        path: _Layer(layer.kind, layer.size, statistics.median(m[path].seconds for _, m in rounds))
        for path, layer in rounds[0][1].items()
    }
    rest = whole - sum(layer.seconds for layer in layers.values())
    between = LayerGroup(BETWEEN, 0, rest, rest / whole, 0, 0.0)
    kinds = _grouped(layers, counted, whole, by_size=False)
    notable = _grouped(layers, counted, whole, by_size=True)
    return LayerFigures(
        calls.batch_size,
        whole,
        tuple(sorted((*kinds, between), key=lambda group: -group.seconds)),
        tuple(group for group in notable if group.share > NOTABLE_SHARE),
    )


def smallest_parts(network: nn.Module) -> dict[str, nn.Module]:
    """The layers of a network by name: what has no parts, and attention as a whole."""
    found: dict[str, nn.Module] = {}
    for name, module in network.named_modules():
        inside = any(name.startswith(f"{outer}.") for outer in found)
        if not inside and (isinstance(module, _WHOLE) or not any(module.children())):
            found[name] = module
    return found


def _timed_round(network: nn.Module, calls: NetworkCalls) -> tuple[float, dict[str, _Layer]]:
    """Seconds of one evaluation, and each layer that took part in it."""
    with _clocks(network, calls.device) as met:
        wait_for(calls.device)
        start = time.perf_counter()
        evaluate(network, calls.batch, calls.precision)
        wait_for(calls.device)
        return time.perf_counter() - start, met


@contextmanager
def _clocks(network: nn.Module, place: torch.device) -> Iterator[dict[str, _Layer]]:
    met: dict[str, _Layer] = {}
    started: dict[nn.Module, float] = {}
    names = {module: name for name, module in smallest_parts(network).items()}

    def begin(module: nn.Module, arguments: object) -> None:
        wait_for(place)
        started[module] = time.perf_counter()

    def end(module: nn.Module, arguments: object, answer: torch.Tensor) -> None:
        wait_for(place)
        taken = time.perf_counter() - started[module]
        before = met[names[module]].seconds if names[module] in met else 0.0
        met[names[module]] = _Layer(_kind(module), _size(module, answer), before + taken)

    handles = [module.register_forward_pre_hook(begin) for module in names]
    handles += [module.register_forward_hook(end) for module in names]
    try:
        yield met
    finally:
        for handle in handles:
            handle.remove()


def _grouped(
    layers: Mapping[str, _Layer], counted: Mapping[str, int], whole: float, *, by_size: bool
) -> list[LayerGroup]:
    paths: dict[str, list[str]] = defaultdict(list)
    for path, layer in layers.items():
        paths[layer.size if by_size else layer.kind].append(path)
    groups = []
    for name, members in paths.items():
        seconds = sum(layers[path].seconds for path in members)
        done = sum(counted.get(path, 0) for path in members)
        rate = done / seconds if seconds else 0.0
        groups.append(LayerGroup(name, len(members), seconds, seconds / whole, done, rate))
    return sorted(groups, key=lambda group: -group.seconds)


def _kind(module: nn.Module) -> str:
    return next((words for kind, words in _KINDS.items() if isinstance(module, kind)), "others")


def _size(module: nn.Module, answer: torch.Tensor) -> str:
    """The layer in words; layers of the same words do the same work."""
    shape = "×".join(str(size) for size in answer.shape[1:])
    if isinstance(module, nn.Conv2d):
        kernel = "×".join(str(size) for size in module.kernel_size)
        step = f", step {module.stride[0]}" if module.stride[0] > 1 else ""
        return f"convolution {kernel}{step}, {module.in_channels} channels to {shape}"
    if isinstance(module, nn.Linear):
        return f"linear layer, {module.in_features} numbers to {shape}"
    if isinstance(module, _WHOLE):
        return f"attention among {answer.shape[1]} places, {answer.shape[2]} channels"
    named = "group norm" if isinstance(module, nn.GroupNorm) else type(module).__name__
    return f"{named}, {shape}"
