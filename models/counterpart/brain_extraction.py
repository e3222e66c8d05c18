"""Finds the brain in a whole head, of any contrast, with the released brain network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from counterpart.brain import (
    BRAIN_VOLUME_ML,
    checked_brain,
    largest_component,
    stripped_brain,
    stripped_foreground,
)
from counterpart.brain_network import (
    CANVAS_SHAPE,
    SPACING_MM,
    BrainNetwork,
    BrainNetworkConfig,
    scale_heads,
)
from counterpart.bundle import (
    SETTINGS,
    WEIGHTS,
    bundle_folder,
    bundle_name,
    bundle_version,
    checked_digests,
    load_weights,
)
from counterpart.bundle_files import read_json
from counterpart.errors import BrainError, ModelError
from counterpart.grid import Grid, resample
from counterpart.reconstruction import best_precision

DEFAULT_BRAIN_MODEL = "brain-extraction"
MIN_CERTAINTY = 0.8
STRIPPED = "stripped scan"
_STRIPPED_SHARE = 0.75
_CUT_AREA_ML_PER_MM = 2.0  # 20 cm² of brain
_UPRIGHT_DEGREES = 2.0
_FOREGROUND = 0.15
_LEAST_SHARE = 0.02
_MARGIN = 6
_FEW_VOXELS = 5000
_OFF_CENTRE_MM = 20.0


@dataclass(frozen=True)
class BrainSettings:
    """What the weights of a brain network need to work.

    Args:
        network: Size of the network.
        threshold: Of the probability, from which on a voxel belongs to the brain.
    """

    network: BrainNetworkConfig
    threshold: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 < self.threshold < 1.0:
            raise ModelError(f"a probability's threshold lies in (0, 1), got {self.threshold}.")

    def to_json(self) -> dict[str, object]:
        """The settings as plain values."""
        return {"network": self.network.to_json(), "threshold": self.threshold}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> BrainSettings:
        """Read settings strictly.

        Raises:
            ModelError: A key is missing or unknown, or a value has the wrong kind.
        """
        if set(values) != {"network", "threshold"} or not isinstance(values["network"], dict):
            raise ModelError(
                f"expected the keys 'network' and 'threshold' of a brain network, got "
                f"{sorted(values)}."
            )
        try:
            network = BrainNetworkConfig.from_json(values["network"])
            return cls(network, float(values["threshold"]))
        except (TypeError, ValueError) as error:
            raise ModelError(f"a setting has the wrong kind ({error}).") from error


@dataclass(frozen=True, eq=False)
class BrainModel:
    """A loaded brain network.

    Args:
        name: Name of the bundle's folder.
        version: From its metadata.
        weights_sha256: Of the weights file.
        settings: Size and threshold.
        network: In evaluation mode.
    """

    name: str
    version: str
    weights_sha256: str
    settings: BrainSettings
    network: BrainNetwork


@dataclass(frozen=True, eq=False)
class FoundBrain:
    """A brain mask and how it came about.

    Args:
        mask: (I, J, K) brain mask.
        source: In words.
        warnings: Full sentences for the reader.
    """

    mask: NDArray[np.bool_]
    source: str
    warnings: tuple[str, ...] = ()


def load_brain_model(
    source: Path | str = DEFAULT_BRAIN_MODEL, *, device: str = "cpu"
) -> BrainModel:
    """Load the bundle of a brain network and check every file against the manifest.

    Args:
        source: A bundle's folder, or the name of a released model.
        device: Where the network shall work.

    Raises:
        ModelError: The bundle is missing, damaged, or not of this version's form.
    """
    folder = bundle_folder(source)
    digests = checked_digests(folder)
    try:
        settings = BrainSettings.from_json(read_json(folder / SETTINGS))
    except ModelError as error:
        raise ModelError(f"{folder / SETTINGS}: {error}") from error
    version = bundle_version(folder)
    network = BrainNetwork(settings.network)
    load_weights(folder, network, device=device)
    return BrainModel(bundle_name(folder), version, digests[WEIGHTS], settings, network)


def find_brain(
    values: NDArray[np.float32],
    grid: Grid,
    *,
    given: NDArray[np.bool_] | None = None,
    model: BrainModel | None = None,
) -> FoundBrain:
    """The brain of a scan: the mask that is given, the whole of a stripped scan, or the network's.

    Args:
        values: (I, J, K) the scan on a canonical grid.
        grid: The canonical grid.
        given: (I, J, K) brain mask of the user, which overrides everything.
        model: The brain network; without it the scan must be skull-stripped.

    Raises:
        BrainError: There is no brain, or not enough of one.
    """
    if given is not None:
        return FoundBrain(checked_brain(given, grid), "given mask")
    if model is None:
        return FoundBrain(stripped_brain(values, grid), STRIPPED)
    foreground = stripped_foreground(values)
    shown = values if foreground is None else _dark_background(values, foreground)
    probability = brain_probability(shown, grid, model)
    brain = largest_component(probability > model.settings.threshold)
    if foreground is not None and _is_stripped(foreground, brain):
        return FoundBrain(checked_brain(foreground, grid), STRIPPED)
    volume_ml = float(brain.sum()) * grid.voxel_volume_ml
    if volume_ml < BRAIN_VOLUME_ML[0]:
        raise BrainError(
            "no brain was found: expected a head MRI with at least "
            f"{BRAIN_VOLUME_ML[0]:.0f} ml of brain, recognised {volume_ml:.0f} ml. Check that the "
            "scan shows a whole head and its voxel size, or give a mask with --brain-mask."
        )
    certainty = float(probability[brain].mean())
    if certainty < MIN_CERTAINTY:
        raise BrainError(
            "no brain was found with certainty: expected a mean probability of at least "
            f"{MIN_CERTAINTY:.2f} inside it, got {certainty:.2f}. Check that the scan is a head "
            "MRI, or give a mask with --brain-mask."
        )
    if volume_ml > BRAIN_VOLUME_ML[1]:
        raise BrainError(
            f"what was taken for the brain has {volume_ml:.0f} ml, expected at most "
            f"{BRAIN_VOLUME_ML[1]:.0f} ml. Check the orientation and the voxel size in the scan's "
            "header, or give a mask with --brain-mask."
        )
    source = f"network {model.name} {model.version}, weights {model.weights_sha256[:12]}"
    return FoundBrain(brain, source, _coverage_warnings(brain, grid))


def _coverage_warnings(brain: NDArray[np.bool_], grid: Grid) -> tuple[str, ...]:
    """Say so where the scan ends within the brain, above or below."""
    area_ml = brain.sum(axis=(0, 1)) * grid.voxel_volume_ml / grid.spacing[2]
    ends = {"lowest": area_ml[0], "highest": area_ml[-1]}
    cut = [name for name, area in ends.items() if area > _CUT_AREA_ML_PER_MM]
    if not cut:
        return ()
    return (
        f"The brain is cut off at the {' and the '.join(cut)} slice of the scan: what lies beyond "
        "was not examined.",
    )


def _dark_background(
    values: NDArray[np.float32], foreground: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """The scan with a background that is no brighter than its darkest tissue.

    Where intensities were standardised over the brain, the background's 0 is a middle grey.
    """
    darkest = np.float32(values[foreground].min())
    if values[0, 0, 0] <= darkest:
        return values
    return np.where(foreground, values, darkest)


def _is_stripped(foreground: NDArray[np.bool_], brain: NDArray[np.bool_]) -> bool:
    """Whether nearly everything that the scan shows is brain."""
    shared = float((foreground & brain).sum())
    return shared > _STRIPPED_SHARE * float(foreground.sum())


def brain_probability(
    values: NDArray[np.float32], grid: Grid, model: BrainModel
) -> NDArray[np.float32]:
    """How likely each voxel of a head belongs to the brain.

    Args:
        values: (I, J, K) the scan on a canonical grid.
        grid: The canonical grid.
        model: The brain network.

    Returns:
        (I, J, K) from 0 to 1.
    """
    if grid.tilt_degrees <= _UPRIGHT_DEGREES:
        scan = torch.from_numpy(np.ascontiguousarray(values))[None, None]
        found = _answer(_at_2_mm(scan, grid), model)
        full = functional.interpolate(found, list(values.shape), mode="trilinear")
        return np.ascontiguousarray(full[0, 0].numpy())
    # An oblique scan is shown upright, as its header says that the patient lay.
    upright = _upright_grid(grid)
    index_map = np.linalg.inv(grid.affine) @ upright.affine
    background = float(np.percentile(values[::3, ::3, ::3], 1.0))
    shown = resample(values, index_map, upright.shape, fill=background)
    found = _answer(torch.from_numpy(shown)[None, None], model)
    return resample(found[0, 0].numpy(), np.linalg.inv(index_map), grid.shape)


def _upright_grid(grid: Grid) -> Grid:
    """2 mm voxels along the world's axes, around everything that the scan covers."""
    corners = np.array(list(product(*((-0.5, size - 0.5) for size in grid.shape))))
    points = grid.world(corners)
    low, high = points.min(axis=0), points.max(axis=0)
    shape = np.maximum(np.ceil((high - low) / SPACING_MM).astype(int), 1)
    affine = np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1.0])
    affine[:3, 3] = (low + high) / 2.0 - SPACING_MM * (shape - 1) / 2.0
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)


