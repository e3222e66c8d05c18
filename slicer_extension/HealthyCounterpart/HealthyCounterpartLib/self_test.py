"""The self-test that runs within Slicer: scene, panel and, with a server, the whole path."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from HealthyCounterpartLib.finding_row import ACCEPTED, BRIGHTER, DARKER
from HealthyCounterpartLib.jobs import Delivery
from HealthyCounterpartLib.overlay import LAYOUTS, RESIDUAL, SCORE
from HealthyCounterpartLib.scene.counterpart_scene import CounterpartScene
from HealthyCounterpartLib.scene.voxels import set_ijk_to_ras
from HealthyCounterpartLib.server_facts import DONE, JobStatus, ModelName

SERVER = "COUNTERPART_TEST_SERVER"
TOKEN = "COUNTERPART_TEST_TOKEN"
PATIENCE_S = 900.0
SHAPE = (16, 24, 20)  # K, J, I
THRESHOLD = 12.5
WHEN = "2026-01-01 12:00:00"
WEIGHTS = "0" * 64
MATRIX = np.array(  # anisotropic, oblique, left-handed
    [[-1.2, 0.0, 0.0, 12.0], [0.0, 0.8, -1.5, 3.0], [0.0, 0.6, 2.0, -8.0], [0.0, 0.0, 0.0, 1.0]]
)
PLACES = {BRIGHTER: (np.s_[4:9, 5:11, 4:10], 40.0), DARKER: (np.s_[5:9, 14:19, 12:16], -25.0)}


def run(case: Any) -> None:
    """Run the whole self-test.

    Args:
        case: A `unittest.TestCase`.
    """
    slicer.mrmlScene.Clear(False)
    with tempfile.TemporaryDirectory(prefix="HealthyCounterpart-") as folder:
        check_scene(case, slicer.mrmlScene, Path(folder))
    widget = slicer.modules.healthycounterpart.widgetRepresentation().self()
    check_panel(case, widget)
    address = os.environ.get(SERVER, "")
    if address:
        check_server(case, widget.controller, address, slicer.app.processEvents)


def check_scene(case: Any, scene: Any, folder: Path) -> None:
    """Bring made-up results into a scene, look at them, save the scene and read it back.

    Args:
        case: A `unittest.TestCase`.
        scene: MRML scene; it is replaced by the one that is read back.
        folder: An empty one.
    """
    counterparts = CounterpartScene(scene)
    scan = new_scan(scene)
    case.assertEqual(counterparts.sendable(scan).values.shape, SHAPE)
    run = counterparts.add_run(scan, new_delivery(folder), WHEN)
    rows = counterparts.rows(run)
    case.assertEqual([row.direction for row in rows], [BRIGHTER, DARKER])
    _check_looks(case, counterparts, run)
    counterparts.set_state(run, 1, ACCEPTED)
    counterparts.set_comment(run, 2, "seen")
    counterparts.export_table(run, folder / "findings.csv")
    case.assertEqual(len((folder / "findings.csv").read_text(encoding="utf-8").splitlines()), 3)
    bundle = str(folder / "scene.mrb")
    case.assertTrue(scene.WriteToMRB(bundle))
    case.assertTrue(scene.ReadFromMRB(bundle, True))
    found = counterparts.runs()
    case.assertEqual([one.name for one in found], [run.name])
    again = counterparts.rows(found[0])
    case.assertEqual((again[0].state, again[1].comment), (ACCEPTED, "seen"))


def check_panel(case: Any, widget: Any) -> None:
    """Check that the panel is there and follows the parameter node.

    Args:
        case: A `unittest.TestCase`.
        widget: The module's widget.
    """
    widget.enter()
    case.assertFalse(widget.ui.generateButton.isHidden())
    widget.parameters.opacity = 0.5
    case.assertAlmostEqual(widget.parameters.opacity, 0.5)
    names = [run.name for run in widget.controller.review.runs]
    case.assertEqual(names, [run.name for run in CounterpartScene(slicer.mrmlScene).runs()])


def check_server(
    case: Any, controller: Any, address: str, process_events: Callable[[], None]
) -> None:
    """Have the server make a counterpart of its first study, and look at it.

    Args:
        case: A `unittest.TestCase`.
        controller: The module's.
        address: Of the server.
        process_events: Lets the application do what waits.
    """

    def wait_for(holds: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE_S
        while not holds() and time.monotonic() < until:
            process_events()
            controller.tick()
            time.sleep(0.05)
        case.assertTrue(holds(), controller.connection.line.text)

    controller.set_address(address)
    controller.set_token(os.environ.get(TOKEN, ""))
    controller.connect()
    wait_for(lambda: controller.connection.ready)
    controller.choose_source(True)
    controller.choose_study(controller.connection.studies[0])
    before = len(controller.review.runs)
    controller.generate()
    wait_for(lambda: not controller.generation.busy)
    case.assertEqual(len(controller.review.runs), before + 1, controller.news)
    controller.next_finding()
    controller.choose_source(False)


def _check_looks(case: Any, counterparts: CounterpartScene, run: Any) -> None:
    for shown_map in (RESIDUAL, SCORE):
        overlay = counterparts.default_overlay(run, shown_map)
        case.assertLess(overlay.hide_below, overlay.saturate_above)
        for layout in LAYOUTS:
            counterparts.show(run, overlay, layout)
        counterparts.recolour(run, overlay)
    case.assertAlmostEqual(overlay.hide_below, THRESHOLD)
    for number in (1, 2, None):
        counterparts.select(run, number)
    for held in (True, False):
        counterparts.hold_original(run, held, overlay)


def new_scan(scene: Any) -> Any:
    """A made-up scan in a scene.

    Args:
        scene: Where.
    """
    k, j, i = np.indices(SHAPE)
    scan = _volume((100 + 5 * i + 3 * j + 2 * k).astype(np.int16))
    scan.SetName("Self-test FLAIR")
    scene.AddNode(scan)
    scan.CreateDefaultDisplayNodes()
    return scan


def new_delivery(folder: Path) -> Delivery:
    """Made-up results of that scan, as a server would deliver them.

    Args:
        folder: Where their files go.
    """
    score = np.zeros(SHAPE, np.float32)
    for box, value in PLACES.values():
        score[box] = value
    maps = {
        "counterpart": np.full(SHAPE, 120, np.float32),
        "residual": score / 10,
        "anomaly": score,
        "mask": (np.abs(score) >= THRESHOLD).astype(np.uint8),
    }
    files = {name: folder / f"{name}.nii" for name in maps}
    for name, values in maps.items():
        storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
        storage.SetFileName(str(files[name]))
        storage.WriteData(_volume(values))
    model = ModelName("self-test", "1.0.0", WEIGHTS)
    return Delivery(
        job=JobStatus("self-test", DONE, model=model, scan=WEIGHTS),
        files=files,
        findings=_findings(),
        provenance={
            "model": model.name,
            "version": model.version,
            "weights_sha256": WEIGHTS,
            "contrast": "FLAIR",
        },
        references={},
        scan_sha256=WEIGHTS,
    )


def _findings() -> dict[str, Any]:
    voxel_ml = float(abs(np.linalg.det(MATRIX[:3, :3]))) / 1000.0
    found = []
    for number, (direction, (box, value)) in enumerate(PLACES.items(), start=1):
        middle = [(part.start + part.stop - 1) // 2 for part in box][::-1]
        found.append(
            {
                "number": number,
                "direction": direction,
                "volume_ml": float(np.ones(SHAPE)[box].sum()) * voxel_ml,
                "peak": abs(value),
                "mean": abs(value),
                "p_value": 0.04,
                "side": "left",
                "region": "frontal lobe",
                "centre_ras_mm": [float(x) for x in (MATRIX @ [*middle, 1.0])[:3]],
            }
        )
    evidence = {"p_value": 0.04, "p_floor": 0.01, "healthy_scans": 99, "source": "", "reason": ""}
    return {"threshold": THRESHOLD, "evidence": evidence, "warnings": [], "findings": found}


def _volume(values: np.ndarray) -> Any:
    """A volume node that is in no scene.

    Args:
        values: (K, J, I) voxels.
    """
    image = vtk.vtkImageData()
    image.SetDimensions(*values.shape[::-1])
    scalars = numpy_to_vtk(np.ascontiguousarray(values).ravel(), deep=True)
    image.GetPointData().SetScalars(scalars)
    volume = slicer.vtkMRMLScalarVolumeNode()
    volume.SetAndObserveImageData(image)
    set_ijk_to_ras(volume, MATRIX)
    return volume
