import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from made_up_runs import OBLIQUE, Phantom, orthonormal

from HealthyCounterpartLib.finding_row import FindingRow
from HealthyCounterpartLib.problems import CounterpartProblem
from HealthyCounterpartLib.scene.counterpart_scene import CounterpartScene
from HealthyCounterpartLib.scene.exporting import write_table
from HealthyCounterpartLib.scene.runs import Run

ROW = FindingRow(1, "brighter", 3.2, 50.0, 40.0, None, "left", "lobe", (1.0, 2.0, 3.0))


@pytest.mark.parametrize("turned", [1.0, -1.0], ids=["right-handed", "left-handed"])
def test_maps_are_written_where_the_scan_lies(
    a_scene: Any, the_counterparts: CounterpartScene, turned: float, tmp_path: Path
) -> None:
    phantom = Phantom(affine=orthonormal(OBLIQUE) @ np.diag([1.0, 1.0, turned, 1.0]))
    scan = phantom.scan(a_scene)
    run = the_counterparts.add_run(scan, phantom.delivery(tmp_path / "d"), "now")
    files = the_counterparts.export_maps(run, tmp_path / "out")
    assert len(files) == 4
    anomaly = nibabel.load(next(path for path in files if "anomaly" in path.name))
    assert anomaly.get_data_dtype() == np.float32
    assert np.allclose(anomaly.affine, phantom.affine, atol=1e-3)
    assert np.array_equal(np.asarray(anomaly.dataobj), phantom.anomaly())


def test_provenance_goes_with_the_maps(
    the_counterparts: CounterpartScene, a_run: Run, tmp_path: Path
) -> None:
    files = the_counterparts.export_maps(a_run, tmp_path / "out")
    told = json.loads(files[-1].read_text())
    assert told["disclaimer"] == "AI-generated, research use only"
    assert told["provenance"]["model"] == "healthy-brain"
    assert all("AI-generated" in path.name for path in files[:-1])


def test_segments_are_written_by_name_and_place(
    the_counterparts: CounterpartScene, a_run: Run, a_phantom: Phantom, tmp_path: Path
) -> None:
    path = tmp_path / "findings.seg.nrrd"
    the_counterparts.export_segmentation(a_run, path)
    image = sitk.ReadImage(str(path))
    assert image.GetMetaData("Segment0_Name") == "1 brighter 0.9 ml"
    for number, place in enumerate(a_phantom.places, start=1):
        right, anterior, superior = a_phantom.world(place.centre)
        index = image.TransformPhysicalPointToIndex((-right, -anterior, superior))
        assert image[index] == int(image.GetMetaData(f"Segment{number - 1}_LabelValue"))


def test_the_table_holds_states_and_comments(
    the_counterparts: CounterpartScene, a_run: Run, tmp_path: Path
) -> None:
    the_counterparts.set_state(a_run, 1, "rejected")
    the_counterparts.set_comment(a_run, 1, "artefact, tooth; Größe")
    path = tmp_path / "findings.csv"
    the_counterparts.export_table(a_run, path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["State"] for row in rows] == ["rejected", "open"]
    assert rows[0]["Comment"] == "artefact, tooth; Größe"
    assert float(rows[1]["Volume (ml)"]) == 0.48
    assert rows[0]["Note"] == "AI-generated, research use only"


def test_a_cell_is_no_formula(tmp_path: Path) -> None:
    write_table([replace(ROW, comment="=HYPERLINK(1)", region="@x")], tmp_path / "t.csv")
    text = (tmp_path / "t.csv").read_text(encoding="utf-8-sig")
    assert "'=HYPERLINK" in text
    assert "'@x" in text


@pytest.mark.parametrize("kind", ["segmentation", "maps", "table"])
def test_an_existing_file_is_kept_unless_it_may_be_replaced(
    the_counterparts: CounterpartScene, a_run: Run, kind: str, tmp_path: Path
) -> None:
    names = {
        "segmentation": "f.seg.nrrd",
        "maps": "anomaly_AI-generated.nii.gz",
        "table": "f.csv",
    }
    there = tmp_path / names[kind]
    there.write_text("mine")
    path = tmp_path if kind == "maps" else there
    write = getattr(the_counterparts, f"export_{kind}")
    with pytest.raises(FileExistsError):
        write(a_run, path)
    assert there.read_text() == "mine"
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == [there.name]
    write(a_run, path, overwrite=True)
    assert there.read_bytes() != b"mine"


def test_a_folder_that_cannot_be_written_is_told(
    the_counterparts: CounterpartScene, a_run: Run, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(CounterpartProblem, match=r"f\.csv could not be written"):
        the_counterparts.export_table(a_run, tmp_path / "file" / "f.csv")


def test_nothing_is_left_beside_what_was_written(
    the_counterparts: CounterpartScene, a_run: Run, tmp_path: Path
) -> None:
    the_counterparts.export_segmentation(a_run, tmp_path / "out" / "f.seg.nrrd")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["f.seg.nrrd"]


def test_a_removed_segmentation_cannot_be_written(
    a_scene: Any, the_counterparts: CounterpartScene, a_run: Run, tmp_path: Path
) -> None:
    a_scene.RemoveNode(a_run.segmentation)
    with pytest.raises(CounterpartProblem, match="removed"):
        the_counterparts.export_segmentation(a_run, tmp_path / "f.seg.nrrd")


def test_exporting_leaves_no_trace_in_the_scene(
    a_scene: Any, the_counterparts: CounterpartScene, a_run: Run, tmp_path: Path
) -> None:
    before = a_scene.GetNumberOfNodes()
    the_counterparts.export_maps(a_run, tmp_path)
    the_counterparts.export_segmentation(a_run, tmp_path / "f.seg.nrrd")
    assert a_scene.GetNumberOfNodes() == before
    assert a_run.anomaly.GetStorageNode() is None
