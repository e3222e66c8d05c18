"""The record of the healthy cohort: whom it warns of, whom it refuses, and how it is stored."""

import json
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from counterpart.calibration.record import HEALTHY_SCANS, SIMULATION
from counterpart.errors import ModelError, ScanError, UnfamiliarScanError
from counterpart.familiarity.limits import HealthyAmount
from counterpart.familiarity.looks import HealthyLook
from counterpart.familiarity.record import Familiarity
from counterpart.familiarity.traits import BrainSize, ScanTraits
from counterpart.model_card import calibration_section

TraitsOf = Callable[..., list[ScanTraits]]
SIZE = BrainSize(1450.0, 1.15)
RATIOS = (0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.25)


@pytest.fixture
def a_record(traits_of: TraitsOf) -> Familiarity:
    """Of T1 as acquired and FLAIR as rendered, whose codes lie elsewhere."""
    sizes = {
        "volume_ml": HealthyAmount.of([1450.0 * ratio for ratio in RATIOS]),
        "proportion": HealthyAmount.of([1.15 * ratio**0.2 for ratio in RATIOS]),
        "misfit": HealthyAmount.of([0.05 * ratio for ratio in RATIOS]),
    }
    looks = (
        HealthyLook.of("T1", HEALTHY_SCANS, traits_of(20, 1)),
        HealthyLook.of("FLAIR", SIMULATION, traits_of(20, 2, towards=1)),
    )
    return Familiarity("healthy adults", "ab" * 32, looks, sizes)


def typical(traits_of: TraitsOf, towards: int = 0) -> ScanTraits:
    """The middle of many heads, with codes that point anywhere."""
    heads = traits_of(40, 3, towards=towards)
    return ScanTraits(
        codes=heads[0].codes,
        quantiles=np.mean([one.quantiles for one in heads], axis=0).astype(np.float32),
        information=0.12,
        overlap=0.95,
        noise=0.07,
        sharpness=0.14,
    )


def test_the_card_says_below_the_thresholds_what_is_refused(a_record: Familiarity) -> None:
    *_, sentence, end = calibration_section([], [], a_record)
    assert sentence == a_record.sentence
    assert "unlike the healthy heads of healthy adults are warned of" in sentence
    assert end == ""


def test_a_typical_head_is_neither_warned_of_nor_refused(
    a_record: Familiarity, traits_of: TraitsOf
) -> None:
    verdict = a_record.judge(typical(traits_of), SIZE, "T1")
    assert verdict.warnings == ()
    assert verdict.reason == "The scan is like healthy adults."
    assert verdict.amounts["volume_ml"] == 1450.0
    assert set(verdict.amounts) >= {"code", "histogram", "information", "proportion", "misfit"}


def test_of_further_healthy_heads_few_are_warned_of_and_none_refused(
    a_record: Familiarity, traits_of: TraitsOf
) -> None:
    warned = [bool(a_record.judge(one, SIZE, "T1").warnings) for one in traits_of(200, 9)]
    assert sum(warned) <= 20


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"noise": 0.3}, "noise of 0.300 spreads (healthy heads: "),
        ({"noise": 0.01}, "noise of 0.010"),
        ({"sharpness": 0.05}, "edges of 0.050 spreads/mm"),
        ({"information": 0.03}, "template of 0.030 nats (healthy heads: at least "),
        ({"overlap": 0.82}, "a share of 0.180 that does not overlap the template"),
    ],
)
def test_what_is_unusual_is_a_warning_with_its_limits(
    a_record: Familiarity, traits_of: TraitsOf, changes: dict[str, float], words: str
) -> None:
    (warning,) = a_record.judge(replace(typical(traits_of), **changes), SIZE, "T1").warnings
    assert warning.startswith("The scan is unlike the healthy heads that the model knows: ")
    assert words in warning


def test_a_better_fit_than_usual_is_no_warning(a_record: Familiarity, traits_of: TraitsOf) -> None:
    good = replace(typical(traits_of), information=0.5, overlap=0.999)
    assert a_record.judge(good, BrainSize(1450.0, 1.0), "T1").warnings == ()


