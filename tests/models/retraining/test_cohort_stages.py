"""What a run is of, and what is done with it by default."""

import pytest

from counterpart.retraining.cohort_stages import advised, chosen_contrast


@pytest.mark.parametrize(
    ("subjects", "mode", "contrast"),
    [
        ({"T1": 40}, "auto", "T1"),
        ({"FLAIR": 30, "T1": 8}, "auto", "T1"),
        ({"FLAIR": 30, "T1": 7}, "auto", "FLAIR"),
        ({"FLAIR": 30, "T1": 7}, "train", "T1"),
        ({"unknown": 30, "T2": 9}, "calibrate", "T2"),
        ({}, "auto", "T1"),
    ],
)
def test_a_run_is_of_one_contrast(subjects: dict[str, int], mode: str, contrast: str) -> None:
    assert chosen_contrast(subjects, mode) == contrast


def test_training_is_the_default_from_forty_t1_subjects_on() -> None:
    assert advised("T1", 39) == "calibrate"
    assert advised("T1", 40) == "train"
    assert advised("FLAIR", 200) == "calibrate"
