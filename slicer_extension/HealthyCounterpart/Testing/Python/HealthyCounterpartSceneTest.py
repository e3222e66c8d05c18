"""Brings made-up results into the scene of a Slicer without a window, and finds them again."""

import tempfile
import unittest
from pathlib import Path

import slicer

from HealthyCounterpartLib import self_test


class HealthyCounterpartSceneTest(unittest.TestCase):
    """The part of the self-test that needs no panel and no server."""

    def test_results_are_found_again_in_a_saved_scene(self):
        """Scene, findings, views, saving and loading."""
        slicer.mrmlScene.Clear(False)
        with tempfile.TemporaryDirectory() as folder:
            self_test.check_scene(self, slicer.mrmlScene, Path(folder))
