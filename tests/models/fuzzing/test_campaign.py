"""Damaged scans do no harm, and a reader that does harm is noticed."""

import signal
from pathlib import Path
from random import Random

import pytest

from counterpart.cli import main
from counterpart.fuzzing.campaign import fuzz
from counterpart.fuzzing.mutations import REFUSED, SAME, make_mutant
from counterpart.fuzzing.scan_probe import Probe, judge
from counterpart.fuzzing.specimens import Specimen, make_specimens
from counterpart.scans import read_scan


@pytest.fixture(scope="module")
def the_specimens() -> list[Specimen]:
    return make_specimens()


def stored(folder: Path, files: dict[str, bytes], entry: str) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder / entry if entry else folder


def test_no_damage_crashes_hangs_or_passes_as_sound(tmp_path: Path) -> None:
    counts, failures = fuzz(300, seed=1, keep=tmp_path / "failures")
    assert failures == []
    assert sum(found.total() for found in counts.values()) == 300
    for kind in ("NIfTI", "NRRD", "MetaImage", "DICOM"):
        assert counts[kind]["read"] > 0, kind
        assert counts[kind]["refused"] > 0, kind


def test_all_formats_hold_the_same_head(tmp_path: Path, the_specimens: list[Specimen]) -> None:
    for number, specimen in enumerate(the_specimens):
        scan = read_scan(stored(tmp_path / str(number), specimen.files, specimen.entry))
        assert scan.values.shape == (9, 10, 8)
        assert float(scan.values.max()) < 900.0


def test_a_mutant_can_be_made_again(the_specimens: list[Specimen]) -> None:
    for specimen in the_specimens[:8]:
        one, two = (make_mutant(specimen, Random("3/4")) for _ in range(2))
        assert one == two


def test_missing_voxels_that_are_read_are_nonsense(
    tmp_path: Path, the_specimens: list[Specimen]
) -> None:
    path = stored(tmp_path / "a", the_specimens[0].files, the_specimens[0].entry)
    assert judge(path, path, SAME).name == "read"
    assert judge(path, path, REFUSED).name == "nonsense"


def test_change_under_a_checksum_that_is_read_is_nonsense(
    tmp_path: Path, the_specimens: list[Specimen]
) -> None:
    files = dict(the_specimens[0].files)
    whole = stored(tmp_path / "a", files, "scan.nii")
    files["scan.nii"] = files["scan.nii"][:-1] + b"\x01"
    assert judge(stored(tmp_path / "b", files, "scan.nii"), whole, SAME).name == "nonsense"


def test_a_reader_that_dies_or_hangs_is_noticed(
    tmp_path: Path, the_specimens: list[Specimen], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = stored(tmp_path / "a", the_specimens[0].files, the_specimens[0].entry)
    probe = Probe(limit_s=20.0)
    try:
        probe._running().kill()
        assert probe.read(path, path, SAME).name == "crashed"
        assert probe.read(path, path, SAME).name == "read"
        probe._running().send_signal(signal.SIGSTOP)
        monkeypatch.setattr(probe, "_limit_s", 0.2)
        assert probe.read(path, path, SAME).name == "hung"
    finally:
        probe.close()


def test_the_command_shows_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["fuzz", "--count", "10", "--seed", "5", "--keep", str(tmp_path / "kept")])
    assert status == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("MetaImage", "crashed", "hung", "nonsense"))
    assert not (tmp_path / "kept").exists()
