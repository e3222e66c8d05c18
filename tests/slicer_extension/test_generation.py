"""What a Slicer that crashed has left is removed."""

import os
import tempfile
import time
from pathlib import Path

import pytest

from HealthyCounterpartLib.generation import FOLDER_PREFIX, remove_old_folders


def test_copies_of_scans_that_a_crash_has_left_are_removed_and_those_in_use_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    old, new, other = (
        tmp_path / name for name in (f"{FOLDER_PREFIX}old", f"{FOLDER_PREFIX}new", "another")
    )
    for folder in (old, new, other):
        folder.mkdir()
        (folder / "scan.nrrd").write_bytes(b"a head")
    two_days_ago = time.time() - 2 * 24 * 3600
    for folder in (old, other):
        os.utime(folder, (two_days_ago, two_days_ago))
    remove_old_folders()
    assert not old.exists()
    assert (new / "scan.nrrd").exists() and (other / "scan.nrrd").exists()
