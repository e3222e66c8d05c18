"""Findings: volumes, places and sides on grids that are oblique and anisotropic."""

import json
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from counterpart.findings import find_findings
from counterpart.grid import Grid
from counterpart.regions import REGIONS, RegionAtlas
from counterpart.template import CANVAS

SHAPE = (40, 36, 30)


def an_oblique_grid(spacing: tuple[float, float, float] = (1.0, -1.2, 3.0)) -> Grid:
    affine = np.eye(4)
    turn = Rotation.from_euler("xyz", (10, -8, 15), degrees=True).as_matrix()
    affine[:3, :3] = turn * spacing
    affine[:3, 3] = (-20.0, 25.0, -40.0)
    return Grid(SHAPE, affine)


GRID = an_oblique_grid()


def block(
    anomaly: NDArray[np.float32], corner: tuple[int, int, int], size: int, value: float
) -> None:
    anomaly[tuple(slice(c, c + size) for c in corner)] = value


@pytest.fixture
def an_anomaly() -> NDArray[np.float32]:
    """A bright block of 7 voxels a side, a dark one of 5, a bright one of 2."""
    anomaly = np.random.default_rng(0).uniform(-0.5, 0.5, SHAPE).astype(np.float32)
    block(anomaly, (2, 3, 4), 7, 3.0)
    block(anomaly, (20, 20, 20), 5, -2.0)
    block(anomaly, (35, 3, 3), 2, 9.0)
    return anomaly


def test_volumes_are_counts_times_the_voxel_volume(an_anomaly: NDArray[np.float32]) -> None:
    findings, _ = find_findings(an_anomaly, GRID, 1.0, np.eye(4), min_volume_ml=0.0)
    expected = [343 * 0.0036, 125 * 0.0036, 8 * 0.0036]
    assert [finding.volume_ml for finding in findings] == pytest.approx(expected, abs=1e-3)
    assert [finding.number for finding in findings] == [1, 2, 3]
    assert [finding.direction for finding in findings] == ["brighter", "darker", "brighter"]


def test_small_components_are_neither_listed_nor_painted(
    an_anomaly: NDArray[np.float32],
) -> None:
    findings, numbers = find_findings(an_anomaly, GRID, 1.0, np.eye(4))
    assert len(findings) == 2
    assert not numbers[35:37, 3:5, 3:5].any()


def test_a_component_of_just_the_least_volume_counts(an_anomaly: NDArray[np.float32]) -> None:
    least = 125 * GRID.voxel_volume_ml
    assert len(find_findings(an_anomaly, GRID, 1.0, np.eye(4), min_volume_ml=least)[0]) == 2
    more = least * 1.0001
    assert len(find_findings(an_anomaly, GRID, 1.0, np.eye(4), min_volume_ml=more)[0]) == 1


def test_the_mask_holds_each_findings_number(an_anomaly: NDArray[np.float32]) -> None:
    findings, numbers = find_findings(an_anomaly, GRID, 1.0, np.eye(4), min_volume_ml=0.0)
    assert numbers.dtype == np.uint8
    np.testing.assert_array_equal(numbers > 0, np.abs(an_anomaly) >= 1.0)
    for finding in findings:
        count = (numbers == finding.number).sum()
        assert count * GRID.voxel_volume_ml == pytest.approx(finding.volume_ml, abs=1e-3)
    assert (numbers[2:9, 3:10, 4:11] == 1).all()
    assert (numbers[20:25, 20:25, 20:25] == 2).all()


def test_peak_and_mean_are_of_absolute_values() -> None:
    anomaly = np.zeros(SHAPE, np.float32)
    anomaly[5:8, 5, 5] = (-1.0, -4.0, -2.5)
    (finding,) = find_findings(anomaly, GRID, 0.5, np.eye(4), min_volume_ml=0.0)[0]
    assert (finding.peak, finding.mean) == (4.0, 2.5)


def test_a_voxel_at_the_threshold_counts() -> None:
    anomaly = np.zeros(SHAPE, np.float32)
    anomaly[5, 5, 5] = 0.75
    assert len(find_findings(anomaly, GRID, 0.75, np.eye(4), min_volume_ml=0.0)[0]) == 1
    assert len(find_findings(anomaly, GRID, 0.76, np.eye(4), min_volume_ml=0.0)[0]) == 0


def test_brighter_and_darker_neighbours_are_two_findings() -> None:
    anomaly = np.zeros(SHAPE, np.float32)
    anomaly[10:15, 10:20, 10:15] = 2.0
    anomaly[15:18, 10:20, 10:15] = -2.0
    findings, _ = find_findings(anomaly, GRID, 1.0, np.eye(4))
    assert [(f.direction, f.volume_ml) for f in findings] == [
        ("brighter", pytest.approx(250 * 0.0036, abs=1e-3)),
        ("darker", pytest.approx(150 * 0.0036, abs=1e-3)),
    ]


