"""The residual's location and scale: known steps, shrinkage, symmetries, and the old subject."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from counterpart.calibration.place import PLACE
from counterpart.calibration.residual_scale import (
    FLOOR_SHARE,
    SHRINKAGE_SUBJECTS,
    ResidualScale,
    ScaleSample,
    fit_residual_scale,
)
from counterpart.errors import ModelError
from counterpart.template import CANVAS

Array = NDArray[np.float32]
SHAPE = (32, 40, 32)
FRAME = np.array([[4.0, 0, 0, -62], [0, 4.0, 0, -94], [0, 0, 4.0, -58], [0, 0, 0, 1]])
INDEX = np.indices(SHAPE).astype(np.float64)
MIDDLE = (np.array(SHAPE) - 1) / 2


def an_ellipsoid(*half: float) -> NDArray[np.bool_]:
    away = (INDEX - MIDDLE[:, None, None, None]) / np.array(half)[:, None, None, None]
    return np.asarray((away**2).sum(axis=0) < 1)


BRAIN = an_ellipsoid(15, 19, 14)


def a_sample(
    residual: Array, reconstruction: Array, brain: NDArray[np.bool_] = BRAIN
) -> ScaleSample:
    return ScaleSample(residual.astype(np.float32), reconstruction.astype(np.float32), brain, FRAME)


def standardised(scale: ResidualScale, sample: ScaleSample) -> Array:
    return scale.standardised(
        sample.residual, sample.reconstruction, sample.brain, sample.template_from_frame
    )


def tissue(seed: int) -> Array:
    return np.random.default_rng(seed).standard_normal(SHAPE).astype(np.float32)


def noise(seed: int) -> Array:
    return np.random.default_rng(1000 + seed).standard_normal(SHAPE).astype(np.float32)


def shrunk(value: float, pooled: float, subjects: int) -> float:
    return (subjects * value + SHRINKAGE_SUBJECTS * pooled) / (subjects + SHRINKAGE_SUBJECTS)


def test_homogeneous_noise_comes_back_as_unit_noise() -> None:
    samples = [a_sample(0.3 + 0.2 * noise(seed), tissue(seed)) for seed in range(6)]
    scale = fit_residual_scale(samples)
    assert scale.subjects == 6
    assert scale.pooled_scale == pytest.approx(0.2, rel=0.01)
    np.testing.assert_allclose(scale.scale, 0.2, rtol=0.15)
    np.testing.assert_allclose(scale.location, 0.3, atol=0.05)
    np.testing.assert_allclose(scale.place_scale, 1.0, atol=0.05)
    z = standardised(scale, a_sample(0.3 + 0.2 * noise(99), tissue(99)))[BRAIN]
    assert z.mean() == pytest.approx(0.0, abs=0.03)
    assert z.std() == pytest.approx(1.0, abs=0.03)


def test_a_constant_field_has_the_pooled_scale() -> None:
    flat = np.full(SHAPE, 0.7)
    scale = fit_residual_scale([a_sample(0.2 * noise(seed), flat) for seed in range(3)])
    assert scale.scale.min() == pytest.approx(0.2, rel=0.06)
    assert scale.scale.max() == pytest.approx(0.2, rel=0.06)
    z = standardised(scale, a_sample(0.2 * noise(7), flat))[BRAIN]
    assert z.std() == pytest.approx(1.0, abs=0.03)


def test_outside_the_brain_it_is_zero_and_has_no_say() -> None:
    samples = [a_sample(0.2 * noise(seed), tissue(seed)) for seed in range(3)]
    loud = [
        a_sample(
            np.where(BRAIN, one.residual, 1e3),
            np.where(BRAIN, one.reconstruction, -1e3),
        )
        for one in samples
    ]
    quiet, other = fit_residual_scale(samples), fit_residual_scale(loud)
    z = standardised(quiet, samples[0])
    assert not z[~BRAIN].any()
    np.testing.assert_allclose(standardised(other, loud[0]), z, rtol=1e-4, atol=1e-4)


def test_a_known_step_by_intensity_is_recovered_up_to_shrinkage() -> None:
    subjects = 8
    samples = []
    for seed in range(subjects):
        dark = tissue(seed) < 0
        shown = np.where(dark, -2.0, 1.0) + 0.1 * tissue(seed + 50)
        samples.append(
            a_sample(np.where(dark, 0.5, 0.0) + np.where(dark, 0.4, 0.1) * noise(seed), shown)
        )
    scale = fit_residual_scale(samples)
    dark, bright = scale.intensity < -1.5, scale.intensity > 0.5
    pooled = float(np.mean([np.median(one.residual[BRAIN]) for one in samples]))
    full = scale.edge[None] * np.ones_like(scale.scale) < scale.edge[-2]  # bins with many voxels
    for part, location, width in ((dark, 0.5, 0.4), (bright, 0.0, 0.1)):
        cells = full & part[:, None]
        assert scale.location[cells].mean() == pytest.approx(
            shrunk(location, pooled, subjects), abs=0.03
        )
        away = np.abs(location + width * noise(3).ravel() - shrunk(location, pooled, subjects))
        expected = shrunk(float(away.mean()) / np.sqrt(2 / np.pi), scale.pooled_scale, subjects)
        assert scale.scale[cells].mean() == pytest.approx(expected, rel=0.06)


def test_a_known_step_by_edge_is_recovered() -> None:
    """Half of each head has steep stripes; which half it is changes from subject to subject."""
    stripes = np.where(INDEX[1] // 3 % 2 == 0, -1.0, 1.0)
    samples = []
    for seed in range(10):
        steep = (INDEX[0] < SHAPE[0] / 2) == (seed % 2 == 0)
        shown = np.where(steep, stripes, 0.05 * stripes) + 0.02 * tissue(seed)
        samples.append(a_sample(np.where(steep, 0.3, 0.1) * noise(seed), shown))
    scale = fit_residual_scale(samples)
    z = standardised(scale, samples[0])
    steep, flat = (INDEX[0] < SHAPE[0] / 2 - 1) & BRAIN, (INDEX[0] > SHAPE[0] / 2 + 1) & BRAIN
    assert z[steep].std() == pytest.approx(1.0, abs=0.25)
    assert z[flat].std() == pytest.approx(1.0, abs=0.3)
    np.testing.assert_allclose(scale.place_scale, scale.place_scale[::-1], rtol=1e-5)


def test_a_known_step_by_place_is_recovered_up_to_shrinkage() -> None:
    subjects = 12
    high = INDEX[2] > MIDDLE[2]
    samples = [
        a_sample(np.where(high, 0.3, 0.1) * noise(seed), tissue(seed)) for seed in range(subjects)
    ]
    scale = fit_residual_scale(samples)
    z = standardised(scale, samples[0])
    raw = np.where(high, 0.3, 0.1) / 0.2
    for part, factor in ((INDEX[2] > MIDDLE[2] + 5, 1.5), (INDEX[2] < MIDDLE[2] - 5, 0.5)):
        expected = factor / shrunk(factor, 1.0, subjects)
        assert z[BRAIN & part].std() == pytest.approx(expected, abs=0.1)
        assert raw[BRAIN & part].std() == pytest.approx(0.0, abs=1e-6)


def test_a_shift_by_place_is_taken_away() -> None:
    shift = np.where(INDEX[1] > MIDDLE[1], 0.2, -0.2)
    samples = [a_sample(shift + 0.2 * noise(seed), tissue(seed)) for seed in range(12)]
    z = standardised(fit_residual_scale(samples), samples[0])
    front = z[BRAIN & (INDEX[1] > MIDDLE[1] + 6)].mean()
    assert abs(front) < 0.4
    assert front == pytest.approx(-z[BRAIN & (INDEX[1] < MIDDLE[1] - 6)].mean(), abs=0.1)


def test_few_subjects_give_nearly_the_pooled_value() -> None:
    def step(count: int) -> float:
        samples = []
        for seed in range(count):
            dark = tissue(seed) < 0
            shown = np.where(dark, -2.0, 1.0) + 0.1 * tissue(seed + 50)
            samples.append(a_sample(np.where(dark, 0.4, 0.1) * noise(seed), shown))
        scale = fit_residual_scale(samples)
        return float(scale.scale[0].mean() / scale.scale[-1].mean())

    assert 1.0 < step(1) < 1.5 < step(4) < step(16) < 4.0


def test_what_no_subject_shows_has_the_pooled_value() -> None:
    small = an_ellipsoid(6, 6, 6)
    samples = [a_sample(0.2 * noise(seed), tissue(seed), small) for seed in range(3)]
    scale = fit_residual_scale(samples)
    assert scale.place_scale[0, 0, 0] == 1.0
    assert scale.place_location[0, 0, 0] == 0.0


def test_the_scale_never_falls_below_its_floor() -> None:
    calm = INDEX[2] > MIDDLE[2]
    samples = [
        a_sample(np.where(calm, 0.001, 0.4) * noise(seed), tissue(seed)) for seed in range(16)
    ]
    scale = fit_residual_scale(samples)
    least = FLOOR_SHARE * scale.pooled_scale
    one = a_sample(np.ones(SHAPE), tissue(3))
    other = a_sample(np.zeros(SHAPE), tissue(3))
    steps = standardised(scale, one)[BRAIN] - standardised(scale, other)[BRAIN]
    assert steps.max() == pytest.approx(1.0 / least, rel=1e-3)
    assert steps.min() < 0.6 / least


def test_the_opposite_residual_has_the_opposite_z() -> None:
    samples = [a_sample(0.1 + 0.2 * noise(seed), tissue(seed)) for seed in range(4)]
    turned = [replace(one, residual=-one.residual) for one in samples]
    z = standardised(fit_residual_scale(samples), samples[1])
    opposite = standardised(fit_residual_scale(turned), turned[1])
    np.testing.assert_allclose(opposite, -z, atol=1e-3)


def test_the_mirrored_head_has_the_mirrored_z() -> None:
    def mirrored(sample: ScaleSample) -> ScaleSample:
        return a_sample(sample.residual[::-1], sample.reconstruction[::-1], sample.brain[::-1])

    lopsided = BRAIN & ((INDEX[0] > 8) | (INDEX[2] > 20))
    samples = [a_sample(0.2 * noise(seed), tissue(seed), lopsided) for seed in range(4)]
    scale = fit_residual_scale(samples)
    other = fit_residual_scale([mirrored(one) for one in samples])
    np.testing.assert_allclose(other.place_scale, scale.place_scale, atol=1e-5)
    np.testing.assert_allclose(other.scale, scale.scale, rtol=1e-4)
    z = standardised(scale, samples[0])
    np.testing.assert_allclose(standardised(scale, mirrored(samples[0])), z[::-1], atol=1e-4)


@settings(max_examples=10, deadline=None)
@given(st.floats(0.01, 100.0))
def test_z_does_not_depend_on_the_unit_of_the_residual(unit: float) -> None:
    samples = [a_sample(0.2 * noise(seed), tissue(seed)) for seed in range(2)]
    larger = [replace(one, residual=one.residual * np.float32(unit)) for one in samples]
    z = standardised(fit_residual_scale(samples), samples[0])
    np.testing.assert_allclose(
        standardised(fit_residual_scale(larger), larger[0]), z, rtol=1e-3, atol=1e-3
    )


def test_one_head_with_a_lesion_hardly_changes_the_scale() -> None:
    samples = [a_sample(0.2 * noise(seed), tissue(seed)) for seed in range(10)]
    lesion = np.zeros(SHAPE, np.bool_)
    lesion[8:13, 15:20, 12:17] = True
    sick = replace(samples[4], residual=np.where(lesion, np.float32(2.0), samples[4].residual))
    scale = fit_residual_scale([*samples[:4], sick, *samples[5:]])
    z = standardised(scale, sick)
    assert z[lesion].mean() > 6.0
    assert z[BRAIN & ~lesion].std() == pytest.approx(1.0, abs=0.05)


def a_head_with_ventricles(half_width: float, seed: int) -> ScaleSample:
    """Ventricles of fluid; the reconstruction has their walls off by a small amount."""
    away = np.sqrt(
        sum(
            ((INDEX[axis] - MIDDLE[axis]) / half) ** 2
            for axis, half in enumerate((half_width, half_width + 3, half_width))
        )
    )
    fluid = 1.0 / (1.0 + np.exp((away - 1.0) * half_width / 0.6))
    shown = 0.8 - 3.0 * fluid + 0.05 * tissue(seed)
    wall = 3.0 * np.sqrt(sum(np.gradient(fluid, axis=axis) ** 2 for axis in range(3)))
    return a_sample(np.where(BRAIN, noise(seed) * (0.03 + 0.3 * wall), 0.0), shown)


def test_the_wide_ventricles_of_an_old_subject_are_not_extreme() -> None:
    young = [a_head_with_ventricles(4.0 + 0.1 * (seed % 4), seed) for seed in range(12)]
    old = a_head_with_ventricles(8.0, 77)
    stack = np.stack([one.residual for one in young])
    naive = (old.residual - stack.mean(axis=0))[BRAIN] / np.maximum(
        stack.std(axis=0)[BRAIN], 0.25 * stack[:, BRAIN].std()
    )
    z = standardised(fit_residual_scale(young), old)[BRAIN]
    healthy = standardised(fit_residual_scale(young[1:]), young[0])[BRAIN]
    assert (np.abs(naive) > 6).mean() > 0.01
    assert (np.abs(z) > 6).mean() < 1e-3
    assert np.quantile(np.abs(z), 0.999) < 1.5 * np.quantile(np.abs(healthy), 0.999)
    assert np.quantile(np.abs(z), 0.999) < 0.5 * np.quantile(np.abs(naive), 0.999)


def test_thick_slices_take_their_place_from_their_own_frame() -> None:
    """Slices of 8 mm: each second plane of the thin frame has nearly the thin frame's z."""
    thick = FRAME @ np.diag([1.0, 1.0, 2.0, 1.0])
    high = INDEX[2] > MIDDLE[2]
    samples = [
        a_sample(np.where(high, 0.3, 0.1) * noise(seed), 0.01 * tissue(seed)) for seed in range(8)
    ]
    scale = fit_residual_scale(samples)
    one = samples[0]
    z = scale.standardised(
        one.residual[..., ::2], one.reconstruction[..., ::2], BRAIN[..., ::2], thick
    )
    whole = standardised(scale, one)[..., ::2]
    inside = BRAIN[..., ::2] & (np.abs(whole) > 0.1)
    np.testing.assert_allclose(np.median(z[inside] / whole[inside]), 1.0, atol=0.05)


