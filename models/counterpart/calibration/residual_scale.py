"""Says how large a residual health itself leaves, by tissue, edge and place: location and scale.

A residual of one spread is nothing on the rim of a sulcus, where half a voxel of error suffices,
and remarkable within white matter. A z-score for each voxel of template space would say so too, but
it would flag the wide ventricles of the old: after an affine pose their walls lie where the others
have white matter. Here the expected size follows the *brain that was repainted*: its intensity
(which tissue) and its gradient (how near an edge), with a smooth remainder for the place.

With intensity x, gradient magnitude e and template point p,

    z = (r − location)/scale,  location = m(x, e) + a(p),  scale = max(s(x, e)·b(p), floor·s₀),

where m and s are tables, a and b coarse volumes, equal on both sides of the head, and s₀ is the
pooled scale. Each entry is a mean over subjects, shrunk to the pooled value as if so many further
subjects had shown just that.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from counterpart.calibration.edges import edge_strength
from counterpart.calibration.place import PLACE, at_voxels, place_cells, smooth_means, smooth_sums
from counterpart.errors import ModelError
from counterpart.template import CANVAS

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

SHRINKAGE_SUBJECTS = 4.0
FLOOR_SHARE = 0.5
INTENSITY_SHARES = (0.005, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98, 0.995)
EDGE_SHARES = (0.1, 0.3, 0.5, 0.7, 0.85, 0.95, 0.98, 0.995)
_FULL_SAY_ML = 0.8
_FULL_SAY_PLACE_ML = 0.25
_FAR_SCALES = 4.0
_GAUSSIAN_MAD = math.sqrt(2.0 / math.pi)
_ARRAYS = ("intensity", "edge", "location", "scale", "place_location", "place_scale")


@dataclass(frozen=True, eq=False)
class ScaleSample:
    """One healthy scan of the fit.

    Args:
        residual: (I, J, K) smoothed signed residual in the frame, spreads.
        reconstruction: (I, J, K) the network's ungated answer, spreads.
        brain: (I, J, K) brain mask.
        template_from_frame: (4, 4) frame voxel index to template space, mm; that of the canvas
            unless the slices are thick.
    """

    residual: Array
    reconstruction: Array
    brain: Mask
    template_from_frame: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        _check_shapes(self.residual, self.reconstruction, self.brain)


@dataclass(frozen=True, eq=False)
class ResidualScale:
    """Location and scale of the smoothed residual in health.

    Args:
        intensity: (X,) centres of the intensity bins, spreads, rising.
        edge: (E,) centres of the edge bins, spreads/mm, rising.
        location: (X, E) location by intensity and edge, spreads.
        scale: (X, E) scale by intensity and edge, spreads.
        place_location: Added to the location, on `counterpart.calibration.place.PLACE`, spreads.
        place_scale: Multiplies the scale, on `counterpart.calibration.place.PLACE`.
        pooled_scale: Scale of all voxels together, spreads; times `FLOOR_SHARE` it is the least
            scale anywhere.
        subjects: How many healthy subjects it was fitted on.
    """

    intensity: Array
    edge: Array
    location: Array
    scale: Array
    place_location: Array
    place_scale: Array
    pooled_scale: float
    subjects: int

    def __post_init__(self) -> None:
        table = (self.intensity.size, self.edge.size)
        shapes = (self.intensity.shape, self.edge.shape, self.location.shape, self.scale.shape)
        if shapes != (table[:1], table[1:], table, table) or min(table) < 1:
            raise ModelError(f"residual scale: bins and tables do not fit together, got {shapes}.")
        for name in ("place_location", "place_scale"):
            if getattr(self, name).shape != PLACE.shape:
                raise ModelError(
                    f"residual scale: expected {name!r} of shape {PLACE.shape}, got "
                    f"{getattr(self, name).shape}."
                )
        for name in _ARRAYS:
            if not np.isfinite(getattr(self, name)).all():
                raise ModelError(f"residual scale: {name!r} is not finite; calibrate again.")
        if (np.diff(self.intensity) <= 0).any() or (np.diff(self.edge) <= 0).any():
            raise ModelError("residual scale: the centres of the bins must rise.")
        positive = min(float(self.scale.min()), float(self.place_scale.min()), self.pooled_scale)
        if not (positive > 0 and math.isfinite(self.pooled_scale)):
            raise ModelError("residual scale: every scale must be positive; calibrate again.")

    def standardised(
        self,
        residual: Array,
        reconstruction: Array,
        brain: Mask,
        template_from_frame: NDArray[np.float64] | None = None,
    ) -> Array:
        """The residual in units of what health leaves: (r − location)/scale, 0 outside the brain.

        Args:
            residual: (I, J, K) smoothed signed residual in the frame, spreads.
            reconstruction: (I, J, K) the network's ungated answer, spreads.
            brain: (I, J, K) brain mask.
            template_from_frame: (4, 4) frame voxel index to template space, mm; None for the
                canvas.

        Returns:
            (I, J, K) float32.
        """
        _check_shapes(residual, reconstruction, brain)
        at = _voxels(reconstruction, brain, template_from_frame)
        location, scale = self._expected(at)
        result = np.zeros(residual.shape, np.float32)
        result[brain] = (residual[brain] - location) / scale
        return result

    def _expected(self, at: _Voxels) -> tuple[Array, Array]:
        """Location and scale (V,) of the brain's voxels, spreads."""
        location, scale = _look_up((self.location, self.scale), self.intensity, self.edge, at)
        shift, factor = at_voxels(
            (self.place_location, self.place_scale), at.brain, at.template_from_frame
        )
        least = np.float32(FLOOR_SHARE * self.pooled_scale)
        return location + shift, np.maximum(scale * factor, least)

    def to_arrays(self) -> dict[str, Array]:
        """The arrays by name, float32."""
        return {name: np.ascontiguousarray(getattr(self, name), np.float32) for name in _ARRAYS}

    def to_json(self) -> dict[str, float]:
        """The numbers beside the arrays, as plain values."""
        return {"pooled_scale": self.pooled_scale, "subjects": self.subjects}

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, Array], numbers: Mapping[str, float]
    ) -> ResidualScale:
        """Read what `to_arrays` and `to_json` wrote.

        Raises:
            ModelError: A key is unknown or missing, or an array does not fit.
        """
        for found, expected in (
            (set(arrays), set(_ARRAYS)),
            (set(numbers), {"pooled_scale", "subjects"}),
        ):
            if found != expected:
                wrong = sorted(found ^ expected)[0]
                raise ModelError(
                    f"residual scale: unexpected or missing key {wrong!r}; calibrate again."
                )
        parts = {name: np.asarray(arrays[name], np.float32) for name in _ARRAYS}
        try:
            pooled, subjects = float(numbers["pooled_scale"]), int(numbers["subjects"])
        except (TypeError, ValueError) as error:
            raise ModelError(f"residual scale: a number has the wrong kind ({error}).") from error
        return cls(**parts, pooled_scale=pooled, subjects=subjects)