def test_voxels_that_meet_at_a_corner_are_one_finding() -> None:
    anomaly = np.zeros(SHAPE, np.float32)
    anomaly[5, 5, 5] = anomaly[6, 6, 6] = 1.0
    assert len(find_findings(anomaly, GRID, 0.5, np.eye(4), min_volume_ml=0.0)[0]) == 1


def test_the_centre_lies_in_the_world(an_anomaly: NDArray[np.float32]) -> None:
    findings, _ = find_findings(an_anomaly, GRID, 1.0, np.eye(4))
    for finding, index in zip(findings, [(5, 6, 7), (22, 22, 22)], strict=True):
        expected = (GRID.affine @ np.array([*index, 1.0]))[:3]
        assert finding.centre_ras_mm == pytest.approx(expected, abs=0.051)


def test_the_centre_of_a_hollow_finding_belongs_to_it() -> None:
    anomaly = np.zeros(SHAPE, np.float32)
    anomaly[5:16, 5:16, 10] = 1.0
    anomaly[7:14, 7:14, 10] = 0.0
    (finding,) = find_findings(anomaly, GRID, 0.5, np.eye(4))[0]
    at = np.linalg.inv(GRID.affine) @ np.array([*finding.centre_ras_mm, 1.0])
    index = tuple(int(n) for n in np.rint(at[:3]))
    assert np.abs(at[:3] - index).max() < 0.06
    assert anomaly[index] == 1.0


def test_the_centre_is_nearest_in_mm_and_not_in_voxels() -> None:
    grid = Grid(SHAPE, np.diag([1.0, 1.0, 8.0, 1.0]))
    anomaly = np.zeros(SHAPE, np.float32)
    anomaly[10:17, 10, 10] = anomaly[10:17, 10, 12] = 1.0
    anomaly[10, 10, 11] = anomaly[19, 10, 11] = anomaly[17:19, 10, 10] = 1.0
    (finding,) = find_findings(anomaly, grid, 0.5, np.eye(4), min_volume_ml=0.0)[0]
    points = np.argwhere(anomaly) * np.array([1.0, 1.0, 8.0])
    away = np.linalg.norm(points - points.mean(axis=0), axis=1)
    assert finding.centre_ras_mm == pytest.approx(points[away.argmin()])


@pytest.mark.parametrize(
    ("index", "side"), [((5, 18, 15), "left"), ((34, 18, 15), "right"), ((20, 18, 15), "midline")]
)
def test_sides_are_the_patients_in_template_pose(index: tuple[int, int, int], side: str) -> None:
    anomaly = np.zeros(SHAPE, np.float32)
    anomaly[index] = 1.0
    middle = (GRID.affine @ np.array([19.5, 18, 15, 1.0]))[:3]
    to_template = np.eye(4)
    to_template[:3, :3] = np.linalg.inv(GRID.affine[:3, :3] / GRID.spacing)
    to_template[:3, 3] = -to_template[:3, :3] @ middle
    (finding,) = find_findings(anomaly, GRID, 0.5, to_template, min_volume_ml=0.0)[0]
    assert finding.side == side


def test_a_flipped_grid_finds_the_same_place(an_anomaly: NDArray[np.float32]) -> None:
    flip = np.diag([-1.0, 1.0, 1.0, 1.0])
    flip[0, 3] = SHAPE[0] - 1
    flipped = Grid(SHAPE, GRID.affine @ flip)
    there, _ = find_findings(np.ascontiguousarray(an_anomaly[::-1]), flipped, 1.0, np.eye(4))
    assert there == find_findings(an_anomaly, GRID, 1.0, np.eye(4))[0]


def test_a_healthy_map_has_no_findings() -> None:
    findings, numbers = find_findings(np.zeros(SHAPE, np.float32), GRID, 1.0, np.eye(4))
    assert findings == []
    assert not numbers.any()


def test_a_finding_becomes_json(an_anomaly: NDArray[np.float32]) -> None:
    (first, _) = find_findings(an_anomaly, GRID, 1.0, np.eye(4))[0]
    again = json.loads(json.dumps(first.to_json()))
    assert again == {**first.to_json(), "centre_ras_mm": list(first.centre_ras_mm)}


CODE = {region.name: region.code for region in REGIONS}


@pytest.fixture
def an_atlas() -> RegionAtlas:
    """Cerebellum in the lower half of the canvas, insula right above and thalamus left above."""
    codes = np.zeros(CANVAS.shape, np.uint8)
    codes[:, :, 10:40] = CODE["cerebellum"]
    codes[40:, :, 40:70] = CODE["insula"]
    codes[:40, :, 40:70] = CODE["thalamus"]
    return RegionAtlas(codes)


