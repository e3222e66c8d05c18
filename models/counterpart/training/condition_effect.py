"""Measures what the condition brings: the same noisy slices healed with and without their code.

On held-out subjects with pattern families that were never trained on. For each noise level the
error of each slice is compared under its own code, no code, and the code of another subject's slice
at the same level and contrast. Differences are paired; subjects are resampled for the interval.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from counterpart.denoiser import Denoiser, soft_limit
from counterpart.errors import ModelError
from counterpart.training.views import ViewMaker

EFFECT_STEPS = (60, 120, 250, 400, 600, 750, 900)
EFFECT_LEVELS_MM = (-20.0, 0.0, 15.0, 30.0, 45.0)
EFFECT_CONTRASTS = ("T1", "FLAIR")
_SEED = 70_000_001
_RESAMPLES = 2000


@dataclass(frozen=True)
class ConditionEffect:
    """What the code changes at one noise level; errors in spreads, means over subjects.

    Args:
        step: Noise level.
        place: ``healthy`` tissue or the ``pattern``.
        error: Mean absolute error with the slice's own code.
        against: What its own code is compared with, ``no code`` or ``another's code``.
        difference: Error with its own code minus error with the other; negative is better.
        low: Lower end of the 95 % interval of the difference.
        high: Upper end.
    """

    step: int
    place: str
    error: float
    against: str
    difference: float
    low: float
    high: float


@torch.inference_mode()
def condition_effects(
    denoiser: Denoiser,
    maker: ViewMaker,
    *,
    steps: Sequence[int] = EFFECT_STEPS,
    precision: torch.dtype = torch.float32,
    progress: Callable[[str], None] | None = None,
) -> list[ConditionEffect]:
    """Measure the effect of the condition.

    Args:
        denoiser: With a condition.
        maker: Of held-out subjects and families.
        steps: Noise levels.
        precision: ``torch.float32`` or ``torch.bfloat16``.
        progress: Called with words.

    Returns:
        For each noise level and place, the effect against no code and against another's.

    Raises:
        ModelError: The denoiser has no condition.
    """
    if denoiser.config.encoder is None:
        raise ModelError("the denoiser has no condition, so there is no effect to measure.")
    errors: dict[tuple[int, str, str], list[NDArray[np.float64]]] = {}
    number = 0
    for contrast in EFFECT_CONTRASTS:
        for level in EFFECT_LEVELS_MM:
            for step in steps:
                if progress:
                    progress(f"effect of the code: {contrast}, {level:g} mm, noise level {step}")
                for key, values in _errors(
                    denoiser, maker, number, contrast, level, step, precision
                ).items():
                    errors.setdefault((step, *key), []).append(values)
            number += 1
    return [
        _effect(errors, step, place, against)
        for step in steps
        for place in ("healthy", "pattern")
        for against in ("no code", "another's code")
    ]


def _errors(
    denoiser: Denoiser,
    maker: ViewMaker,
    number: int,
    contrast: str,
    level_mm: float,
    step: int,
    precision: torch.dtype,
) -> dict[tuple[str, str], NDArray[np.float64]]:
    """(N,) mean errors per subject, by place and code; NaN where a slice has no pattern."""
    subjects = range(maker.subjects)
    examples = maker.make_level(_SEED, number, subjects, contrast=contrast, level_mm=level_mm)
    shown = soft_limit(examples.shown)
    steps = torch.full((len(shown),), step, device=shown.device)
    noisy = denoiser.noised(shown, examples.noise, steps) * examples.brain
    with torch.autocast(shown.device.type, torch.bfloat16, enabled=precision == torch.bfloat16):
        own = denoiser.codes(shown)
        if own is None:
            return {}
        codes = {"own": own, "no code": 0.0 * own, "another's code": own.roll(1, dims=0)}
        answers = {
            name: denoiser(noisy, examples.brain, steps, code) for name, code in codes.items()
        }
    target = soft_limit(examples.clean)
    brain = examples.brain > 0.5
    places = {
        "healthy": brain & (examples.departure < 0.02),
        "pattern": brain & (examples.departure > 0.5),
    }
    found = {}
    for name, answer in answers.items():
        error = (answer.clean.float() - target).abs()
        for place, where in places.items():
            inside = where.float()
            mean = (error * inside).sum(dim=(1, 2, 3)) / inside.sum(dim=(1, 2, 3))
            found[place, name] = mean.double().cpu().numpy()
    return found


def _effect(
    errors: dict[tuple[int, str, str], list[NDArray[np.float64]]],
    step: int,
    place: str,
    against: str,
) -> ConditionEffect:
    own = np.stack(errors[step, place, "own"])
    other = np.stack(errors[step, place, against])
    known = np.isfinite(own)
    counted = known.any(axis=0)
    weight = known[:, counted].sum(axis=0)
    per_subject = np.where(known, own - other, 0.0)[:, counted].sum(axis=0) / weight
    error = float((np.where(known, own, 0.0)[:, counted].sum(axis=0) / weight).mean())
    rng = np.random.default_rng(_SEED)
    drawn = rng.integers(0, len(per_subject), (_RESAMPLES, len(per_subject)))
    low, high = np.percentile(per_subject[drawn].mean(axis=1), [2.5, 97.5])
    return ConditionEffect(
        step, place, error, against, float(per_subject.mean()), float(low), float(high)
    )


def effect_table(effects: Sequence[ConditionEffect]) -> list[str]:
    """The effects as lines of a Markdown table."""
    lines = [
        "| noise level | where | error | against | difference | 95 % interval |",
        "|---|---|---|---|---|---|",
    ]
    return lines + [
        f"| {e.step} | {e.place} | {e.error:.3f} | {e.against} | {e.difference:+.4f} | "
        f"{e.low:+.4f} to {e.high:+.4f} |"
        for e in effects
    ]
