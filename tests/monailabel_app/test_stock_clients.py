"""The stock way works unchanged: MONAI Label's own client, which nobody here wrote."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from a_server import AServer, multipart
from monailabel.client import MONAILabelClient

MODEL = "healthy_counterpart"
# The client leaves its connections and files to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore:unclosed:ResourceWarning",
    "ignore:Exception ignored in. <(socket|_io):pytest.PytestUnraisableExceptionWarning",
)


@pytest.fixture
def a_client(the_server: AServer, tmp_path: Path) -> MONAILabelClient:
    return MONAILabelClient(the_server.url, tmpdir=str(tmp_path))


def test_info_names_the_model_its_label_and_the_trainer_of_the_same_name(
    a_client: MONAILabelClient,
) -> None:
    info = a_client.info()
    assert info["models"][MODEL]["type"] == "segmentation"
    assert info["models"][MODEL]["labels"] == {"anomaly": 1}
    assert set(info["trainers"]) == {MODEL} and info["labels"] == ["anomaly"]
    assert "AI-generated, research use only" in info["description"]


def test_an_inference_gives_the_mask_and_the_findings(
    the_server: AServer, a_client: MONAILabelClient, a_done_job: dict
) -> None:
    mask, params = a_client.infer(MODEL, a_done_job["image"], {"result_extension": ".nrrd"})
    image = sitk.ReadImage(mask)
    assert image.GetPixelID() == sitk.sitkUInt8
    scan = sitk.ReadImage(str(the_server.studies / f"{a_done_job['image']}.nii.gz"))
    assert image.GetSize() == scan.GetSize()
    np.testing.assert_allclose(image.GetOrigin(), scan.GetOrigin(), atol=1e-3)
    np.testing.assert_allclose(image.GetDirection(), scan.GetDirection(), atol=1e-5)
    volume = sitk.GetArrayFromImage(image).sum() * np.prod(image.GetSpacing()) / 1000
    assert volume == pytest.approx(sum(f["volume_ml"] for f in params["findings"]), rel=0.01)
    assert params["label_names"] == {"anomaly": 1}
    assert params["provenance"]["weights_sha256"] == a_done_job["model"]["weights_sha256"]


def test_the_float_maps_are_labels_of_the_image_with_their_provenance(
    the_server: AServer, a_client: MONAILabelClient, a_done_job: dict
) -> None:
    image = a_done_job["image"]
    a_client.infer(MODEL, image, {})
    for tag in ("counterpart", "residual", "anomaly"):
        label = nib.load(a_client.download_label(image, tag))
        assert label.get_data_dtype() == np.float32
        whole = the_server.ask("GET", f"/counterpart/jobs/{a_done_job['id']}/results/{tag}").body
        assert label.get_fdata(dtype=np.float32).tobytes(order="F") == whole[352:]
        info = the_server.ask("GET", f"/datastore/label/info?label={image}&tag={tag}").json
        assert info["provenance"]["model"] == "healthy-brain" and "path" not in info
    kept = a_client.datastore()["objects"][image]["labels"]
    assert {"counterpart", "residual", "anomaly"} <= set(kept)
    assert a_client.info()["datastore"]["completed"] == 0, "maps are no final labels"
    assert the_server.ask("GET", "/datastore/?output=train").json == []


def test_a_session_stands_for_a_scan_that_is_not_in_the_studies(
    the_server: AServer, a_client: MONAILabelClient, a_done_job: dict, tmp_path: Path
) -> None:
    scan = tmp_path / f"{a_done_job['image']}.nii.gz"
    shutil.copy(the_server.studies / scan.name, scan)
    before = a_client.info()["datastore"]["total"]
    session = a_client.create_session(str(scan))
    assert a_client.get_session(session["session_id"])["name"] == session["session_id"]
    mask, params = a_client.infer(MODEL, "", {}, session_id=session["session_id"])
    assert Path(mask).stat().st_size > 0 and len(params["findings"]) == a_done_job["findings"]
    a_client.remove_session(session["session_id"])
    assert the_server.ask("GET", f"/session/{session['session_id']}").is_a_problem(404)
    assert a_client.info()["datastore"]["total"] == before


def test_an_image_is_added_labelled_and_found_again(
    the_server: AServer, a_client: MONAILabelClient, a_done_job: dict, tmp_path: Path
) -> None:
    scan = the_server.studies / f"{a_done_job['image']}.nii.gz"
    named = tmp_path / "new_FLAIR.nii.gz"
    shutil.copy(scan, named)
    assert a_client.upload_image(str(named), "new_FLAIR")["image"] == "new_FLAIR"
    assert (the_server.studies / "new_FLAIR.nii.gz").read_bytes() == scan.read_bytes()
    mask = tmp_path / "seen.nrrd"
    url = f"/counterpart/jobs/{a_done_job['id']}/results/mask?format=nrrd"
    mask.write_bytes(the_server.ask("GET", url).body)
    a_client.save_label("new_FLAIR", str(mask), tag="final")
    assert a_client.info()["datastore"]["completed"] == 1
    assert Path(a_client.download_label("new_FLAIR", "final")).read_bytes() == mask.read_bytes()
    assert the_server.ask("DELETE", "/datastore/image?id=new_FLAIR").status == 200
    assert not (the_server.studies / "new_FLAIR.nii.gz").exists()
    assert not (the_server.studies / "labels" / "final" / "new_FLAIR.nrrd").exists()
    assert a_client.info()["datastore"]["completed"] == 0


def test_every_output_that_clients_ask_for_is_given(the_server: AServer, a_done_job: dict) -> None:
    address = f"/infer/{MODEL}?image={a_done_job['image']}"
    body, headers = multipart({"params": json.dumps({"client_id": "user-xyz"})}, {})
    listed = the_server.ask("POST", f"{address}&output=json", body, headers)
    assert len(listed.json["findings"]) == a_done_job["findings"]
    image = the_server.ask("POST", f"{address}&output=image", body, headers)
    assert image.body.startswith(b"NRRD")
    packed, headers = multipart({"params": json.dumps({"result_extension": ".nii.gz"})}, {})
    gz = the_server.ask("POST", f"{address}&output=image", packed, headers)
    assert gz.body.startswith(b"\x1f\x8b")


def test_a_batch_does_every_image_and_says_how_it_went(
    the_server: AServer, a_done_job: dict
) -> None:
    stock = {"device": "cuda", "multi_gpu": True, "gpus": "all", "max_workers": 1}
    wanted = {**stock, "max_batch_size": 1, "save_label": True, "label_tag": "original"}
    started = the_server.ask_json("POST", f"/batch/infer/{MODEL}?images=all", wanted)
    assert started.status == 200 and started.json["status"] in ("RUNNING", "DONE")
    deadline = time.monotonic() + 120
    while the_server.ask("GET", "/batch/infer").json["status"] == "RUNNING":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    task: dict[str, Any] = the_server.ask("GET", "/batch/infer").json
    assert task["status"] == "DONE" and task["details"] == ["1 of 1: done"]
    image = sorted(path.name for path in the_server.studies.glob("*.nii.gz"))[0]
    original = the_server.studies / "labels" / "original" / image
    assert nib.load(original).get_data_dtype() == np.uint8


def test_a_random_next_sample_is_one_of_the_studies(a_client: MONAILabelClient) -> None:
    sample = a_client.next_sample("random", {})
    assert sample["id"] in a_client.datastore()["objects"] and "path" not in sample
