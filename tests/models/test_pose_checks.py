"""What tells a brain in template pose: what it shares with the template, and how it stretches."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from counterpart.errors import PoseError
from counterpart.grid import Grid, resample
from counterpart.package_data import package_data
from counterpart.pose import register
from counterpart.pose_checks import (
    MAX_STRETCH,
    MIN_INFORMATION,
    TURNS,
    mutual_information,
    stretches,
)
from counterpart.scans import read_mask, read_scan
from counterpart.template import CANVAS, load_template

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Head = tuple[Array, Mask, Grid]
EVERY = (slice(None, None, 2),) * 3
COARSE = Grid((40, 48, 40), CANVAS.affine @ np.diag([2.0, 2.0, 2.0, 1.0]))
BINS = 16
ANGLES = ((20, -30, 50), (-70, 5, 130))


@pytest.fixture(scope="module")
def the_t1() -> Array:
    """The template on the grid on which information is measured."""
    return load_template().t1[EVERY]


@pytest.fixture(scope="module")
def the_brain() -> Mask:
    return load_template().brain[EVERY]


@pytest.fixture(scope="module")
def a_sample() -> Head:
    """The sample patient's FLAIR without its skull."""
    folder = package_data("sample_data") / "patients"
    scan = read_scan(folder / "sample-01_FLAIR.nii.gz")
    brain = read_mask(folder / "sample-01_brain.nii.gz", scan.grid)
    return scan.values * brain, brain, scan.grid


def the_template() -> Head:
    template = load_template()
    return template.t1 * template.brain, template.brain, CANVAS


def informed(values: NDArray[np.generic], brain: Mask) -> float:
    return mutual_information(values.astype(np.float32), brain, COARSE, np.eye(4))


def core_of(brain: Mask) -> Mask:
    inner: Mask = ndimage.binary_erosion(brain)
    return inner


def bias(count: int) -> float:
    return (BINS - 1) ** 2 / (2.0 * count)


def entropy(shares: NDArray[np.float64]) -> float:
    return -sum(float(p) * math.log(float(p)) for p in shares if p > 0)


def bin_of(value: float, low: float, high: float) -> int:
    return min(int((value - low) / (high - low) * BINS), BINS - 1)


def slow_information(one: list[float], other: list[float]) -> float:
    """Joint, row and column entropies, counted one voxel at a time."""
    low, high = np.percentile(one, [1.0, 99.0])
    least, most = min(other), max(other)
    pairs: dict[tuple[int, int], int] = {}
    for x, y in zip(one, other, strict=True):
        key = (bin_of(min(max(x, low), high), low, high), bin_of(y, least, most))
        pairs[key] = pairs.get(key, 0) + 1
    joint = np.array(list(pairs.values())) / len(one)
    rows = np.array([sum(n for (a, _), n in pairs.items() if a == k) for k in range(BINS)])
    columns = np.array([sum(n for (_, b), n in pairs.items() if b == k) for k in range(BINS)])
    return entropy(rows / len(one)) + entropy(columns / len(one)) - entropy(joint)


def test_information_is_what_slow_counting_finds(the_t1: Array, the_brain: Mask) -> None:
    rng = np.random.default_rng(0)
    noise = ndimage.gaussian_filter(rng.standard_normal(COARSE.shape), 1.0)
    values = (np.sin(the_t1 / 40.0) + noise).astype(np.float32)
    core = core_of(the_brain)
    expected = slow_information(values[core].tolist(), the_t1[core].tolist())
    found = informed(values, the_brain)
    assert expected > 0.2
    assert found == pytest.approx(expected - bias(int(core.sum())), abs=2e-3)


def test_values_that_tell_a_part_of_the_template_have_the_entropy_of_that_part(
    the_t1: Array, the_brain: Mask
) -> None:
    core = core_of(the_brain)
    edges = np.histogram_bin_edges(the_t1[core], BINS)
    levels = np.digitize(the_t1, edges[[7, 10, 12]])
    shares = np.bincount(levels[core]) / core.sum()
    assert shares.min() > 0.02
    found = informed(levels, the_brain) + bias(int(core.sum()))
    assert found == pytest.approx(entropy(shares), abs=1e-6)