def test_a_histogram_of_its_own_is_a_warning(a_record: Familiarity, traits_of: TraitsOf) -> None:
    one = typical(traits_of)
    (warning,) = a_record.judge(replace(one, quantiles=one.quantiles + 0.5), SIZE, "T1").warnings
    assert re.search(r"a histogram that differs by 0\.(4|5)\d spreads", warning)


def test_a_scan_of_another_contrast_s_look_is_a_warning_alone(
    a_record: Familiarity, traits_of: TraitsOf
) -> None:
    flair = typical(traits_of, towards=1)
    (warning,) = a_record.judge(flair, SIZE, "T1").warnings
    assert "in the encoder's space" in warning
    assert a_record.judge(flair, SIZE, "FLAIR").warnings == ()


def test_a_contrast_without_healthy_heads_is_a_warning(
    a_record: Familiarity, traits_of: TraitsOf
) -> None:
    verdict = a_record.judge(typical(traits_of), SIZE, "unknown")
    assert "no healthy heads of contrast unknown are known, but of FLAIR, T1" in verdict.reason


@pytest.mark.parametrize("guessed", [False, True])
def test_a_contrast_that_is_guessed_and_was_only_rendered_is_a_warning(
    a_record: Familiarity, traits_of: TraitsOf, guessed: bool
) -> None:
    flair, t1 = typical(traits_of, towards=1), typical(traits_of)
    verdict = a_record.judge(flair, SIZE, "FLAIR", guessed=guessed)
    assert ("that it is FLAIR is guessed from tissue means" in verdict.reason) == guessed
    assert len(verdict.warnings) == guessed
    assert a_record.judge(t1, SIZE, "T1", guessed=guessed).warnings == ()


def test_an_agent_does_not_make_it_another_contrast(
    a_record: Familiarity, traits_of: TraitsOf
) -> None:
    assert a_record.judge(typical(traits_of), SIZE, "T1c").warnings == ()


@pytest.mark.parametrize("contrast", ["T1", "FLAIR", "unknown"])
def test_two_traits_far_from_every_contrast_are_refused(
    a_record: Familiarity, traits_of: TraitsOf, contrast: str
) -> None:
    strange = replace(typical(traits_of, towards=5), information=0.01)
    with pytest.raises(UnfamiliarScanError, match="far outside the healthy heads") as caught:
        a_record.judge(strange, SIZE, contrast)
    message = str(caught.value)
    assert "(healthy adults): a distance of" in message
    assert "in the encoder's space (healthy heads: at most" in message
    assert "template of 0.010 nats (healthy heads: at least" in message
    assert "Check that it is the MRI of a head" in message
    assert isinstance(caught.value, ScanError)


@pytest.mark.parametrize(
    "changes", [{"information": 0.001}, {"noise": 3.0, "sharpness": 3.0}, {"overlap": 0.4}]
)
def test_one_strange_trait_alone_is_a_warning(
    a_record: Familiarity, traits_of: TraitsOf, changes: dict[str, float]
) -> None:
    strange = replace(typical(traits_of), **changes)
    assert len(a_record.judge(strange, SIZE, "T1").warnings) == 1


def test_two_traits_that_are_at_home_in_different_contrasts_are_refused(
    a_record: Familiarity, traits_of: TraitsOf
) -> None:
    flat = replace(a_record.looks[0], quantiles=a_record.looks[0].quantiles + np.float32(3.0))
    record = replace(a_record, looks=(flat, a_record.looks[1]))
    # Its codes are those of the one, its histogram is that of the other.
    hybrid = replace(typical(traits_of), noise=3.0)
    with pytest.raises(UnfamiliarScanError):
        record.judge(hybrid, SIZE, "T1")


@pytest.mark.parametrize("volume_ml", [510.0, 2190.0, 4000.0])
def test_a_brain_of_an_impossible_size_is_a_warning_and_with_another_trait_a_refusal(
    a_record: Familiarity, traits_of: TraitsOf, volume_ml: float
) -> None:
    words = f"a brain of {volume_ml:.0f} ml (healthy heads: "
    narrow = replace(a_record, sizes={"volume_ml": HealthyAmount(np.log(1450.0), 0.05, 20)})
    (warning,) = narrow.judge(typical(traits_of), BrainSize(volume_ml, 1.15), "T1").warnings
    assert words in warning
    noise = replace(typical(traits_of), information=0.001)
    with pytest.raises(UnfamiliarScanError, match=re.escape(words)):
        narrow.judge(noise, BrainSize(volume_ml, 1.15), "T1")


