"""The linear maps of the two domains: closed form, learned ones, and canonical correlation."""

import numpy as np
import pytest
from numpy.typing import NDArray

from counterpart.attribution.disentangling import LOG_DETERMINANT, LOSSES
from counterpart.attribution.domain_maps import (
    DomainMaps,
    LinearMap,
    MapTraining,
    centring,
    learned_maps,
    whitening,
)
from counterpart.errors import ModelError

Array = NDArray[np.float32]
BASIS = np.linalg.qr(np.random.default_rng(1).standard_normal((6, 6)))[0]


def two_domains(count: int, correlations: NDArray[np.float64], seed: int) -> tuple[Array, Array]:
    """Gaussian features that share a basis, whose coordinates correlate as given, pair by pair."""
    rng = np.random.default_rng(seed)
    first = rng.standard_normal((count, 6))
    second = correlations * first + np.sqrt(1.0 - correlations**2) * rng.standard_normal((count, 6))
    scales = np.array([3.0, 2.0, 1.5, 1.0, 0.7, 0.4])
    real = (scales * first) @ BASIS.T + 5.0
    generated = (scales[::-1] * second) @ BASIS.T - 2.0
    return real.astype(np.float32), generated.astype(np.float32)


def covariance_between(a: Array, b: Array) -> NDArray[np.float64]:
    return np.asarray((a - a.mean(0)).T.astype(float) @ (b - b.mean(0)).astype(float) / len(a))


def mapped(values: Array, by: LinearMap) -> Array:
    found: Array = (values - by.mean) @ by.matrix.T
    return found


