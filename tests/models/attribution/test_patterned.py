"""Answers for heads whose subject is known, counted and said."""

from dataclasses import replace
from pathlib import Path

import pytest

from counterpart.attribution.building import Working
from counterpart.attribution.patterned import (
    PatternedAnswer,
    patterned_answers,
    patterned_words,
)
from counterpart.attribution.record import ReferenceRecord
from counterpart.bundle import load_model
from counterpart.cohort import read_cohort
from counterpart.errors import CohortError


def test_every_trained_subject_is_asked_for_and_its_own_name_looked_for(
    a_coded_bundle: Path, a_cohort_of_its_own: Path, references: ReferenceRecord
) -> None:
    model, cohort = load_model(a_coded_bundle), read_cohort(a_cohort_of_its_own)
    working = Working(model.denoiser, model.settings, model.calibrations, model.weights_sha256)
    found = patterned_answers(working, references, cohort, ("T1",), 9)
    assert 1 <= len(found) <= 3
    assert all(one.contrast == "T1" and (one.named or not one.first) for one in found)
    assert all(one.p_value is None or 1 / 3 <= one.p_value <= 1 for one in found)
    fewer = replace(references, index=references.index.without(references.index.names[0]))
    with pytest.raises(CohortError, match="knows 2 references, the cohort trains 3"):
        patterned_answers(working, fewer, cohort, ("T1",), 9)


def test_the_words_count_by_contrast() -> None:
    said = patterned_words(
        [
            PatternedAnswer("T1", True, True, 0.03),
            PatternedAnswer("T1", False, True, 0.4),
            PatternedAnswer("FLAIR", False, False, None),
        ]
    )
    assert "T1: of 2 heads with something flagged 1 name their own subject first, 2 among" in said
    assert "p is at most 0.05 for 1." in said
    assert "FLAIR: of 1 heads" in said and "for 0." in said