def test_two_equal_halves_tell_one_bit(the_t1: Array, the_brain: Mask) -> None:
    core = core_of(the_brain)
    edges = np.histogram_bin_edges(the_t1[core], BINS)
    middle = edges[np.abs([np.mean(the_t1[core] > edge) - 0.5 for edge in edges]).argmin()]
    share = float(np.mean(the_t1[core] > middle))
    expected = -share * math.log(share) - (1 - share) * math.log(1 - share)
    found = informed(the_t1 > middle, the_brain) + bias(int(core.sum()))
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_independent_of_the_template_tells_nothing(the_brain: Mask, seed: int) -> None:
    values = np.random.default_rng(seed).standard_normal(COARSE.shape)
    assert abs(informed(values, the_brain)) < 0.004 < MIN_INFORMATION


def test_a_uniform_brain_tells_nothing(the_brain: Mask) -> None:
    assert informed(np.full(COARSE.shape, 7.0), the_brain) <= 0.0


@pytest.mark.parametrize(
    ("scale", "shift"), [(1.0, -1024.0), (0.001, 0.0), (300.0, 5.0), (-1.0, 0.0), (-20.0, 4000.0)]
)
def test_scale_shift_and_inversion_of_the_intensities_change_nothing(
    the_t1: Array, the_brain: Mask, scale: float, shift: float
) -> None:
    noise = np.random.default_rng(0).normal(0.0, 30.0, COARSE.shape)
    values = the_t1 + noise
    expected = informed(values, the_brain)
    assert informed(scale * values + shift, the_brain) == pytest.approx(expected, rel=0.02)