def fit_residual_scale(samples: Iterable[ScaleSample]) -> ResidualScale:
    """Fit location and scale of the residual on healthy scans.

    First the tables by intensity and edge, then what place adds to them. Every subject has at most
    one say in every entry, however many of its voxels fall there.

    Args:
        samples: One per healthy subject; each is reduced to its brain's voxels when it comes.

    Raises:
        ModelError: There is no sample, or the residuals are 0 everywhere.
    """
    subjects = [_reduced(sample) for sample in samples]
    if not subjects:
        raise ModelError("a residual scale needs at least one healthy scan.")
    intensity = _centres([one.at.intensity for one in subjects], INTENSITY_SHARES)
    edge = _centres([one.at.edge for one in subjects], EDGE_SHARES)
    pooled_location = float(np.mean([np.median(one.residual) for one in subjects]))
    away = [float(np.abs(one.residual - pooled_location).mean()) for one in subjects]
    pooled_scale = float(np.mean(away)) / _GAUSSIAN_MAD
    if not (math.isfinite(pooled_scale) and pooled_scale > 0):
        raise ModelError(
            f"the residuals of the healthy scans have a pooled scale of {pooled_scale}; expected "
            "a positive number. Calibrate with real reconstructions."
        )
    tables = _fit_tables(subjects, intensity, edge, pooled_location, pooled_scale)
    place_location, place_scale = _fit_place(subjects, intensity, edge, tables)
    return ResidualScale(
        intensity, edge, *tables, place_location, place_scale, pooled_scale, len(subjects)
    )


@dataclass(frozen=True, eq=False)
class _Voxels:
    """What is known of the V voxels of a brain before its residual is looked at.

    Args:
        intensity: (V,) of the reconstruction, spreads.
        edge: (V,) gradient magnitude of the reconstruction, spreads/mm.
        brain: (I, J, K) where the voxels lie.
        template_from_frame: (4, 4) frame voxel index to template space, mm.
    """

    intensity: Array
    edge: Array
    brain: Mask
    template_from_frame: NDArray[np.float64]

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel in template space, ml."""
        return float(abs(np.linalg.det(self.template_from_frame[:3, :3]))) / 1000.0


@dataclass(frozen=True, eq=False)
class _Subject:
    residual: Array
    at: _Voxels
    cell: NDArray[np.int64]


def _check_shapes(residual: Array, reconstruction: Array, brain: Mask) -> None:
    if not residual.shape == reconstruction.shape == brain.shape or residual.ndim != 3:
        raise ModelError(
            "expected residual, reconstruction and brain of one shape (I, J, K), got "
            f"{residual.shape}, {reconstruction.shape} and {brain.shape}."
        )
    if not brain.any():
        raise ModelError("expected a brain mask with voxels inside, got an empty one.")


def _voxels(
    reconstruction: Array, brain: Mask, template_from_frame: NDArray[np.float64] | None
) -> _Voxels:
    matrix = CANVAS.affine if template_from_frame is None else template_from_frame
    edge = edge_strength(reconstruction, brain, matrix)
    return _Voxels(reconstruction[brain], edge[brain], brain, matrix)


def _look_up(tables: tuple[Array, Array], rows: Array, columns: Array, at: _Voxels) -> list[Array]:
    """Tables (X, E) at the voxels' intensity and edge, bilinear, constant beyond the centres."""
    row, down = _between(rows, at.intensity)
    column, right = _between(columns, at.edge)
    found: list[Array] = []
    for table in tables:
        padded = np.pad(table, ((0, 1), (0, 1)), mode="edge").astype(np.float32)
        flat, width = padded.ravel(), padded.shape[1]
        first = row * width + column
        upper = flat[first] * (1 - right) + flat[first + 1] * right
        lower = flat[first + width] * (1 - right) + flat[first + width + 1] * right
        found.append(upper * (1 - down) + lower * down)
    return found


