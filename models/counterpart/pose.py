"""Brings a brain into template pose by an affine registration, and says where its slices lie.

The *pose* maps the scan's world to template space. The patient is never deformed: an affine map,
found by SimpleITK with mutual information, which does not care about the contrast.

The *frame* says which point of the scan each voxel of the network's canvas shows. Thin slices are
resampled to the template's axial planes. Slices thicker than 3 mm keep their acquired planes: the
in-plane axes follow the template, the slice index is the scan's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from counterpart.errors import PoseError
from counterpart.grid import Grid, box_around, resample
from counterpart.pose_checks import (
    MAX_STRETCH,
    MIN_INFORMATION,
    TURNS,
    mutual_information,
    stretches,
    turned,
)
from counterpart.template import CANVAS, load_template

MIN_OVERLAP = 0.80
_SURE_OVERLAP = 0.91
_SURE_INFORMATION = 0.05
_WORTH_A_LOOK = 0.6
_CLEARLY = 1.25
_CLEARLY_MORE_OVERLAP = 0.03
_COARSE_MM = 3.0
_MARGIN_MM = 9.0
THICK_SLICE_MM = 3.0
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Pose:
    """An affine map into template space.

    Args:
        matrix: (4, 4) scan world to template world, RAS+, mm.
        overlap: Dice coefficient of the moved brain mask and the template's.
        information: Mutual information of the moved scan and the template, nats.
    """

    matrix: NDArray[np.float64]
    overlap: float
    information: float = float("nan")


@dataclass(frozen=True, eq=False)
class Frame:
    """The canvas on which a scan is shown to the networks.

    Args:
        shape: (80, 96, number of slices).
        scan_from_frame: (4, 4) frame voxel index to scan world, mm.
        template_from_frame: (4, 4) frame voxel index to template world, mm.
        thick: Whether the slices are the acquired planes.
    """

    shape: tuple[int, int, int]
    scan_from_frame: NDArray[np.float64]
    template_from_frame: NDArray[np.float64]
    thick: bool

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one frame voxel in the scan's world, ml."""
        return float(abs(np.linalg.det(self.scan_from_frame[:3, :3]))) / 1000.0

    def gather(
        self, values: NDArray[np.float32], grid: Grid, *, order: int = 3
    ) -> NDArray[np.float32]:
        """Show an array on the scan's (canonical) grid in this frame."""
        index_map = np.linalg.inv(grid.affine) @ self.scan_from_frame
        return resample(values, index_map, self.shape, order=order)

    def scatter(self, values: NDArray[np.float32], grid: Grid) -> NDArray[np.float32]:
        """Bring an array in this frame back onto the scan's (canonical) grid; 0 outside."""
        index_map = np.linalg.inv(self.scan_from_frame) @ grid.affine
        return resample(values, index_map, grid.shape, order=1)


@dataclass(frozen=True, eq=False)
class _CoarseHead:
    """What the registration looks at.

    Args:
        shown: (I, J, K) the scan at about 3 mm, 0 outside the brain, else 0 to 1.
        brain: (I, J, K) its brain mask, 0 to 1.
        grid: Of both.
        scan_grid: Of the whole scan.
    """

    shown: NDArray[np.float32]
    brain: NDArray[np.float32]
    grid: Grid
    scan_grid: Grid


def make_frame(grid: Grid, pose: Pose) -> Frame:
    """The frame of a scan on a canonical grid in a given pose."""
    template_from_scan = pose.matrix
    if grid.spacing[2] <= THICK_SLICE_MM:
        scan_from_frame = np.linalg.inv(template_from_scan) @ CANVAS.affine
        return Frame(CANVAS.shape, scan_from_frame, CANVAS.affine, thick=False)
    # A frame voxel (i, j, k) is the point p of the scan's world that lies in the acquired plane k
    # and whose template x and y are those of the canvas: three linear equations in p.
    to_index = np.linalg.inv(grid.affine)
    system = np.vstack([template_from_scan[0], template_from_scan[1], to_index[2]])
    right = np.vstack([CANVAS.affine[0], CANVAS.affine[1], [0.0, 0.0, 1.0, 0.0]])
    right[:, 3] -= system[:, 3]
    scan_from_frame = np.vstack([np.linalg.solve(system[:, :3], right), [0.0, 0.0, 0.0, 1.0]])
    shape = (CANVAS.shape[0], CANVAS.shape[1], grid.shape[2])
    return Frame(shape, scan_from_frame, template_from_scan @ scan_from_frame, thick=True)


