"""The display's section: run, map, direction, the slider with two ends, opacity, views."""

from __future__ import annotations

from typing import Any

from HealthyCounterpartLib.overlay import (
    BESIDE,
    FOUR_UP,
    MAPS,
    RESIDUAL_UNIT,
    ROW,
    SCORE_UNIT,
    SIGNS,
    SINGLE,
)
from HealthyCounterpartLib.panel.setters import Setters, always, index_of
from HealthyCounterpartLib.translation import _
from HealthyCounterpartLib.view_state import ViewState

LAYOUT_BUTTONS = {
    FOUR_UP: "fourUpButton",
    ROW: "rowButton",
    SINGLE: "singleButton",
    BESIDE: "besideButton",
}
_STEPS = 500  # of the slider
_SPIN_STEPS = 100


class DisplaySection:
    """How the map lies over the scan.

    Values of the spin boxes go to the parameter node by themselves (``connectGui``); they are set
    here together with their limits alone, because limits cut values off.

    Args:
        ui: Has the widgets by their names.
        controller: Is told what the reader does.
        setters: Set the widgets.
    """

    def __init__(self, ui: Any, controller: Any, setters: Setters) -> None:
        self._controller = controller
        self._set = setters
        self._runs: tuple[str, ...] = ()
        # In the order of the .ui file.
        self._maps = [_("Calibrated score"), _("Residual")]
        self._units = {SCORE_UNIT: _("score"), RESIDUAL_UNIT: _("spreads")}
        self._signs = [_("Both"), _("▲ brighter only"), _("▼ darker only")]
        ui.runSelector.currentIndexChanged.connect(self._choose_run)
        ui.mapSelector.currentIndexChanged.connect(self._choose_map)
        ui.signSelector.currentIndexChanged.connect(self._choose_sign)
        ui.rangeSlider.valuesChanged.connect(self._move_slider)
        ui.thresholdButton.clicked.connect(always(controller.reset_threshold))
        for layout, name in LAYOUT_BUTTONS.items():
            getattr(ui, name).clicked.connect(always(self._choose_layout, layout))
        ui.originalButton.pressed.connect(always(controller.hold_original, True))
        ui.originalButton.released.connect(always(controller.hold_original, False))

    def show(self, state: ViewState) -> None:
        """Show how the map is shown."""
        overlay = state.overlay
        self._runs = state.runs
        self._set.choices("runSelector", state.runs, state.run)
        self._set.enabled("displayFrame", state.run >= 0)
        self._set.chosen("mapSelector", MAPS.index(overlay.shown_map))
        self._set.chosen("signSelector", SIGNS.index(overlay.sign))
        for layout, name in LAYOUT_BUTTONS.items():
            self._set.checked(name, layout == state.layout)
        self._set.enabled("besideButton", state.references.beside)
        self._show_limits(state)

    def _show_limits(self, state: ViewState) -> None:
        low, high, end = (
            state.overlay.hide_below,
            state.overlay.saturate_above,
            state.slider_maximum,
        )
        if self._set.put("rangeSlider", "end", end, lambda slider: _limit_slider(slider, end)):
            self._set.forget("hideBelow", "saturateAbove")
            self._set.know("rangeSlider", "end", end)
            self._set.know("rangeSlider", "values", None)
        self._set.put(
            "rangeSlider", "values", (low, high), lambda slider: slider.setValues(low, high)
        )
        unit = f" {self._units[state.unit]}" if state.unit else ""
        self._limit("hideBelow", low, end, unit)
        self._limit("saturateAbove", high, max(end, high), unit)
        self._limit("opacity", state.overlay.opacity, 1.0, "")

    def _limit(self, name: str, value: float, end: float, unit: str) -> None:
        def limit(box: Any) -> None:
            box.setRange(0.0, end)
            box.setSingleStep(end / (_SPIN_STEPS if unit else 20))
            box.setValue(value)

        self._set.put(name, "end", end, limit)
        if name != "opacity":
            self._set.put(name, "unit", unit, lambda box: box.setSuffix(unit))

    def _choose_run(self, chosen: Any) -> None:
        index = index_of(chosen, self._runs)
        self._set.know("runSelector", "index", index)
        self._controller.choose_run(index)

    def _choose_map(self, chosen: Any) -> None:
        index = index_of(chosen, self._maps)
        self._set.know("mapSelector", "index", index)
        self._controller.set_map(MAPS[index])

    def _choose_sign(self, chosen: Any) -> None:
        index = index_of(chosen, self._signs)
        self._set.know("signSelector", "index", index)
        self._controller.set_sign(SIGNS[index])

    def _choose_layout(self, layout: str) -> None:
        self._set.forget(*LAYOUT_BUTTONS.values())
        self._controller.set_layout(layout)

    def _move_slider(self, low: float, high: float) -> None:
        self._set.know("rangeSlider", "values", (low, high))
        self._controller.set_range(low, high)


def _limit_slider(slider: Any, end: float) -> None:
    """Properties, because CTK's setters are no slots; the end first, as it limits the step."""
    slider.setProperty("minimum", 0.0)
    slider.setProperty("maximum", end)
    slider.setProperty("singleStep", end / _STEPS)