def _between(centres: Array, values: Array) -> tuple[NDArray[np.int64], Array]:
    """The centre below each value, and how far it lies on the way to the next, 0 to 1."""
    position = np.interp(values, centres, np.arange(centres.size))
    index = position.astype(np.int64)
    return index, (position - index).astype(np.float32)


def _reduced(sample: ScaleSample) -> _Subject:
    at = _voxels(sample.reconstruction, sample.brain, sample.template_from_frame)
    cell = place_cells(at.brain, at.template_from_frame)
    return _Subject(sample.residual[sample.brain], at, cell)


def _centres(values: list[Array], shares: Sequence[float]) -> Array:
    """Centres of bins: quantiles, close together in the tails.

    The tails count: the walls of the ventricles are the strongest edges of a head and few of its
    voxels, and fluid is the darkest or brightest of its tissues.
    """
    centres: Array = np.unique(np.quantile(np.concatenate(values), shares).astype(np.float32))
    return centres


def _fit_tables(
    subjects: list[_Subject], intensity: Array, edge: Array, location: float, scale: float
) -> tuple[Array, Array]:
    """Median and mean absolute deviation of the residual by intensity and edge, shrunk."""
    shape = (intensity.size, edge.size)
    bins = [
        _nearest(intensity, one.at.intensity) * edge.size + _nearest(edge, one.at.edge)
        for one in subjects
    ]
    places = range(intensity.size * edge.size)
    weight, middle, away = [], [], []
    for one, number in zip(subjects, bins, strict=True):
        count = np.bincount(number, minlength=len(places))
        weight.append(np.minimum(count * one.at.voxel_ml / _FULL_SAY_ML, 1.0))
        middle.append(ndimage.median(one.residual, number, places))
    locations = _shrunk(weight, middle, location)
    for one, number in zip(subjects, bins, strict=True):
        far = np.abs(one.residual - locations[number])
        away.append(_bin_means(far, number, len(places)) / _GAUSSIAN_MAD)
    scales = _shrunk(weight, away, scale)
    return locations.reshape(shape), scales.reshape(shape)


def _fit_place(
    subjects: list[_Subject], intensity: Array, edge: Array, tables: tuple[Array, Array]
) -> tuple[Array, Array]:
    """What the place adds to the tables' location and by what it multiplies their scale."""
    weight, shift, rest = [], [], []
    for one in subjects:
        location, scale = _look_up(tables, intensity, edge, one.at)
        score = (one.residual - location) / scale
        rest.append((score, scale))
        density = smooth_sums(np.ones_like(score), one.cell) * one.at.voxel_ml
        weight.append(np.minimum(density / _FULL_SAY_PLACE_ML, 1.0))
        near = np.clip(score, -_FAR_SCALES, _FAR_SCALES) * scale
        shift.append(smooth_means(near, one.cell))
    place_location = _shrunk(weight, shift, 0.0)
    wide = []
    for one, (score, scale) in zip(subjects, rest, strict=True):
        away = np.abs(score - place_location.ravel()[one.cell] / scale)
        near = np.minimum(away, np.float32(_FAR_SCALES))  # no one scan's event makes a place blind
        wide.append(smooth_means(near, one.cell) / _GAUSSIAN_MAD)
    return place_location, _shrunk(weight, wide, 1.0)


def _shrunk(weight: list[Array], values: list[Array], pooled: float) -> Array:
    """Weighted mean over subjects, the pooled value counting as further subjects."""
    weights = np.stack(weight)
    known = np.where(weights > 0, np.stack(values), 0.0)
    total = (weights * known).sum(axis=0) + SHRINKAGE_SUBJECTS * pooled
    result: Array = (total / (weights.sum(axis=0) + SHRINKAGE_SUBJECTS)).astype(np.float32)
    return result


def _nearest(centres: Array, values: Array) -> NDArray[np.int64]:
    return np.searchsorted(0.5 * (centres[1:] + centres[:-1]), values).astype(np.int64)


def _bin_means(values: Array, number: NDArray[np.int64], bins: int) -> Array:
    sums = np.bincount(number, weights=values, minlength=bins)
    counts = np.maximum(np.bincount(number, minlength=bins), 1)
    means: Array = (sums / counts).astype(np.float32)
    return means
