"""Settings are chosen by what heals and finds best: with networks that are right once."""

import math

import numpy as np
import pytest
import torch
from stand_ins import StandInDenoiser
from torch import nn

from counterpart.calibration.record import SIMULATION, Calibration
from counterpart.cohort import Cohort
from counterpart.denoiser import Denoiser, DenoiserConfig, Prediction, signal_levels
from counterpart.held_out.selection import (
    CANDIDATE_LEVELS,
    CANDIDATE_POWERS,
    SAMPLERS,
    SELECTION_CONTRASTS,
    HeldOut,
    choose_settings,
    compare_passes,
    compare_samplers,
    held_out,
)
from counterpart.reconstruction import ReconstructionConfig
from counterpart.residual import AnomalyConfig
from counterpart.training.examples import Examples


class RightOnce(Denoiser):
    """Answers the healthy slice at one noise level and what it was shown at all others.

    It always errs a little. The departure channel points to the pattern at another level.
    """

    def __init__(
        self,
        head: Examples,
        clean_level: int,
        departure_level: int,
        *,
        noise: float = 0.2,
        departure: bool = True,
    ) -> None:
        nn.Module.__init__(self)
        self.config = DenoiserConfig(departure=departure)
        self.register_buffer("signal", signal_levels())
        self.head, self.noise = head, noise
        self.clean_level, self.departure_level = clean_level, departure_level

    def forward(
        self,
        noisy: torch.Tensor,
        brain: torch.Tensor,
        step: torch.Tensor,
        code: torch.Tensor | None = None,
    ) -> Prediction:
        healthy, shown = self.head.clean[:1], self.head.shown[:1]
        right = (step == self.clean_level)[:, None, None, None]
        error = torch.randn(noisy.shape[1:], generator=torch.Generator().manual_seed(5))
        clean = (torch.where(right, healthy, shown) + self.noise * error) * brain
        seen = (step == self.departure_level)[:, None, None, None]
        logit = torch.where(seen, 8.0 * self.head.departure[:1] - 4.0, torch.zeros_like(noisy))
        return Prediction(clean, logit if self.config.departure else torch.zeros_like(noisy))


class HalvingDenoiser(StandInDenoiser):
    """Health is 0 everywhere; halves what it is shown, and sees that it departs from health."""

    def answer(self, shown: torch.Tensor, brain: torch.Tensor, step: torch.Tensor) -> Prediction:
        return Prediction(0.5 * shown * brain, 20.0 * (shown - 0.5))


def a_group(offset: float = 0.0) -> HeldOut:
    """A head of three equal slices, with a pattern of two spreads and without."""
    generator = torch.Generator().manual_seed(0)
    clean = torch.randn((1, 1, 24, 32), generator=generator).expand(3, -1, -1, -1) + offset
    brain = torch.zeros_like(clean).contiguous()
    brain[:, :, 2:22, 2:30] = 1.0
    departure = torch.zeros_like(brain)
    departure[:, :, 8:14, 10:18] = 1.0
    shown = (clean + 2.0 * departure) * brain
    none = (torch.zeros(0),) * 3
    return HeldOut(
        [Examples(shown, clean * brain, brain, departure, *none)],
        [Examples(clean * brain, clean * brain, brain, 0.0 * departure, *none)],
    )


@pytest.mark.parametrize(("clean_level", "departure_level"), [(400, 120), (60, 600)])
def test_the_levels_that_find_the_patterns_are_chosen(
    clean_level: int, departure_level: int
) -> None:
    group = a_group()
    denoiser = RightOnce(group.patterned[0], clean_level, departure_level)
    config, anomaly, table = choose_settings(denoiser, [group])
    assert config.levels == tuple(sorted((clean_level, departure_level)))
    at = config.levels.index(clean_level)
    assert (config.weights[at], config.weights[1 - at]) == (1.0, 0.0)
    assert (config.departure_weights[at], config.departure_weights[1 - at]) == (0.0, 1.0)
    assert (anomaly.residual_power, anomaly.departure_power) in CANDIDATE_POWERS
    assert max(row.ap for row in table if row.kind == "powers") > 0.9


def test_the_table_holds_every_level_alone() -> None:
    group = a_group()
    _, _, table = choose_settings(RightOnce(group.patterned[0], 250, 250), [group])
    for kind in ("levels of r", "levels of d"):
        alone = {row.levels[0] for row in table if row.kind == kind and len(row.levels) == 1}
        assert alone == set(CANDIDATE_LEVELS)
    noise = 0.2 * (2 / np.pi) ** 0.5
    by_level = {row.levels: row.error for row in table if row.kind == "levels of r"}
    assert by_level[(250,)] == pytest.approx(2 * noise, rel=0.15)
    assert by_level[(600,)] == pytest.approx(2 * noise + 2.0 - noise, rel=0.15)
    blind = [row.ap for row in table if row.kind == "levels of d" and row.levels == (600,)]
    prevalence = 48 / (20 * 28)
    assert blind == pytest.approx([prevalence], abs=0.01)


