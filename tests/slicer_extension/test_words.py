"""What the panel says of the server, of jobs and of training."""

import pytest

from HealthyCounterpartLib.jobs import JobProgress
from HealthyCounterpartLib.problems import ServerProblem
from HealthyCounterpartLib.server_facts import Calibration, ModelName, ServerInfo
from HealthyCounterpartLib.view_state import BAD, GOOD, WAITING
from HealthyCounterpartLib.words import (
    cohort_line,
    duration,
    job_progress,
    problem_line,
    server_line,
    training_line,
)

MODEL = ModelName("healthy-brain", "0.2.0", "c1102fe4cf6a" + "0" * 52)


def an_info(*calibrations: Calibration) -> ServerInfo:
    return ServerInfo("0.2.0", MODEL, calibrations, "cpu", "ada", "user", 512)


def test_the_servers_line_names_model_user_and_calibrated_contrasts() -> None:
    info = an_info(
        Calibration("T1", 12, 14.0, None),
        Calibration("T1", 40, 16.6, 1 / 41),
        Calibration("FLAIR", 12, 12.9, None),
    )
    line = server_line("http://127.0.0.1:8000", info)
    assert line.text == (
        "Connected to http://127.0.0.1:8000 as ada. Model healthy-brain 0.2.0 (c1102fe4) on cpu. "
        "Calibrated: T1 on 40 healthy scans. Not calibrated, without p-values: FLAIR."
    )
    assert line.mood == GOOD


def test_a_server_without_calibrations_says_so() -> None:
    assert "No contrast is calibrated" in server_line("http://h", an_info()).text


def test_a_problem_is_told_with_its_cure() -> None:
    line = problem_line(ServerProblem("refused", "Nobody listens.", "Start the server."))
    assert (line.text, line.mood) == ("Nobody listens. Start the server.", BAD)


def test_uploads_have_a_percentage() -> None:
    shown = job_progress(JobProgress("uploading", 0.424))
    assert (shown.text, shown.fraction) == ("Sending the scan: 42 %", 0.424)


@pytest.mark.parametrize(
    ("position", "said"),
    [
        (None, "Waiting for the server"),
        (1, "Waiting: 1 job is before this one"),
        (3, "Waiting: 3 jobs are before this one"),
    ],
)
def test_the_place_in_the_queue_is_told(position: int | None, said: str) -> None:
    assert job_progress(JobProgress("waiting", position=position)).text == said


def test_a_running_job_tells_stage_and_time_left() -> None:
    told = JobProgress("running", 0.5, stage="Denoising", seconds_left=7.4)
    assert job_progress(told).text == "Denoising, about 7 s left"
    assert job_progress(told).fraction == 0.5


def test_a_lost_connection_says_when_it_is_tried_again() -> None:
    told = JobProgress("lost", stage="Nobody answers.", retry_s=4.2)
    assert job_progress(told).text.startswith("Nobody answers. Trying again in 4 s")


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "1 s"), (119, "119 s"), (600, "10 min"), (9000, "2.5 h")]
)
def test_durations_are_readable(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_the_cohort_tells_advice_and_what_is_refused() -> None:
    cohort = {
        "scans": 3,
        "subjects": 2,
        "contrasts": {"T1": {"scans": 3}},
        "advice": "nothing",
        "warnings": ["Two scans are alike."],
        "refused": [{"scan": "b_T1", "reason": "too thick"}],
    }
    assert cohort_line(cohort).text.split("\n") == [
        "3 healthy scans of 2 subjects.",
        "T1 3.",
        "Too few to calibrate or to train.",
        "Two scans are alike.",
        "Refused: b_T1: too thick",
    ]
    assert cohort_line(cohort).mood == BAD


@pytest.mark.parametrize(
    ("training", "said", "mood"),
    [
        ({"state": "none"}, "No training has been started.", "plain"),
        (
            {"state": "running", "alive": True, "message": "Encoder", "seconds_left": 600},
            "Encoder, about 10 min left",
            WAITING,
        ),
        (
            {"state": "done", "version": "0.3.0", "published": True},
            "Version 0.3.0 was trained and serves.",
            GOOD,
        ),
        (
            {
                "state": "done",
                "version": "0.3.0",
                "published": False,
                "verdicts": [
                    {"passed": True, "reason": "x"},
                    {"passed": False, "reason": "Worse."},
                ],
            },
            "Version 0.3.0 was trained but does not serve: Worse.",
            "plain",
        ),
        ({"state": "failed", "error": "Disk full."}, "The last training failed: Disk full.", BAD),
        ({"state": "running", "alive": False}, "ended without saying why", BAD),
    ],
)
def test_training_is_told_in_words(training: dict, said: str, mood: str) -> None:
    line = training_line(training)
    assert said in line.text and line.mood == mood