def register(values: NDArray[np.float32], brain: NDArray[np.bool_], grid: Grid) -> Pose:
    """Find the affine pose of a brain in template space.

    Args:
        values: (I, J, K) the scan on a canonical grid.
        brain: (I, J, K) its brain mask.
        grid: The canonical grid.

    Returns:
        The pose with its scores.

    Raises:
        PoseError: The registration failed, the masks overlap by less than 0.80, the scan says too
            little about the template, or it fits better when turned by 180 degrees.
    """
    head = _coarse_head(values, brain, grid)
    size = _relative_size(head)
    pose = _registered(head, size)
    if pose.overlap < _SURE_OVERLAP:  # half a brain, perhaps, whose size says nothing
        other = _registered(head, np.ones(3))
        pose = max(pose, other, key=lambda one: (one.overlap >= MIN_OVERLAP, one.information))
    _refuse_turned(pose, head, size)
    return _checked(pose)


def _refuse_turned(pose: Pose, head: _CoarseHead, size: NDArray[np.float64]) -> None:
    """Raise an error if the head fits clearly better when turned by 180 degrees.

    A first look at the pose that was found, turned, costs little; only a doubt is worth the time to
    register the head again, turned.
    """
    brain = head.brain > 0.5
    looks = [
        mutual_information(head.shown, brain, head.grid, turned(pose.matrix, signs))
        for signs in TURNS.values()
    ]
    sure = pose.overlap > _SURE_OVERLAP and pose.information > _SURE_INFORMATION
    if sure and max(looks) < _WORTH_A_LOOK * pose.information:
        return
    tried = {words: _registered(head, size * np.array(signs)) for words, signs in TURNS.items()}
    words = max(tried, key=lambda turn: tried[turn].information)
    other = tried[words]
    fits_better = other.overlap > pose.overlap + _CLEARLY_MORE_OVERLAP
    enough = (1.0 / _CLEARLY if fits_better else _CLEARLY) * pose.information
    if other.information > max(enough, MIN_INFORMATION):
        raise PoseError(
            f"the head lies {words} in the file's coordinates: turned back it fits the template "
            f"with a mutual information of {other.information:.3f}, as it is with "
            f"{pose.information:.3f}. Correct the orientation in the file's header."
        )


def _relative_size(head: _CoarseHead) -> NDArray[np.float64]:
    """How much larger the brain is than the template's along each axis."""
    sizes = []
    for mask, spacing in (
        (head.brain > 0.5, head.grid.spacing),
        (load_template().brain, CANVAS.spacing),
    ):
        sizes.append(np.argwhere(mask).std(axis=0) * np.array(spacing))
    ratio: NDArray[np.float64] = np.clip(sizes[0] / sizes[1], 0.5, 2.0)
    return ratio


def _registered(head: _CoarseHead, start: NDArray[np.float64]) -> Pose:
    """The pose that is reached when the search begins with the template's axes times ``start``.

    From the masks alone first, then from the intensities.
    """
    try:
        with _one_itk_thread():
            transform = _affine(head, start)
    except RuntimeError as error:
        raise PoseError(
            f"the registration to the template failed ({str(error).splitlines()[-1]}). "
            "Check that the scan shows a whole brain."
        ) from error
    # SimpleITK maps fixed (template) to moving (scan) points in LPS.
    scan_from_template = _LPS @ transform @ _LPS
    matrix = np.linalg.inv(scan_from_template)
    information = mutual_information(head.shown, head.brain > 0.5, head.grid, matrix)
    return Pose(matrix, _overlap(head, scan_from_template), information)


def _checked(pose: Pose) -> Pose:
    if pose.overlap < MIN_OVERLAP:
        raise PoseError(
            f"expected the brain to overlap the template by at least {MIN_OVERLAP:.2f} (Dice), got "
            f"{pose.overlap:.2f}. Check the scan's orientation, its coverage and the brain mask."
        )
    factors = stretches(pose.matrix)
    if factors[0] > MAX_STRETCH or factors[-1] < 1.0 / MAX_STRETCH:
        raise PoseError(
            "expected a brain that fits the template when stretched by at most "
            f"{MAX_STRETCH:g}, got {factors[0]:.2f} × {factors[1]:.2f} × {factors[2]:.2f}. Check "
            "the voxel size in the header and the brain mask."
        )
    if pose.information < MIN_INFORMATION:
        raise PoseError(
            "what lies inside the brain mask does not look like a brain: expected a mutual "
            f"information with the template of at least {MIN_INFORMATION:g}, got "
            f"{pose.information:.3f}. Give a brain scan, not a phantom, a mask or noise."
        )
    return pose