def _answer(scan: torch.Tensor, model: BrainModel) -> torch.Tensor:
    """The network's probability for a scan (1, 1, I, J, K) at 2 mm, on the CPU.

    The network is always shown a canvas of the size that it was trained on. If the brain turns out
    to lie away from its middle, it is shown a second time, centred.
    """
    head = scale_heads(scan.to(next(model.network.parameters()).device))
    start = head_corner(head[0, 0])
    found = _on_canvas(head, start, model)
    brain = (found[0, 0] > 0.5).nonzero().float()
    if len(brain) > _FEW_VOXELS:
        middle = (brain.amin(dim=0) + brain.amax(dim=0)) / 2.0
        centred = [round(float(m) - n / 2) for m, n in zip(middle, CANVAS_SHAPE, strict=True)]
        moved = [abs(one - other) for one, other in zip(centred, start, strict=True)]
        if max(moved) * SPACING_MM > _OFF_CENTRE_MM:
            found = _on_canvas(head, centred, model)
    return found.cpu()


def _on_canvas(head: torch.Tensor, start: Sequence[int], model: BrainModel) -> torch.Tensor:
    """The network's probability within the canvas that begins at a voxel, 0 elsewhere."""
    padding, box, cut = [], [], []
    for first, size, whole in zip(start, CANVAS_SHAPE, head.shape[2:], strict=True):
        low, high = max(first, 0), min(first + size, whole)
        box.append(slice(low, high))
        cut.append(slice(low - first, high - first))
        padding.append((low - first, first + size - high))
    inner = head[(slice(None), slice(None), *box)]
    canvas = functional.pad(inner, [side for pair in reversed(padding) for side in pair])
    answer = _probability(canvas, model)
    found = torch.zeros_like(head)
    found[(slice(None), slice(None), *box)] = answer[(slice(None), slice(None), *cut)]
    return found


