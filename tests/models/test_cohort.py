"""A cohort on disk: what was written is read, and what was changed is noticed."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from counterpart.cohort import (
    PARTS,
    Cohort,
    PreparedSubject,
    Subject,
    read_cohort,
    write_cohort,
)
from counterpart.errors import CohortError

SHAPE = (3, 4, 5)


def a_subject(number: int, part: str = "train") -> PreparedSubject:
    rng = np.random.default_rng(number)
    shapes = {"scan": SHAPE, "brain": SHAPE, "tissue": (4, *SHAPE), "inward": SHAPE}
    arrays = {n: rng.integers(0, 256, s, dtype=np.uint8) for n, s in shapes.items()}
    return PreparedSubject(Subject(f"s-{number}", part, -2.0 + number, 0.01, 0.93), arrays)


def some_subjects(count: int) -> list[PreparedSubject]:
    return [a_subject(number, PARTS[number % 3]) for number in range(count)]


def same(cohort: Cohort, prepared: list[PreparedSubject]) -> bool:
    return cohort.subjects == tuple(item.subject for item in prepared) and all(
        torch.equal(
            getattr(cohort, name), torch.from_numpy(np.stack([p.arrays[name] for p in prepared]))
        )
        for name in ("scan", "brain", "tissue", "inward")
    )


@pytest.mark.parametrize("count", [1, 16, 17, 35])
def test_what_was_written_is_read_in_its_order(tmp_path: Path, count: int) -> None:
    prepared = some_subjects(count)
    digest = write_cohort(tmp_path / "new" / "cohort", iter(prepared), {"source": "here"})
    cohort = read_cohort(tmp_path / "new" / "cohort")
    assert same(cohort, prepared)
    assert cohort.content_hash == digest
    assert cohort.scan.dtype == torch.uint8


def test_facts_stand_in_the_index(tmp_path: Path) -> None:
    write_cohort(tmp_path, some_subjects(1), {"source": "here", "counterpart": "1.2.3"})
    index = json.loads((tmp_path / "cohort.json").read_text())
    assert (index["source"], index["counterpart"], index["format"]) == ("here", "1.2.3", 1)


def test_the_hash_depends_on_the_contents_alone(tmp_path: Path) -> None:
    first = write_cohort(tmp_path / "a", some_subjects(3), {"source": "a"})
    again = write_cohort(tmp_path / "b", some_subjects(3), {"source": "b"})
    changed = some_subjects(3)
    changed[2].arrays["inward"][0, 0, 0] ^= 1
    assert first == again
    assert first != write_cohort(tmp_path / "c", changed, {})


def test_a_part_holds_its_own_subjects_and_arrays(tmp_path: Path) -> None:
    prepared = some_subjects(20)
    write_cohort(tmp_path, prepared, {})
    cohort = read_cohort(tmp_path)
    for part in PARTS:
        own = [item for item in prepared if item.subject.part == part]
        assert same(cohort.part(part), own)
        assert cohort.part(part).content_hash == cohort.content_hash


def test_an_empty_part_is_refused(tmp_path: Path) -> None:
    write_cohort(tmp_path, [a_subject(0, "train")], {})
    with pytest.raises(CohortError, match="no subject in part 'validate'"):
        read_cohort(tmp_path).part("validate")


def test_no_subject_is_no_cohort(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="no scan could be prepared"):
        write_cohort(tmp_path, [], {})
    assert not (tmp_path / "cohort.json").exists()


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=r"no cohort\.json.*counterpart prepare"):
        read_cohort(tmp_path)


def write_format_two(folder: Path) -> None:
    index = json.loads((folder / "cohort.json").read_text())
    (folder / "cohort.json").write_text(json.dumps({**index, "format": 2}))


def cut_the_index(folder: Path) -> None:
    text = (folder / "cohort.json").read_text()
    (folder / "cohort.json").write_text(text[: len(text) // 2])


def flip_a_bit(folder: Path) -> None:
    shard = folder / "part-000.safetensors"
    raw = bytearray(shard.read_bytes())
    raw[-1] ^= 1
    shard.write_bytes(bytes(raw))


def remove_a_shard(folder: Path) -> None:
    (folder / "part-001.safetensors").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (write_format_two, "cohort format 2, expected 1"),
        (cut_the_index, r"cohort\.json: damaged"),
        (flip_a_bit, r"part-000\.safetensors: missing or changed"),
        (remove_a_shard, r"part-001\.safetensors: missing or changed"),
    ],
)
def test_a_damaged_cohort_is_refused(
    tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    write_cohort(tmp_path, some_subjects(18), {})
    damage(tmp_path)
    with pytest.raises(CohortError, match=message):
        read_cohort(tmp_path)


@pytest.mark.parametrize(("key", "value"), [("part", "calibrate"), ("low", -9.0)])
def test_what_is_known_of_a_subject_cannot_be_edited_unnoticed(
    tmp_path: Path, key: str, value: object
) -> None:
    write_cohort(tmp_path, some_subjects(2), {})
    index = json.loads((tmp_path / "cohort.json").read_text())
    index["subjects"][0][key] = value
    (tmp_path / "cohort.json").write_text(json.dumps(index))
    with pytest.raises(CohortError, match="changed since it was written"):
        read_cohort(tmp_path)
