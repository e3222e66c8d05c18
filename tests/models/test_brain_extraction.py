"""Where a whole head's brain is looked for, what comes back on its grid, and what is refused.

The stand-in network takes what is bright for brain, so that on a drawn head the answer is known on
every grid: thin, thick, anisotropic, oblique, turned, with a long neck, or far from the middle.
"""

from functools import cache
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import nn

from counterpart.brain import largest_component
from counterpart.brain_extraction import (
    STRIPPED,
    BrainModel,
    BrainSettings,
    brain_probability,
    find_brain,
    head_corner,
)
from counterpart.brain_network import CANVAS_SHAPE, BrainNetworkConfig
from counterpart.errors import BrainError
from counterpart.grid import Grid, canonical_orientation

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Vector = tuple[float, float, float]
BRAIN_MM = (66.0, 82.0, 58.0)
HEAD_MM = (80.0, 100.0, 80.0)
BRAIN_LEVEL, HEAD_LEVEL = 1000.0, 300.0


class BrightIsBrain(nn.Module):
    """Takes for brain what is nearer to the brightest tissue than to the rest of the head."""

    def __init__(self) -> None:
        super().__init__()
        self.steepness = nn.Parameter(torch.tensor(40.0), requires_grad=False)
        self.shown: list[torch.Tensor] = []

    def forward(self, heads: torch.Tensor) -> torch.Tensor:
        assert heads.shape == (1, 1, *CANVAS_SHAPE)
        self.shown.append(heads)
        middle = (BRAIN_LEVEL + HEAD_LEVEL) / 2.0 / BRAIN_LEVEL
        return self.steepness * (heads - middle)


class NoNumberInHalf(BrightIsBrain):
    """Answers no number in one voxel, unless it computes in full precision."""

    def forward(self, heads: torch.Tensor) -> torch.Tensor:
        answer = super().forward(heads)
        if torch.is_autocast_enabled("cpu"):
            answer[0, 0, 0, 0, 0] = torch.nan
        return answer


class Constant(nn.Module):
    """The same answer wherever the head is."""

    def __init__(self, logit: float) -> None:
        super().__init__()
        self.logit = nn.Parameter(torch.tensor(logit), requires_grad=False)

    def forward(self, heads: torch.Tensor) -> torch.Tensor:
        return torch.where(heads > 0.1, self.logit, -40.0)


def a_model(network: nn.Module | None = None, threshold: float = 0.5) -> BrainModel:
    settings = BrainSettings(BrainNetworkConfig(), threshold)
    stand_in: Any = network or BrightIsBrain()
    return BrainModel("bright", "0.0.1", "f" * 64, settings, stand_in)


def a_grid(low: Vector, high: Vector, spacing: Vector, turn: Vector = (0, 0, 0)) -> Grid:
    """Voxels between two corners, mm, turned about the world's origin by degrees."""
    shape = [round((b - a) / step) for a, b, step in zip(low, high, spacing, strict=True)]
    affine = np.eye(4)
    affine[:3, :3] = np.diag(spacing)
    affine[:3, 3] = np.array(low) + np.array(spacing) / 2.0
    rotation = np.eye(4)
    rotation[:3, :3] = Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
    return Grid((shape[0], shape[1], shape[2]), rotation @ affine)


FIELD = ((-100.0, -120.0, -110.0), (100.0, 120.0, 110.0))
BESIDE, BELOW = (-80.0, 0.0, 15.0), (0.0, 0.0, -10.0)
THIN = a_grid(*FIELD, (3.0, 3.0, 3.0))


def world_of(grid: Grid, offset: Vector | NDArray[np.float64] = (0, 0, 0)) -> NDArray[np.float64]:
    index = np.moveaxis(np.indices(grid.shape), 0, -1) + np.asarray(offset)
    return np.asarray(grid.world(index))


def ellipsoid(points: NDArray[np.float64], half: Vector, centre: Vector = (0, 0, 0)) -> Mask:
    inside: Mask = (((points - np.array(centre)) / np.array(half)) ** 2).sum(axis=-1) <= 1.0
    return inside


@cache
def drawn_brain(grid: Grid, centre: Vector = (0, 0, 15), size: float = 1.0) -> Mask:
    half = (size * BRAIN_MM[0], size * BRAIN_MM[1], size * BRAIN_MM[2])
    return ellipsoid(world_of(grid), half, centre)


