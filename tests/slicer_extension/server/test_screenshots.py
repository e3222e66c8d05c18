"""The pictures of the extension's page, taken from the module at work, and looked at by a program.

With ``COUNTERPART_SCREENSHOTS`` set to a folder they are written there, from the released model at
its full quality: ``COUNTERPART_SCREENSHOTS=slicer_extension/Screenshots pytest -k screenshots``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from a_module import AModule
from a_server import SAMPLES, AServer
from people import TOKENS
from PySide6.QtGui import QImage
from slice_pictures import write_png

from HealthyCounterpartLib.scene.arrival import add_study

FOLDER = os.environ.get("COUNTERPART_SCREENSHOTS", "")
SIZE = (560, 560)
DARK = 40


@pytest.fixture(scope="module")
def a_serving_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[AServer, str]]:
    """A server and a token for it: the one of all tests, or one with the released model."""
    if not FOLDER:
        yield request.getfixturevalue("the_server"), TOKENS["user"]
        return
    folder = tmp_path_factory.mktemp("released")
    server = AServer(folder, {"COUNTERPART_MODELS": str(folder / "empty")})
    server.prepare()
    yield server.start(), ""
    server.stop()


@pytest.fixture
def a_module(a_scene: Any, a_serving_server: tuple[AServer, str]) -> Iterator[AModule]:
    """The module after a counterpart was made, with its first finding chosen."""
    server, token = a_serving_server
    patient = add_study(a_scene, SAMPLES / "sample-01_FLAIR.nii.gz", "sample-01_FLAIR")
    module = AModule(a_scene, size=SIZE, drawn=True)
    module.parameters.scan = patient
    module.connect(server.url, token)
    module.generate()
    module.ui.findingsTable.selectRow(0)
    yield module
    module.close()


def panel_of(module: AModule) -> np.ndarray:
    """The panel's pixels: (height, width, 3) uint8."""
    module.panel.resize(module.panel.width(), module.panel.sizeHint().height())
    image = module.panel.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8)
    rows = rows.reshape(image.height(), image.bytesPerLine())[:, : 3 * image.width()]
    return rows.reshape(image.height(), image.width(), 3).copy()


def beside(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Two pictures side by side, the lower one filled with dark."""
    height = max(len(left), len(right))
    parts = []
    for part in (left, np.full((height, 6, 3), DARK, np.uint8), right):
        whole = np.full((height, part.shape[1], 3), DARK, np.uint8)
        whole[: len(part)] = part
        parts.append(whole)
    return np.concatenate(parts, axis=1)


def keep(picture: np.ndarray, name: str, otherwise: Path) -> None:
    folder = Path(FOLDER) if FOLDER else otherwise
    folder.mkdir(parents=True, exist_ok=True)
    write_png(picture, folder / name)
    assert (folder / name).stat().st_size > 10_000


def share_of_warm(picture: np.ndarray) -> float:
    colours = picture.astype(int)
    return float((colours[..., 0] > colours[..., 2] + 60).mean())


def test_screenshots_show_map_legend_outline_and_note(a_module: AModule, tmp_path: Path) -> None:
    assert a_module.ui.scanSelector.currentText() == "sample-01_FLAIR"
    four = a_module.views.four_up()
    assert share_of_warm(four) > 0.01
    half = SIZE[1]
    red = four[:half, : SIZE[0]]
    assert share_of_warm(red[:, : SIZE[0] // 2]) > 0.02  # the patient's right is on the left
    note = red[:24, SIZE[0] // 2 :].astype(int)
    assert (note[..., 0] > 180).sum() > 50  # the disclaimer in the corner
    keep(beside(panel_of(a_module), four), "overlay.png", tmp_path)
    keep(panel_of(a_module), "panel.png", tmp_path)


def test_screenshots_of_the_row_show_the_lesion_once_bright_once_healed(
    a_module: AModule, tmp_path: Path
) -> None:
    a_module.press("rowButton")
    names = ("CounterpartScan", "CounterpartHealthy", "CounterpartOverlay")
    scan, healthy, overlay = (a_module.views[name].pixels().astype(int) for name in names)
    lesion = overlay[..., 0] > overlay[..., 2] + 60
    assert scan[lesion].mean() > healthy[lesion].mean() + 40
    keep(a_module.views.row(names), "row.png", tmp_path)


def test_screenshots_of_one_large_view_with_and_without_the_map(
    a_module: AModule, tmp_path: Path
) -> None:
    a_module.press("singleButton")
    shown = a_module.views["Red"].picture()
    a_module.ui.originalButton.pressed.emit()
    held = a_module.views["Red"].picture()
    a_module.ui.originalButton.released.emit()
    assert share_of_warm(shown) > share_of_warm(held) + 0.01
    keep(beside(shown, held), "single.png", tmp_path)