def in_the_canvas_middle(grid: Grid) -> NDArray[np.float64]:
    """A pose that brings the grid's middle voxel to template point (0, -16, 6), turned a little."""
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("xyz", (4, 6, -9), degrees=True).as_matrix()
    middle = grid.affine @ np.array([*(n // 2 for n in grid.shape), 1.0])
    pose[:3, 3] = np.array([0.0, -16.0, 6.0]) - pose[:3, :3] @ middle[:3]
    return pose


def slowly_counted(
    anomaly: NDArray[np.float32], grid: Grid, pose: NDArray[np.float64], atlas: RegionAtlas
) -> str:
    """The name with most voxels, one voxel after the other."""
    names = {code: name for name, code in CODE.items()}
    count = dict.fromkeys(CODE, 0)
    for index in np.argwhere(anomaly > 0):
        at = np.linalg.inv(CANVAS.affine) @ pose @ grid.affine @ np.array([*index, 1.0])
        code = int(atlas.codes[tuple(int(n) for n in np.rint(at[:3]))])
        if code:
            count[names[code]] += 1
    return max(count, key=lambda name: count[name])


@pytest.mark.parametrize("spacing", [(1.0, -1.0, 1.0), (0.9, -0.9, 6.0)], ids=["thin", "thick"])
@pytest.mark.parametrize("corner", [(2, 4, 4), (12, 14, 10), (16, 12, 16), (24, 18, 13), (9, 9, 9)])
def test_a_finding_is_named_after_the_region_of_most_of_its_voxels(
    an_atlas: RegionAtlas, spacing: tuple[float, float, float], corner: tuple[int, int, int]
) -> None:
    grid = an_oblique_grid(spacing)
    anomaly = np.zeros(SHAPE, np.float32)
    block(anomaly, corner, 9, 1.0)
    pose = in_the_canvas_middle(grid)
    (finding,) = find_findings(anomaly, grid, 0.5, pose, atlas=an_atlas)[0]
    assert finding.region == slowly_counted(anomaly, grid, pose, an_atlas)


def test_the_named_region_need_not_be_that_of_the_centre(an_atlas: RegionAtlas) -> None:
    anomaly = np.zeros(CANVAS.shape, np.float32)
    block(anomaly, (20, 40, 50), 9, 1.0)
    an_atlas.codes[23:26, 43:46, 53:56] = CODE["insula"]
    (finding,) = find_findings(anomaly, CANVAS, 0.5, np.eye(4), atlas=an_atlas)[0]
    assert an_atlas.region(np.array([finding.centre_ras_mm])) == "insula"
    assert finding.region == "thalamus"


def test_each_finding_has_its_own_region_and_side(an_atlas: RegionAtlas) -> None:
    anomaly = np.zeros(CANVAS.shape, np.float32)
    block(anomaly, (60, 40, 50), 8, 1.0)
    block(anomaly, (10, 40, 50), 7, 1.0)
    block(anomaly, (37, 40, 15), 6, -1.0)
    findings, _ = find_findings(anomaly, CANVAS, 0.5, np.eye(4), atlas=an_atlas)
    assert [(f.side, f.region) for f in findings] == [
        ("right", "insula"),
        ("left", "thalamus"),
        ("midline", "cerebellum"),
    ]


def test_a_finding_outside_the_atlas_takes_the_nearest_region(an_atlas: RegionAtlas) -> None:
    anomaly = np.zeros(CANVAS.shape, np.float32)
    block(anomaly, (20, 40, 72), 6, 1.0)
    block(anomaly, (20, 40, 2), 5, 1.0)
    findings, _ = find_findings(anomaly, CANVAS, 0.5, np.eye(4), atlas=an_atlas)
    assert [finding.region for finding in findings] == ["thalamus", "cerebellum"]


def test_a_few_voxels_inside_the_atlas_outweigh_many_outside(an_atlas: RegionAtlas) -> None:
    anomaly = np.zeros(CANVAS.shape, np.float32)
    anomaly[20:30, 40:50, 69:80] = 1.0
    anomaly[20, 40, 39:69] = 1.0
    an_atlas.codes[:, :, 60:70] = 0
    (finding,) = find_findings(anomaly, CANVAS, 0.5, np.eye(4), atlas=an_atlas)[0]
    assert finding.region == "thalamus"


def test_without_an_atlas_no_region_is_named(an_atlas: RegionAtlas) -> None:
    anomaly = np.zeros(CANVAS.shape, np.float32)
    block(anomaly, (60, 40, 50), 8, 1.0)
    (named,) = find_findings(anomaly, CANVAS, 0.5, np.eye(4), atlas=an_atlas)[0]
    (bare,) = find_findings(anomaly, CANVAS, 0.5, np.eye(4))[0]
    assert named.region == "insula"
    assert bare == replace(named, region="")
