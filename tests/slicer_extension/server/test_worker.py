"""Pieces of work, their events, and how they end."""

import logging
import threading
import time

import pytest

from HealthyCounterpartLib.problems import CounterpartProblem, ScanProblem
from HealthyCounterpartLib.worker import (
    Broke,
    Cancelled,
    Event,
    Finished,
    Stopped,
    Told,
    Work,
    Worker,
)


@pytest.fixture
def a_worker():
    worker = Worker()
    yield worker
    worker.close()


def events_of(worker: Worker, count: int) -> list[Event]:
    """Drain until so many events have come."""
    found: list[Event] = []
    until = time.monotonic() + 10
    while len(found) < count and time.monotonic() < until:
        found += worker.drain(0.001)
    return found


def test_events_wait_until_they_are_drained_in_their_order(a_worker: Worker) -> None:
    def count(work: Work) -> str:
        for number in range(3):
            work.tell(number)
        return "done"

    work = a_worker.start("count", count)
    assert work.kind == "count"
    told = events_of(a_worker, 4)
    assert told == [*(Told(work, number) for number in range(3)), Finished(work, "done")]
    assert a_worker.drain() == []


def test_a_problem_comes_as_it_is(a_worker: Worker) -> None:
    problem = ScanProblem("No scan.", "Choose one.")

    def fail(work: Work) -> None:
        raise problem

    work = a_worker.start("fail", fail)
    assert events_of(a_worker, 1) == [Broke(work, problem)]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(2, "No such file or directory", "/secret/place"), "No such file"),
        (OSError(28, "No space left on device"), "No space left"),
        (MemoryError(), "too little memory"),
        (ZeroDivisionError("what the defect says"), "ZeroDivisionError"),
    ],
)
def test_whatever_else_breaks_becomes_a_sentence_and_is_logged(
    a_worker: Worker, caplog: pytest.LogCaptureFixture, error: Exception, words: str
) -> None:
    def fail(work: Work) -> None:
        raise error

    with caplog.at_level(logging.ERROR):
        a_worker.start("fail", fail)
        (event,) = events_of(a_worker, 1)
    assert isinstance(event, Broke) and isinstance(event.problem, CounterpartProblem)
    assert words in event.problem.sentence and event.problem.cure
    assert "secret" not in str(event.problem)
    assert "fail broke" in caplog.text


def until_stopped(work: Work) -> None:
    work.tell("begun")
    work.stop.wait(10)
    raise Stopped


def test_a_cancelled_work_stops_and_says_that_it_is_unwanted(a_worker: Worker) -> None:
    work = a_worker.start("wait", until_stopped)
    events_of(a_worker, 1)
    work.cancel()
    assert events_of(a_worker, 1) == [Cancelled(work)]
    assert work.cancelled


def test_what_ends_after_it_was_cancelled_is_cancelled_whatever_it_came_to(
    a_worker: Worker,
) -> None:
    def finish(work: Work) -> str:
        work.stop.wait(10)
        return "too late"

    def fail(work: Work) -> None:
        work.stop.wait(10)
        raise ConnectionResetError

    for do in (finish, fail):
        work = a_worker.start("wait", do)
        work.cancel()
        assert events_of(a_worker, 1) == [Cancelled(work)]


def test_works_run_side_by_side(a_worker: Worker) -> None:
    met = threading.Barrier(2, timeout=10)
    works = [a_worker.start(f"{number}", lambda work: met.wait() >= 0) for number in range(2)]
    ends = events_of(a_worker, 2)
    assert {event.work for event in ends} == set(works)
    assert all(isinstance(event, Finished) for event in ends)
    assert works[0].id != works[1].id


def test_closing_stops_all_work_without_calling_it_unwanted() -> None:
    worker = Worker()
    works = [worker.start("wait", until_stopped) for _ in range(2)]
    worker.close(10)
    assert all(work.stop.is_set() and not work.cancelled for work in works)
    ended = {event.work for event in worker.drain() if isinstance(event, Cancelled)}
    assert ended == set(works)


def test_closing_does_not_wait_for_what_hangs() -> None:
    worker, over = Worker(), threading.Event()
    worker.start("hang", lambda work: over.wait(10))
    worker.close(0.05)
    assert worker.drain() == [], "it still hangs"
    over.set()