@cache
def the_head(grid: Grid, centre: Vector = (0, 0, 15), size: float = 1.0) -> Array:
    """A head with a neck that leaves the grid below; voxels averaged along the longest edge."""
    along = np.eye(3)[int(np.argmax(grid.spacing))]
    half = (size * BRAIN_MM[0], size * BRAIN_MM[1], size * BRAIN_MM[2])
    parts = []
    for offset in (-1 / 3, 0, 1 / 3) if max(grid.spacing) > 3 else (0,):
        points = world_of(grid, offset * along)
        away = points - np.array(centre)
        neck = (away[..., 0] ** 2 + away[..., 1] ** 2 < 50.0**2) & (away[..., 2] < 0)
        head = ellipsoid(points, HEAD_MM, centre) | neck
        parts.append(np.where(ellipsoid(points, half, centre), BRAIN_LEVEL, HEAD_LEVEL * head))
    noise = np.random.default_rng(0).random(grid.shape)
    return (np.mean(parts, axis=0) + noise).astype(np.float32)


def a_head(grid: Grid, centre: Vector = (0, 0, 15), size: float = 1.0) -> Array:
    return the_head(grid, centre, size).copy()


def with_a_thing(values: Array, grid: Grid, low: Vector, high: Vector) -> Array:
    """The head with a block of its tissue's level somewhere else."""
    points = world_of(grid)
    inside = ((points >= np.array(low)) & (points <= np.array(high))).all(axis=-1)
    return np.where(inside, np.float32(HEAD_LEVEL), values)


def dice(one: Mask, other: Mask) -> float:
    return float(2.0 * (one & other).sum() / (one.sum() + other.sum()))


GRIDS = {
    "thin": (THIN, 0.98),
    "finer than the network": (a_grid(*FIELD, (1.5, 1.5, 1.5)), 0.98),
    "anisotropic and odd": (a_grid((-99, -121, -108), (100, 120, 111), (1.3, 2.1, 3.7)), 0.97),
    "coarse": (a_grid(*FIELD, (4.0, 4.0, 4.0)), 0.96),
    "axial slices of 8 mm": (a_grid(*FIELD, (1.9, 1.9, 8.0)), 0.96),
    "sagittal slices of 8 mm": (a_grid(*FIELD, (8.0, 1.9, 1.9)), 0.95),
    "oblique by 25 degrees": (a_grid(*FIELD, (2.5, 2.5, 2.5), (25, 0, 0)), 0.97),
    "oblique about all axes": (a_grid(*FIELD, (2.2, 2.6, 3.1), (-25, 20, 15)), 0.97),
    "oblique slices of 8 mm": (a_grid(*FIELD, (1.9, 1.9, 8.0), (0, 25, 0)), 0.95),
}


@pytest.mark.parametrize("name", GRIDS)
def test_the_brain_is_found_on_every_grid(name: str) -> None:
    grid, least = GRIDS[name]
    found = brain_probability(a_head(grid), grid, a_model())
    assert found.shape == grid.shape
    assert found.dtype == np.float32
    assert 0.0 <= float(found.min()) <= float(found.max()) <= 1.0
    assert dice(found > 0.5, drawn_brain(grid)) > least


def test_an_answer_without_number_is_asked_for_in_full_precision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "counterpart.brain_extraction.best_precision", lambda device: torch.bfloat16
    )
    network = NoNumberInHalf()
    found = brain_probability(a_head(THIN), THIN, a_model(network))
    assert len(network.shown) == 2
    assert dice(found > 0.5, drawn_brain(THIN)) > 0.9


@pytest.mark.parametrize("name", ["oblique by 25 degrees", "oblique about all axes"])
def test_an_oblique_head_is_shown_upright(name: str) -> None:
    straight, oblique = BrightIsBrain(), BrightIsBrain()
    brain_probability(a_head(THIN), THIN, a_model(straight))
    grid = GRIDS[name][0]
    brain_probability(a_head(grid), grid, a_model(oblique))
    brains = [(network.shown[0] > 0.7).numpy() for network in (straight, oblique)]
    middles = [np.argwhere(brain).mean(axis=0) for brain in brains]
    np.testing.assert_allclose(middles[0], middles[1], atol=6.0)
    extents = [np.argwhere(brain).std(axis=0) for brain in brains]
    np.testing.assert_allclose(extents[0], extents[1], rtol=0.03)


def test_an_oblique_head_above_any_background_is_found() -> None:
    grid = GRIDS["oblique by 25 degrees"][0]
    expected = brain_probability(a_head(grid), grid, a_model())
    shifted = brain_probability(a_head(grid) - 1024.0, grid, a_model())
    np.testing.assert_allclose(shifted, expected, atol=0.02)


@pytest.mark.parametrize("codes", ["LPS", "ASR", "PIR", "SLA"])
def test_the_stored_orientation_changes_no_voxel(codes: str) -> None:
    there = nib.orientations.axcodes2ornt(codes)
    values = nib.orientations.apply_orientation(a_head(THIN), there)
    affine = THIN.affine @ nib.orientations.inv_ornt_aff(there, THIN.shape)
    turn = canonical_orientation(Grid(values.shape, affine))
    found = find_brain(turn.forward(values), turn.canonical, model=a_model()).mask
    expected = find_brain(a_head(THIN), THIN, model=a_model()).mask
    np.testing.assert_array_equal(found, expected)


