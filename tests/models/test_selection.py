"""Settings and thresholds: closed forms on made-up maps, and a network that is right once."""

import numpy as np
import pytest
import torch
from torch import nn

from counterpart.denoiser import Prediction, signal_levels
from counterpart.reconstruction import ReconstructionConfig
from counterpart.residual import AnomalyConfig
from counterpart.selection import (
    CANDIDATE_LEVELS,
    CANDIDATE_POWERS,
    choose_settings,
    healthy_anomalies,
)
from counterpart.training.examples import Examples


class RightOnce(nn.Module):
    """Answers the healthy slice at one noise level and what it was shown at all others.

    It always errs a little. The departure channel points to the pattern at another level.
    """

    def __init__(self, head: Examples, clean_level: int, departure_level: int) -> None:
        super().__init__()
        self.register_buffer("signal", signal_levels())
        self.head = head
        self.clean_level, self.departure_level = clean_level, departure_level

    def forward(self, noisy: torch.Tensor, brain: torch.Tensor, step: torch.Tensor) -> Prediction:
        healthy, shown = self.head.clean[:1], self.head.shown[:1]
        right = (step == self.clean_level)[:, None, None, None]
        error = 0.2 * torch.randn(noisy.shape[1:], generator=torch.Generator().manual_seed(5))
        clean = (torch.where(right, healthy, shown) + error) * brain
        seen = (step == self.departure_level)[:, None, None, None]
        logit = torch.where(seen, 8.0 * self.head.departure[:1] - 4.0, torch.zeros_like(noisy))
        return Prediction(clean, logit)


@pytest.fixture
def a_patterned_head() -> Examples:
    generator = torch.Generator().manual_seed(0)
    clean = torch.randn((1, 1, 24, 32), generator=generator).expand(3, -1, -1, -1)
    brain = torch.zeros_like(clean).contiguous()
    brain[:, :, 2:22, 2:30] = 1.0
    departure = torch.zeros_like(brain)
    departure[:, :, 8:14, 10:18] = 1.0
    shown = (clean + 2.0 * departure) * brain
    return Examples(shown, clean * brain, brain, departure, torch.zeros(0), torch.zeros(0))


@pytest.mark.parametrize(("clean_level", "departure_level"), [(400, 120), (60, 750)])
def test_the_levels_that_find_the_patterns_are_chosen(
    a_patterned_head: Examples, clean_level: int, departure_level: int
) -> None:
    denoiser = RightOnce(a_patterned_head, clean_level, departure_level)
    config, anomaly, table = choose_settings(denoiser, [a_patterned_head])  # type: ignore[arg-type]
    assert config.levels == tuple(sorted((clean_level, departure_level)))
    at = config.levels.index(clean_level)
    assert (config.weights[at], config.weights[1 - at]) == (1.0, 0.0)
    assert (config.departure_weights[at], config.departure_weights[1 - at]) == (0.0, 1.0)
    assert (anomaly.residual_power, anomaly.departure_power) in CANDIDATE_POWERS
    assert max(row.ap for row in table if row.kind == "powers") > 0.9


def test_the_table_holds_every_level_alone(a_patterned_head: Examples) -> None:
    denoiser = RightOnce(a_patterned_head, 250, 250)
    _, _, table = choose_settings(denoiser, [a_patterned_head])  # type: ignore[arg-type]
    for kind in ("levels of r", "levels of d"):
        alone = {row.levels[0] for row in table if row.kind == kind and len(row.levels) == 1}
        assert alone == set(CANDIDATE_LEVELS)
    noise = 0.2 * (2 / np.pi) ** 0.5
    by_level = {row.levels: row.error for row in table if row.kind == "levels of r"}
    assert by_level[(250,)] == pytest.approx(2 * noise, rel=0.15)
    assert by_level[(500,)] == pytest.approx(2 * noise + 2.0 - noise, rel=0.15)
    blind = [row.ap for row in table if row.kind == "levels of d" and row.levels == (500,)]
    prevalence = 48 / (20 * 28)
    assert blind == pytest.approx([prevalence], abs=0.01)


def test_maps_of_heads_are_residual_times_departure(a_patterned_head: Examples) -> None:
    denoiser = RightOnce(a_patterned_head, 250, 250)
    config = ReconstructionConfig((250,), (1.0,), (1.0,))
    told: list[str] = []
    (values,) = healthy_anomalies(
        denoiser,  # type: ignore[arg-type]
        [a_patterned_head],
        config,
        AnomalyConfig(),
        progress=told.append,
    )
    assert values.shape == (24, 32, 3)
    certain = 1 / (1 + np.exp(-4.0))
    np.testing.assert_allclose(values[9:13, 11:17], 2.0 * certain, atol=0.2)
    assert np.abs(values[:7]).max() < 0.5 * (1 - certain)
    assert told == ["healthy head 1 of 1"]
