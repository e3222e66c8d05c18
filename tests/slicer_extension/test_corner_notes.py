from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import vtk
from slice_pictures import SliceViews

from HealthyCounterpartLib.corner_notes import CornerNotes
from HealthyCounterpartLib.overlay import Overlay
from HealthyCounterpartLib.scene.layouts import ROW_VIEWS
from HealthyCounterpartLib.scene.runs import Run

OVERLAY = Overlay(hide_below=12.9, saturate_above=60.0)


@pytest.fixture
def some_notes(a_scene: Any, some_views: SliceViews) -> Iterator[CornerNotes]:
    notes = CornerNotes(a_scene, some_views.renderer_of)
    yield notes
    notes.close()


def test_views_with_a_synthesised_volume_say_so(
    some_views: SliceViews, some_notes: CornerNotes, the_counterparts: Any, a_run: Run
) -> None:
    assert not any(_note(some_views, name) for name in some_views.views)
    the_counterparts.show(a_run, OVERLAY, "row")
    assert [bool(_note(some_views, name)) for name in ROW_VIEWS] == [False, True, True]
    assert _note(some_views, ROW_VIEWS[1]) == "AI-generated, research use only"


def test_the_note_goes_while_the_original_is_held(
    some_views: SliceViews, some_notes: CornerNotes, the_counterparts: Any, a_run: Run
) -> None:
    the_counterparts.show(a_run, OVERLAY, "single")
    assert _note(some_views, "Red")
    the_counterparts.hold_original(a_run, True, OVERLAY)
    assert not _note(some_views, "Red")
    the_counterparts.hold_original(a_run, False, OVERLAY)
    assert _note(some_views, "Red")
    the_counterparts.recolour(a_run, replace(OVERLAY, opacity=0.0))
    assert not _note(some_views, "Red")


def test_a_synthesised_volume_that_the_reader_shows_is_noted_too(
    a_scene: Any, some_views: SliceViews, some_notes: CornerNotes, a_run: Run
) -> None:
    composite = some_views["Green"].logic.GetSliceCompositeNode()
    composite.SetBackgroundVolumeID(a_run.counterpart.GetID())
    assert _note(some_views, "Green")
    composite.SetBackgroundVolumeID(a_run.scan.GetID())
    assert not _note(some_views, "Green")


def test_a_removed_volume_takes_its_note_along(
    a_scene: Any, some_views: SliceViews, some_notes: CornerNotes, a_run: Run
) -> None:
    composite = some_views["Green"].logic.GetSliceCompositeNode()
    composite.SetBackgroundVolumeID(a_run.counterpart.GetID())
    a_scene.RemoveNode(a_run.counterpart)
    assert not _note(some_views, "Green")


def test_closing_takes_all_notes_away_and_looks_no_more(
    some_views: SliceViews, some_notes: CornerNotes, the_counterparts: Any, a_run: Run
) -> None:
    the_counterparts.show(a_run, OVERLAY, "single")
    some_notes.close()
    assert not _note(some_views, "Red")
    the_counterparts.hold_original(a_run, True, OVERLAY)
    the_counterparts.hold_original(a_run, False, OVERLAY)
    the_counterparts.show(a_run, OVERLAY, "row")
    assert not any(_note(some_views, name) for name in some_views.views)


def test_a_closed_scene_leaves_no_note(
    a_scene: Any,
    some_views: SliceViews,
    some_notes: CornerNotes,
    the_counterparts: Any,
    a_run: Run,
) -> None:
    the_counterparts.show(a_run, OVERLAY, "single")
    a_scene.Clear(False)
    assert not _note(some_views, "Red")


def test_the_note_is_drawn_in_the_top_right_corner(
    a_scene: Any, the_counterparts: Any, a_run: Run
) -> None:
    views = SliceViews(a_scene, (300, 200), drawn=True)
    notes = CornerNotes(a_scene, views.renderer_of)
    try:
        the_counterparts.show(a_run, replace(OVERLAY, sign="darker"), "single")
        picture, pixels = views["Red"].picture(), views["Red"].pixels()
        drawn = (picture[:25, 60:] != pixels[:25, 60:]).any(axis=2)
        assert drawn.sum() > 150
        assert drawn[:, -30:].any()
    finally:
        notes.close()
        views.close()


@pytest.mark.parametrize(
    ("orientation", "letters"),
    [("Axial", ("R", "L")), ("Coronal", ("R", "L")), ("Sagittal", ("A", "P"))],
)
def test_letters_tell_the_patients_sides_and_follow_the_view(
    some_views: SliceViews,
    some_notes: CornerNotes,
    the_counterparts: Any,
    a_run: Run,
    orientation: str,
    letters: tuple[str, str],
) -> None:
    the_counterparts.show(a_run, OVERLAY, "single")
    node = some_views["Red"].node
    node.SetOrientation(orientation)
    assert tuple(_texts(some_views, "Red")[1:]) == letters
    matrix = node.GetSliceToRAS()
    for row in range(3):  # seen from the other side
        matrix.SetElement(row, 0, -matrix.GetElement(row, 0))
    node.UpdateMatrices()
    assert tuple(_texts(some_views, "Red")[1:]) == letters[::-1]


def test_the_scan_beside_its_counterpart_has_letters_and_no_note(
    some_views: SliceViews, some_notes: CornerNotes, the_counterparts: Any, a_run: Run
) -> None:
    the_counterparts.show(a_run, OVERLAY, "row")
    assert _texts(some_views, ROW_VIEWS[0]) == ["R", "L"]


def _note(views: SliceViews, name: str) -> str:
    return next((text for text in _texts(views, name) if len(text) > 1), "")


def _texts(views: SliceViews, name: str) -> list[str]:
    """The note and the letters of a view; none where it is not noted."""
    props = views.renderer_of(name).GetViewProps()
    found = (props.GetItemAsObject(index) for index in range(props.GetNumberOfItems()))
    shown = (one for one in found if isinstance(one, vtk.vtkTextActor) and one.GetVisibility())
    return [one.GetInput() for one in shown]
