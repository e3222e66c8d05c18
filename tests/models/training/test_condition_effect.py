"""What a condition is said to bring: against codes whose effect is known beforehand."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from counterpart.cohort import Cohort
from counterpart.denoiser import Denoiser, DenoiserConfig, Prediction
from counterpart.encoder import EncoderConfig
from counterpart.rendering import CONTRASTS
from counterpart.training.condition_effect import (
    EFFECT_CONTRASTS,
    EFFECT_LEVELS_MM,
    ConditionEffect,
    condition_effects,
    effect_table,
)
from counterpart.training.examples import ExampleConfig, Examples
from counterpart.training.views import ViewMaker

SUBJECTS = 6
NO_CODE, OTHER_CODE = 0.05, 0.3
NETWORK = DenoiserConfig(
    (8, 16),
    (False, False),
    residual_blocks=1,
    head_channels=8,
    norm_groups=8,
    condition="embedding",
    encoder=EncoderConfig("basic", (1, 1, 1, 1), (8, 8, 8, 8), code_size=2, norm_groups=4, cells=1),
)


class KnownPairs(ViewMaker):
    """Slices of one grey value per subject and a clean answer of nought.

    The first subject never has a pattern, the second in every other batch alone.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[int, int, str, float]] = []

    @property
    def subjects(self) -> int:
        return SUBJECTS

    def make_level(
        self, seed: int, step: int, samples: Sequence[int], *, contrast: str, level_mm: float
    ) -> Examples:
        self.asked.append((seed, step, contrast, level_mm))
        shown = 0.5 + 0.5 * torch.tensor(samples).float()[:, None, None, None].expand(-1, 1, 8, 8)
        brain = torch.ones_like(shown)
        brain[..., 6:] = 0.0
        departure = torch.zeros_like(shown)
        departure[1:, :, :3] = 1.0
        departure[1] *= float(step % 2)
        nothing = torch.zeros_like(shown)
        uniform = torch.zeros(len(samples))
        return Examples(shown * brain, nothing, brain, departure, nothing, uniform, uniform)


class KnownEffect(Denoiser):
    """Errs by 0.2 and more the farther it is from its slice's code; twice as much in patterns."""

    def __init__(self, no_code: Sequence[float], other_code: float) -> None:
        super().__init__(NETWORK)
        self.no_code = torch.tensor(no_code)
        self.other_code = other_code

    def codes(self, shown: torch.Tensor) -> torch.Tensor:
        number = (shown.amax(dim=(1, 2, 3)) - 0.5) / 0.5
        return torch.stack((number + 1.0, torch.ones_like(number)), dim=1)

    def forward(
        self,
        noisy: torch.Tensor,
        brain: torch.Tensor,
        step: torch.Tensor,
        code: torch.Tensor | None = None,
    ) -> Prediction:
        assert code is not None
        own = torch.arange(len(noisy)) + 1.0
        absent = code.abs().sum(dim=1) == 0
        another = ~absent & ((code[:, 0] - own).abs() > 0.01)
        error = 0.2 + absent * self.no_code + another * self.other_code
        doubled = torch.ones_like(noisy)
        doubled[:, :, :3] = 2.0
        wrong = error[:, None, None, None] * doubled * (-1.0) ** step[:, None, None, None]
        return Prediction(wrong * brain, torch.zeros_like(wrong))


def effects_of(
    no_code: Sequence[float], other_code: float = OTHER_CODE
) -> dict[tuple[int, str, str], ConditionEffect]:
    found = condition_effects(KnownEffect(no_code, other_code), KnownPairs(), steps=(100, 401))
    return {(one.step, one.place, one.against): one for one in found}


def test_a_known_effect_is_found_exactly() -> None:
    """Patterns are three of the eight rows; their errors are twice as large."""
    effects = effects_of([NO_CODE] * SUBJECTS)
    assert len(effects) == 2 * 2 * 2
    healthy = (5 * 1 + 3 * 2) / 8  # of a subject that has no pattern, and else 1
    per_subject = [healthy, (healthy + 1) / 2, *[1.0] * (SUBJECTS - 2)]
    for step in (100, 401):
        for against, added in (("no code", NO_CODE), ("another's code", OTHER_CODE)):
            pattern = effects[step, "pattern", against]
            assert pattern.error == pytest.approx(0.4, abs=1e-6)
            assert pattern.difference == pytest.approx(-2 * added, abs=1e-6)
            assert (pattern.low, pattern.high) == pytest.approx((-2 * added,) * 2, abs=1e-6)
            calm = effects[step, "healthy", against]
            assert calm.error == pytest.approx(0.2 * float(np.mean(per_subject)), abs=1e-6)
            assert calm.difference == pytest.approx(-added * float(np.mean(per_subject)), abs=1e-6)
            assert calm.low < calm.difference < calm.high < 0


