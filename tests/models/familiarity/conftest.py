"""Healthy heads as numbers: traits that vary about those of a made-up cohort."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from counterpart.familiarity.traits import LEVELS_MM, SHARES, ScanTraits

CODE_SIZE = 12


@pytest.fixture
def traits_of() -> Callable[..., list[ScanTraits]]:
    """Draws healthy heads of a contrast; codes of another ``towards`` point elsewhere."""

    def codes(rng: np.random.Generator, towards: int) -> NDArray[np.float32]:
        drawn = 0.15 * rng.standard_normal((len(LEVELS_MM), CODE_SIZE))
        drawn[:, towards] += 1.0
        return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)

    def draw(heads: int, seed: int = 0, towards: int = 0) -> list[ScanTraits]:
        rng = np.random.default_rng(seed)
        quantiles = np.linspace(-2.0, 2.0, len(SHARES))
        return [
            ScanTraits(
                codes=codes(rng, towards),
                quantiles=(quantiles + 0.05 * rng.standard_normal(len(SHARES))).astype(np.float32),
                information=float(0.12 * np.exp(0.1 * rng.standard_normal())),
                overlap=float(1.0 - 0.05 * np.exp(0.1 * rng.standard_normal())),
                noise=float(0.07 * np.exp(0.1 * rng.standard_normal())),
                sharpness=float(0.14 * np.exp(0.1 * rng.standard_normal())),
            )
            for _ in range(heads)
        ]

    return draw
