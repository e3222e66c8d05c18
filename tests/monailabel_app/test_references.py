"""The most similar healthy references of a result: who is named, and who may see them."""

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from a_server import RELEASED, SCANS, AServer, ServerOf
from healthy_references import (
    BLOCK,
    LEVELS,
    NAMES,
    answer_of,
    maps_of,
    write_answer,
    write_small_cohort,
)
from watching import check_words

from counterpart.bundle import read_references
from counterpart.registry.withdrawals import WITHDRAWN, withdraw
from counterpart.template import CANVAS
from lib.inference.desk import reference
from lib.jobs.references import names_withdrawn
from lib.problems import Problem
from lib.settings import read_settings

MODEL = "healthy-brain"
UNKNOWN = "reference-0000000000"


def listed(job: dict[str, Any]) -> str:
    return f"/counterpart/jobs/{job['id']}/results/references"


def picture(job: dict[str, Any], name: str) -> str:
    return f"/counterpart/jobs/{job['id']}/references/{name}"


def upload(server: AServer, name: str = "another_FLAIR") -> dict[str, Any]:
    """A job on an upload of the first sample, answered from what is kept where the name is."""
    scan = (server.studies / f"{SCANS[0]}.nii.gz").read_bytes()
    sent = server.ask("PUT", f"/counterpart/scans?name={name}.nii.gz", scan).json
    return dict(server.ask_json("POST", "/counterpart/jobs", {"scan": sent["scan"]}).json)


@pytest.fixture(scope="module")
def the_cohort(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[str, ...]]:
    """A prepared cohort, and the pseudonyms of its three subjects."""
    folder = tmp_path_factory.mktemp("cohort")
    return folder, write_small_cohort(folder)


