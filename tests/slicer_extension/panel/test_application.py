"""What the module takes from the running application, and what it does when that ends."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from offscreen_qt import child_widgets, load_panel

from HealthyCounterpartLib.application import LayoutNotes, bound_widgets


class KeepingNotes:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.updates = self.closed = 0

    def update(self) -> None:
        self.updates += 1

    def close(self) -> None:
        self.closed += 1


class EndingLayouts:
    """A layout manager that can end, as it does with Slicer's main window."""

    def __init__(self) -> None:
        self.slots: list[Callable[..., None]] = []
        self.there = True

        self.layoutChanged = SimpleNamespace(connect=self.slots.append, disconnect=self._disconnect)

    def _disconnect(self, slot: Callable[..., None]) -> None:
        if not self.there:  # as PythonQt's signals do
            raise SystemError("disconnect returned NULL without setting an exception")
        self.slots.remove(slot)


@pytest.fixture
def some_layouts() -> EndingLayouts:
    return EndingLayouts()


def test_notes_follow_the_layout_until_they_are_closed(some_layouts: EndingLayouts) -> None:
    kept = KeepingNotes()
    notes = LayoutNotes(kept, some_layouts)
    for slot in some_layouts.slots:
        slot(3)
    notes.close()
    assert (kept.updates, kept.closed, some_layouts.slots) == (1, 1, [])


def test_notes_close_when_the_main_window_is_gone(some_layouts: EndingLayouts) -> None:
    kept = KeepingNotes()
    notes = LayoutNotes(kept, some_layouts)
    some_layouts.there = False
    notes.close()
    assert kept.closed == 1


def test_widgets_are_bound_by_the_parameters_that_they_name() -> None:
    panel = load_panel()
    ui = child_widgets(panel)
    bound = bound_widgets(ui)
    assert set(bound) == {"scan", "hideBelow", "saturateAbove", "opacity"}
    assert bound["scan"] is ui.scanSelector and bound["opacity"] is ui.opacity
    panel.close()