def test_a_long_neck_is_left_out_and_not_the_vertex() -> None:
    grid = a_grid((-100, -120, -300), (100, 120, 110), (3.0, 3.0, 3.0))
    found = brain_probability(a_head(grid), grid, a_model())
    assert dice(found > 0.5, drawn_brain(grid)) > 0.98
    assert not found[:, :, : round(80 / 3)].any()


def test_a_head_in_the_middle_is_looked_at_once() -> None:
    network = BrightIsBrain()
    brain_probability(a_head(THIN), THIN, a_model(network))
    assert len(network.shown) == 1


def test_a_head_beside_the_middle_is_looked_at_again() -> None:
    grid = a_grid((-170, -120, -110), (170, 120, 110), (3.0, 3.0, 3.0))
    values = with_a_thing(a_head(grid, BESIDE), grid, (120, -50, -60), (165, 50, 60))
    network = BrightIsBrain()
    found = brain_probability(values, grid, a_model(network))
    assert len(network.shown) == 2
    assert dice(found > 0.5, drawn_brain(grid, BESIDE)) > 0.98


def test_a_head_below_a_cushion_is_looked_at_again() -> None:
    grid = a_grid((-100, -120, -200), (100, 120, 200), (3.0, 3.0, 3.0))
    values = with_a_thing(a_head(grid, BELOW), grid, (-60, -80, 110), (60, 80, 125))
    network = BrightIsBrain()
    found = brain_probability(values, grid, a_model(network))
    assert len(network.shown) == 2
    assert dice(found > 0.5, drawn_brain(grid, BELOW)) > 0.98


def boxed(shape: tuple[int, int, int], low: Vector, high: Vector) -> torch.Tensor:
    head = torch.zeros(shape)
    head[tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))] = 0.6
    return head


@pytest.mark.parametrize(
    ("shape", "low", "high", "corner"),
    [
        ((120, 130, 110), (20, 30, 25), (100, 110, 95), [12, 14, 12]),
        ((60, 70, 50), (10, 10, 5), (50, 60, 45), [-18, -21, -23]),
        ((96, 112, 200), (10, 10, 0), (80, 100, 180), [-3, -1, 180 + 6 - 96]),
        ((96, 112, 200), (10, 10, 60), (80, 100, 150), [-3, -1, 57]),
    ],
)
def test_the_canvas_begins_around_what_stands_out(
    shape: tuple[int, int, int], low: Vector, high: Vector, corner: list[int]
) -> None:
    assert head_corner(boxed(shape, low, high)) == corner


def test_crumbs_and_faint_noise_move_the_canvas_nowhere() -> None:
    head = boxed((120, 130, 110), (20, 30, 25), (100, 110, 95))
    expected = head_corner(head)
    head[0, 0, 0] = head[-3:, -3:, -3:] = 1.0
    assert head_corner(torch.where(head > 0, head, 0.14)) == expected


def test_where_nothing_stands_out_the_canvas_lies_in_the_middle() -> None:
    assert head_corner(torch.zeros(100, 100, 80)) == [2, -6, -8]


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        ((0, 0, 0), 0.0),
        ((25, 0, 0), 25.0),
        ((0, 0, -10), 10.0),
        ((0, 80, 0), 10.0),
        ((90, 0, 180), 0.0),
        ((45, 0, 0), 45.0),
    ],
)
def test_the_tilt_is_the_angle_to_the_nearest_axis(turn: Vector, expected: float) -> None:
    grid = a_grid(*FIELD, (0.9, 2.0, 8.0), turn)
    assert grid.tilt_degrees == pytest.approx(expected, abs=1e-5)


def test_the_tilt_is_that_of_the_worst_axis() -> None:
    grid = a_grid(*FIELD, (1.0, 1.0, 3.0), (12, 5, -8))
    angles = []
    for column in grid.affine[:3, :3].T:
        cosines = [abs(column @ axis) / np.linalg.norm(column) for axis in np.eye(3)]
        angles.append(np.degrees(np.arccos(max(cosines))))
    assert grid.tilt_degrees == pytest.approx(max(angles))


def test_a_given_mask_overrides_the_network() -> None:
    given = drawn_brain(THIN, (5, 5, 5))
    network = BrightIsBrain()
    found = find_brain(a_head(THIN), THIN, given=given, model=a_model(network))
    np.testing.assert_array_equal(found.mask, given)
    assert (found.source, found.warnings, len(network.shown)) == ("given mask", (), 0)


