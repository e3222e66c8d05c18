"""Texts are looked up by the file that asks, as Slicer's function does."""

import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType

import pytest

from HealthyCounterpartLib import translation


def translation_with(patch: pytest.MonkeyPatch, found: list[str]) -> ModuleType:
    """The file as Slicer loads it, with Slicer's way to find the context of a text."""

    def tr(text: str) -> str:
        found.append(Path(inspect.getsourcefile(inspect.currentframe().f_back)).name)
        return text.upper()

    i18n = ModuleType("slicer.i18n")
    i18n.tr = tr
    patch.setitem(sys.modules, "slicer.i18n", i18n)
    spec = importlib.util.spec_from_file_location("translation_in_slicer", translation.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_text_is_looked_up_by_the_file_that_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[str] = []
    assert translation_with(monkeypatch, found)._("scan") == "SCAN"
    assert found == [Path(__file__).name]


def test_without_slicer_a_text_stays_as_it_is() -> None:
    assert translation._("scan {name}") == "scan {name}"