def test_the_canvas_is_the_frame_unless_another_is_given() -> None:
    rng = np.random.default_rng(0)
    brain = np.zeros(CANVAS.shape, np.bool_)
    brain[30:50, 30:60, 30:50] = True
    residual, shown = rng.standard_normal((2, *CANVAS.shape)).astype(np.float32)
    scale = fit_residual_scale([ScaleSample(residual, shown, brain)])
    np.testing.assert_array_equal(
        scale.standardised(residual, shown, brain),
        scale.standardised(residual, shown, brain, CANVAS.affine),
    )


@pytest.fixture(scope="module")
def a_scale() -> ResidualScale:
    return fit_residual_scale([a_sample(0.2 * noise(seed), tissue(seed)) for seed in range(3)])


def test_it_comes_back_from_arrays_as_it_was(a_scale: ResidualScale) -> None:
    again = ResidualScale.from_arrays(a_scale.to_arrays(), a_scale.to_json())
    sample = a_sample(0.2 * noise(9), tissue(9))
    np.testing.assert_array_equal(standardised(again, sample), standardised(a_scale, sample))
    assert sum(array.nbytes for array in a_scale.to_arrays().values()) < 100_000
    assert all(array.dtype == np.float32 for array in a_scale.to_arrays().values())


@pytest.mark.parametrize("name", ["intensity", "place_scale"])
def test_a_missing_array_is_named(a_scale: ResidualScale, name: str) -> None:
    arrays = a_scale.to_arrays()
    del arrays[name]
    with pytest.raises(ModelError, match=f"key '{name}'"):
        ResidualScale.from_arrays(arrays, a_scale.to_json())