def test_volume_and_proportion_are_one_trait(a_record: Familiarity, traits_of: TraitsOf) -> None:
    assert a_record.judge(typical(traits_of), BrainSize(5000.0, 4.0), "T1").warnings


def test_a_stretched_brain_is_a_warning(a_record: Familiarity, traits_of: TraitsOf) -> None:
    (warning,) = a_record.judge(typical(traits_of), BrainSize(1450.0, 1.7), "T1").warnings
    assert "stretched 1.70 times as much one way as another" in warning


def test_everything_unusual_stands_in_one_sentence(
    a_record: Familiarity, traits_of: TraitsOf
) -> None:
    strange = replace(typical(traits_of), noise=0.3, sharpness=0.05)
    (warning,) = a_record.judge(strange, None, "T1").warnings
    assert "noise of 0.300" in warning
    assert "edges of 0.050" in warning


def test_a_model_without_encoder_has_a_record_without_codes(traits_of: TraitsOf) -> None:
    blind = [replace(one, codes=one.codes[:, :0]) for one in traits_of(10, 1)]
    look = HealthyLook.of("T1", HEALTHY_SCANS, blind)
    record = Familiarity("healthy adults", "ab" * 32, (look,))
    strange = replace(typical(traits_of), noise=9.0)
    assert record.judge(strange, None, "T1").warnings
    again = Familiarity.from_json(record.to_json(), record.to_arrays())
    assert again.looks[0].known is None


def test_the_record_comes_back_as_it_was_written(
    a_record: Familiarity, traits_of: TraitsOf
) -> None:
    values = json.loads(json.dumps(a_record.to_json()))
    again = Familiarity.from_json(values, a_record.to_arrays())
    strange = typical(traits_of, towards=2)
    for contrast in ("T1", "FLAIR"):
        assert again.judge(strange, SIZE, contrast) == a_record.judge(strange, SIZE, contrast)
    assert again.to_json() == a_record.to_json()


@pytest.mark.parametrize("key", ["population", "looks", "sizes", "check"])
def test_a_missing_key_is_named(a_record: Familiarity, key: str) -> None:
    values = {name: value for name, value in a_record.to_json().items() if name != key}
    with pytest.raises(ModelError, match=f"missing key '{key}'"):
        Familiarity.from_json(values, a_record.to_arrays())


def test_damage_is_refused(a_record: Familiarity) -> None:
    values, arrays = a_record.to_json(), a_record.to_arrays()
    with pytest.raises(ModelError, match=r"'T2/simulation/codes' belongs to none"):
        Familiarity.from_json(values, {**arrays, "T2/simulation/codes": np.zeros(3, np.float32)})
    broken = dict(arrays)
    del broken["FLAIR/simulation/quantiles"]
    with pytest.raises(ModelError, match="missing key 'quantiles'"):
        Familiarity.from_json(values, broken)
    with pytest.raises(ModelError, match="wrong kind"):
        Familiarity.from_json({**values, "sizes": {"volume_ml": {"centre": "x"}}}, arrays)
    with pytest.raises(ModelError, match="one look per contrast"):
        replace(a_record, looks=(a_record.looks[0],) * 2)
    with pytest.raises(ModelError, match="'girth'"):
        replace(a_record, sizes={"girth": HealthyAmount(0.0, 1.0, 9)})


def test_the_sentence_tells_the_rates_and_what_was_measured(a_record: Familiarity) -> None:
    assert "no heads were left to try the limits on" in a_record.sentence
    tried = replace(a_record, check={"heads": 40, "warned": 2, "refused": 0})
    assert "of 40 healthy heads that made no limit 2 would be warned of and 0 refused" in (
        tried.sentence
    )
    assert "one healthy head in 20 by design" in tried.sentence
    assert "T1 (20, healthy scans), FLAIR (20, simulation)" in tried.sentence
