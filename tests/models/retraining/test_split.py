"""Who trains and who is held out."""

import pytest

from counterpart.errors import CohortError
from counterpart.retraining.split import deal_parts, refuse_few

FORTY = [f"subject-{number}" for number in range(40)]


def counts(parts: dict[str, str]) -> tuple[int, ...]:
    return tuple(list(parts.values()).count(part) for part in ("train", "validate", "calibrate"))


def test_forty_subjects_are_dealt_into_all_parts() -> None:
    assert counts(deal_parts(FORTY, train=True, seed=1)) == (24, 8, 8)


def test_a_calibration_needs_nobody_to_train() -> None:
    assert counts(deal_parts(FORTY, train=False, seed=1)) == (0, 20, 20)


def test_a_subject_with_several_scans_lies_in_one_part() -> None:
    assert deal_parts(FORTY * 3, train=True, seed=1) == deal_parts(FORTY, train=True, seed=1)


def test_the_split_depends_on_the_seed_and_not_on_the_order() -> None:
    assert deal_parts(FORTY[::-1], train=True, seed=1) == deal_parts(FORTY, train=True, seed=1)
    assert deal_parts(FORTY, train=True, seed=2) != deal_parts(FORTY, train=True, seed=1)


def test_a_small_cohort_without_training_is_cross_fitted() -> None:
    assert set(deal_parts(FORTY[:19], train=False, seed=1).values()) == {"cross-fit"}
    assert counts(deal_parts(FORTY[:20], train=False, seed=1)) == (0, 10, 10)


@pytest.mark.parametrize(("train", "least"), [(True, 7), (False, 8)])
def test_too_few_subjects_are_refused(train: bool, least: int) -> None:
    parts = deal_parts(FORTY[:least], train=train, seed=1)
    assert len(parts) == least
    with pytest.raises(CohortError, match=f"at least {least} healthy subjects, got {least - 1}"):
        deal_parts(FORTY[: least - 1], train=train, seed=1)


def test_refusals_may_leave_too_few() -> None:
    parts = deal_parts(FORTY, train=True, seed=1)
    refuse_few(parts, train=True)
    left = {name: part for name, part in parts.items() if part != "train"}
    refuse_few(left, train=False)
    with pytest.raises(CohortError, match="0 are to train, 8 to validate, 8 to calibrate"):
        refuse_few(left, train=True)
