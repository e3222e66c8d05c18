"""The .ui file and the code know the same widgets; keys, tooltips and parameters are complete."""

import xml.etree.ElementTree as ElementTree
from collections import Counter
from typing import Any, get_type_hints

import pytest
from offscreen_qt import PARAMETER, UI, child_widgets, load_panel, qt

from HealthyCounterpartLib.parameters import ParameterFields
from HealthyCounterpartLib.view_state import AdministratorState, Progress, ViewState
from HealthyCounterpartLib.widget import PanelWidget

CONTAINERS = ("qMRMLWidget", "ctkCollapsibleButton")
FOR_THE_EYE = ("disclaimerLine", "layoutLabel")
IN_USE = set("tgfb[]{}")  # by Slicer's views
MENUS = set("feviwh")  # File, Edit, View, Window, Help: Alt and these open menus


class TouchedUi:
    """Keeps which widgets are asked for."""

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self.touched: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        self.touched.add(name)
        return getattr(self._ui, name)


@pytest.fixture(scope="module")
def the_widgets() -> list[ElementTree.Element]:
    return list(ElementTree.parse(UI).getroot().iter("widget"))


def texts(widget: ElementTree.Element, name: str) -> list[str]:
    return [
        "".join(one.itertext()) for one in widget.findall("property") if one.get("name") == name
    ]


def test_each_widget_is_used_by_the_code_and_the_code_uses_no_other(
    the_widgets: list[ElementTree.Element], a_panel: Any, a_run_state: ViewState
) -> None:
    ui = TouchedUi(a_panel.ui)
    panel = PanelWidget(ui, qt, a_panel.controller, lambda kind: "")
    panel.show(a_run_state)
    panel.show(ViewState(progress=Progress("…"), administrator=AdministratorState(visible=True)))
    buddies = {"".join(one.itertext()) for one in ElementTree.parse(UI).getroot().iter("cstring")}
    for widget in the_widgets:
        name = widget.get("name")
        if texts(widget, "buddy"):
            assert buddies >= set(texts(widget, "buddy"))
        elif widget.get("class") not in CONTAINERS and name not in FOR_THE_EYE:
            assert name in ui.touched, f"{name} is an orphan"
    assert ui.touched <= {widget.get("name") for widget in the_widgets}


def test_each_buddy_exists(the_widgets: list[ElementTree.Element]) -> None:
    names = {widget.get("name") for widget in the_widgets}
    buddies = [buddy for widget in the_widgets for buddy in texts(widget, "buddy")]
    assert buddies and set(buddies) <= names


def test_bound_parameters_are_fields_of_a_kind_that_slicer_can_bind(
    the_widgets: list[ElementTree.Element],
) -> None:
    kinds = get_type_hints(ParameterFields)
    bound = {
        name: widget.get("class") for widget in the_widgets for name in texts(widget, PARAMETER)
    }
    assert bound == {
        "scan": "qMRMLNodeComboBox",
        "hideBelow": "QDoubleSpinBox",
        "saturateAbove": "QDoubleSpinBox",
        "opacity": "QDoubleSpinBox",
    }
    assert all(kinds[name] is float for name, kind in bound.items() if kind == "QDoubleSpinBox")


def test_names_are_unique(the_widgets: list[ElementTree.Element]) -> None:
    counts = Counter(widget.get("name") for widget in the_widgets)
    assert [name for name, count in counts.items() if count > 1] == []


def test_every_control_has_a_tooltip_and_a_place_in_the_tab_order(
    the_widgets: list[ElementTree.Element],
) -> None:
    order = [one.text for one in ElementTree.parse(UI).getroot().iter("tabstop")]
    passive = (*CONTAINERS, "QLabel", "QFrame", "QProgressBar")
    controls = [one for one in the_widgets if one.get("class") not in passive]
    assert [one.get("name") for one in controls if not texts(one, "toolTip")] == []
    assert sorted(order) == sorted(one.get("name") for one in controls)


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("hideBelow", "spreads"),
        ("saturateAbove", "spreads"),
        ("mapSelector", "spreads"),
        ("sortSelector", "ml"),
        ("exportTableButton", "ml"),
        ("exportTableButton", "mm"),
        ("progressBar", "per cent"),
        ("opacity", "0"),
    ],
)
def test_tooltips_say_the_unit(
    name: str, unit: str, the_widgets: list[ElementTree.Element]
) -> None:
    widget = next(one for one in the_widgets if one.get("name") == name)
    assert unit in texts(widget, "toolTip")[0]


def test_keys_are_unique_and_not_those_of_slicer(the_widgets: list[ElementTree.Element]) -> None:
    marked = [text for one in the_widgets for text in texts(one, "text") if "&" in text]
    mnemonics = [text[text.index("&") + 1].lower() for text in marked]
    assert len(mnemonics) > 15
    assert [one for one, count in Counter(mnemonics).items() if count > 1] == []
    assert not set(mnemonics) & (MENUS - {"i", "w"})
    shortcuts = [key for one in the_widgets for key in texts(one, "shortcut")]
    assert [one for one, count in Counter(shortcuts).items() if count > 1] == []
    assert all("+" in key for key in shortcuts)  # no letter alone: those are the views'
    alone = {key.split("+")[-1].lower() for key in shortcuts if key.startswith("Alt+")}
    assert not alone & set(mnemonics)


def test_a_button_with_a_shortcut_keeps_it(the_widgets: list[ElementTree.Element]) -> None:
    ui = child_widgets(load_panel())
    for widget in the_widgets:
        for key in texts(widget, "shortcut"):
            button = getattr(ui, widget.get("name"))
            assert button.shortcut().toString() == key
            assert key in button.toolTip(), "the tooltip says the key"


def test_words_of_a_server_are_never_taken_for_markup(
    the_widgets: list[ElementTree.Element],
) -> None:
    escaped = {"serverLine", "messageLine", "evidenceLine", "cohortLine", "trainingLine"}
    escaped.add("referenceLine")
    for widget in the_widgets:
        if widget.get("class") == "QLabel" and not texts(widget, "buddy"):
            name = widget.get("name")
            wanted = "Qt::RichText" if name in escaped else "Qt::PlainText"
            assert texts(widget, "textFormat") == [wanted] or name == "layoutLabel", name
