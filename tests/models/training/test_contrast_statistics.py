"""The statistics against closed forms: shifts, Gaussians, ramps, noise of known correlation."""

import numpy as np
import pytest
from scipy import ndimage, stats

from counterpart.training.contrast_statistics import (
    EDGES,
    correlation_at,
    distance_profile,
    fine_detail,
    histogram,
    location_and_spread,
    mean_and_band,
    own_ventricles,
    wasserstein,
)

SHAPE = (4, 40, 48)


def noise(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def everywhere(shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.ones(shape, np.bool_)


def test_histogram_is_a_density_that_follows_the_normal_curve() -> None:
    density = histogram(noise(shape=(400_000,)))
    widths = np.diff(EDGES)
    assert float((density * widths).sum()) == pytest.approx(1.0)
    exact = np.diff(stats.norm.cdf(EDGES)) / widths
    assert np.abs(density - exact).max() < 0.01


def test_values_beyond_the_edges_are_counted_in_the_end_bins() -> None:
    density = histogram(np.array([-100.0] * 30 + [100.0] * 70, np.float32))
    assert density[0] * (EDGES[1] - EDGES[0]) == pytest.approx(0.3)
    assert density[-1] * (EDGES[1] - EDGES[0]) == pytest.approx(0.7)


@pytest.mark.parametrize("shift", [-1.3, 0.0, 0.1, 2.0])
def test_distance_of_a_shifted_histogram_is_the_shift(shift: float) -> None:
    # Bin middles, so that a shift by whole bins stays one.
    values = np.round(noise(shape=(5000,)), 1) + np.float32(0.05)
    moved = (values + shift).astype(np.float32)
    assert wasserstein(histogram(values), histogram(moved)) == pytest.approx(abs(shift), abs=1e-6)


def test_distance_agrees_with_scipy_and_is_symmetric() -> None:
    one, other = noise(1, (3000,)), 0.5 * noise(2, (2000,)) + np.float32(0.7)
    found = wasserstein(histogram(one), histogram(other))
    assert found == pytest.approx(stats.wasserstein_distance(one, other), abs=0.01)
    assert found == pytest.approx(wasserstein(histogram(other), histogram(one)))


def test_location_and_spread_of_a_normal_sample_heed_no_outliers() -> None:
    values = 3.0 + 0.5 * noise(shape=(100_000,))
    values[:1000] = 1e6
    location, spread = location_and_spread(values)
    assert location == pytest.approx(3.0, abs=0.02)
    assert spread == pytest.approx(0.5, abs=0.02)


def test_too_few_values_have_no_figures() -> None:
    few = np.zeros(49, np.float32)
    assert np.isnan(histogram(few)).all()
    assert np.isnan(location_and_spread(few)).all()
    assert np.isnan(distance_profile(few[None, None], few[None, None], few[None, None] == 0)).all()


def test_profile_of_a_field_that_grows_with_distance_is_its_mean_over_each_ring() -> None:
    distance = np.broadcast_to(np.linspace(0.0, 24.0, 4801, dtype=np.float32), (2, 60, 4801))
    values = (0.25 * distance + 1.0).astype(np.float32)
    values[:, :30] = 1e6
    inside = everywhere(values.shape)
    inside[:, :30] = False
    found = distance_profile(values, distance, inside)
    assert found == pytest.approx(0.25 * np.arange(1.0, 20.0, 2.0) + 1.0, abs=1e-3)


def test_the_ventricles_themselves_are_in_no_ring() -> None:
    distance = np.zeros((1, 10, 20), np.float32)
    distance[:, :, 10:] = 2.0
    values = np.where(distance > 0, np.float32(1.0), np.float32(-9.0))
    assert distance_profile(values, distance, distance >= 0)[0] == pytest.approx(1.0)


def test_a_constant_has_no_fine_detail_wherever_it_ends() -> None:
    inside = noise() > 0
    detail = fine_detail(np.full(SHAPE, 7.0, np.float32), inside)
    assert np.abs(detail).max() < 1e-4


def test_what_is_outside_has_no_say_in_the_detail() -> None:
    values, inside = noise(), everywhere()
    inside[:, 10:20, 10:20] = False
    other = np.where(inside, values, np.float32(1e4))
    assert np.array_equal(fine_detail(values, inside), fine_detail(other, inside))


def test_detail_of_white_noise_is_the_noise_less_its_smoothed_part() -> None:
    detail = fine_detail(noise(shape=(2, 300, 300)), everywhere((2, 300, 300)))
    inner = detail[:, 20:-20, 20:-20]
    # Gaussian kernel g of width s in the plane: variance 1 - 2 g(0) + sum g².
    width = 3.0
    left = 1.0 - 2.0 / (2 * np.pi * width**2) + 1.0 / (4 * np.pi * width**2)
    assert float(inner.var()) == pytest.approx(left, rel=0.01)


def test_white_noise_has_no_correlation_and_a_moving_mean_of_two_has_a_half() -> None:
    shape = (3, 200, 200)
    white = noise(shape=shape)
    for lag in (2.0, 4.0, 8.0):
        assert correlation_at(white, everywhere(shape), lag) == pytest.approx(0.0, abs=0.01)
    both = (white + np.roll(white, 1, axis=1))[:, 1:]
    both = (both + np.roll(both, 1, axis=2))[:, :, 1:]
    assert correlation_at(both, everywhere(both.shape), 2.0) == pytest.approx(0.5, abs=0.01)
    assert correlation_at(both, everywhere(both.shape), 4.0) == pytest.approx(0.0, abs=0.02)


def test_correlation_of_a_wave_is_its_cosine() -> None:
    wave = np.cos(2 * np.pi * np.arange(80) / 8.0).astype(np.float32)
    field = np.broadcast_to(wave, (2, 80, 80))
    # Constant along rows (1), a wave of 16 mm along columns.
    for lag, cosine in ((2.0, np.sqrt(0.5)), (4.0, 0.0), (8.0, -1.0)):
        found = correlation_at(field, everywhere(field.shape), lag)
        assert found == pytest.approx((1.0 + cosine) / 2.0, abs=0.03)


def test_pairs_with_a_voxel_outside_do_not_count() -> None:
    values, inside = noise(), everywhere()
    inside[:, ::7] = False
    other = np.where(inside, values, np.float32(50.0))
    assert correlation_at(other, inside, 2.0) == correlation_at(values, inside, 2.0)


def test_own_ventricles_are_the_fluid_that_meets_where_fluid_is_expected() -> None:
    shape = (12, 40, 40)
    values = np.ones(shape, np.float32)
    values[3:9, 10:30, 18:26] = -3.0  # ventricles, wider than expected
    values[3:9, 10:30, 36:40] = -3.0  # a sulcus
    fluid = np.zeros(shape, np.bool_)
    fluid[4:8, 12:28, 20:24] = True
    found = own_ventricles(values, everywhere(shape), fluid, values > 0, everywhere(shape))
    wanted = np.zeros(shape, np.bool_)
    wanted[3:9, 10:30, 18:26] = True
    assert np.array_equal(found, wanted)
    near = ndimage.binary_dilation(fluid)
    clipped = own_ventricles(values, everywhere(shape), fluid, values > 0, near)
    assert np.array_equal(clipped, wanted & near)


def test_bright_fluid_is_found_as_well_and_none_where_none_is_expected() -> None:
    shape = (12, 40, 40)
    values = np.zeros(shape, np.float32)
    values[3:9, 10:30, 18:26] = 5.0
    fluid = values > 4.0
    assert np.array_equal(
        own_ventricles(values, everywhere(shape), fluid, ~fluid, everywhere(shape)), fluid
    )
    nowhere = np.zeros(shape, np.bool_)
    assert not own_ventricles(values, everywhere(shape), nowhere, ~fluid, ~nowhere).any()


def test_mean_and_band_leave_out_what_is_unknown() -> None:
    stack = np.array([[1.0, np.nan, 2.0], [3.0, np.nan, np.nan]])
    mean, low, high = mean_and_band(stack)
    assert mean[0] == 2.0
    assert (low[0], high[0]) == pytest.approx((1.1, 2.9))
    assert (mean[2], low[2], high[2]) == (2.0, 2.0, 2.0)
    assert np.isnan([mean[1], low[1], high[1]]).all()
