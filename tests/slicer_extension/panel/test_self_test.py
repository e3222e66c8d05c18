"""The self-test that runs within Slicer passes on a scene, and fails where something is wrong."""

import unittest
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from offscreen_slicer import load_shell

from HealthyCounterpartLib import self_test
from HealthyCounterpartLib.problems import ArrivalProblem


def test_made_up_results_pass(a_scene: Any, tmp_path: Path) -> None:
    self_test.check_scene(unittest.TestCase(), a_scene, tmp_path)


def test_results_of_another_grid_do_not_pass(
    a_scene: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = self_test.new_scan(a_scene)
    monkeypatch.setattr(self_test, "MATRIX", self_test.MATRIX + np.eye(4) * 0.01)
    monkeypatch.setattr(self_test, "new_scan", lambda scene: scan)
    with pytest.raises(ArrivalProblem):
        self_test.check_scene(unittest.TestCase(), a_scene, tmp_path)


def test_the_panel_follows_its_parameters(
    a_scene: Any, a_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    widget = load_shell(monkeypatch, a_scene).HealthyCounterpartWidget()
    widget.setup()
    try:
        self_test.check_panel(unittest.TestCase(), widget)
        widget.controller.review.runs = ()
        widget.controller.scene_opened = lambda: None
        with pytest.raises(AssertionError):
            self_test.check_panel(unittest.TestCase(), widget)
    finally:
        widget.cleanup()
