"""The module from its first click to the saved scene, with the real server and real MRML."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vtk
from a_module import AModule
from a_server import QUICK, ROOT, SAMPLES, AServer
from people import TOKENS
from slicer.util import arrayFromVolume

from HealthyCounterpartLib.scene.arrival import add_study

Open = Callable[..., AModule]


@pytest.fixture
def open_module(a_scene: Any) -> Iterator[Open]:
    """Opens modules; all are closed afterwards."""
    made: list[AModule] = []

    def make(scene: Any = None, **more: Any) -> AModule:
        made.append(AModule(scene or a_scene, **more))
        return made[-1]

    yield make
    for module in made:
        module.close()


@pytest.fixture
def a_module(open_module: Open, the_server: AServer, a_scene: Any) -> AModule:
    """A module that is connected, with the sample patient in the scene."""
    patient = add_study(a_scene, SAMPLES / "sample-01_FLAIR.nii.gz", "sample-01_FLAIR")
    module = open_module()
    module.controller.opened()
    module.ui.scanSelector.setCurrentNode(patient)
    module.connect(the_server.url, TOKENS["user"])
    return module


def shown_at(module: AModule, view: str, ras: tuple[float, float, float]) -> np.ndarray:
    """The colour of a slice view's pixel at a place."""
    picture = module.views[view]
    matrix = np.array(
        [[picture.node.GetXYToRAS().GetElement(r, c) for c in range(4)] for r in range(4)]
    )
    column, row = (np.linalg.inv(matrix) @ (*ras, 1.0))[:2].round().astype(int)
    pixels = picture.pixels()
    return pixels[pixels.shape[0] - 1 - row, column].astype(int)


def is_warm(colour: np.ndarray) -> bool:
    return bool(colour[0] > colour[2] + 60)


def is_grey(colour: np.ndarray) -> bool:
    return bool(np.ptp(colour) <= 2)


def test_open_choose_generate_slide_select_accept_save_and_find_again(
    a_module: AModule, open_module: Open, new_scene: Callable[[], Any], tmp_path: Path
) -> None:
    module = a_module
    assert f"healthy-brain {QUICK}" in module.text("serverLine")
    assert not module.shows("progressFrame")

    module.press("generateButton")
    assert module.shows("progressFrame") and module.ui.cancelButton.isEnabled()
    module.until(lambda: not module.controller.generation.busy)
    table = module.ui.findingsTable
    assert table.rowCount() == len(module.controller.review.rows) >= 1
    assert "This contrast is not calibrated" in module.text("evidenceLine")

    table.selectRow(0)
    finding = module.controller.review.rows[0]
    place = finding.centre_ras_mm
    for view in ("Red", "Yellow", "Green"):
        assert is_warm(shown_at(module, view, place))

    module.ui.hideBelow.setValue(module.controller.review.slider_maximum * 0.97)
    assert is_grey(shown_at(module, "Red", place))
    module.press("thresholdButton")
    assert is_warm(shown_at(module, "Red", place))
    top = module.controller.review.slider_maximum
    module.ui.rangeSlider.setValues(round(0.95 * top), top)
    assert module.ui.hideBelow.value() == pytest.approx(round(0.95 * top))
    assert is_grey(shown_at(module, "Red", place))
    module.press("thresholdButton")
    module.ui.signSelector.setCurrentIndex(2)
    assert is_grey(shown_at(module, "Red", place))
    module.ui.signSelector.setCurrentIndex(0)
    module.ui.originalButton.pressed.emit()
    assert is_grey(shown_at(module, "Red", place))
    module.ui.originalButton.released.emit()
    assert is_warm(shown_at(module, "Red", place))

    module.press("acceptButton")
    module.type("commentEdit", "as reported")
    saved = tmp_path / "case.mrb"
    assert module.scene.WriteToMRB(str(saved))

    again = new_scene()
    other = open_module(again)
    assert again.ReadFromMRB(str(saved))
    other.controller.scene_opened()
    assert other.ui.runSelector.count() == 1
    row = other.controller.review.rows[0]
    assert (row.state, row.comment, row.volume_ml) == (
        "accepted",
        "as reported",
        finding.volume_ml,
    )


def test_the_row_shows_scan_counterpart_and_overlay_at_one_place(a_module: AModule) -> None:
    a_module.generate()
    a_module.ui.findingsTable.selectRow(0)
    a_module.press("rowButton")
    place = a_module.controller.review.rows[0].centre_ras_mm
    assert is_grey(shown_at(a_module, "CounterpartScan", place))
    assert is_grey(shown_at(a_module, "CounterpartHealthy", place))
    assert is_warm(shown_at(a_module, "CounterpartOverlay", place))
    run = a_module.controller.review.run
    scan, healthy = (arrayFromVolume(node) for node in (run.scan, run.counterpart))
    inside = np.abs(arrayFromVolume(run.anomaly)) > 100
    assert healthy[inside].mean() < 0.75 * scan[inside].mean()  # the bright lesion is repainted