def test_an_unknown_key_is_named(a_scale: ResidualScale) -> None:
    arrays = {**a_scale.to_arrays(), "colour": np.zeros(3, np.float32)}
    with pytest.raises(ModelError, match="key 'colour'"):
        ResidualScale.from_arrays(arrays, a_scale.to_json())
    with pytest.raises(ModelError, match="key 'taste'"):
        ResidualScale.from_arrays(a_scale.to_arrays(), {**a_scale.to_json(), "taste": 1.0})
    with pytest.raises(ModelError, match="wrong kind"):
        ResidualScale.from_arrays(
            a_scale.to_arrays(),
            {"pooled_scale": "wide", "subjects": 3},  # type: ignore[dict-item]
        )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"place_scale": np.ones((2, 2, 2), np.float32)}, "'place_scale' of shape"),
        ({"place_scale": np.zeros(PLACE.shape, np.float32)}, "must be positive"),
        ({"location": np.ones((3, 3), np.float32)}, "do not fit together"),
        ({"place_location": np.full(PLACE.shape, np.nan, np.float32)}, "is not finite"),
        ({"pooled_scale": float("inf")}, "must be positive"),
    ],
)
def test_damaged_values_are_refused(
    a_scale: ResidualScale, change: dict[str, Array | float], words: str
) -> None:
    with pytest.raises(ModelError, match=words):
        replace(a_scale, **change)  # type: ignore[arg-type]


def test_falling_centres_are_refused(a_scale: ResidualScale) -> None:
    with pytest.raises(ModelError, match="must rise"):
        replace(a_scale, intensity=a_scale.intensity[::-1])


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(ModelError, match="at least one healthy scan"):
        fit_residual_scale([])
    with pytest.raises(ModelError, match="pooled scale of 0"):
        fit_residual_scale([a_sample(np.zeros(SHAPE), tissue(0))])
    with pytest.raises(ModelError, match="one shape"):
        ScaleSample(noise(0), tissue(0)[1:], BRAIN, FRAME)
    with pytest.raises(ModelError, match="empty"):
        ScaleSample(noise(0), tissue(0), np.zeros(SHAPE, np.bool_), FRAME)