@pytest.fixture(scope="module")
def a_seeing_server(
    the_server: AServer,
    a_done_job: dict[str, Any],
    the_cohort: tuple[Path, tuple[str, ...]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[AServer]:
    """A server with the first one's results that shows references; the job names anna and bela."""
    folder, (anna, bela, _) = the_cohort
    known = {
        "COUNTERPART_MODELS": str(the_server.registry),
        "COUNTERPART_REFERENCES_COHORT": str(folder),
    }
    server = AServer(tmp_path_factory.mktemp("seeing"), known)
    shutil.copytree(the_server.registry, server.registry)  # nothing is published there again
    server.prepare()
    shutil.copytree(the_server.state, server.state)
    write_answer(maps_of(server.state, a_done_job["id"]), answer_of(anna, bela))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def a_naming_job(
    the_server: AServer, a_done_job: dict[str, Any], the_cohort: tuple[Path, tuple[str, ...]]
) -> Iterator[dict[str, Any]]:
    """The done job with a result that names anna; afterwards the result is as it was."""
    result = maps_of(the_server.state, a_done_job["id"]).parent
    kept = the_server.folder / "kept"
    shutil.copytree(result, kept)
    write_answer(result / "maps", answer_of(the_cohort[1][0]))
    yield a_done_job
    shutil.rmtree(result, ignore_errors=True)
    kept.rename(result)
    (the_server.registry / MODEL / WITHDRAWN).unlink(missing_ok=True)


def test_a_result_names_references_that_the_model_was_trained_on(
    the_server: AServer, a_done_job: dict[str, Any]
) -> None:
    assert a_done_job["results"]["references"] == listed(a_done_job)
    told = the_server.ask("GET", listed(a_done_job)).json
    named = [one["id"] for one in told["references"]]
    assert named and set(named) <= set(read_references(RELEASED).index.names)
    assert told["heading"] == "Most similar healthy references" and told["viewable"] is False


def test_a_result_of_a_model_without_references_has_none(
    the_server: AServer, a_naming_job: dict[str, Any]
) -> None:
    (maps_of(the_server.state, a_naming_job["id"]) / "references.json").unlink()
    answer = the_server.ask("GET", listed(a_naming_job))
    check_words(answer, (404,))
    assert answer.json["error"] == "The model knows no healthy references."


def test_references_are_told_by_id_and_similarity_alone(
    the_server: AServer, a_naming_job: dict[str, Any], the_cohort: tuple[Path, tuple[str, ...]]
) -> None:
    answer = the_server.ask("GET", f"{listed(a_naming_job)}?format=json")
    assert answer.status == 200 and answer.headers["content-type"] == "application/json"
    told = answer.json
    assert told["viewable"] is False and told["disclaimer"] == "AI-generated, research use only"
    assert told["references"] == [{"id": the_cohort[1][0], "similarity": 0.8, "rise": 0.03}]
    assert (told["p_value"], told["held_out"], told["withdrawn"]) == (0.21, 60, 2)
    again = the_server.ask(
        "GET", listed(a_naming_job), headers={"If-None-Match": answer.headers["etag"]}
    )
    assert (again.status, again.body) == (304, b"")
    check_words(the_server.ask("GET", f"{listed(a_naming_job)}?format=csv"), (400,))
    refused = the_server.ask("GET", picture(a_naming_job, the_cohort[1][0]))
    check_words(refused, (403,))
    assert "COUNTERPART_REFERENCES_COHORT" in refused.json["hint"]


def test_a_job_links_to_its_references_where_there_are_any(
    a_seeing_server: AServer, a_done_job: dict[str, Any]
) -> None:
    same = upload(a_seeing_server, a_done_job["image"])
    other = a_seeing_server.submit(a_done_job["image"], threshold=31.0)
    for job in (same, other):
        assert job["state"] == "done"
        assert job["results"]["references"] == listed(job)
        answer = a_seeing_server.ask("GET", listed(job))
        assert [one["similarity"] for one in answer.json["references"]] == [0.8, 0.7]
        kept = json.loads((a_seeing_server.state / "jobs" / f"{job['id']}.json").read_text())
        assert kept["references"] is True


def test_a_result_that_names_a_withdrawn_reference_is_handed_out_no_more(
    the_server: AServer, a_naming_job: dict[str, Any], the_cohort: tuple[Path, tuple[str, ...]]
) -> None:
    anna, bela, _ = the_cohort[1]
    result = maps_of(the_server.state, a_naming_job["id"]).parent
    of = f"/counterpart/jobs/{a_naming_job['id']}/results"
    withdraw(MODEL, bela, (anna, bela), root=the_server.registry)
    assert the_server.ask("GET", f"{of}/report").status == 200, "another one was withdrawn"
    withdraw(MODEL, anna, (anna, bela), root=the_server.registry)
    for name in ("report", "references", "anomaly", "findings"):
        answer = the_server.ask("GET", f"{of}/{name}")
        check_words(answer, (410,))
        assert answer.json["error"] == "The results are no longer kept."
        assert not result.exists(), "nor does it lie there any longer"


def test_a_damaged_list_of_withdrawals_lets_nothing_out(
    the_server: AServer, a_naming_job: dict[str, Any]
) -> None:
    (the_server.registry / MODEL / WITHDRAWN).write_text("{")
    answer = the_server.ask("GET", listed(a_naming_job))
    assert answer.is_a_problem(503) and "damaged" in answer.json["error"]


def test_whose_result_names_nobody_is_no_concern_of_withdrawals(tmp_path: Path) -> None:
    assert not names_withdrawn(tmp_path, "../odd")
    write_answer(tmp_path, answer_of())
    assert not names_withdrawn(tmp_path, "../odd")


def test_the_picture_of_a_reference_lies_where_the_patients_brain_lies(
    a_seeing_server: AServer,
    a_done_job: dict[str, Any],
    the_cohort: tuple[Path, tuple[str, ...]],
    tmp_path: Path,
) -> None:
    anna, bela, _ = the_cohort[1]
    assert a_seeing_server.ask("GET", listed(a_done_job)).json["viewable"] is True
    answer = a_seeing_server.ask("GET", picture(a_done_job, bela))
    assert answer.status == 200 and answer.headers["content-type"] == "application/gzip"
    assert answer.headers["cache-control"] == "private, no-cache"
    (tmp_path / "bela.nii.gz").write_bytes(answer.body)
    found = nib.load(tmp_path / "bela.nii.gz")
    name = f"/counterpart/jobs/{a_done_job['id']}/results/provenance"
    pose = np.array(a_seeing_server.ask("GET", name).json["template_from_world"]).reshape(4, 4)
    np.testing.assert_allclose(pose @ found.affine, CANVAS.affine, atol=1e-3)
    values = np.moveaxis(found.get_fdata(), -1, 0)
    assert values[BLOCK].max() == pytest.approx(0.05 * (LEVELS["bela"] - 10), abs=1e-4)
    values[BLOCK] = 0
    assert not values.any(), "the brain alone"
    again = {"If-None-Match": answer.headers["etag"]}
    assert a_seeing_server.ask("GET", picture(a_done_job, bela), headers=again).status == 304
    other = a_seeing_server.ask("GET", picture(a_done_job, anna))
    assert other.headers["etag"] != answer.headers["etag"] and other.body != answer.body


def test_nobody_walks_through_the_cohort(
    a_seeing_server: AServer, a_done_job: dict[str, Any], the_cohort: tuple[Path, tuple[str, ...]]
) -> None:
    carl = the_cohort[1][NAMES.index("carl")]
    for name in (carl, UNKNOWN, "..%2f..%2fcohort", "carl"):
        check_words(a_seeing_server.ask("GET", picture(a_done_job, name)), (400, 404))
    check_words(a_seeing_server.ask("GET", picture({"id": "0" * 32}, carl)), (404,))


def test_who_looked_at_a_reference_is_written_down(
    a_seeing_server: AServer, a_done_job: dict[str, Any], the_cohort: tuple[Path, tuple[str, ...]]
) -> None:
    assert a_seeing_server.ask("GET", picture(a_done_job, the_cohort[1][0])).status == 200
    deadline = time.monotonic() + 10
    found: list[dict[str, Any]] = []
    while not found and time.monotonic() < deadline:  # it is written after the answer was sent
        lines = (a_seeing_server.state / "audit.log").read_text().splitlines()
        told = [json.loads(line) for line in lines]
        asked = [one for one in told if "references/{reference}" in one["action"]]
        found = [one for one in asked if one["status"] == 200 and one["scan"]]
        time.sleep(0.02)
    assert found and found[-1]["who"] == "this machine"
    assert the_cohort[1][0] not in (a_seeing_server.state / "audit.log").read_text()


def test_a_reference_that_the_cohort_lacks_says_whom_to_tell(
    the_cohort: tuple[Path, tuple[str, ...]], tmp_path: Path
) -> None:
    (tmp_path / "provenance.json").write_text(
        json.dumps({"template_from_world": np.eye(4).ravel().tolist()})
    )
    asked = {"cohort": str(the_cohort[0]), "result": str(tmp_path), "out": str(tmp_path / "x.nii")}
    with pytest.raises(Problem, match="has no picture of this healthy reference") as caught:
        reference({**asked, "name": UNKNOWN}, lambda words, share: None)
    assert caught.value.status == 404 and "administrator" in caught.value.hint
    damaged = tmp_path / "damaged"
    shutil.copytree(the_cohort[0], damaged)
    for shard in damaged.glob("*.safetensors"):
        shard.write_bytes(b"nothing")
    with pytest.raises(Problem, match="cannot be read") as caught:
        reference(
            {**asked, "cohort": str(damaged), "name": the_cohort[1][0]}, lambda words, share: None
        )
    assert caught.value.status == 503
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["provenance.json"]


def test_the_folder_of_the_cohort_is_a_setting() -> None:
    assert read_settings("/studies", {}, {}).references_cohort is None
    known = {"COUNTERPART_REFERENCES_COHORT": "/cohort"}
    assert read_settings("/studies", {}, known).references_cohort == Path("/cohort")
    said = read_settings("/studies", {"references_cohort": "mine"}, known)
    assert said.references_cohort == Path.cwd() / "mine"
    assert replace(said, references_cohort=None) == read_settings("/studies", {}, {})


def test_a_folder_that_is_no_cohort_stops_the_start(server_of: ServerOf, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    known = {"COUNTERPART_REFERENCES_COHORT": str(tmp_path / "empty")}
    server = server_of("refusing", environment=known)
    with pytest.raises(RuntimeError, match=r"no cohort\.json\. Make a cohort with"):
        server.start()
    assert "Traceback" not in server.log
