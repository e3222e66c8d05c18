"""What arrives from a server is checked before it reaches the scene."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from job_listener import Listener
from small_server import Replies, Reply, json_reply, small_server

from HealthyCounterpartLib.address import ServerAddress
from HealthyCounterpartLib.arrivals import check_findings, check_provenance, check_references
from HealthyCounterpartLib.client import ServerClient
from HealthyCounterpartLib.jobs import RESULTS, Delivery, generate
from HealthyCounterpartLib.problems import ArrivalProblem, CounterpartProblem, ServerProblem
from HealthyCounterpartLib.scan_source import KnownJob
from HealthyCounterpartLib.server_facts import ModelName

JOB = "0123456789abcdef" * 2
MODEL = {"name": "healthy-brain", "version": "0.2.0", "weights_sha256": "ab" * 32}
FINDING = {
    "number": 1,
    "direction": "brighter",
    "volume_ml": 36.44,
    "peak": 210.479,
    "mean": 88.6,
    "centre_ras_mm": [27.6, 10, 31.0],
    "side": "right",
    "region": "frontal lobe",
    "p_value": 0.024,
}
FINDINGS: dict[str, Any] = {
    "disclaimer": "AI-generated, research use only",
    "threshold": 12.9,
    "evidence": {
        "p_value": None,
        "p_floor": None,
        "healthy_scans": 0,
        "source": "simulation",
        "reason": "None is calibrated.",
        "largest_mass": 4272.6,
    },
    "warnings": ["Thick slices."],
    "findings": [FINDING],
}
PROVENANCE = {"weights_sha256": MODEL["weights_sha256"], "contrast": "FLAIR", "spread": 42.1}
REFERENCES: dict[str, Any] = {
    "disclaimer": "AI-generated, research use only",
    "heading": "Most similar healthy references",
    "references": [{"id": "reference-0a1b2c3d4e", "similarity": 0.8123, "rise": 0.0312}],
    "largest_similarity": 0.8123,
    "p_value": 0.21,
    "held_out": 60,
    "withdrawn": 0,
    "note": "",
    "viewable": True,
}
Change = Callable[[dict[str, Any]], object]


def test_what_was_agreed_passes() -> None:
    check_findings(FINDINGS)
    check_findings({**FINDINGS, "findings": [], "warnings": []})
    check_provenance(PROVENANCE, ModelName(**MODEL))


@pytest.mark.parametrize(
    "change",
    [
        lambda said: said.pop("threshold"),
        lambda said: said.pop("evidence"),
        lambda said: said.update(threshold=0),
        lambda said: said.update(threshold="12.9"),
        lambda said: said.update(threshold=float("inf")),
        lambda said: said.update(warnings="Thick slices."),
        lambda said: said.update(warnings=[1]),
        lambda said: said.update(findings={}),
        lambda said: said.update(findings=[None]),
        lambda said: said["evidence"].update(p_value=1.5),
        lambda said: said["evidence"].update(p_value=float("nan")),
        lambda said: said["evidence"].update(healthy_scans=-1),
        lambda said: said["evidence"].update(reason=None),
        lambda said: said["findings"][0].update(number=2),
        lambda said: said["findings"][0].update(direction="sideways"),
        lambda said: said["findings"][0].update(volume_ml=-1),
        lambda said: said["findings"][0].update(volume_ml=float("inf")),
        lambda said: said["findings"][0].update(peak=1, mean=2),
        lambda said: said["findings"][0].update(p_value=-0.1),
        lambda said: said["findings"][0].update(centre_ras_mm=[1, 2]),
        lambda said: said["findings"][0].update(centre_ras_mm=[1, 2, "3"]),
        lambda said: said["findings"][0].update(centre_ras_mm=[1, 2, float("nan")]),
        lambda said: said["findings"][0].update(side=None),
        lambda said: said["findings"][0].pop("region"),
    ],
)
def test_findings_of_another_form_are_refused(change: Change) -> None:
    said = copy.deepcopy(FINDINGS)
    change(said)
    with pytest.raises(ServerProblem, match="findings are not of the agreed form") as caught:
        check_findings(said)
    assert caught.value.kind == "nonsense"


def test_references_of_the_agreed_form_pass_with_or_without_what_is_new() -> None:
    check_references(REFERENCES)
    check_references({**REFERENCES, "references": [], "p_value": None, "note": "Nothing."})
    check_references({"references": [{"id": "reference-1", "similarity": 0.9}]})


@pytest.mark.parametrize(
    "change",
    [
        lambda said: said.pop("references"),
        lambda said: said.update(references={}),
        lambda said: said.update(references=["reference-1"]),
        lambda said: said["references"][0].pop("id"),
        lambda said: said["references"][0].update(id=""),
        lambda said: said["references"][0].update(similarity="0.8"),
        lambda said: said["references"][0].update(rise=float("inf")),
        lambda said: said.update(p_value=1.5),
        lambda said: said.update(held_out=-1),
        lambda said: said.update(withdrawn=None),
        lambda said: said.update(note=None),
        lambda said: said.update(viewable="yes"),
    ],
)
def test_references_of_another_form_are_refused(change: Change) -> None:
    said = copy.deepcopy(REFERENCES)
    change(said)
    with pytest.raises(ServerProblem, match="references are not of the agreed form") as caught:
        check_references(said)
    assert caught.value.kind == "nonsense"


def test_provenance_of_other_weights_or_another_form_is_refused() -> None:
    other = ModelName("healthy-brain", "0.2.0", "cd" * 32)
    for model in (other, None):
        with pytest.raises(ArrivalProblem, match="another model"):
            check_provenance(PROVENANCE, model)
    for said in ({}, {**PROVENANCE, "contrast": 1}, {**PROVENANCE, "spread": float("inf")}):
        with pytest.raises(ServerProblem, match="provenance is not of the agreed form"):
            check_provenance(said, ModelName(**MODEL))


# A server that answers as ours does, but for what a test changes.


def replies(**changed: Reply) -> Replies:
    results = {name: "" for name in (*RESULTS, "findings", "provenance", "references")}
    job = {"id": JOB, "state": "done", "fraction": 1.0, "model": MODEL, "results": results}
    answers = {
        "job": json_reply(job),
        "findings": json_reply(FINDINGS),
        "provenance": json_reply(PROVENANCE),
        "references": json_reply(REFERENCES),
        **{name: (200, {}, name.encode()) for name in RESULTS},
        **changed,
    }
    below = f"/counterpart/jobs/{JOB}"
    found = {f"{below}/results/{name}": reply for name, reply in answers.items()}
    return {**found, below: answers["job"]}


def delivered(folder: Path, **changed: Reply) -> Delivery:
    with small_server(replies(**changed)) as server:
        client = ServerClient(ServerAddress.of(f"127.0.0.1:{server.port}"))
        return generate(client, KnownJob(JOB), {}, folder, Listener().work)


def test_references_come_along_where_the_server_offers_them(tmp_path: Path) -> None:
    delivery = delivered(tmp_path)
    assert delivery.references == REFERENCES
    assert {path.read_text() for path in delivery.files.values()} == set(RESULTS)
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}.nii" for name in RESULTS}


def test_references_that_are_not_there_after_all_cost_no_map(tmp_path: Path) -> None:
    missing = (404, {}, b'{"error": "The model knows no healthy references.", "hint": "Ask."}')
    delivery = delivered(tmp_path, references=missing)
    assert delivery.references == {}
    assert {path.read_text() for path in delivery.files.values()} == set(RESULTS)
    gone = (410, {}, b'{"error": "The results are no longer kept.", "hint": "Ask again."}')
    with pytest.raises(ServerProblem, match="no longer kept"):
        delivered(tmp_path / "again", references=gone)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"findings": json_reply({**FINDINGS, "threshold": None})}, "findings"),
        ({"findings": (200, {}, b'{"threshold": 1e999}')}, "inf"),
        ({"findings": (200, {}, b'{"threshold": NaN}')}, "no JSON"),
        ({"provenance": json_reply({**PROVENANCE, "weights_sha256": "00"})}, "another model"),
        ({"job": json_reply({"id": JOB, "state": "lost"})}, "not understand"),
        ({"job": json_reply({"id": JOB, "state": "queued", "fraction": "x"})}, "understand"),
        ({"mask": (200, {"Content-Encoding": "gzip"}, b"abc")}, "packed"),
        ({"mask": json_reply({"error": "No.", "hint": "Ask."}, 422)}, "No."),
        ({"mask": json_reply({"error": "Gone.", "hint": "x"}, 410)}, "Gone."),
    ],
)
def test_what_cannot_be_used_is_a_sentence(
    tmp_path: Path, changed: dict[str, Reply], words: str
) -> None:
    with pytest.raises(CounterpartProblem) as caught:
        delivered(tmp_path, **changed)
    assert words in caught.value.sentence and caught.value.cure