def test_without_a_departure_channel_none_is_chosen() -> None:
    group = a_group()
    denoiser = RightOnce(group.patterned[0], 400, 120, departure=False)
    config, anomaly, table = choose_settings(denoiser, [group])
    assert config.levels == (400,)
    assert config.departure_weights == config.weights == (1.0,)
    assert (anomaly.residual_power, anomaly.departure_power) == (1.0, 0.0)
    kinds = {row.kind for row in table if not row.kind.startswith("smoothing")}
    assert kinds == {"levels of r", "powers"}
    assert len([row for row in table if row.kind == "powers"]) == 1


def test_the_smoothing_that_finds_best_is_chosen() -> None:
    group = a_group()
    _, anomaly, table = choose_settings(RightOnce(group.patterned[0], 250, 250), [group])
    rows = {row.kind: row for row in table if row.kind.startswith("smoothing")}
    assert set(rows) == {"smoothing: 0 mm", "smoothing: 1.5 mm", "smoothing: 3 mm"}
    best = max(rows.values(), key=lambda row: row.ap)
    assert best.kind == f"smoothing: {anomaly.smoothing_mm:g} mm"
    unsmoothed = max(row.ap for row in table if row.kind == "powers")
    assert rows["smoothing: 0 mm"].ap == unsmoothed
    powers = (anomaly.residual_power, anomaly.departure_power)
    assert all(row.powers == powers for row in rows.values())
    assert len({row.ap for row in rows.values()}) == 3


def test_every_head_counts_alike() -> None:
    """What the network answers to one contrast is an offset away from the other's health."""
    one, other = a_group(), a_group(offset=1.5)
    denoiser = RightOnce(one.patterned[0], 250, 250)
    first, second, both = (
        {(row.kind, row.levels): row for row in choose_settings(denoiser, groups)[2]}
        for groups in ([one], [other], [one, other])
    )
    alone = ("levels of r", (250,))
    assert second[alone].error > first[alone].error + 1.0
    for key, row in both.items():
        if key[0] == "levels of r":
            expected = 0.5 * (first[key].error + second[key].error)
            assert row.error == pytest.approx(expected, rel=1e-5)


def test_every_sampler_is_compared_at_the_chosen_levels() -> None:
    group = a_group()
    denoiser = RightOnce(group.patterned[0], 400, 120)
    config = ReconstructionConfig((400,), (1.0,), (1.0,))
    told: list[str] = []
    rows = compare_samplers(denoiser, group.patterned, config, progress=told.append)
    assert [row.kind for row in rows] == told == [f"sampler: {words}" for words in SAMPLERS]
    assert {row.levels for row in rows} == {(400,)}
    one_step, draws, ddim = (row.error for row in rows)
    noise = 0.2 * (2 / np.pi) ** 0.5
    assert one_step == pytest.approx(2 * noise, rel=0.15)
    assert draws == pytest.approx(one_step, rel=1e-4)  # its error does not depend on the draw
    assert ddim == pytest.approx(2.0 + noise, rel=0.15)  # at lower levels it answers what it sees


def patterned_zeros(strength: float) -> HeldOut:
    head = a_group().patterned[0]
    pattern = strength * head.departure
    zeros = torch.zeros_like(head.clean)
    empty = (torch.zeros(0),) * 3
    return HeldOut([Examples(pattern, zeros, head.brain, head.departure, *empty)], [])


def passes_at(threshold: float) -> list[float]:
    """Errors of one pass and of two, for patterns of 2 spreads in T1 and of 3 in FLAIR."""
    known = [
        Calibration(name, "rendered", SIMULATION, 2, "f" * 64, threshold, "made up")
        for name in SELECTION_CONTRASTS
    ]
    groups = [patterned_zeros(2.0), patterned_zeros(3.0)]
    config = ReconstructionConfig((0,), (1.0,), (1.0,))
    rows = compare_passes(HalvingDenoiser(), groups, config, AnomalyConfig(), known)
    assert [row.kind for row in rows] == ["passes: one", "passes: two"]
    return [row.error for row in rows]


def test_the_second_pass_is_measured_where_patterns_are_flagged() -> None:
    """The first pass leaves half of a pattern, the second a quarter."""
    one, two = passes_at(0.5)
    assert one == pytest.approx(0.5 * 2.5, rel=0.03)
    assert two == pytest.approx(0.25 * 2.5, rel=0.08)


def test_where_no_pattern_is_flagged_there_is_nothing_to_compare() -> None:
    assert all(math.isnan(error) for error in passes_at(50.0))


def test_held_out_heads_come_in_pairs_with_and_without_a_pattern(a_cohort: Cohort) -> None:
    groups = held_out(a_cohort, 1, device=torch.device("cpu"))
    assert len(groups) == len(SELECTION_CONTRASTS)
    for group in groups:
        ((patterned,), (healthy,)) = group.patterned, group.healthy
        assert patterned.departure.any()
        assert not healthy.departure.any()
        assert torch.equal(patterned.brain, healthy.brain)
