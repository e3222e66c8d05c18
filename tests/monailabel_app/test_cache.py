"""The cache of results keeps to its size and its lifetime."""

import os
from pathlib import Path

import pytest

from lib.jobs.cache import ResultCache
from lib.state import StateFolder, open_state


class Clock:
    """A time that a test sets."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def the_state(tmp_path: Path) -> StateFolder:
    return open_state(tmp_path / "state")


def put(cache: ResultCache, state: StateFolder, key: str, clock: Clock, size: int = 1000) -> None:
    work = state.temporary()
    (work / "anomaly.nii").write_bytes(bytes(size))
    cache.put(key, work)
    os.utime(state.results / key / "used", (clock.now, clock.now))


def test_a_result_is_found_by_its_key_alone(the_state: StateFolder) -> None:
    clock = Clock()
    cache = ResultCache(the_state, 10_000, 100.0, clock)
    put(cache, the_state, "a", clock)
    found = cache.find("a")
    assert found is not None and (found / "anomaly.nii").stat().st_size == 1000
    assert cache.find("b") is None and cache.find("") is None


def test_what_was_asked_for_longest_ago_makes_room(the_state: StateFolder) -> None:
    clock = Clock()
    cache = ResultCache(the_state, 3500, 1e9, clock)
    for key in ("a", "b", "c"):
        clock.now += 60
        put(cache, the_state, key, clock)
    clock.now += 60
    assert cache.find("a") is not None, "asked for: it is the newest now"
    clock.now += 60
    put(cache, the_state, "d", clock)
    assert {path.name for path in the_state.results.iterdir()} == {"a", "c", "d"}
    assert not list(the_state.incoming.iterdir())


def test_a_result_goes_when_its_time_is_over(the_state: StateFolder) -> None:
    clock = Clock()
    cache = ResultCache(the_state, 10_000, 100.0, clock)
    put(cache, the_state, "old", clock)
    clock.now += 60
    put(cache, the_state, "new", clock)
    clock.now += 50
    assert cache.evict() == ["old"]
    assert cache.find("new") is not None


def test_one_that_is_larger_than_all_room_is_kept_until_the_next(the_state: StateFolder) -> None:
    clock = Clock()
    cache = ResultCache(the_state, 500, 1e9, clock)
    put(cache, the_state, "large", clock)
    assert cache.find("large") is not None
    clock.now += 60
    put(cache, the_state, "small", clock, 10)
    assert cache.find("large") is None and cache.find("small") is not None


def test_a_view_belongs_to_its_result_and_goes_with_it(the_state: StateFolder) -> None:
    clock = Clock()
    cache = ResultCache(the_state, 10_000, 100.0, clock)
    put(cache, the_state, "a", clock)
    view = cache.view("a", "v")
    (view / "mask.nii").write_bytes(b"1")
    cache.remove("a")
    assert not view.exists() and cache.find("a") is None
