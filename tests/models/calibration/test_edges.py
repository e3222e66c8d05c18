"""Edge strength: closed forms on ramps and steps, upright, tilted and with thick slices."""

import numpy as np
import pytest
from numpy.typing import NDArray

from counterpart.calibration.edges import edge_strength

SHAPE = (20, 22, 16)
UPRIGHT = np.diag([2.0, 2.0, 2.0, 1.0])


def a_brain() -> NDArray[np.bool_]:
    index = np.indices(SHAPE).reshape(3, -1).T - (np.array(SHAPE) - 1) / 2
    return np.asarray(((index / (9, 10, 7)) ** 2).sum(axis=1) < 1).reshape(SHAPE)


def a_tilted_frame() -> NDArray[np.float64]:
    """Thick slices whose planes are not those of the template."""
    matrix = np.array([[2.0, 0, 0, 5], [0, 2.0, 0, -3], [0.3, -0.2, 5.0, 1], [0, 0, 0, 1]])
    return matrix


@pytest.mark.parametrize("matrix", [UPRIGHT, a_tilted_frame()])
def test_a_ramp_in_template_space_has_its_slope(matrix: NDArray[np.float64]) -> None:
    slope = np.array([0.03, -0.04, 0.12])
    points = np.indices(SHAPE).reshape(3, -1).T @ matrix[:3, :3].T
    ramp = (points @ slope).reshape(SHAPE).astype(np.float32)
    brain = np.ones(SHAPE, np.bool_)
    core = (slice(3, -3),) * 3  # the smoothing is one-sided at the rim
    np.testing.assert_allclose(edge_strength(ramp, brain, matrix)[core], 0.13, rtol=1e-3)


def test_the_rim_of_the_brain_is_no_edge() -> None:
    brain = a_brain()
    shown = np.where(brain, 3.0, 0.0).astype(np.float32)
    assert edge_strength(shown, brain, UPRIGHT).max() < 1e-4
    shown[~brain] = 50.0 * np.random.default_rng(0).random(int((~brain).sum()))
    assert edge_strength(shown, brain, UPRIGHT).max() < 1e-4


def test_a_step_is_an_edge_where_it_lies() -> None:
    brain = a_brain()
    shown = np.where(np.indices(SHAPE)[0] < 10, -1.0, 1.0).astype(np.float32)
    edge = edge_strength(shown, brain, UPRIGHT)
    assert edge[9:11][brain[9:11]].min() > 0.3
    assert edge[:6].max() < 1e-4
    assert edge[14:].max() < 1e-4
    assert not edge[~brain].any()


def test_sign_and_level_do_not_matter() -> None:
    brain = a_brain()
    shown = np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)
    edge = edge_strength(shown, brain, UPRIGHT)
    np.testing.assert_allclose(edge_strength(-shown, brain, UPRIGHT), edge, atol=1e-5)
    np.testing.assert_allclose(edge_strength(shown + 5, brain, UPRIGHT), edge, atol=1e-4)


def test_a_brain_that_fills_the_array_has_edges_too() -> None:
    shown = np.broadcast_to(0.1 * np.arange(SHAPE[0])[:, None, None], SHAPE).astype(np.float32)
    edge = edge_strength(shown, np.ones(SHAPE, np.bool_), UPRIGHT)
    np.testing.assert_allclose(edge[3:-3], 0.05, rtol=1e-3)
    np.testing.assert_allclose(edge[[0, -1]], 0.025, rtol=0.1)  # one neighbour and a mean