def test_noise_takes_information_away(the_t1: Array, the_brain: Mask) -> None:
    noise = np.random.default_rng(0).standard_normal(COARSE.shape)
    found = [informed(the_t1 + sigma * noise, the_brain) for sigma in (0, 10, 40, 160, 640)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 1.0
    assert found[-1] < 0.05


def test_where_the_scan_lies_in_its_world_does_not_matter(the_t1: Array, the_brain: Mask) -> None:
    matrix = np.eye(4)
    matrix[:3, :3] = 1.1 * Rotation.from_euler("xyz", (20, -10, 35), degrees=True).as_matrix()
    matrix[:3, 3] = (40, -300, 12)
    elsewhere = Grid(COARSE.shape, np.linalg.inv(matrix) @ COARSE.affine)
    found = mutual_information(the_t1, the_brain, elsewhere, matrix)
    assert found == pytest.approx(informed(the_t1, the_brain), rel=0.02)


def test_another_grid_tells_nearly_the_same() -> None:
    template = load_template()
    grid = Grid((61, 70, 32), np.diag([2.6, 2.7, 4.9, 1.0]))
    grid.affine[:3, 3] = CANVAS.affine[:3, 3]
    index_map = np.linalg.inv(CANVAS.affine) @ grid.affine
    brain = resample(template.brain.astype(np.float32), index_map, grid.shape) > 0.5
    found = mutual_information(resample(template.t1, index_map, grid.shape), brain, grid, np.eye(4))
    same = mutual_information(template.t1, template.brain, CANVAS, np.eye(4))
    assert 0.6 * same < found < 1.2 * same


def test_too_few_voxels_tell_nothing(the_t1: Array, the_brain: Mask) -> None:
    few = np.zeros_like(the_brain)
    few[18:22, 20:26, 18:24] = True
    assert informed(the_t1, few & the_brain) == 0.0


@pytest.mark.parametrize("factors", [(1.0, 1.0, 1.0), (1.3, 0.9, 1.1), (2.0, 2.0, 0.5)])
def test_stretches_are_those_of_the_map_whatever_its_turn(
    factors: tuple[float, float, float],
) -> None:
    one, other = (Rotation.from_euler("xyz", turn, degrees=True).as_matrix() for turn in ANGLES)
    matrix = np.eye(4)
    matrix[:3, :3] = one @ np.diag(factors) @ other
    matrix[:3, 3] = (10, 20, -30)
    np.testing.assert_allclose(stretches(matrix), sorted(factors, reverse=True))


def as_the_header_says(head: Head, factors: tuple[float, float, float]) -> Head:
    """The same voxels, which the header puts elsewhere: each world axis times its factor."""
    values, brain, grid = head
    return values, brain, Grid(grid.shape, np.diag([*factors, 1.0]) @ grid.affine)


@pytest.mark.slow
@pytest.mark.parametrize("words", TURNS)
def test_a_head_that_lies_the_wrong_way_is_refused(a_sample: Head, words: str) -> None:
    with pytest.raises(PoseError) as refusal:
        register(*as_the_header_says(a_sample, TURNS[words]))
    message = str(refusal.value)
    assert f"the head lies {words} in the file's coordinates" in message
    assert "orientation in the file's header" in message
    turned, as_is = (float(part) for part in numbers_of(message))
    assert turned > 1.2 * as_is


def numbers_of(message: str) -> list[str]:
    words = message.replace(",", " ").split()
    return [word.rstrip(".") for word in words if word[0] == "0" and "." in word]


@pytest.mark.slow
def test_the_template_stored_upside_down_is_refused() -> None:
    """Also where, as here, left and right are swapped besides."""
    with pytest.raises(PoseError, match="upside down"):
        register(*as_the_header_says(the_template(), (1, 1, -1)))


def test_a_head_stored_in_a_mirror_passes(a_sample: Head) -> None:
    """The template is symmetrical: no picture can tell left from right."""
    pose = register(*as_the_header_says(a_sample, (-1, 1, 1)))
    straight = register(*a_sample)
    assert np.linalg.det(pose.matrix[:3, :3]) > 0
    assert pose.overlap == pytest.approx(straight.overlap, abs=0.01)
    assert pose.information == pytest.approx(straight.information, rel=0.1)


def test_noise_in_the_shape_of_a_brain_is_refused() -> None:
    values, brain, grid = the_template()
    noise = np.random.default_rng(0).random(values.shape).astype(np.float32)
    with pytest.raises(PoseError, match=r"at least 0\.02, got -?0\.00\d\. Give a brain scan"):
        register(noise, brain, grid)


def test_a_ball_is_refused() -> None:
    index = np.moveaxis(np.indices(CANVAS.shape), 0, -1)
    away = np.asarray(CANVAS.world(index)) - np.array([0.0, -16.0, 5.0])
    ball = (away**2).sum(axis=-1) < 68.0**2
    values = 100.0 * ball + np.random.default_rng(0).normal(0.0, 3.0, ball.shape)
    with pytest.raises(PoseError, match="does not look like a brain"):
        register(values.astype(np.float32), ball, CANVAS)


@pytest.mark.parametrize("factors", [(1.0, 1.0, 0.45), (2.2, 1.0, 1.0), (0.45, 0.45, 0.45)])
def test_a_wrong_voxel_size_is_refused_with_the_stretch(
    factors: tuple[float, float, float],
) -> None:
    with pytest.raises(PoseError) as refusal:
        register(*as_the_header_says(the_template(), factors))
    message = str(refusal.value)
    assert f"stretched by at most {MAX_STRETCH}" in message
    assert "voxel size in the header" in message
    told = [float(word.rstrip(".")) for word in message.split("got ")[1].split(" × ")[:2]]
    expected = sorted((1.0 / factor for factor in factors), reverse=True)
    np.testing.assert_allclose(told, expected[:2], rtol=0.1)


def test_a_brain_of_an_eighth_less_in_every_direction_passes() -> None:
    pose = register(*as_the_header_says(the_template(), (0.875, 0.875, 0.875)))
    np.testing.assert_allclose(stretches(pose.matrix), 1 / 0.875, rtol=0.03)
    assert pose.overlap > 0.95