def test_the_residual_has_its_own_unit_and_range(a_module: AModule) -> None:
    a_module.generate()
    score_end = a_module.controller.review.slider_maximum
    a_module.ui.mapSelector.setCurrentIndex(1)
    assert a_module.parameters.shownMap == "residual"
    assert "spreads" in a_module.ui.hideBelow.suffix()
    assert a_module.controller.review.slider_maximum < score_end
    place = a_module.controller.review.rows[0].centre_ras_mm
    a_module.ui.findingsTable.selectRow(0)
    assert a_module.parameters.hideBelow < 5 and shown_at(a_module, "Red", place).any()


def test_cancel_is_pressed_while_the_server_is_at_work(
    a_module: AModule, the_server: AServer
) -> None:
    arrayFromVolume(a_module.parameters.scan)[0, 0, 4] += 17
    a_module.press("generateButton")
    a_module.until(lambda: a_module.controller.generation._job != "")
    job = a_module.controller.generation._job
    a_module.press("cancelButton")
    a_module.until(lambda: not a_module.controller.generation.busy)
    assert "Cancelled" in a_module.text("messageLine")
    assert not a_module.shows("progressFrame")
    assert the_server.wait(job, ("cancelled",))["state"] == "cancelled"


def test_everything_is_exported_to_where_the_reader_says(a_module: AModule, tmp_path: Path) -> None:
    a_module.generate()
    a_module.paths = {
        "segmentation": tmp_path / "findings.seg.nrrd",
        "maps": tmp_path / "maps",
        "table": tmp_path / "findings.csv",
        "report": tmp_path / "report.html",
    }
    for name in ("Segmentation", "Maps", "Table", "Report"):
        a_module.press(f"export{name}Button")
    a_module.until(lambda: "report.html" in a_module.text("messageLine"))
    assert all(path.exists() for path in a_module.paths.values())


def test_the_administrators_section_is_there_for_administrators_alone(
    a_module: AModule, the_server: AServer
) -> None:
    assert not a_module.shows("administratorSection")
    a_module.connect(the_server.url, TOKENS["admin"])
    a_module.until(lambda: a_module.ui.versionSelector.count() > 0)
    assert a_module.shows("administratorSection")
    a_module.press("cohortButton")
    a_module.until(lambda: "healthy scans" in a_module.text("cohortLine"))


def test_a_server_that_is_not_there_is_told_with_its_cure(open_module: Open) -> None:
    module = open_module()
    module.connect("http://127.0.0.1:9")
    assert "127.0.0.1" in module.text("serverLine")
    assert not module.ui.generateButton.isEnabled() and module.text("hintLine")


def test_an_oblique_left_handed_scan_under_a_transform_is_marked_at_the_right_place(
    open_module: Open, the_server: AServer, a_scene: Any
) -> None:
    patient = add_study(a_scene, SAMPLES / "sample-01_FLAIR.nii.gz", "patient_FLAIR")
    values = arrayFromVolume(patient)
    matrix = vtk.vtkMatrix4x4()
    patient.GetIJKToRASMatrix(matrix)
    columns = values.shape[2]
    for row in range(3):  # the same head, its columns counted from the other side
        step = matrix.GetElement(row, 0)
        matrix.SetElement(row, 3, matrix.GetElement(row, 3) + step * (columns - 1))
        matrix.SetElement(row, 0, -step)
    values[:] = values[:, :, ::-1].copy()
    turn = vtk.vtkTransform()
    turn.RotateX(9)
    turned = vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Multiply4x4(turn.GetMatrix(), matrix, turned)
    patient.SetIJKToRASMatrix(turned)
    assert turned.Determinant() < 0  # left-handed
    transform = a_scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    lean = vtk.vtkTransform()
    lean.RotateZ(25)
    lean.Translate(12, -8, 5)
    transform.SetMatrixTransformToParent(lean.GetMatrix())
    patient.SetAndObserveTransformNodeID(transform.GetID())

    module = open_module()
    module.ui.scanSelector.setMRMLScene(a_scene)
    module.ui.scanSelector.setCurrentNode(patient)
    module.connect(the_server.url, TOKENS["user"])
    module.generate()
    assert "there" in module.text("messageLine"), module.text("messageLine")
    module.ui.findingsTable.selectRow(0)
    finding = module.controller.review.rows[0]
    assert (finding.direction, finding.side) == ("brighter", "right")
    place = lean.TransformPoint(finding.centre_ras_mm)
    for view in ("Red", "Yellow", "Green"):
        assert is_warm(shown_at(module, view, place)), view
    run = module.controller.review.run
    inside = np.abs(arrayFromVolume(run.anomaly)) > 100
    assert (
        arrayFromVolume(patient)[inside].mean()
        > 1.3 * arrayFromVolume(run.counterpart)[inside].mean()
    )


def test_a_healthy_head_has_an_empty_table_and_says_what_that_is_worth(
    open_module: Open, the_server: AServer, a_scene: Any
) -> None:
    healthy = ROOT / "sample_data" / "healthy" / "healthy-01_T1.nii.gz"
    scan = add_study(a_scene, healthy, "healthy-01_T1")
    module = open_module()
    module.ui.scanSelector.setCurrentNode(scan)
    module.connect(the_server.url, TOKENS["user"])
    module.generate()
    assert module.controller.review.run is not None, module.text("messageLine")
    assert module.ui.findingsTable.rowCount() == 0
    assert "Nothing" in module.text("evidenceLine")
    assert not module.ui.nextButton.isEnabled()
