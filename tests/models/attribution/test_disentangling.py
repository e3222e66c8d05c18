"""The disentangling losses against closed forms, and what they have to do with correlation."""

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal, kl_divergence

from counterpart.attribution.disentangling import (
    LOSSES,
    bell_sejnowski,
    covariance,
    disentangling_named,
    log_determinant,
    off_diagonal,
)
from counterpart.errors import ModelError


def drawn(count: int, size: int, seed: int) -> torch.Tensor:
    return torch.randn(count, size, dtype=torch.float64, generator=seeded(seed))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def whitened(features: torch.Tensor) -> torch.Tensor:
    found, basis = torch.linalg.eigh(covariance(features))
    return (features - features.mean(dim=0)) @ basis @ torch.diag(found.rsqrt()) @ basis.T


def test_the_covariance_is_numpy_s() -> None:
    features = drawn(50, 4, 1) * torch.tensor([1.0, 2.0, 3.0, 4.0]) + 7.0
    expected = np.cov(features.numpy().T, bias=True)
    np.testing.assert_allclose(covariance(features).numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("shape", [(1, 3), (0, 3), (5,), (2, 3, 4)])
def test_a_covariance_needs_two_rows(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match="at least two rows"):
        covariance(torch.zeros(shape))


def test_the_log_determinant_is_the_divergence_from_a_white_gaussian() -> None:
    features = drawn(400, 5, 2) @ drawn(5, 5, 3)
    spread = covariance(features)
    here = MultivariateNormal(torch.zeros(5, dtype=torch.float64), spread)
    white = MultivariateNormal(
        torch.zeros(5, dtype=torch.float64), torch.eye(5, dtype=torch.float64)
    )
    expected = float(kl_divergence(here, white))
    assert float(log_determinant(features, ridge=0.0)) == pytest.approx(expected, rel=1e-9)


def test_both_covariance_losses_vanish_where_features_are_white_and_there_alone() -> None:
    features = drawn(300, 6, 4) @ drawn(6, 6, 5)
    white = whitened(features)
    assert float(log_determinant(white, ridge=0.0)) == pytest.approx(0.0, abs=1e-10)
    assert float(off_diagonal(white)) == pytest.approx(0.0, abs=1e-20)
    assert float(log_determinant(1.5 * white, ridge=0.0)) > 0.5
    assert float(log_determinant(0.5 * white, ridge=0.0)) > 0.5
    assert float(off_diagonal(1.5 * white)) == pytest.approx(1.25**2)
    assert float(off_diagonal(features)) > 0.1


def test_the_log_determinant_takes_fewer_features_than_dimensions() -> None:
    assert torch.isfinite(log_determinant(drawn(3, 8, 6)))


def test_off_diagonal_counts_variances_and_covariances() -> None:
    features = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])  # variances 1, covariance 1
    assert float(off_diagonal(features)) == pytest.approx(2.0 / 2.0)


def test_bell_and_sejnowski_s_gradient_is_their_rule() -> None:
    inputs, weight = drawn(200, 4, 7), torch.eye(4, dtype=torch.float64) + 0.1 * drawn(4, 4, 8)
    weight.requires_grad_()
    outputs = inputs @ weight.T
    bell_sejnowski(outputs, weight).backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    with torch.no_grad():
        y = torch.sigmoid(outputs)
        rule = torch.linalg.inv(weight).T + (1.0 - 2.0 * y).T @ inputs / len(inputs)
    torch.testing.assert_close(weight.grad, -rule)


def test_bell_and_sejnowski_separate_what_is_mixed() -> None:
    rng = np.random.default_rng(9)
    sources = torch.from_numpy(rng.laplace(size=(4000, 2)))
    mixing = torch.tensor([[1.0, 0.6], [0.4, 1.0]], dtype=torch.float64)
    mixed = sources @ mixing.T
    weight = torch.eye(2, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([weight], lr=0.02)
    for _ in range(400):
        optimiser.zero_grad()
        bell_sejnowski(mixed @ weight.T, weight).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    together = (weight @ mixing).detach().abs()
    together = together / together.amax(dim=1, keepdim=True)
    assert float(together.sort(dim=1).values[:, 0].max()) < 0.08


def test_a_loss_has_a_name() -> None:
    features, weight = drawn(20, 3, 10), torch.eye(3, dtype=torch.float64)
    for name in LOSSES:
        assert torch.isfinite(disentangling_named(name)(features, weight))
    with pytest.raises(ModelError, match="expected a loss of log-determinant, .*got 'ica'"):
        disentangling_named("ica")
