"""What a run keeps of its healthy references, also of older ones, and what the panel says."""

from dataclasses import replace
from typing import Any

import pytest

from HealthyCounterpartLib.healthy_references import (
    Reference,
    References,
    read_references,
    references_sentence,
)

TOLD: dict[str, Any] = {
    "heading": "Most similar healthy references",
    "references": [
        {"id": "reference-0a1b2c3d4e", "similarity": 0.8123, "rise": 0.0312},
        {"id": "reference-1a1b2c3d4e", "similarity": 0.7, "rise": 0.01},
    ],
    "largest_similarity": 0.8123,
    "p_value": 0.21,
    "held_out": 60,
    "withdrawn": 2,
    "note": "",
    "viewable": True,
}
KNOWN = References((Reference("reference-1", 0.8, 0.03),), 0.21, 60)


def test_all_that_the_server_told_is_read() -> None:
    read = read_references(TOLD)
    assert read is not None
    assert read.ranked[0] == Reference("reference-0a1b2c3d4e", 0.8123, 0.0312)
    assert len(read.ranked) == 2
    assert (read.p_value, read.held_out, read.withdrawn, read.viewable) == (0.21, 60, 2, True)


@pytest.mark.parametrize("old", [None, [], (), {}, "", 7, {"references": []}])
def test_without_references_nothing_is_offered(old: Any) -> None:
    assert read_references(old) is None


def test_a_run_from_before_has_ids_and_similarities() -> None:
    old = [{"id": "healthy-012", "similarity": 0.83}, {"id": "healthy-013"}, "odd", {"id": None}]
    assert read_references(old) == References(
        (Reference("healthy-012", 0.83), Reference("healthy-013"))
    )


def test_what_makes_no_sense_is_left_out() -> None:
    said = {
        "references": [{"id": "a", "similarity": float("nan"), "rise": True}, {"similarity": 1}],
        "p_value": 7,
        "held_out": "many",
        "withdrawn": -1,
        "viewable": "yes",
    }
    assert read_references(said) == References((Reference("a"),))


def test_the_test_of_the_whole_scan_is_told_and_no_cause() -> None:
    assert references_sentence(KNOWN) == (
        "One test for the whole scan: p = 0.21 against 60 healthy subjects who were never trained "
        "on. Similar does not mean that they caused anything."
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"p_value": 0.0001}, "p < 0.001 against"),
        ({"p_value": 1.0}, "p = 1 against"),
        ({"p_value": None}, "There is no test for this scan, so there is no p-value. Similar"),
        ({"ranked": ()}, "No healthy reference is more similar to the counterpart. One test"),
        ({"note": "Nothing was flagged."}, "Nothing was flagged."),
        ({"withdrawn": 1}, " 1 subject that the model was trained on was withdrawn and is not"),
        ({"withdrawn": 3}, " 3 subjects that the model was trained on were withdrawn and are not"),
    ],
)
def test_the_sentence_says_what_is_known(changed: dict[str, Any], said: str) -> None:
    sentence = references_sentence(replace(KNOWN, **changed))
    assert said in sentence and sentence.endswith(".")
    assert ("caused" in sentence) == ("note" not in changed and "ranked" not in changed)
    assert not changed.get("note") or sentence == said
