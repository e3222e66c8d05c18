"""The file that says what serves: read back as written, and refused when it is damaged."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from counterpart.bundle import SERVING
from counterpart.errors import ModelError
from counterpart.registry import serving
from counterpart.registry.serving import Event, Serving, read_serving, write_serving
from counterpart.registry.verdict import Verdict


def event(kind: str, version: str, source: str = "registry") -> Event:
    return Event(kind, version, source, "2026-01-02T03:04:05+00:00", "ada", "why", "ab" * 32)


def versions(*events: Event) -> list[str]:
    return [version for version, _ in Serving(events).trail()]


def test_what_serves_survives_the_round_trip(tmp_path: Path) -> None:
    verdicts = (
        Verdict("one", True, "all is well.", {"T1": 0.25}),
        Verdict("two", False, "it is worse.", {"T1": 0.5}),
        Verdict("three", True, "not checked: no cohort given.", checked=False),
    )
    first = replace(event("publish", "1"), verdicts=verdicts, forced=("two",), cohort="cd" * 32)
    written = Serving((first, event("rollback", "0", "released")))
    write_serving(tmp_path, written)
    assert read_serving(tmp_path) == written
    assert json.loads((tmp_path / SERVING).read_text())["serving"] == "0"
    assert [path.name for path in tmp_path.iterdir()] == [SERVING]


def test_without_a_file_nothing_serves(tmp_path: Path) -> None:
    assert read_serving(tmp_path) is None


def test_a_figure_that_is_no_number_is_stored_as_null(tmp_path: Path) -> None:
    first = replace(
        event("publish", "1"), verdicts=(Verdict("one", False, "no.", {"T1": float("nan")}),)
    )
    write_serving(tmp_path, Serving((first,)))
    values = json.loads((tmp_path / SERVING).read_text())
    assert values["history"][0]["verdicts"][0]["figures"] == {"T1": None}
    found = read_serving(tmp_path)
    assert found is not None
    assert str(found.now.verdicts[0].figures["T1"]) == "nan"


def test_a_write_that_fails_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = Serving((event("publish", "1"),))
    write_serving(tmp_path, old)

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(serving.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_serving(tmp_path, old.then(event("publish", "2")))
    assert read_serving(tmp_path) == old
    assert [path.name for path in tmp_path.iterdir()] == [SERVING]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"format": 1', '"format": 2'),
        ('"serving": "1"', '"serving": "7"'),
        ('"version": "1"', '"version": "7"'),
        ('"kind": "publish"', '"kind": "theft"'),
        ('"by": "ada"', '"bye": "ada"'),
        ('"forced": []', '"forced": 3'),
        ('"history"', '"story"'),
        ("{", ""),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, before: str, after: str) -> None:
    write_serving(tmp_path, Serving((event("publish", "1"),)))
    path = tmp_path / SERVING
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))
    with pytest.raises(ModelError, match=str(path)):
        read_serving(tmp_path)


def test_a_history_is_never_empty() -> None:
    with pytest.raises(ModelError, match="empty"):
        Serving(())


def test_published_versions_are_listed_once_in_order() -> None:
    found = Serving(
        (event("publish", "2"), event("publish", "1"), event("rollback", "2"))
    ).published
    assert found == ("2", "1")


def test_the_trail_grows_with_publications_and_shrinks_with_rollbacks() -> None:
    one, two, three = (event("publish", number) for number in "123")
    assert versions(one, two, three) == ["1", "2", "3"]
    assert versions(one, two, three, event("rollback", "2")) == ["1", "2"]
    assert versions(one, two, event("rollback", "1"), three) == ["1", "3"]
    assert versions(one, two, three, event("rollback", "1")) == ["1"]


def test_a_rollback_forward_lengthens_the_trail() -> None:
    one, two = (event("publish", number) for number in "12")
    assert versions(one, two, event("rollback", "1"), event("rollback", "2")) == ["1", "2"]


def test_the_released_version_begins_a_new_trail() -> None:
    one, two = (event("publish", number) for number in "12")
    back = event("rollback", "0", "released")
    assert versions(one, back) == ["0"]
    assert versions(one, back, two) == ["0", "2"]