def views(values: Array, noise: float, seed: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    first, second = (
        (values + noise * rng.standard_normal(values.shape)).astype(np.float32) for _ in range(2)
    )
    return first, second


def test_whitening_makes_white_and_is_symmetric() -> None:
    real, _ = two_domains(5000, np.zeros(6), 2)
    found = whitening(real, ridge=0.0)
    white = mapped(real, found)
    np.testing.assert_allclose(covariance_between(white, white), np.eye(6), atol=1e-3)
    np.testing.assert_allclose(found.matrix, found.matrix.T, atol=1e-5)


def test_a_ridge_keeps_weak_directions_small() -> None:
    real, _ = two_domains(5000, np.zeros(6), 3)
    weak = np.asarray(whitening(real, ridge=0.0).matrix, float)
    kept = np.asarray(whitening(real, ridge=1.0).matrix, float)
    assert np.linalg.norm(kept, 2) < 0.5 * np.linalg.norm(weak, 2)
    few = real[:3]  # fewer slices than numbers
    assert np.isfinite(whitening(few).matrix).all()
    with pytest.raises(ModelError, match="all the same"):
        whitening(np.ones((4, 6), np.float32))


def test_whitening_each_domain_reaches_the_canonical_correlations_without_pairs() -> None:
    """With a shared basis: the covariance of the whitened domains has their singular values."""
    correlations = np.array([0.95, 0.8, 0.6, 0.4, 0.2, 0.05])
    real, generated = two_domains(60_000, correlations, 4)
    maps = [whitening(values, ridge=0.0) for values in (real, generated)]
    between = covariance_between(
        *(mapped(v, m) for v, m in zip((real, generated), maps, strict=True))
    )
    canonical = np.linalg.svd(between, compute_uv=False)  # what canonical correlation reaches
    np.testing.assert_allclose(canonical, correlations, atol=0.02)
    turned = BASIS.T @ between @ BASIS
    np.testing.assert_allclose(np.diag(turned), correlations, atol=0.02)
    # What is matched is the trace; canonical correlation can reach no more than the nuclear norm.
    assert np.trace(between) == pytest.approx(canonical.sum(), abs=0.03)


def test_without_a_shared_basis_whitening_falls_short_of_canonical_correlation() -> None:
    correlations = np.array([0.95, 0.8, 0.6, 0.4, 0.2, 0.05])
    real, generated = two_domains(60_000, correlations, 5)
    other = np.linalg.qr(np.random.default_rng(6).standard_normal((6, 6)))[0]
    generated = (generated @ other.T).astype(np.float32)
    maps = [whitening(values, ridge=0.0) for values in (real, generated)]
    between = covariance_between(
        *(mapped(v, m) for v, m in zip((real, generated), maps, strict=True))
    )
    assert np.trace(between) < 0.7 * np.linalg.svd(between, compute_uv=False).sum()


def test_the_log_determinant_alone_learns_the_whitening() -> None:
    real, generated = two_domains(200, np.zeros(6), 7)
    training = MapTraining(weight=1e4, steps=500, batch=200, learning_rate=0.02)
    found = learned_maps((real, real), (generated, generated), training)
    for values, learned in ((real, found.real), (generated, found.generated)):
        expected = whitening(values, ridge=0.0).matrix
        expected = expected / np.linalg.norm(expected) * np.linalg.norm(learned.matrix)
        np.testing.assert_allclose(learned.matrix, expected, atol=0.06)


@pytest.mark.parametrize("loss", list(LOSSES))
def test_learned_maps_find_the_pairs_that_raw_features_do_not(loss: str) -> None:
    """Strong directions that views do not share hide the weak ones by which slices are known."""
    rng = np.random.default_rng(8)
    basis = np.linalg.qr(rng.standard_normal((24, 24)))[0]
    weak = np.arange(24) < 12
    identity = rng.standard_normal((150, 24)) * weak

    def seen(seed: int) -> Array:
        noise = np.random.default_rng(seed).standard_normal((150, 24)) * np.where(weak, 0.3, 4.0)
        return np.asarray((identity + noise) @ basis.T, np.float32)

    def recall(by: LinearMap) -> float:
        similar = by(seen(1)) @ by(seen(2)).T
        return float((similar.argmax(axis=1) == np.arange(150)).mean())

    training = MapTraining(disentangling=loss, weight=0.2, steps=150, batch=150)
    found = learned_maps((seen(3), seen(4)), (seen(5), seen(6)), training)
    raw = recall(centring(seen(1)))
    assert raw < 0.2
    assert recall(found.real) > raw + 0.3


def test_learning_is_repeatable_and_begins_at_the_identity() -> None:
    real, generated = two_domains(60, np.zeros(6), 9)
    training = MapTraining(steps=5, batch=32)
    both = [learned_maps(views(real, 0.3, 1), views(generated, 0.3, 2), training) for _ in range(2)]
    np.testing.assert_array_equal(both[0].real.matrix, both[1].real.matrix)
    still = learned_maps(
        views(real, 0.3, 1), views(generated, 0.3, 2), MapTraining(steps=1, learning_rate=1e-9)
    )
    np.testing.assert_allclose(still.real.matrix, np.eye(6), atol=1e-4)
    np.testing.assert_allclose(
        still.real.mean, np.concatenate(views(real, 0.3, 1)).mean(0), atol=1e-5
    )


def test_slices_that_are_not_there_stay_zeros() -> None:
    by = LinearMap(np.ones(2, np.float32), np.eye(2, dtype=np.float32))
    found = by(np.array([[0.0, 0.0], [4.0, 5.0]], np.float32))
    np.testing.assert_array_equal(found[0], [0.0, 0.0])
    np.testing.assert_allclose(found[1], [0.6, 0.8], atol=1e-6)


def test_maps_survive_being_stored() -> None:
    real, generated = two_domains(100, np.zeros(6), 10)
    maps = DomainMaps(whitening(real), centring(generated))
    again = DomainMaps.from_arrays(maps.to_arrays())
    np.testing.assert_array_equal(again.real(real), maps.real(real))
    np.testing.assert_array_equal(again.generated(generated), maps.generated(generated))
    arrays = maps.to_arrays()
    del arrays["generated.matrix"]
    with pytest.raises(ModelError, match="lack 'generated.matrix'"):
        DomainMaps.from_arrays(arrays)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"disentangling": "ica"}, "expected a loss of"),
        ({"steps": 0}, "steps"),
        ({"batch": 1}, "batches of two"),
        ({"weight": -1.0}, "no negative weight"),
    ],
)
def test_wrong_settings_are_named(wrong: dict[str, object], words: str) -> None:
    good = MapTraining().to_json()
    assert good["disentangling"] == LOG_DETERMINANT
    with pytest.raises(ModelError, match=words):
        MapTraining.from_json({**good, **wrong})


def test_views_and_maps_that_do_not_fit_are_refused() -> None:
    values = np.zeros((4, 3), np.float32)
    with pytest.raises(ModelError, match="two views"):
        learned_maps((values, values[:3]), (values, values), MapTraining(steps=1))
    with pytest.raises(ModelError, match=r"expected a mean \(D,\)"):
        LinearMap(np.zeros(3, np.float32), np.eye(2, dtype=np.float32))
    with pytest.raises(ModelError, match="not finite"):
        LinearMap(np.array([np.nan, 0.0], np.float32), np.eye(2, dtype=np.float32))
