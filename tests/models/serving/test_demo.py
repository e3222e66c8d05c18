"""``counterpart demo``: what it writes and says, with a stand-in and with the real server."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from serving_plans import StandInPlan

from counterpart.cli import main
from counterpart.package_data import package_data
from counterpart.serving import demo
from counterpart.serving.plan import plan_server
from counterpart.serving.server_process import ServerProcess

Spoken = Callable[[], str]
BundleOf = Callable[..., Path]
WRITTEN = {
    *("reconstruction.nii.gz", "counterpart.nii.gz", "residual.nii.gz", "anomaly.nii.gz"),
    *("mask.nii.gz", "brain.nii.gz", "findings.json", "provenance.json"),
    *("report.html", "report.png"),
}


@pytest.fixture
def a_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        demo, "plan_server", lambda *given: StandInPlan(**vars(plan_server(*given)))
    )


@pytest.mark.usefixtures("a_stand_in")
def test_the_demo_fetches_what_generate_writes(tmp_path: Path, spoken: Spoken) -> None:
    out = tmp_path / "out"
    for _ in range(2):  # a second demo replaces the first one's results
        assert main(["demo", "--once", "-o", str(out)]) == 0
        lines = spoken().splitlines()
        assert lines[-1] == f"Open {out / demo.DEMO_IMAGE / 'report.html'}"
        assert lines[-2].startswith("done sample-01_FLAIR: 2 findings → ")
    folder = out / demo.DEMO_IMAGE
    assert {path.name for path in folder.iterdir()} == WRITTEN
    assert (folder / "report.png").read_bytes() == b"report as png" * 1000
    assert (folder / "brain.nii.gz").read_bytes() == b"brain as nii.gz" * 1000
    assert {path.name for path in out.iterdir()} == {"studies", "server", demo.DEMO_IMAGE}
    samples = {path.name for path in (package_data("sample_data") / "patients").iterdir()}
    masks = {name for name in samples if "_brain" in name or "_lesion" in name}
    assert masks
    assert {path.name for path in (out / "studies").iterdir()} == samples - masks


@pytest.mark.usefixtures("a_stand_in")
def test_the_demo_goes_on_serving_until_it_is_interrupted(
    tmp_path: Path, spoken: Spoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(process: ServerProcess) -> int:
        assert process.client().health()["state"] == "ready"
        raise KeyboardInterrupt

    monkeypatch.setattr(ServerProcess, "wait", interrupt)
    assert main(["demo", "-o", str(tmp_path / "out")]) == 0
    assert "For 3D Slicer: http://127.0.0.1:" in spoken().splitlines()[-1]


@pytest.mark.usefixtures("a_stand_in")
def test_files_of_others_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / demo.DEMO_IMAGE
    folder.mkdir()
    (folder / "note.txt").write_text("mine")
    assert main(["demo", "--once", "-o", str(tmp_path)]) == 1
    assert "holds 'note.txt', which is not ours to replace" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [demo.DEMO_IMAGE]


def test_a_model_that_does_not_exist_ends_with_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["serve", "--studies", str(tmp_path), "--state", str(tmp_path / "state")]
    arguments += ["--port", str(demo.free_port("127.0.0.1", 0)), "--model", "./none"]
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"counterpart: {Path('none').absolute()}: no model bundle")
    assert said.count("\n") == 1


def test_the_demo_with_the_real_server(bundle_of: BundleOf, tmp_path: Path, spoken: Spoken) -> None:
    model = bundle_of("0.0.1", contrasts=("FLAIR",))
    assert main(["demo", "--once", "-o", str(tmp_path / "out"), "--model", str(model)]) == 0
    folder = tmp_path / "out" / demo.DEMO_IMAGE
    assert {path.name for path in folder.iterdir()} == WRITTEN
    assert (folder / "report.png").stat().st_size > 50_000
    assert (folder / "report.html").stat().st_size > 50_000
    provenance = json.loads((folder / "provenance.json").read_text())
    assert provenance["model"] == "tiny"
    findings = json.loads((folder / "findings.json").read_text())
    assert findings["disclaimer"] == "AI-generated, research use only"
    text = spoken()
    assert "4 scans (1 T1, 1 T2, 2 FLAIR, by their names)" in text
    assert "tiny 0.0.1, weights " in text
    assert "FLAIR (simulated)" in text
