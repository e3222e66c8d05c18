"""File hashes: those of the whole content, whatever the size of the blocks."""

import hashlib
from pathlib import Path

import pytest

from counterpart.hashing import file_sha256


@pytest.mark.parametrize("size", [0, 1, 2**20 - 1, 2**20, 2**20 + 1, 3 * 2**20])
def test_the_hash_is_that_of_the_whole_content(tmp_path: Path, size: int) -> None:
    content = (bytes(range(251)) * (size // 251 + 1))[:size]
    path = tmp_path / "file"
    path.write_bytes(content)
    assert file_sha256(path) == hashlib.sha256(content).hexdigest()


def test_one_changed_byte_changes_the_hash(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\0" * 100)
    before = file_sha256(path)
    path.write_bytes(b"\0" * 99 + b"\1")
    assert file_sha256(path) != before


def test_the_empty_file_has_the_published_hash(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    assert file_sha256(path).startswith("e3b0c44298fc1c149afbf4c8996fb924")