@contextmanager
def _one_itk_thread() -> Iterator[None]:
    """ITK's metrics sum over threads in any order; with one, a scan always gets the same pose.

    The metrics take their number of threads from ITK's global default, not from the registration.
    """
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def _coarse_head(values: NDArray[np.float32], brain: NDArray[np.bool_], grid: Grid) -> _CoarseHead:
    """The masked scan and its mask with about 3 mm voxels, cropped; thick slices are kept."""
    spacing = np.array(grid.spacing)
    box = box_around(brain, int(np.ceil(_MARGIN_MM / spacing.min())))
    near, part = brain[box], grid.cropped(box)
    low, high = np.percentile(values[box][near], [0.5, 99.5])
    shown = np.where(near, np.clip(values[box], low, high) - low, 0.0)
    shown = shown / max(float(high - low), 1e-12)
    step = np.where(spacing > _COARSE_MM, 1.0, _COARSE_MM / spacing)
    margin = np.ceil(_MARGIN_MM / spacing)
    inside = box_around(near, 0)
    low_index = np.array([side.start for side in inside])
    length = np.array([side.stop - side.start - 1 for side in inside])
    index_map = np.diag([*step, 1.0])
    index_map[:3, 3] = low_index - margin
    size = np.ceil((length + 2 * margin) / step).astype(int) + 1
    shape = (int(size[0]), int(size[1]), int(size[2]))
    return _CoarseHead(
        resample(shown, index_map, shape),
        resample(near.astype(np.float32), index_map, shape),
        Grid(shape, part.affine @ index_map),
        grid,
    )


def as_sitk(array: NDArray[np.float32], affine: NDArray[np.float64]) -> sitk.Image:
    """A SimpleITK image (LPS) of an array (I, J, K) with a RAS affine without shear."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.transpose(2, 1, 0)))
    lps = _LPS @ affine
    spacing = np.sqrt((lps[:3, :3] ** 2).sum(axis=0))
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    direction, _ = _nearest_rotation(lps[:3, :3] / spacing)
    image.SetDirection(direction.ravel().tolist())
    return image


def _nearest_rotation(matrix: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    left, singular, right = np.linalg.svd(matrix)
    return left @ right, float(np.abs(singular - 1).max())


def _affine(head: _CoarseHead, start: NDArray[np.float64]) -> NDArray[np.float64]:
    moving = as_sitk(head.shown, head.grid.affine)
    moving_mask = as_sitk(head.brain, head.grid.affine)
    template = load_template()
    every = slice(None, None, 2)
    affine = CANVAS.affine @ np.diag([2.0, 2.0, 2.0, 1.0])
    fixed = as_sitk(template.t1[every, every, every] / 255.0, affine)
    fixed_mask = as_sitk(template.brain[every, every, every].astype(np.float32), affine)
    initial = sitk.CenteredTransformInitializer(
        fixed_mask,
        moving_mask,
        sitk.AffineTransform(3),
        sitk.CenteredTransformInitializerFilter.MOMENTS,
    )
    initial = sitk.AffineTransform(initial)
    initial.SetMatrix(np.diag(start).ravel().tolist())
    on_masks = _registration(steps=60, learning_rate=2.0)
    on_masks.SetMetricAsMeanSquares()
    on_masks.SetInitialTransform(initial, inPlace=True)
    on_masks.Execute(fixed_mask, moving_mask)
    on_values = _registration(steps=80, learning_rate=1.0)
    on_values.SetMetricAsMattesMutualInformation(numberOfHistogramBins=32)
    on_values.SetInitialTransform(initial, inPlace=True)
    on_values.Execute(fixed, moving)
    found = sitk.AffineTransform(initial)
    matrix = np.array(found.GetMatrix()).reshape(3, 3)
    centre, shift = np.array(found.GetCenter()), np.array(found.GetTranslation())
    transform = np.eye(4)
    transform[:3, :3] = matrix
    transform[:3, 3] = shift + centre - matrix @ centre
    return transform


def _registration(*, steps: int, learning_rate: float) -> sitk.ImageRegistrationMethod:
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=learning_rate,
        minStep=1e-3,
        numberOfIterations=steps,
        relaxationFactor=0.6,
        gradientMagnitudeTolerance=1e-6,
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([2, 1])
    method.SetSmoothingSigmasPerLevel([1.5, 0.0])
    return method


def _overlap(head: _CoarseHead, scan_from_template: NDArray[np.float64]) -> float:
    index_map = np.linalg.inv(head.grid.affine) @ scan_from_template @ CANVAS.affine
    moved = resample(head.brain, index_map, CANVAS.shape) > 0.5
    reference = load_template().brain
    # Only where the scan has slices at all: a scan may stop below the cerebellum.
    points = np.argwhere(reference) @ CANVAS.affine[:3, :3].T + CANVAS.affine[:3, 3]
    to_index = np.linalg.inv(head.scan_grid.affine) @ scan_from_template
    index = points @ to_index[:3, :3].T + to_index[:3, 3]
    size = np.array(head.scan_grid.shape)
    covered = int(((index > -0.5) & (index < size - 0.5)).all(axis=1).sum())
    both = 2.0 * float((moved & reference).sum())
    return both / max(float(moved.sum()) + covered, 1.0)
