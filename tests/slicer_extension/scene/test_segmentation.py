from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_runs import OBLIQUE, Phantom, Place, orthonormal
from scipy import ndimage

from HealthyCounterpartLib.problems import ArrivalProblem
from HealthyCounterpartLib.scene.arrived_volumes import read_map, read_mask
from HealthyCounterpartLib.scene.findings_table import rows_from_json
from HealthyCounterpartLib.scene.segmentation import (
    BLUE,
    ORANGE,
    new_segmentation,
    number_findings,
    segment_id,
)

TOUCHING = (
    Place((4, 4, 4), (9, 8, 8), 40.0),
    Place((10, 4, 4), (14, 8, 8), -40.0),  # side by side with the first, of the other sign
    Place((4, 12, 4), (6, 14, 6), 20.0),
    Place((7, 15, 7), (8, 16, 8), 20.0),  # touches the third by a corner: one place
)


def test_places_side_by_side_are_told_apart_by_their_sign() -> None:
    phantom = Phantom(places=TOUCHING)
    rows = rows_from_json(phantom.findings())[:3]
    numbers, start = _numbered(phantom, rows)
    for number, place in enumerate(TOUCHING[:3], start=1):
        found = tuple(np.array(place.centre[::-1]) - start)
        assert numbers[found] == number
    assert (numbers == 1).sum() == 6 * 5 * 5
    assert (numbers == 2).sum() == 5 * 5 * 5


def test_corners_connect_as_they_do_on_the_server() -> None:
    phantom = Phantom(places=TOUCHING)
    rows = rows_from_json(phantom.findings())[:3]
    numbers, _start = _numbered(phantom, rows)
    labels, count = ndimage.label(phantom.anomaly() >= phantom.threshold, np.ones((3, 3, 3)))
    assert count == 2
    assert (numbers == 3).sum() == np.bincount(labels.ravel())[1:].min()


def test_a_place_in_tenths_of_a_mm_finds_its_voxel_of_fine_grids() -> None:
    fine = Phantom(affine=orthonormal(OBLIQUE) @ np.diag([0.05, 0.05, 0.05, 1]))
    numbers, _start = _numbered(fine, rows_from_json(fine.findings()))
    assert set(np.unique(numbers)) == {0, 1, 2}


def test_a_finding_outside_the_mask_is_refused() -> None:
    phantom = Phantom()
    rows = rows_from_json(phantom.findings())
    with pytest.raises(ArrivalProblem, match="Finding 2"):
        number_findings(
            np.ascontiguousarray(phantom.mask().T),
            np.ascontiguousarray(np.abs(phantom.anomaly()).T),
            phantom.affine,
            rows,
        )


def test_more_than_255_places_keep_their_numbers() -> None:
    shape = (40, 40, 40)
    corners = [(i, j, k) for i in range(3, 36, 4) for j in range(3, 36, 4) for k in (5, 15, 25, 33)]
    places = tuple(Place(one, one, 20.0) for one in corners[:300])
    phantom = Phantom(shape=shape, places=places, affine=np.diag([3.0, 3.0, 3.0, 1.0]))
    numbers, start = _numbered(phantom, rows_from_json(phantom.findings()))
    assert numbers.max() == 300
    assert numbers[tuple(np.array(places[299].first[::-1]) - start)] == 300


@pytest.mark.parametrize("turned", [1.0, -1.0], ids=["right-handed", "left-handed"])
def test_segments_lie_where_the_findings_are(a_scene: Any, turned: float, tmp_path: Path) -> None:
    phantom = Phantom(affine=orthonormal(OBLIQUE) @ np.diag([1.0, 1.0, turned, 1.0]))
    scan = phantom.scan(a_scene)
    files = phantom.files(tmp_path)
    rows = rows_from_json(phantom.findings())
    node = new_segmentation(
        read_mask(files["mask"], scan), read_map(files["anomaly"], scan), rows, "findings"
    )
    segments = node.GetSegmentation()
    assert segments.GetNumberOfSegments() == 2
    assert segments.GetNumberOfLayers() == 1
    for number, place in enumerate(phantom.places, start=1):
        image = segments.GetSegment(segment_id(number)).GetRepresentation("Binary labelmap")
        ijk = _index(image, phantom.world(place.centre))
        assert image.GetScalarComponentAsDouble(*ijk, 0) == number
    names = [segments.GetNthSegment(index).GetName() for index in range(2)]
    assert names == ["1 brighter 0.9 ml", "2 darker 0.5 ml"]
    colours = [segments.GetNthSegment(index).GetColor() for index in range(2)]
    assert colours == [ORANGE, BLUE]


def _numbered(phantom: Phantom, rows: Any) -> tuple[np.ndarray, np.ndarray]:
    return number_findings(
        np.ascontiguousarray(phantom.mask().T),
        np.ascontiguousarray(phantom.anomaly().T),
        phantom.affine,
        rows,
    )


def _index(image: Any, ras: np.ndarray) -> tuple[int, int, int]:
    import vtk

    matrix = vtk.vtkMatrix4x4()
    image.GetWorldToImageMatrix(matrix)
    i, j, k = (round(value) for value in matrix.MultiplyPoint((*ras, 1.0))[:3])
    return (i, j, k)
