import numpy as np
import pytest
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from HealthyCounterpartLib.overlay import Overlay
from HealthyCounterpartLib.scene.map_colours import colour_table, window_of

LIMITS = [(12.9, 193.5), (12.9, 50.0), (1.0, 10.0), (0.3, 0.4), (2.0, 8.947), (5.0, 5.1)]


def shown(values: np.ndarray, overlay: Overlay) -> np.ndarray:
    """(N, 4) colours as VTK's filter, which the slice views use, steps through the window."""
    image = vtk.vtkImageData()
    image.SetDimensions(len(values), 1, 1)
    image.GetPointData().SetScalars(numpy_to_vtk(values.astype(np.float32), deep=1))
    steps = vtk.vtkImageMapToWindowLevelColors()
    steps.SetOutputFormatToLuminance()
    steps.SetWindow(2 * window_of(overlay))
    steps.SetLevel(0)
    steps.SetInputData(image)
    steps.Update()
    return colour_table(overlay)[vtk_to_numpy(steps.GetOutput().GetPointData().GetScalars())]


@pytest.mark.parametrize(("hide", "saturate"), LIMITS)
def test_the_hidden_band_ends_exactly_at_the_threshold(hide: float, saturate: float) -> None:
    overlay = Overlay(hide_below=hide, saturate_above=saturate)
    inside = np.array([0.0, 0.5, 0.99, 0.9999]) * hide
    outside = np.array([1.0001, 1.01, 1.5, 100.0]) * hide
    assert not shown(np.r_[inside, -inside], overlay)[:, 3].any()
    assert (shown(np.r_[outside, -outside], overlay)[:, 3] == 255).all()


@pytest.mark.parametrize(("hide", "saturate"), LIMITS)
def test_the_window_stays_near_where_colours_shall_saturate(hide: float, saturate: float) -> None:
    half = window_of(Overlay(hide_below=hide, saturate_above=saturate))
    assert abs(half / saturate - 1) <= 0.25


@pytest.mark.parametrize("hide", [1e-6, 0.001, 0.5, 1.0])
def test_a_threshold_finer_than_the_steps_rather_hides_too_much(hide: float) -> None:
    overlay = Overlay(hide_below=hide, saturate_above=200.0)
    below = np.array([-0.999, 0.0, 0.999]) * hide
    assert not shown(below, overlay)[:, 3].any()
    assert (shown(np.array([-4.0, 4.0]), overlay)[:, 3] == 255).all()


def test_nothing_but_zero_is_hidden_without_a_threshold() -> None:
    overlay = Overlay(hide_below=0.0, saturate_above=10.0)
    alpha = shown(np.array([-10.0, -0.1, 0.0, 0.1, 10.0]), overlay)[:, 3]
    assert alpha.tolist() == [255, 255, 0, 255, 255]


def test_warm_is_brighter_and_cool_is_darker_than_health() -> None:
    overlay = Overlay(hide_below=1.0, saturate_above=10.0)
    high, low = shown(np.array([5.0, -5.0]), overlay)[:, :3].astype(int)
    assert high[0] > high[2] + 100
    assert low[2] > low[0] + 100


def test_colours_grow_lighter_with_the_distance_from_health() -> None:
    overlay = Overlay(hide_below=1.0, saturate_above=10.0)
    for sign in (1, -1):
        light = shown(sign * np.linspace(1.1, 9.9, 20), overlay)[:, :3].astype(int).sum(axis=1)
        assert (np.diff(light) > 0).all()


def test_the_strongest_colour_begins_at_saturation() -> None:
    overlay = Overlay(hide_below=1.0, saturate_above=10.0)
    values = shown(np.array([10.5, 1000.0, -10.5, -1000.0]), overlay)
    assert np.array_equal(values[0], values[1])
    assert np.array_equal(values[2], values[3])


@pytest.mark.parametrize(("sign", "alpha"), [("both", [255, 255]), ("brighter", [0, 255])])
def test_a_sign_hides_the_other(sign: str, alpha: list[int]) -> None:
    overlay = Overlay(sign=sign, hide_below=1.0, saturate_above=10.0)
    assert shown(np.array([-5.0, 5.0]), overlay)[:, 3].tolist() == alpha


def test_darker_only_mirrors_brighter_only() -> None:
    brighter = colour_table(Overlay(sign="brighter", hide_below=1.0, saturate_above=10.0))
    darker = colour_table(Overlay(sign="darker", hide_below=1.0, saturate_above=10.0))
    assert not (brighter[:, 3].astype(bool) & darker[:, 3].astype(bool)).any()
    assert abs(int((brighter[:, 3] > 0).sum()) - int((darker[:, 3] > 0).sum())) == 1


def test_what_is_hidden_is_grey_in_the_legend() -> None:
    table = colour_table(Overlay(hide_below=3.0, saturate_above=10.0))
    hidden = table[table[:, 3] == 0, :3]
    assert len(hidden) > 50
    assert (hidden == hidden[0, 0]).all()