def _probability(canvas: torch.Tensor, model: BrainModel) -> torch.Tensor:
    """The network's probability for a canvas, in the device's best precision.

    Narrow 3-D convolutions in bfloat16 on the CPU multiply unset memory by zero weights (oneDNN
    pads the channels), which is nothing unless that memory holds no number: then once more in
    float32.
    """
    precision = best_precision(canvas.device)
    half = precision != torch.float32
    with torch.inference_mode():
        with torch.autocast(canvas.device.type, precision, enabled=half):
            answer = torch.sigmoid(model.network(canvas)).float()
        if half and not bool(answer.isfinite().all()):
            answer = torch.sigmoid(model.network(canvas)).float()
    return answer


def head_corner(head: torch.Tensor) -> list[int]:
    """Where the canvas begins in a scaled scan (I, J, K) at 2 mm; may lie outside it.

    Across and along the head its middle is that of what stands out from the background; upwards it
    ends a margin above the highest such slice, so that the neck is left out and not the vertex.
    """
    shown = head > _FOREGROUND
    corner = []
    for axis, size in enumerate(CANVAS_SHAPE):
        across = tuple(other for other in range(3) if other != axis)
        share = shown.float().mean(dim=across)
        level = (share > _LEAST_SHARE).nonzero()[:, 0]
        low, high = (int(level[0]), int(level[-1]) + 1) if len(level) else (0, head.shape[axis])
        if axis == 2 and high - low > size - _MARGIN:
            corner.append(high + _MARGIN - size)
        else:
            corner.append(round((low + high - size) / 2))
    return corner


def _at_2_mm(scan: torch.Tensor, grid: Grid) -> torch.Tensor:
    """The scan (1, 1, I, J, K) with voxels of about 2 mm over the same extent."""
    extent_mm = [n * step for n, step in zip(grid.shape, grid.spacing, strict=True)]
    shape = [max(round(length / SPACING_MM), 1) for length in extent_mm]
    fewer = [min(size, now) for size, now in zip(shape, grid.shape, strict=True)]
    averaged = functional.interpolate(scan, fewer, mode="area")
    return functional.interpolate(averaged, shape, mode="trilinear")
