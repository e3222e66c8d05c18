"""What the slice views show, by the pixels that Slicer's slice logics compute."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vtk
from made_up_runs import OBLIQUE, Phantom, orthonormal
from slice_pictures import SliceViews

from HealthyCounterpartLib.overlay import Overlay
from HealthyCounterpartLib.scene.counterpart_scene import CounterpartScene
from HealthyCounterpartLib.scene.layouts import ROW_LAYOUT, ROW_VIEWS
from HealthyCounterpartLib.scene.map_display import legend_of
from HealthyCounterpartLib.scene.runs import Run
from HealthyCounterpartLib.scene.voxels import voxels

BELOW = (9, 6, 10)  # a voxel whose score is 5: below the threshold
OVERLAY = Overlay(hide_below=12.9, saturate_above=60.0, opacity=1.0)
WHEN = "2026-03-01 10:00:00"


class Shown:
    """A run that is shown, with what stands for the application."""

    def __init__(self, scene: Any, phantom: Phantom, folder: Path, drawn: bool = False) -> None:
        self.phantom = phantom
        self.views = SliceViews(scene, (160, 160), drawn)
        self.counterparts = CounterpartScene(scene, self.views.application)
        scan = phantom.scan(scene)
        self.run = self.counterparts.add_run(scan, phantom.delivery(folder), WHEN)

    def pixel(self, ijk: tuple[int, ...], view: str = "Red") -> list[int]:
        """RGB where a voxel is seen, in the slice through it."""
        place = self._world(ijk)
        self.views[view].node.JumpSliceByOffsetting(*place)
        return [int(value) for value in self.views[view].pixel_at(place)]

    def grey(self, ijk: tuple[int, ...]) -> list[int]:
        """RGB of the scan alone."""
        return [int(self.phantom.values()[ijk])] * 3

    def _world(self, ijk: tuple[int, ...]) -> list[float]:
        place = self.phantom.world(ijk)
        transform = self.run.anomaly.GetParentTransformNode()
        if transform is None:
            return [float(value) for value in place]
        general = vtk.vtkGeneralTransform()
        transform.GetTransformToWorld(general)
        return list(general.TransformPoint(place))


@pytest.fixture
def new_shown(a_scene: Any, tmp_path: Path) -> Iterator[Callable[..., Shown]]:
    made: list[Shown] = []

    def make(phantom: Phantom, drawn: bool = False) -> Shown:
        made.append(Shown(a_scene, phantom, tmp_path / "delivery", drawn))
        return made[-1]

    yield make
    for one in made:
        one.views.close()


@pytest.fixture
def shown(new_shown: Callable[..., Shown], a_phantom: Phantom) -> Shown:
    made = new_shown(a_phantom)
    made.counterparts.show(made.run, OVERLAY, "four-up")
    return made


@pytest.mark.parametrize("view", ["Red", "Green", "Yellow"])
def test_findings_are_coloured_and_the_rest_is_the_scan(shown: Shown, view: str) -> None:
    brighter, darker = (place.centre for place in shown.phantom.places)
    red, _green, blue = shown.pixel(brighter, view)
    assert red > blue + 60
    red, _green, blue = shown.pixel(darker, view)
    assert blue > red + 60
    assert shown.pixel(BELOW, view) == shown.grey(BELOW)
    assert shown.pixel((0, 0, 0), view) == shown.grey((0, 0, 0))


@pytest.mark.parametrize(
    ("sign", "coloured"), [("both", [True, True]), ("brighter", [True, False])]
)
def test_a_sign_leaves_the_other_as_the_scan(shown: Shown, sign: str, coloured: list[bool]) -> None:
    shown.counterparts.recolour(shown.run, replace(OVERLAY, sign=sign))
    centres = [place.centre for place in shown.phantom.places]
    assert [shown.pixel(one) != shown.grey(one) for one in centres] == coloured


def test_darker_only_leaves_what_is_brighter_as_the_scan(shown: Shown) -> None:
    shown.counterparts.recolour(shown.run, replace(OVERLAY, sign="darker"))
    brighter, darker = (place.centre for place in shown.phantom.places)
    assert shown.pixel(brighter) == shown.grey(brighter)
    assert shown.pixel(darker) != shown.grey(darker)


def test_the_slider_moves_the_picture_at_once(shown: Shown) -> None:
    brighter, darker = (place.centre for place in shown.phantom.places)
    shown.counterparts.recolour(shown.run, replace(OVERLAY, hide_below=40.0))
    assert shown.pixel(brighter) != shown.grey(brighter)  # 50
    assert shown.pixel(darker) == shown.grey(darker)  # -30
    shown.counterparts.recolour(shown.run, replace(OVERLAY, hide_below=4.0))
    assert shown.pixel(BELOW) != shown.grey(BELOW)  # -5


@pytest.mark.parametrize("opacity", [0.0, 0.25, 0.8])
def test_opacity_blends_with_the_grey_of_the_scan(shown: Shown, opacity: float) -> None:
    brighter = shown.phantom.places[0].centre
    full, grey = np.array(shown.pixel(brighter)), np.array(shown.grey(brighter))
    shown.counterparts.recolour(shown.run, replace(OVERLAY, opacity=opacity))
    expected = opacity * full + (1 - opacity) * grey
    assert np.abs(np.array(shown.pixel(brighter)) - expected).max() <= 2
    assert shown.pixel(BELOW) == shown.grey(BELOW)


def test_the_other_map_is_shown_by_its_own_limits(shown: Shown) -> None:
    residual = Overlay("residual", hide_below=4.0, saturate_above=6.0, opacity=1.0)
    shown.counterparts.recolour(shown.run, residual)
    brighter, darker = (place.centre for place in shown.phantom.places)
    assert shown.pixel(brighter) != shown.grey(brighter)  # 5 spreads
    assert shown.pixel(darker) == shown.grey(darker)  # -3 spreads
    assert legend_of(shown.run.residual).GetVisibility()
    assert not legend_of(shown.run.anomaly).GetVisibility()


def test_holding_shows_the_scan_alone_and_letting_go_the_map_again(shown: Shown) -> None:
    brighter = shown.phantom.places[0].centre
    before = shown.pixel(brighter)
    shown.counterparts.hold_original(shown.run, True, OVERLAY)
    assert shown.pixel(brighter) == shown.grey(brighter)
    assert not legend_of(shown.run.anomaly).GetVisibility()
    assert not shown.run.segmentation.GetDisplayNode().GetVisibility()
    shown.counterparts.recolour(shown.run, replace(OVERLAY, sign="brighter"))
    assert shown.pixel(brighter) == shown.grey(brighter)  # still held
    shown.counterparts.hold_original(shown.run, False, OVERLAY)
    assert shown.pixel(brighter) == before
    assert legend_of(shown.run.anomaly).GetVisibility()


def test_a_row_shows_scan_counterpart_and_overlay(shown: Shown) -> None:
    shown.counterparts.show(shown.run, OVERLAY, "row")
    brighter = shown.phantom.places[0].centre
    grey = shown.grey(brighter)
    assert shown.pixel(brighter, ROW_VIEWS[0]) == grey
    assert shown.pixel(brighter, ROW_VIEWS[1]) == [grey[0] - 20] * 3
    assert shown.pixel(brighter, ROW_VIEWS[2])[0] > grey[0]
    assert shown.views.layout.GetLayoutNode().GetViewArrangement() == ROW_LAYOUT
    for name in ROW_VIEWS:
        composite = shown.views[name].logic.GetSliceCompositeNode()
        assert composite.GetLinkedControl()
        assert composite.GetHotLinkedControl()
    groups = {shown.views[name].node.GetViewGroup() for name in ROW_VIEWS}
    assert len(groups) == 1
    assert shown.views["Red"].node.GetViewGroup() not in groups


def test_views_of_a_layout_show_the_whole_scan(shown: Shown) -> None:
    for layout, names in (("four-up", ["Red"]), ("row", ROW_VIEWS)):
        shown.counterparts.show(shown.run, OVERLAY, layout)
        for name in names:
            pixels = shown.views[name].pixels().any(axis=2)
            assert 0.1 < pixels.mean() < 0.9
            edges = (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])
            assert sum(edge.any() for edge in edges) <= 2


def test_single_is_one_view_with_the_map(shown: Shown) -> None:
    shown.counterparts.show(shown.run, OVERLAY, "single")
    node = shown.views.layout.GetLayoutNode()
    assert node.GetViewArrangement() == node.SlicerLayoutOneUpRedSliceView
    brighter = shown.phantom.places[0].centre
    assert shown.pixel(brighter) != shown.grey(brighter)


def test_a_zoomed_view_is_left_as_it_is_when_the_same_scan_is_shown_again(shown: Shown) -> None:
    shown.views["Red"].node.SetFieldOfView(20.0, 20.0, 1.0)
    shown.counterparts.show(shown.run, replace(OVERLAY, sign="darker"), "single")
    assert shown.views["Red"].node.GetFieldOfView()[:2] == (20.0, 20.0)


def test_no_voxel_is_touched_by_what_the_slider_does(shown: Shown) -> None:
    image = shown.run.anomaly.GetImageData()
    before = image.GetMTime(), voxels(shown.run.anomaly).copy()
    for hide in (5.0, 20.0, 40.0):
        shown.counterparts.recolour(shown.run, replace(OVERLAY, hide_below=hide))
        shown.pixel(BELOW)
    assert shown.run.anomaly.GetImageData() is image
    assert image.GetMTime() == before[0]
    assert np.array_equal(voxels(shown.run.anomaly), before[1])


def test_another_run_hides_legend_and_outlines_of_the_first(shown: Shown, tmp_path: Path) -> None:
    delivery = shown.phantom.delivery(tmp_path / "again", job="job-2")
    again = shown.counterparts.add_run(shown.run.scan, delivery, WHEN)
    shown.counterparts.show(again, OVERLAY, "four-up")
    visible = [
        [legend_of(run.anomaly).GetVisibility(), run.segmentation.GetDisplayNode().GetVisibility()]
        for run in (shown.run, again)
    ]
    assert visible == [[0, 0], [1, 1]]


def test_what_the_reader_put_into_a_view_stays(shown: Shown) -> None:
    composite = shown.views["Green"].logic.GetSliceCompositeNode()
    composite.SetForegroundVolumeID(shown.run.scan.GetID())
    composite.SetForegroundOpacity(0.3)
    shown.counterparts.recolour(shown.run, OVERLAY)
    assert composite.GetForegroundVolumeID() == shown.run.scan.GetID()
    assert composite.GetForegroundOpacity() == 0.3


def test_colours_that_the_reader_chose_stay(shown: Shown) -> None:
    display = shown.run.anomaly.GetDisplayNode()
    display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeRainbow")
    rainbow = display.GetColorNode().GetLookupTable().GetTableValue(0)
    shown.counterparts.recolour(shown.run, replace(OVERLAY, hide_below=30.0))
    assert display.GetColorNode().GetLookupTable().GetTableValue(0) == rainbow


@pytest.mark.parametrize("kind", ["linear", "grid"])
def test_a_scan_under_a_transform_is_coloured_where_it_is_seen(
    a_scene: Any, new_shown: Callable[..., Shown], a_phantom: Phantom, kind: str
) -> None:
    made = new_shown(a_phantom)
    transform = _transform(a_scene, kind)
    for node in (made.run.scan, made.run.counterpart, made.run.anomaly, made.run.residual):
        node.SetAndObserveTransformNodeID(transform.GetID())
    made.counterparts.show(made.run, OVERLAY, "four-up")
    brighter, darker = (place.centre for place in a_phantom.places)
    red, _green, blue = made.pixel(brighter)
    assert red > blue + 60
    red, _green, blue = made.pixel(darker)
    assert blue > red + 60


@pytest.mark.parametrize("turned", [(1, 1, 1), (-1, 1, 1), (1, 1, -1), (-1, -1, -1)], ids=str)
def test_handedness_does_not_move_the_colours(
    new_shown: Callable[..., Shown], turned: tuple[int, int, int]
) -> None:
    phantom = Phantom(affine=orthonormal(OBLIQUE) @ np.diag([*turned, 1.0]))
    made = new_shown(phantom)
    made.counterparts.show(made.run, OVERLAY, "four-up")
    brighter, darker = (place.centre for place in phantom.places)
    assert made.pixel(brighter)[0] > made.pixel(brighter)[2] + 60
    assert made.pixel(darker)[2] > made.pixel(darker)[0] + 60
    assert made.pixel(BELOW) == made.grey(BELOW)


def test_right_is_left_in_the_picture_and_up_is_up(shown: Shown) -> None:
    red, green = shown.views["Red"], shown.views["Green"]
    middle = shown.phantom.world((10, 12, 8))
    right, front, top = np.eye(3) * 10.0
    assert red.place_in_picture(middle + right)[0] < red.place_in_picture(middle - right)[0]
    assert green.place_in_picture(middle + right)[0] < green.place_in_picture(middle - right)[0]
    assert red.place_in_picture(middle + front)[1] > red.place_in_picture(middle - front)[1]
    assert green.place_in_picture(middle + top)[1] > green.place_in_picture(middle - top)[1]


def test_the_counterpart_follows_the_greys_of_the_scan(shown: Shown) -> None:
    shown.run.scan.GetDisplayNode().SetWindowLevel(77.0, 150.0)
    shown.counterparts.show(shown.run, OVERLAY, "row")
    display = shown.run.counterpart.GetDisplayNode()
    assert (display.GetWindow(), display.GetLevel()) == (77.0, 150.0)


def test_without_views_a_run_is_shown_all_the_same(
    the_counterparts: CounterpartScene, a_run: Run
) -> None:
    the_counterparts.show(a_run, OVERLAY, "row")
    assert legend_of(a_run.anomaly).GetVisibility()


def test_legend_and_outline_are_drawn_also_in_views_that_are_opened_later(
    new_shown: Callable[..., Shown], a_phantom: Phantom
) -> None:
    made = new_shown(a_phantom, drawn=True)
    made.counterparts.show(made.run, OVERLAY, "row")
    overlay = made.views[ROW_VIEWS[2]]
    legend = overlay.picture()[:, 120:].astype(int)
    warm = (legend[..., 0] > legend[..., 2] + 80).sum()
    cool = (legend[..., 2] > legend[..., 0] + 80).sum()
    assert min(warm, cool) > 50
    made.counterparts.select(made.run, 1)
    changed = (overlay.picture() != overlay.pixels()).any(axis=2)
    magenta = overlay.picture()[changed].astype(int)
    assert ((magenta[:, 0] > 200) & (magenta[:, 1] < 130) & (magenta[:, 2] > 200)).sum() > 20
    made.counterparts.hold_original(made.run, True, OVERLAY)
    assert np.array_equal(overlay.picture(), overlay.pixels())


def test_the_legend_follows_the_slider(new_shown: Callable[..., Shown], a_phantom: Phantom) -> None:
    made = new_shown(a_phantom, drawn=True)
    made.counterparts.show(made.run, OVERLAY, "single")
    before = made.views["Red"].picture()
    made.counterparts.recolour(made.run, replace(OVERLAY, hide_below=45.0, saturate_above=400.0))
    after = made.views["Red"].picture()
    legend = (slice(None), slice(110, None))
    assert (before[legend] != after[legend]).any(axis=2).sum() > 100


def _transform(scene: Any, kind: str) -> Any:
    if kind == "linear":
        node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        turn = vtk.vtkTransform()
        turn.Translate(8, -5, 6)
        turn.RotateZ(20)
        node.SetMatrixTransformToParent(turn.GetMatrix())
        return node
    from slicer import vtkOrientedGridTransform
    from vtk.util.numpy_support import vtk_to_numpy

    grid = vtk.vtkImageData()
    grid.SetDimensions(7, 7, 7)
    grid.SetOrigin(-90, -90, -90)
    grid.SetSpacing(30, 30, 30)
    grid.AllocateScalars(vtk.VTK_DOUBLE, 3)
    k, j, i = np.indices((7, 7, 7)).reshape(3, -1)
    bend = np.stack([3.0 * np.sin(j), 2.0 * np.cos(k), 2.0 * np.sin(i)], axis=1)
    vtk_to_numpy(grid.GetPointData().GetScalars())[:] = bend
    warp = vtkOrientedGridTransform()
    warp.SetDisplacementGridData(grid)
    node = scene.AddNewNodeByClass("vtkMRMLGridTransformNode")
    node.SetAndObserveTransformFromParent(warp)
    return node
