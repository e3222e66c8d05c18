"""One segment for each finding: the mask's islands, told apart by sign, matched by their centre."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import slicer
import vtk

from HealthyCounterpartLib.finding_row import BRIGHTER, FindingRow
from HealthyCounterpartLib.problems import ArrivalProblem
from HealthyCounterpartLib.scene.findings_table import title_of
from HealthyCounterpartLib.scene.voxels import ijk_to_ras, image_values, to_vtk, voxels
from HealthyCounterpartLib.translation import _

LABELMAP = "Binary labelmap"
NUMBER_TAG = "HealthyCounterpart.Number"
ORANGE, BLUE = (0.90, 0.42, 0.0), (0.16, 0.47, 0.95)


def new_segmentation(mask: Any, anomaly: Any, rows: Sequence[FindingRow], name: str) -> Any:
    """A segmentation node with a segment for each finding, not in the scene yet.

    Args:
        mask: Volume of the findings' mask, 1 where a finding is.
        anomaly: Volume of the signed anomaly map, on the same grid.
        rows: Findings.
        name: Of the node.

    Raises:
        ArrivalProblem: A finding does not lie in the mask.
    """
    node = slicer.vtkMRMLSegmentationNode()
    node.SetName(name)
    numbers, start = number_findings(voxels(mask), voxels(anomaly), ijk_to_ras(mask), rows)
    labelmap = _labelmap(numbers, start, ijk_to_ras(mask))  # the segments share it
    for row in rows:
        segment = slicer.vtkSegment()
        segment.SetName(title_of(row))
        segment.SetColor(*colour_of(row))
        segment.SetTag(NUMBER_TAG, str(row.number))
        segment.SetLabelValue(row.number)
        segment.AddRepresentation(LABELMAP, labelmap)
        node.GetSegmentation().AddSegment(segment, segment_id(row.number))
    return node


def segment_id(number: int) -> str:
    """Id of a finding's segment."""
    return f"finding-{number}"


def colour_of(row: FindingRow) -> tuple[float, float, float]:
    """Orange for brighter, blue for darker: also for readers who cannot tell red from green."""
    return ORANGE if row.direction == BRIGHTER else BLUE


def number_findings(
    mask: np.ndarray, anomaly: np.ndarray, matrix: np.ndarray, rows: Sequence[FindingRow]
) -> tuple[np.ndarray, np.ndarray]:
    """Each finding's number in its voxels.

    Args:
        mask: (K, J, I) 1 where a finding is.
        anomaly: (K, J, I) signed anomaly map.
        matrix: (4, 4) voxel to RAS mm.
        rows: Findings.

    Returns:
        (K, J, I) int16 of the box around the mask, and the box's first voxel (K, J, I).

    Raises:
        ArrivalProblem: A finding does not lie in the mask.
    """
    box = _box(mask)
    start = np.array([part.start for part in box])
    inside, signed = mask[box] > 0, anomaly[box]
    islands = {
        True: _islands(inside & (signed > 0)),
        False: _islands(inside & (signed < 0)),
    }
    numbers = np.zeros(inside.shape, np.int16)
    for row in rows:
        labels = islands[row.direction == BRIGHTER]
        label = _label_at(labels, _voxel(row, matrix) - start)
        if not label:
            raise ArrivalProblem(
                _("Finding {number} does not lie in the mask.").format(number=row.number),
                _("Generate again; if it happens again, tell the server's administrator."),
            )
        numbers[labels == label] = row.number
    return numbers, start


def _voxel(row: FindingRow, matrix: np.ndarray) -> np.ndarray:
    index = np.linalg.inv(matrix) @ np.array([*row.centre_ras_mm, 1.0])
    place: np.ndarray = np.rint(index[2::-1]).astype(int)
    return place


def _label_at(labels: np.ndarray, voxel: np.ndarray) -> int:
    """Label of a voxel or, as places come in tenths of a mm, of the nearest one beside it."""
    steps = np.indices((3, 3, 3)).reshape(3, -1).T - 1
    for step in steps[np.argsort((steps**2).sum(axis=1), kind="stable")]:
        near = voxel + step
        if (near >= 0).all() and (near < labels.shape).all() and labels[tuple(near)]:
            return int(labels[tuple(near)])
    return 0


def _box(mask: np.ndarray) -> tuple[slice, ...]:
    """Smallest box that holds the mask, so that only a small part of the scan is computed on."""
    along_k = mask.any(axis=(1, 2))
    if not along_k.any():
        return (slice(0, 1), slice(0, 1), slice(0, 1))
    first, last = (int(end) for end in np.flatnonzero(along_k)[[0, -1]])
    flat = mask[first : last + 1].any(axis=0)
    ends = (np.flatnonzero(flat.any(axis=axis))[[0, -1]] for axis in (1, 0))
    return (slice(first, last + 1), *(slice(int(end[0]), int(end[1]) + 1) for end in ends))


def _islands(inside: np.ndarray) -> np.ndarray:
    """(K, J, I) label of each connected place, by corners too."""
    # Slicer has the module under this name, and no scipy below 5.8.
    import vtkITK

    if not inside.any():
        return np.zeros(inside.shape, np.int32)
    image = _image(vtk.vtkImageData(), inside.shape, vtk.VTK_INT)
    image_values(image)[:] = inside
    finder = vtkITK.vtkITKIslandMath()
    finder.SetInputData(image)
    finder.SetFullyConnected(1)
    finder.Update()
    return image_values(finder.GetOutput()).copy()


def _labelmap(numbers: np.ndarray, start: np.ndarray, matrix: np.ndarray) -> Any:
    image = slicer.vtkOrientedImageData()
    extent = [
        end
        for first, length in zip(start[::-1].tolist(), numbers.shape[::-1])
        for end in (first, first + length - 1)
    ]
    image.SetExtent(extent)
    image.AllocateScalars(vtk.VTK_SHORT, 1)
    image_values(image)[:] = numbers
    image.SetImageToWorldMatrix(to_vtk(matrix))
    return image


def _image(image: Any, shape: tuple[int, ...], kind: int) -> Any:
    image.SetDimensions(shape[::-1])
    image.AllocateScalars(kind, 1)
    return image
