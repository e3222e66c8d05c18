"""Results of small scans, made up as a test needs them."""

from dataclasses import replace
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from counterpart.brain_extraction import STRIPPED
from counterpart.grid import Grid
from counterpart.results import Evidence, Result
from counterpart.scans import Scan

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
GRID = Grid((18, 20, 14), np.diag([2.0, -3.0, 4.0, 1.0]))  # 0.024 ml: five voxels count


def box(*sides: tuple[int, int], shape: tuple[int, int, int] = GRID.shape) -> Mask:
    """A box of voxels, first and last but one along each axis."""
    found = np.zeros(shape, np.bool_)
    found[tuple(slice(*side) for side in sides)] = True
    return found


BRAIN = box((5, 13), (5, 15), (4, 10))  # 480 voxels
LESION = box((6, 9), (6, 10), (5, 8))  # 36 voxels


def result_of(
    anomaly: Array,
    *,
    mask: Mask | None = None,
    brain: Mask = BRAIN,
    values: Array | None = None,
    grid: Grid = GRID,
    name: str = "lgg_01_FLAIR",
    brain_source: str = STRIPPED,
    **others: Any,
) -> Result:
    """A result whose residual is the anomaly map turned and doubled; it flags nothing."""
    if values is None:
        noise = 100 + 9 * np.random.default_rng(0).standard_normal(grid.shape)
        values = np.where(brain, noise, 0.0).astype(np.float32)
    nothing = np.zeros(grid.shape, np.bool_)
    known = Result(
        scan=Scan(values, grid, name),
        reconstruction=values,
        counterpart=values,
        residual=-2 * anomaly,
        anomaly=anomaly,
        brain=brain.astype(np.uint8),
        mask=(nothing if mask is None else mask).astype(np.uint8),
        findings=[],
        threshold=0.5,
        contrast=name.rsplit("_", 1)[1],
        template_from_world=np.eye(4),
        provenance={"brain_source": brain_source},
        evidence=Evidence(None, None, 0, "made up", "Made up."),
    )
    return replace(known, **others)


def stored_as(array: NDArray[Any], grid: Grid, codes: str) -> tuple[NDArray[Any], Grid]:
    """The same volume with its axes stored in another order and direction, such as ``PIR``."""
    wanted = nib.orientations.axcodes2ornt(codes)
    turn = nib.orientations.ornt_transform(nib.orientations.io_orientation(grid.affine), wanted)
    turned = np.ascontiguousarray(nib.orientations.apply_orientation(array, turn))
    affine = grid.affine @ nib.orientations.inv_ornt_aff(turn, grid.shape)
    i, j, k = turned.shape
    return turned, Grid((i, j, k), affine)
