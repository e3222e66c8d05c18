"""The self-test's whole path, through the shell as Slicer loads it, against the real server."""

import unittest
from typing import Any

import pytest
from a_server import AServer
from offscreen_qt import application
from offscreen_slicer import load_shell
from people import TOKENS

from HealthyCounterpartLib import self_test


def test_the_servers_first_study_gets_its_counterpart(
    the_server: AServer, a_scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(self_test.TOKEN, TOKENS["user"])
    widget = load_shell(monkeypatch, a_scene).HealthyCounterpartWidget()
    widget.setup()
    try:
        self_test.check_server(
            unittest.TestCase(), widget.controller, the_server.url, application().processEvents
        )
        assert widget.ui.runSelector.count() == 1
        assert widget.parameters.scan is widget.ui.scanSelector.currentNode() is not None
    finally:
        widget.cleanup()
