"""Whole heads on disk: what is written is read back, and what was damaged is refused by name."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from counterpart.errors import CohortError
from counterpart.heads import (
    BRAIN_TISSUES,
    FIRST_OUTSIDE,
    HEAD_SHAPE,
    HeadEntry,
    Heads,
    PreparedHead,
    read_heads,
    write_heads,
)

COUNT = 18  # more than one shard holds


def a_flat_head(number: int) -> PreparedHead:
    """A head that can be told from all others by its values."""
    part = "validate" if number % 5 == 2 else "train"
    entry = HeadEntry(f"head-{number}", part, has_image=number % 3 != 0)
    image = np.full(HEAD_SHAPE, 10 * number, np.uint8)
    return PreparedHead(entry, image, np.full(HEAD_SHAPE, number, np.uint8))


@pytest.fixture(scope="module")
def the_written_heads(a_cohort_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many") / "cohort"
    shutil.copytree(a_cohort_folder, folder)
    assert write_heads(folder, (a_flat_head(number) for number in range(COUNT))) == COUNT
    return folder


@pytest.fixture(scope="module")
def the_heads(the_written_heads: Path) -> Heads:
    return read_heads(the_written_heads)


@pytest.fixture
def two_heads(a_cohort_folder: Path, tmp_path: Path) -> Path:
    """A small folder that may be tampered with."""
    folder = tmp_path / "cohort"
    folder.mkdir()
    shutil.copy(a_cohort_folder / "cohort.json", folder)
    write_heads(folder, [a_flat_head(1), a_flat_head(2)])
    return folder


def rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "heads.json"
    index = json.loads(path.read_text())
    change(index)
    path.write_text(json.dumps(index))


def test_tissues_of_the_brain_are_apart_from_all_others() -> None:
    assert 0 not in BRAIN_TISSUES
    assert max(BRAIN_TISSUES) < FIRST_OUTSIDE


def test_heads_survive_the_round_trip_over_shards(
    the_written_heads: Path, the_heads: Heads
) -> None:
    assert len(list(the_written_heads.glob("heads-*.safetensors"))) == 2
    assert list(the_heads.entries) == [a_flat_head(number).entry for number in range(COUNT)]
    assert the_heads.image.shape == the_heads.tissue.shape == (COUNT, *HEAD_SHAPE)
    for number in range(COUNT):
        assert the_heads.image[number].unique().tolist() == [10 * number]
        assert the_heads.tissue[number].unique().tolist() == [number]


def test_a_part_holds_its_own_heads_with_their_arrays(the_heads: Heads) -> None:
    part = the_heads.part("validate")
    assert [entry.name for entry in part.entries] == ["head-2", "head-7", "head-12", "head-17"]
    assert part.tissue[:, 0, 0, 0].tolist() == [2, 7, 12, 17]
    assert part.image[:, 0, 0, 0].tolist() == [20, 70, 120, 170]
    assert part.content_hash == the_heads.content_hash


def test_a_part_without_heads_is_refused(the_heads: Heads) -> None:
    with pytest.raises(CohortError, match="no whole head in part 'calibrate'"):
        the_heads.part("calibrate")


def test_no_heads_leave_no_files(a_cohort_folder: Path, tmp_path: Path) -> None:
    shutil.copy(a_cohort_folder / "cohort.json", tmp_path)
    assert write_heads(tmp_path, []) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["cohort.json"]
    with pytest.raises(CohortError, match=r"holds no whole heads.*not stripped"):
        read_heads(tmp_path)


def test_a_folder_that_is_no_cohort_has_no_heads(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=r"no cohort\.json"):
        read_heads(tmp_path)


def test_a_changed_shard_is_named(two_heads: Path) -> None:
    shard = two_heads / "heads-000.safetensors"
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    with pytest.raises(CohortError, match=r"heads-000\.safetensors: missing or changed"):
        read_heads(two_heads)


def test_a_missing_shard_is_named(two_heads: Path) -> None:
    (two_heads / "heads-000.safetensors").unlink()
    with pytest.raises(CohortError, match=r"heads-000\.safetensors: missing or changed"):
        read_heads(two_heads)


@pytest.mark.parametrize(
    "change",
    [
        lambda index: index.pop("heads"),
        lambda index: index.pop("shards"),
        lambda index: index["heads"][0].pop("part"),
        lambda index: index["heads"][0].update(age=40),
        lambda index: index["shards"][0].pop("sha256"),
        lambda index: index["heads"].pop(),
    ],
    ids=["no heads", "no shards", "no part", "unknown key", "no hash", "a name too few"],
)
def test_a_damaged_index_is_named(
    two_heads: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    rewrite(two_heads, change)
    with pytest.raises(CohortError, match=r"heads\.json: damaged"):
        read_heads(two_heads)


def test_an_index_that_is_no_json_is_named(two_heads: Path) -> None:
    path = two_heads / "heads.json"
    path.write_text(path.read_text()[:-20])
    with pytest.raises(CohortError, match=r"heads\.json: damaged"):
        read_heads(two_heads)


def test_other_heads_have_another_hash(two_heads: Path) -> None:
    before = read_heads(two_heads).content_hash
    assert read_heads(two_heads).content_hash == before
    write_heads(two_heads, [a_flat_head(1), a_flat_head(4)])
    assert read_heads(two_heads).content_hash != before