def test_a_given_mask_that_is_no_brain_is_refused() -> None:
    with pytest.raises(BrainError, match="expected a brain of 500 to 2200 ml"):
        find_brain(a_head(THIN), THIN, given=drawn_brain(THIN, size=0.5), model=a_model())


@pytest.mark.parametrize("background", [0.0, -1024.0, 60.0])
@pytest.mark.parametrize("with_network", [False, True])
def test_a_stripped_scan_is_its_own_brain(background: float, with_network: bool) -> None:
    brain = drawn_brain(THIN)
    values = np.where(brain, a_head(THIN), background).astype(np.float32)
    found = find_brain(values, THIN, model=a_model() if with_network else None)
    assert found.source == STRIPPED
    np.testing.assert_array_equal(found.mask, brain)


def test_a_head_in_a_background_of_zeros_is_not_taken_for_stripped() -> None:
    values = a_head(THIN)
    values[values < 10] = 0.0
    found = find_brain(values, THIN, model=a_model())
    assert found.source == "network bright 0.0.1, weights ffffffffffff"
    assert found.warnings == ()
    assert dice(found.mask, drawn_brain(THIN)) > 0.98


def test_a_whole_head_without_network_is_refused() -> None:
    with pytest.raises(BrainError, match="looks like a whole head"):
        find_brain(a_head(THIN), THIN)


def test_holes_belong_to_the_brain_and_other_bright_parts_do_not() -> None:
    values = a_head(THIN)
    values[ellipsoid(world_of(THIN), (15, 20, 12), (0, 0, 20))] = 100.0
    values[ellipsoid(world_of(THIN), (12, 12, 12), (0, 30, -95))] = BRAIN_LEVEL
    found = find_brain(values, THIN, model=a_model())
    assert dice(found.mask, drawn_brain(THIN)) > 0.98
    assert not found.mask[ellipsoid(world_of(THIN), (12, 12, 12), (0, 30, -95))].any()
    assert found.mask[ellipsoid(world_of(THIN), (12, 16, 9), (0, 0, 20))].all()


@pytest.mark.parametrize(
    ("network", "size", "message"),
    [
        (Constant(-40.0), 1.0, "at least 500 ml of brain, recognised 0 ml.*--brain-mask"),
        (None, 0.5, r"at least 500 ml of brain, recognised 1\d\d ml.*--brain-mask"),
        (Constant(0.4), 1.0, r"at least 0\.80 inside it, got 0\.60.*--brain-mask"),
        (Constant(9.0), 1.0, r"has [23]\d\d\d ml, expected at most 2200 ml.*orientation"),
    ],
    ids=["nothing", "too small", "not certain", "too large"],
)
def test_what_is_no_brain_is_refused(network: nn.Module | None, size: float, message: str) -> None:
    with pytest.raises(BrainError, match=message):
        find_brain(a_head(THIN, size=size), THIN, model=a_model(network))


def test_the_model_s_threshold_says_where_the_brain_ends() -> None:
    volumes = []
    for threshold in (0.02, 0.5, 0.98):
        found = find_brain(a_head(THIN), THIN, model=a_model(threshold=threshold))
        volumes.append(int(found.mask.sum()))
        expected = brain_probability(a_head(THIN), THIN, a_model()) > threshold
        np.testing.assert_array_equal(found.mask, largest_component(expected))
    assert volumes[0] > volumes[1] > volumes[2]


@pytest.mark.parametrize(
    ("bottom", "top", "ends"),
    [
        (-110, 110, None),
        (-110, 40, "cut off at the highest slice"),
        (-20, 110, "cut off at the lowest slice"),
        (-20, 50, "cut off at the lowest and the highest slice"),
    ],
)
@pytest.mark.parametrize("step", [2.5, 5.0])
def test_a_brain_that_the_scan_cuts_off_is_a_warning(
    bottom: float, top: float, ends: str | None, step: float
) -> None:
    grid = a_grid((-100, -120, bottom), (100, 120, top), (2.5, 2.5, step))
    found = find_brain(a_head(grid), grid, model=a_model())
    assert dice(found.mask, drawn_brain(grid)) > 0.96
    if ends is None:
        assert found.warnings == ()
    else:
        (warning,) = found.warnings
        assert f"{ends} of the scan" in warning
        assert "not examined" in warning


def test_a_scan_that_misses_the_outermost_rim_alone_is_no_warning() -> None:
    """The last slice lies 1.5 mm below the vertex and shows 9 square centimetres of brain."""
    grid = a_grid((-100, -120, -109.75), (100, 120, 72.75), (2.5, 2.5, 2.5))
    found = find_brain(a_head(grid), grid, model=a_model())
    assert found.mask[:, :, -1].any()
    assert found.warnings == ()
