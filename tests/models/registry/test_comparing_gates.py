"""Gates that compare: paired on held-out subjects, each contrast by itself, with stated margins."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from stand_ins import TINY_NETWORK, StandInDenoiser

from counterpart.bundle import Model, ModelSettings
from counterpart.calibration.domain import DomainRange
from counterpart.calibration.record import HEALTHY_SCANS, SIMULATION, Calibration
from counterpart.cohort import CROSS_FIT, Cohort
from counterpart.denoiser import Prediction
from counterpart.held_out.heads import cohort_heads
from counterpart.reconstruction import ReconstructionConfig
from counterpart.registry import paired
from counterpart.registry.comparing_gates import ERROR, FLAGGED, PRECISION, ComparingGates
from counterpart.registry.paired import MAX_SUBJECTS, healthy_heads, measured_contrasts
from counterpart.residual import AnomalyConfig
from counterpart.training.examples import Examples

PARTS = ("validate", "validate", *("calibrate",) * 6)
ANY = DomainRange(False, (0.0, 9.0), (0.0, 9.0), (-1.0, 1.0), (0.0, 1.0))
ANOMALY = AnomalyConfig(1, 0.0, 1.0)
ModelOf = Callable[..., Model]


class OffDenoiser(StandInDenoiser):
    """Answers what it is shown, plus a constant; counts how often it is asked."""

    def __init__(self, off: float, seeing: bool) -> None:
        super().__init__(TINY_NETWORK)
        self.off, self.seeing, self.asked = off, seeing, 0

    def answer(self, shown: torch.Tensor, brain: torch.Tensor, step: torch.Tensor) -> Prediction:
        self.asked += 1
        bright = 4.0 * (shown.abs() - 1.5)
        departure = bright if self.seeing else torch.rand(shown.shape)
        return Prediction((shown + self.off) * brain, departure)


@pytest.fixture(scope="module")
def six(a_cohort: Cohort) -> Cohort:
    """Six subjects to calibrate on, none to train."""
    subjects = [replace(one, part=part) for one, part in zip(a_cohort.subjects, PARTS, strict=True)]
    return replace(a_cohort, subjects=tuple(subjects))


@pytest.fixture(autouse=True)
def quick_heads(monkeypatch: pytest.MonkeyPatch, six: Cohort) -> None:
    """One pattern each, a bright block at once; drawing takes seconds and has its own tests."""
    heads = list(cohort_heads(six.part("calibrate")))

    def drawn(maker: object, row: int, contrast: str, draw: int | None) -> Examples:
        clean, brain = heads[row].shown, heads[row].brain
        departure = torch.zeros_like(brain)
        if draw is not None:
            departure[30:40, :, 30:40, 30:40] = 1.0
        shown = (clean + 6.0 * departure) * brain
        nothing = torch.zeros(len(brain))
        return Examples(shown, clean, brain, departure * brain, clean, nothing, nothing)

    monkeypatch.setattr(paired, "PATTERNED_HEADS", 6)
    monkeypatch.setattr(paired, "drawn_head", drawn)


def model(
    weights: str,
    *,
    off: float = 0.0,
    seeing: bool = True,
    threshold: float = 5.0,
    contrasts: tuple[str, ...] = ("T1",),
    healthy: tuple[str, ...] = (),
) -> Model:
    digest = weights * 64
    found = [
        Calibration(name, "nobody", SIMULATION, 2, digest, threshold, "made up")
        for name in contrasts
    ]
    found += [
        Calibration(name, "us", HEALTHY_SCANS, 2, digest, threshold, "real", domain=ANY)
        for name in healthy
    ]
    settings = ModelSettings(TINY_NETWORK, ReconstructionConfig((0,), (1.0,), (1.0,)), ANOMALY)
    return Model("tiny", weights, digest, settings, OffDenoiser(off, seeing), tuple(found))


def asked(one: Model) -> int:
    denoiser = one.denoiser
    assert isinstance(denoiser, OffDenoiser)
    return denoiser.asked


@pytest.mark.parametrize(
    ("off", "passed"), [(0.1, True), (0.5, True), (0.52, True), (-0.52, True), (0.55, False)]
)
def test_a_larger_error_in_health_is_tolerated_up_to_a_twentieth(
    six: Cohort, off: float, passed: bool
) -> None:
    assert (ERROR.margin, ERROR.relative) == (0.05, True)
    verdict = ComparingGates().healthy_error(model("b", off=off), model("a", off=0.5), six)
    assert (verdict.gate, verdict.passed, verdict.checked) == ("healthy_error", passed, True)
    assert verdict.figures["T1"] == pytest.approx(abs(off), rel=0.02)
    assert verdict.figures["T1, serving model"] == pytest.approx(0.5, rel=0.02)
    assert verdict.figures["T1, subjects"] == 6.0
    assert verdict.reason.startswith("not inferior" if passed else "inferior")


@pytest.mark.parametrize("gate", ["healthy_error", "healthy_flagged", "pattern_precision"])
def test_too_few_subjects_are_inconclusive_and_do_not_pass(
    a_cohort: Cohort, gate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the three to calibrate on there is no interval."""
    monkeypatch.setattr(paired, "PATTERNED_HEADS", 3)
    verdict = getattr(ComparingGates(), gate)(model("b"), model("a"), a_cohort)
    assert not verdict.passed and verdict.checked
    assert verdict.reason.startswith("inconclusive, so not passed: ")
    assert "3 subjects, an interval needs 5" in verdict.reason


