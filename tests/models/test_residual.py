"""Residual, anomaly map, gate and texture: closed forms, symmetries, and slices kept apart."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from counterpart.errors import ModelError
from counterpart.residual import (
    AnomalyConfig,
    anomaly_map,
    healing_gate,
    residual_map,
    smoothed_residual,
    tissue_texture,
)

Array = NDArray[np.float32]
SHAPE = (17, 19, 9)
EVERYWHERE = np.ones(SHAPE, bool)


def random_maps(seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    return (
        rng.standard_normal(SHAPE).astype(np.float32),
        rng.random(SHAPE).astype(np.float32),
    )


def constant(value: float) -> Array:
    return np.full(SHAPE, value, np.float32)


def disc(radius: float) -> NDArray[np.bool_]:
    i, j, _ = np.indices(SHAPE)
    inside: NDArray[np.bool_] = (i - 8) ** 2 + (j - 9) ** 2 <= radius**2
    return inside


def slow_median(values: Array, across: int) -> Array:
    """Median over 3 x 3 x across voxels, the edge voxels repeated."""
    pad = ((1, 1), (1, 1), (across // 2, across // 2))
    padded = np.pad(values, pad, mode="edge")
    result = np.empty_like(values)
    for i, j, k in itertools.product(*map(range, values.shape)):
        result[i, j, k] = np.median(padded[i : i + 3, j : j + 3, k : k + across])
    return result


def test_the_residual_is_signed_and_only_in_the_brain() -> None:
    scan, answer = constant(1.5), constant(2.0)
    brain = disc(5)
    residual = residual_map(scan, answer, brain)
    np.testing.assert_array_equal(residual[brain], -0.5)
    assert not residual[~brain].any()
    np.testing.assert_array_equal(residual_map(answer, scan, brain), -residual)


@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize(("of_residual", "of_departure"), [(1, 1), (0.5, 2), (1, 0), (0, 1)])
def test_constant_maps_give_the_formula(
    sign: float, of_residual: float, of_departure: float
) -> None:
    config = AnomalyConfig(3, departure_power=of_departure, residual_power=of_residual)
    found = anomaly_map(constant(2 * sign), constant(0.3), EVERYWHERE, config, thick=False)
    expected = sign * 2.0**of_residual * 0.3**of_departure
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize(("thick", "across"), [(False, 3), (True, 1)])
def test_it_is_the_product_of_the_medians(thick: bool, across: int) -> None:
    residual, departure = random_maps()
    found = anomaly_map(residual, departure, EVERYWHERE, AnomalyConfig(), thick=thick)
    expected = slow_median(residual, across) * slow_median(departure, across)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_brighter_and_a_darker_scan_are_treated_alike() -> None:
    residual, departure = random_maps()
    config = AnomalyConfig(residual_power=0.5)
    bright = anomaly_map(residual, departure, EVERYWHERE, config, thick=False)
    dark = anomaly_map(-residual, departure, EVERYWHERE, config, thick=False)
    np.testing.assert_array_equal(bright, -dark)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_mirrored_scan_gives_the_mirrored_map(axis: int) -> None:
    residual, departure = random_maps()
    there = anomaly_map(residual, departure, disc(6), AnomalyConfig(), thick=False)
    mirrored = anomaly_map(
        np.flip(residual, axis),
        np.flip(departure, axis),
        np.flip(disc(6), axis),
        AnomalyConfig(),
        thick=False,
    )
    np.testing.assert_array_equal(np.flip(mirrored, axis), there)


@pytest.mark.parametrize("thick", [False, True])
def test_a_single_voxel_is_no_anomaly(thick: bool) -> None:
    residual = constant(0)
    residual[8, 9, 4] = 50.0
    assert not anomaly_map(residual, constant(1), EVERYWHERE, AnomalyConfig(), thick=thick).any()


def test_thick_slices_are_not_mixed() -> None:
    residual = constant(0)
    residual[:, :, 4] = 3.0
    thick = anomaly_map(residual, constant(1), EVERYWHERE, AnomalyConfig(), thick=True)
    np.testing.assert_array_equal(thick, residual)
    assert not anomaly_map(residual, constant(1), EVERYWHERE, AnomalyConfig(), thick=False).any()


def test_the_map_is_nought_outside_the_brain() -> None:
    found = anomaly_map(constant(2), constant(1), disc(5), AnomalyConfig(), thick=False)
    assert not found[~disc(5)].any()
    assert found.dtype == np.float32


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"median_voxels": 2}, "2"),
        ({"median_voxels": -1}, "-1"),
        ({"erosion_voxels": -1}, "got -1 voxels"),
        ({"smoothing_mm": -1.5}, "0 mm or more, got -1.5"),
        ({"departure_power": -0.5}, "negative"),
        ({"residual_power": -0.5}, "negative"),
        ({"departure_power": 0.0, "residual_power": 0.0}, "must be positive"),
    ],
)
def test_an_impossible_setting_is_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        AnomalyConfig(**values)  # type: ignore[arg-type]


def test_settings_survive_json_and_an_unknown_one_is_named() -> None:
    config = AnomalyConfig(5, 0.5, 2.0, size_first=True, erosion_voxels=3, smoothing_mm=1.5)
    assert AnomalyConfig.from_json(config.to_json()) == config
    with pytest.raises(ModelError, match="'sharpening_mm'"):
        AnomalyConfig.from_json({"sharpening_mm": 3})


@pytest.mark.parametrize("thick", [False, True])
def test_a_smoothed_map_is_the_weaker_of_two_means_under_a_gaussian(thick: bool) -> None:
    residual, departure = random_maps(4)
    inside = disc(6.0)
    plain = AnomalyConfig()
    rough = anomaly_map(residual, departure, inside, plain, thick=thick)
    wide = replace(plain, smoothing_mm=3.0)
    smooth = anomaly_map(residual, departure, inside, wide, thick=thick)
    at = (12, 9, 4)  # near the brain's border
    i, j, k = np.indices(SHAPE)
    squared = (i - at[0]) ** 2 + (j - at[1]) ** 2 + (k - at[2]) ** 2
    means = []
    for voxels in (1.5, 0.75):  # 3 mm, and half of it
        weight = np.exp(-0.5 * squared / voxels**2) * inside * ((k == at[2]) if thick else 1)
        means.append(float((weight * rough).sum() / weight.sum()))
    weaker = min(means, key=abs) if means[0] * means[1] > 0 else 0.0
    assert smooth[at] == pytest.approx(weaker, abs=2e-2)
    assert not smooth[~inside].any()
    assert np.abs(smooth).max() < 0.8 * np.abs(rough).max()


def test_smoothing_keeps_a_wide_lesion_and_lets_signs_cancel() -> None:
    wide = AnomalyConfig(median_voxels=1, smoothing_mm=3.0, departure_power=0.0)
    level = anomaly_map(constant(-2.0), constant(1.0), disc(7.0), wide, thick=False)
    np.testing.assert_allclose(level[disc(7.0)], -2.0, atol=1e-4)
    i, j, k = np.indices(SHAPE)
    board = np.where((i + j + k) % 2, 2.0, -2.0).astype(np.float32)
    found = anomaly_map(board, constant(1.0), EVERYWHERE, wide, thick=False)
    assert np.abs(found[4:-4, 4:-4, 3:-3]).max() < 0.05


def test_a_strong_lesion_is_not_outlined_much_wider_than_it_is() -> None:
    """Smoothed by 3 mm alone, a hundredfold of the threshold is above it 5 mm away."""
    smooth = AnomalyConfig(median_voxels=1, smoothing_mm=3.0, departure_power=0.0)
    lesion = np.zeros(SHAPE, np.float32)
    lesion[:10] = 100.0
    found = anomaly_map(lesion, constant(1.0), EVERYWHERE, smooth, thick=False)
    beyond = found[10:, 9, 4]  # 1, 3, 5 mm from the border, and so on
    alone = ndimage.gaussian_filter(lesion, 1.5)[10:, 9, 4]
    assert alone[2] > 4.0
    assert (beyond[2:] < 1.0).all()
    assert found[9, 9, 4] > 30.0


@pytest.mark.parametrize(("thick", "across"), [(False, 3), (True, 1)])
def test_the_smoothed_residual_is_the_signed_median_in_the_brain(thick: bool, across: int) -> None:
    residual, _ = random_maps()
    found = smoothed_residual(residual, disc(5), AnomalyConfig(), thick=thick)
    expected = np.where(disc(5), slow_median(residual, across), 0.0)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.dtype == np.float32


@pytest.mark.parametrize(("thick", "across"), [(False, 3), (True, 1)])
def test_size_first_takes_the_median_of_the_size_and_keeps_the_sign(
    thick: bool, across: int
) -> None:
    residual, _ = random_maps()
    found = smoothed_residual(residual, EVERYWHERE, AnomalyConfig(size_first=True), thick=thick)
    expected = np.sign(slow_median(residual, across)) * slow_median(np.abs(residual), across)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    plain = smoothed_residual(residual, EVERYWHERE, AnomalyConfig(), thick=thick)
    assert (np.abs(found) - np.abs(plain)).min() > -1e-6


def test_one_voxel_of_median_leaves_the_residual_as_it_is() -> None:
    residual, _ = random_maps()
    found = smoothed_residual(residual, EVERYWHERE, AnomalyConfig(1), thick=False)
    np.testing.assert_array_equal(found, residual)


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_strength_is_what_goes_beyond_health_in_the_direction_of_the_residual(
    power: float,
) -> None:
    """``sign(r) * max(sign(r) * z, 0) ** a``, voxel by voxel."""
    residual, _ = random_maps()
    config = AnomalyConfig(1, departure_power=0.0, residual_power=power)

    def standardise(values: Array) -> Array:
        return (1.7 * values + 0.6).astype(np.float32)

    found = anomaly_map(
        residual, constant(0.3), EVERYWHERE, config, thick=False, standardise=standardise
    )
    opposed = 0
    for place in np.ndindex(SHAPE):
        r = float(residual[place])
        z = 1.7 * r + 0.6
        sign = 1.0 if r > 0 else -1.0
        opposed += sign * z < 0
        assert found[place] == pytest.approx(sign * max(sign * z, 0.0) ** power, abs=1e-5)
    assert opposed > 50


def test_what_is_standardised_is_the_smoothed_residual() -> None:
    residual, departure = random_maps()
    given: list[Array] = []

    def standardise(values: Array) -> Array:
        given.append(values)
        return values / 2

    found = anomaly_map(
        residual, departure, disc(6), AnomalyConfig(), thick=False, standardise=standardise
    )
    smooth = smoothed_residual(residual, disc(6), AnomalyConfig(), thick=False)
    np.testing.assert_array_equal(given, [smooth])
    plain = anomaly_map(residual, departure, disc(6), AnomalyConfig(), thick=False)
    np.testing.assert_allclose(found, plain / 2, atol=1e-6)


@pytest.mark.parametrize("thick", [False, True])
@pytest.mark.parametrize("voxels", [1, 3])
def test_the_rim_of_the_brain_is_left_out(voxels: int, thick: bool) -> None:
    brain = disc(7)
    config = AnomalyConfig(1, 0.0, 1.0, erosion_voxels=voxels)
    found = anomaly_map(constant(2), constant(1), brain, config, thick=thick)
    centre = np.argwhere(brain)
    kept = np.zeros(SHAPE, bool)
    for i, j, k in centre:
        steps = [
            (a, b, c)
            for a in range(-voxels, voxels + 1)
            for b in range(-voxels, voxels + 1)
            for c in ((0,) if thick else range(-voxels, voxels + 1))
            if abs(a) + abs(b) + abs(c) <= voxels
        ]
        kept[i, j, k] = all(
            0 <= k + c < SHAPE[2] and bool(brain[i + a, j + b, k + c]) for a, b, c in steps
        )
    np.testing.assert_array_equal(found, np.where(kept, 2.0, 0.0))
    assert kept.any()


@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize(
    ("strength", "share"), [(0.0, 0.0), (0.5, 0.0), (0.75, 0.5), (1.0, 1.0), (9.0, 1.0)]
)
@pytest.mark.parametrize("thick", [False, True])
def test_the_gate_opens_from_half_the_threshold_to_the_threshold(
    strength: float, share: float, sign: float, thick: bool
) -> None:
    gate = healing_gate(constant(sign * strength * 0.8), 0.8, thick=thick)
    np.testing.assert_allclose(gate, share, atol=1e-5)


@pytest.mark.parametrize("thick", [False, True])
def test_a_stronger_anomaly_never_closes_the_gate(thick: bool) -> None:
    weak, more = random_maps()
    weak = 0.6 * np.abs(weak)
    low = healing_gate(weak, 1.0, thick=thick)
    high = healing_gate(weak + 0.3 * more, 1.0, thick=thick)
    lower_bar = healing_gate(weak, 0.7, thick=thick)
    assert (high - low).min() > -1e-6
    assert (lower_bar - low).min() > -1e-6
    assert (high - low).max() > 0.1
    assert (lower_bar - low).max() > 0.1


@pytest.mark.parametrize("thick", [False, True])
def test_a_flagged_disc_is_repainted_without_holes_and_over_its_border(thick: bool) -> None:
    anomaly = np.where(disc(5) & ~disc(1.5), 1.0, 0.0).astype(np.float32)
    gate = healing_gate(anomaly, 1.0, thick=thick)
    np.testing.assert_allclose(gate[disc(4)], 1.0, atol=1e-5)
    assert gate[disc(5)].min() > 0.8
    assert not gate[~disc(8.1)].any()


def test_the_gate_of_a_thick_slice_leaves_its_neighbours_alone() -> None:
    anomaly = constant(0)
    anomaly[:, :, 4] = 2.0
    gate = healing_gate(anomaly, 1.0, thick=True)
    np.testing.assert_allclose(gate[:, :, 4], 1.0, atol=1e-6)
    assert not np.delete(gate, 4, axis=2).any()


def test_texture_spreads_like_the_detail_outside_the_gate() -> None:
    residual, _ = random_maps()
    gate = np.where(disc(4), 1.0, 0.0).astype(np.float32)
    brain = disc(8)
    flagged = np.where(disc(4), residual * 100, residual).astype(np.float32)
    texture = tissue_texture(flagged, gate, brain, np.random.default_rng(1))
    detail = flagged - slow_median(flagged, 1)
    robust = 1.4826 * np.median(np.abs(detail[brain & ~disc(4)]))
    assert texture.std() == pytest.approx(robust, rel=1e-5)


def test_texture_is_fine_and_differs_from_slice_to_slice() -> None:
    residual, _ = random_maps()
    texture = tissue_texture(residual, constant(0), EVERYWHERE, np.random.default_rng(1))
    beside = np.corrcoef(texture[1:].ravel(), texture[:-1].ravel())[0, 1]
    two_away = np.corrcoef(texture[2:].ravel(), texture[:-2].ravel())[0, 1]
    across = np.corrcoef(texture[..., 1:].ravel(), texture[..., :-1].ravel())[0, 1]
    assert 0.2 < beside < 0.6
    assert abs(two_away) < 0.15
    assert abs(across) < 0.1


def test_a_smooth_scan_gets_no_texture_and_a_grainier_one_more() -> None:
    residual, _ = random_maps()
    rough = [
        tissue_texture(values, constant(0), EVERYWHERE, np.random.default_rng(1))
        for values in (constant(0.7), residual, 2 * residual)
    ]
    assert not rough[0].any()
    np.testing.assert_allclose(rough[2], 2 * rough[1], rtol=1e-5)


def test_without_healthy_tissue_there_is_no_texture() -> None:
    residual, _ = random_maps()
    assert not tissue_texture(residual, constant(1), EVERYWHERE, np.random.default_rng(1)).any()


def test_texture_follows_its_generator() -> None:
    residual, _ = random_maps()
    first, again, other = (
        tissue_texture(residual, constant(0), EVERYWHERE, np.random.default_rng(seed))
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.99