def test_the_interval_is_that_of_resampled_subjects() -> None:
    added = [0.0, 0.01, 0.02, 0.05, 0.08, 0.2]
    effect = effects_of(added)[100, "pattern", "no code"]
    known = 2 * np.array(added[1:])  # the first subject has no pattern
    assert effect.difference == pytest.approx(-known.mean(), abs=1e-6)
    rng = np.random.default_rng(0)
    means = [-rng.choice(known, len(known)).mean() for _ in range(4000)]
    assert effect.low == pytest.approx(np.percentile(means, 2.5), abs=0.01)
    assert effect.high == pytest.approx(np.percentile(means, 97.5), abs=0.01)
    assert effect.low < effect.difference < effect.high < 0


def test_where_some_gain_what_others_lose_the_interval_holds_nought() -> None:
    effect = effects_of([0.0, 0.0, 0.1, -0.1, 0.06, -0.06])[100, "pattern", "no code"]
    assert effect.difference == pytest.approx(0.0, abs=1e-6)
    assert effect.low < -0.01
    assert effect.high > 0.01


def test_a_subject_counts_once_however_many_of_its_slices_have_a_pattern() -> None:
    """The second subject has a pattern in half of the batches."""
    effect = effects_of([0.0, 0.5, 0.0, 0.0, 0.0, 0.0])[100, "pattern", "no code"]
    assert effect.difference == pytest.approx(-2 * 0.5 / 5, abs=1e-6)


def test_every_noise_level_is_measured_on_the_same_slices() -> None:
    maker = KnownPairs()
    words: list[str] = []
    condition_effects(
        KnownEffect([0.0] * SUBJECTS, 0.0), maker, steps=(100, 401), progress=words.append
    )
    groups = len(EFFECT_CONTRASTS) * len(EFFECT_LEVELS_MM)
    assert len(maker.asked) == len(words) == 2 * groups
    assert len(set(maker.asked)) == groups
    assert {(contrast, level) for _, _, contrast, level in maker.asked} == {
        (contrast, level) for contrast in EFFECT_CONTRASTS for level in EFFECT_LEVELS_MM
    }
    assert words[0] == "effect of the code: T1, -20 mm, noise level 100"


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_condition_without_effect_brings_nothing_on_real_slices(
    a_cohort: Cohort, precision: torch.dtype
) -> None:
    config = ExampleConfig(pattern_share=1.0, thick_share=0.0, families=("halo",))
    maker = ViewMaker(a_cohort.part("validate"), config, device=torch.device("cpu"))
    torch.manual_seed(0)
    denoiser = Denoiser(NETWORK).eval()
    found = condition_effects(denoiser, maker, steps=(250,), precision=precision)
    assert [(one.place, one.against) for one in found] == [
        (place, against)
        for place in ("healthy", "pattern")
        for against in ("no code", "another's code")
    ]
    for one in found:
        assert (one.difference, one.low, one.high) == (0.0, 0.0, 0.0)
        assert 0.05 < one.error < 3.0


def test_contrasts_are_ones_that_can_be_rendered() -> None:
    assert set(EFFECT_CONTRASTS) <= set(CONTRASTS)


def test_the_table_has_a_line_for_every_effect() -> None:
    effects = [
        ConditionEffect(250, "healthy", 0.12345, "no code", -0.00512, -0.0101, 0.0002),
        ConditionEffect(900, "pattern", 1.5, "another's code", 0.25, 0.2, 0.3),
    ]
    lines = effect_table(effects)
    assert lines[2:] == [
        "| 250 | healthy | 0.123 | no code | -0.0051 | -0.0101 to +0.0002 |",
        "| 900 | pattern | 1.500 | another's code | +0.2500 | +0.2000 to +0.3000 |",
    ]
    assert {line.count("|") for line in lines} == {7}