def test_what_is_flagged_is_that_of_each_models_own_threshold(six: Cohort) -> None:
    """One is off everywhere by less than its threshold, the other by more."""
    assert FLAGGED.margin == 1.0
    calm, loud = model("a", off=0.5, threshold=0.6), model("b", off=0.5, threshold=0.4)
    verdict = ComparingGates().healthy_flagged(loud, calm, six)
    assert not verdict.passed
    assert verdict.figures["T1"] == paired.WORST_FLAGGED_ML
    assert verdict.figures["T1, serving model"] == 0.0
    assert ComparingGates().healthy_flagged(calm, loud, six).passed


def test_error_and_flags_share_the_answers(six: Cohort) -> None:
    candidate, serving = model("b"), model("a", off=0.1)
    gates = ComparingGates()
    gates.healthy_error(candidate, serving, six)
    before = asked(candidate), asked(serving)
    gates.healthy_flagged(candidate, serving, six)
    assert (asked(candidate), asked(serving)) == before and before[0] == before[1] > 0


def test_finding_less_than_the_serving_model_fails(six: Cohort) -> None:
    assert (PRECISION.margin, PRECISION.more_is_better) == (0.02, True)
    seeing = replace(model("a"), settings=replace(model("a").settings, anomaly=departing()))
    blind = replace(model("b", seeing=False), settings=seeing.settings)
    gates = ComparingGates()
    worse = gates.pattern_precision(blind, seeing, six)
    assert not worse.passed and worse.reason.startswith("inferior: average precision ")
    assert worse.figures["T1"] < worse.figures["T1, serving model"] - 0.02


def departing() -> AnomalyConfig:
    """The anomaly map is the departure channel alone."""
    return AnomalyConfig(1, 1.0, 0.0)


def test_the_same_network_is_asked_once_and_what_is_the_same_not_at_all(six: Cohort) -> None:
    serving = model("a", threshold=5.0)
    same, other = model("a", threshold=5.0), model("a", threshold=4.0)
    gates = ComparingGates()
    for gate in (gates.healthy_error, gates.healthy_flagged, gates.pattern_precision):
        verdict = gate(same, serving, six)
        assert verdict.passed and verdict.checked
        assert verdict.figures == {"T1, difference": 0.0}
    assert gates.healthy_error(other, serving, six).figures == {"T1, difference": 0.0}
    assert (asked(same), asked(serving), asked(other)) == (0, 0, 0)
    assert gates.healthy_flagged(other, serving, six).passed
    assert asked(other) > 0 and asked(serving) == 0


