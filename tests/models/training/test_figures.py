"""Figures of merit on simulated examples."""

import pytest
import torch

from counterpart.average_precision import average_precision
from counterpart.denoiser import Prediction
from counterpart.training.examples import Examples
from counterpart.training.figures import healing_figures


def some_examples(seed: int = 0) -> Examples:
    generator = torch.Generator().manual_seed(seed)
    shape = (2, 1, 16, 16)
    brain = torch.zeros(shape)
    brain[..., 2:14, 2:14] = 1.0
    departure = torch.zeros(shape)
    departure[0, 0, 5:9, 5:9] = 1.0
    departure[1, 0, 4:6, 4:6] = 0.3
    clean = torch.randn(shape, generator=generator) * brain
    shown = clean + 2.0 * departure
    return Examples(shown, clean, brain, departure, torch.zeros(shape), *torch.zeros(2, 2))


def prediction_of(examples: Examples, clean: torch.Tensor) -> Prediction:
    return Prediction(clean, 20 * examples.departure - 10)


def test_a_perfect_answer_has_no_error_and_finds_everything() -> None:
    examples = some_examples()
    figures = healing_figures([(examples, prediction_of(examples, examples.clean))])
    assert float(figures["val_healthy_error"]) == 0.0
    assert float(figures["val_healing_error"]) == 0.0
    assert float(figures["val_ap_residual"]) == 1.0
    assert float(figures["val_ap_departure"]) == 1.0
    assert float(figures["val_unhealed"]) == pytest.approx(2.0)


def test_an_answer_that_heals_nothing_errs_by_the_pattern() -> None:
    examples = some_examples()
    figures = healing_figures([(examples, prediction_of(examples, examples.shown))])
    assert float(figures["val_healing_error"]) == float(figures["val_unhealed"])
    assert float(figures["val_healthy_error"]) == 0.0
    prevalence = 16 / (2 * 12 * 12)
    assert float(figures["val_ap_residual"]) == pytest.approx(prevalence)


def test_figures_agree_with_a_loop_over_voxels() -> None:
    batches = [some_examples(seed) for seed in (1, 2, 3)]
    generator = torch.Generator().manual_seed(9)
    pairs = []
    healthy, healing, residual, truth = [], [], [], []
    for examples in batches:
        clean = examples.clean + 0.3 * torch.randn(examples.clean.shape, generator=generator)
        pairs.append((examples, Prediction(clean, torch.zeros_like(clean))))
        for at in torch.argwhere(examples.brain > 0.5).tolist():
            place = tuple(at)
            error = abs(float(clean[place] - examples.clean[place]))
            member = float(examples.departure[place])
            if member > 0.5:
                healing.append(error)
            elif member < 0.02:
                healthy.append(error)
            residual.append(abs(float(examples.shown[place] - clean[place])))
            truth.append(member > 0.5)
    figures = healing_figures(iter(pairs))
    assert float(figures["val_healthy_error"]) == pytest.approx(sum(healthy) / len(healthy))
    assert float(figures["val_healing_error"]) == pytest.approx(sum(healing) / len(healing))
    expected = average_precision(torch.tensor(residual), torch.tensor(truth))
    assert float(figures["val_ap_residual"]) == pytest.approx(float(expected), abs=1e-4)


def test_what_lies_outside_the_brain_does_not_count() -> None:
    examples = some_examples()
    wrong = examples.clean + 50.0 * (1 - examples.brain)
    figures = healing_figures([(examples, prediction_of(examples, wrong))])
    assert float(figures["val_healthy_error"]) == 0.0