def test_each_contrast_is_judged_by_itself(six: Cohort) -> None:
    """Better on T1 does not make up for worse on FLAIR."""
    candidate = model("b", off=0.1, contrasts=("T1", "FLAIR"))
    serving = model("a", off=0.3, contrasts=("FLAIR", "T1", "T2"))

    def incumbent(contrast: str) -> Model:
        return serving if contrast == "T1" else model("c", off=0.01, contrasts=("FLAIR",))

    verdict = ComparingGates(incumbent=incumbent).healthy_error(candidate, serving, six)
    assert not verdict.passed
    assert "on FLAIR" in verdict.reason and "on T1" not in verdict.reason
    assert verdict.figures["FLAIR, serving model"] == pytest.approx(0.01, rel=0.1)
    assert verdict.figures["T1"] < verdict.figures["T1, serving model"]


def test_a_contrast_that_stays_with_the_old_version_is_not_judged(six: Cohort) -> None:
    candidate = model("b", off=0.9, contrasts=("T1",))
    verdict = ComparingGates().healthy_error(candidate, model("a", healthy=("T1",)), six)
    assert verdict.passed and not verdict.checked
    calibrated = model("b", off=0.9, healthy=("T1",))
    assert not ComparingGates().healthy_error(calibrated, model("a", healthy=("T1",)), six).passed


def test_heads_are_those_that_nothing_was_fitted_on(six: Cohort) -> None:
    """Other scans in the other parts change nothing; training, choices and threshold saw those."""
    names = {one.name for one in six.subjects if one.part == "calibrate"}
    assert len(names) == 6 <= MAX_SUBJECTS
    scan = six.scan.clone()
    for row, subject in enumerate(six.subjects):
        if subject.part != "calibrate":
            scan[row] = 0
    before = [one.shown for one in healthy_heads(six, "T1")]
    after = [one.shown for one in healthy_heads(replace(six, scan=scan), "T1")]
    assert len(before) == 6
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_progress_names_heads_and_may_cancel(six: Cohort) -> None:
    told: list[str] = []
    shares: list[float] = []
    ComparingGates(told.append, share=shares.append).healthy_error(model("b"), model("a"), six)
    assert told == [f"T1, healthy scan {number} of 6" for number in range(1, 7)]
    contrasts = len(measured_contrasts(six))
    assert shares == pytest.approx([number / 6 / contrasts for number in range(6)])

    def stop(text: str) -> None:
        raise InterruptedError(text)

    with pytest.raises(InterruptedError, match="T1, pattern 1 of 6"):
        ComparingGates(stop).pattern_precision(model("b"), model("a"), six)


def test_a_cohort_without_tissue_passes_the_same_network_alone(six: Cohort) -> None:
    flair = replace(six, contrast="FLAIR")
    assert measured_contrasts(flair) == ("FLAIR",)
    one, other = model("a", contrasts=("FLAIR",)), model("b", contrasts=("FLAIR",))
    same = ComparingGates().pattern_precision(replace(one), one, flair)
    assert same.passed and not same.checked
    different = ComparingGates().pattern_precision(other, one, flair)
    assert not different.passed and "inconclusive" in different.reason
    assert ComparingGates().healthy_error(other, one, flair).figures["FLAIR, subjects"] == 6.0


def test_a_cross_fitted_cohort_is_judged_by_fold(
    six: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The candidate's own threshold, which all subjects made, is not used."""
    folded = replace(six, subjects=tuple(replace(one, part=CROSS_FIT) for one in six.subjects))
    fit = type("Fit", (), {"flagged": lambda self: [(1.0, 0.25)] * 8})
    seen: list[int] = []

    def cross_fit(answers: list[object], anomaly: object, *, progress: object) -> object:
        seen.append(len(answers))
        return fit()

    monkeypatch.setattr(paired, "cross_fit", cross_fit)
    verdict = ComparingGates().healthy_flagged(model("b", threshold=1e-6), model("a"), folded)
    assert seen == [8]
    assert verdict.passed and verdict.figures["T1"] == 0.25
    assert np.isclose(verdict.figures["T1, serving model"], 0.0)
