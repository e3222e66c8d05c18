"""Measures, on repainted slices whose subject is known, whether attribution finds the subject.

Subjects that were trained on and held-out ones are indexed together and repainted from strong
noise. The slice that is repainted is also shown to the network, noised, and by its code: a subject
may be found because it was shown. What training adds is the difference between the two kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from counterpart.attribution.disentangling import LOSSES
from counterpart.attribution.domain_maps import (
    LinearMap,
    MapTraining,
    learned_maps,
    level_mean,
    level_whitening,
)
from counterpart.attribution.memorised import heads_of_parts
from counterpart.attribution.reference_index import Array
from counterpart.attribution.retrieval import (
    Difference,
    Found,
    difference,
    found_by,
    slice_ranks,
)
from counterpart.attribution.whole_heads import head_codes, repainted_head
from counterpart.cohort import PARTS, Cohort
from counterpart.denoiser import Denoiser
from counterpart.held_out.heads import HealthyHead

Progress = Callable[[str], None]
Pair = tuple[LinearMap, LinearMap]
STEPS = (750, 900)
_VIEW_NOISE = 0.1
_RIDGE = 0.01


@dataclass(frozen=True)
class RetrievalRow:
    """One way to map features, at one noise level.

    Args:
        step: Diffusion step that slices were repainted from.
        method: How features were mapped, in words.
        trained: Subjects that were trained on.
        held_out: Subjects that were not.
        gap: Mean average precision of the first minus that of the second.
    """

    step: int
    method: str
    trained: Found
    held_out: Found
    gap: Difference


@dataclass(frozen=True, eq=False)
class CodedHeads:
    """Codes of subjects of both kinds, those that were trained on first.

    Args:
        names: Of the subjects.
        trained: How many of them were trained on.
        real: Two views (2, N, L, C) of their scans: as acquired, and with more noise.
        generated: By step, two draws (2, N, L, C) of what they are repainted as.
    """

    names: tuple[str, ...]
    trained: int
    real: Array
    generated: dict[int, Array]


def coded_heads(
    denoiser: Denoiser,
    cohort: Cohort,
    subjects: int,
    *,
    steps: Sequence[int] = STEPS,
    progress: Progress | None = None,
) -> CodedHeads:
    """Encode and repaint equally many subjects of both kinds.

    Args:
        denoiser: The network, with an encoder.
        cohort: That it was trained on.
        subjects: Most of each kind.
        steps: Of the diffusion.
        progress: Called with words; may raise to cancel.

    Raises:
        CohortError: There are no subjects of a kind.
    """
    tell = progress or (lambda words: None)
    names, heads = heads_of_parts(cohort, PARTS[:1], subjects)
    others_names, others = heads_of_parts(cohort, PARTS[1:], subjects)
    both = min(len(names), len(others_names))
    heads, names = [*heads[:both], *others[:both]], [*names[:both], *others_names[:both]]
    real: list[Array] = []
    generated: dict[int, list[Array]] = {step: [] for step in steps}
    for number, head in enumerate(heads, start=1):
        tell(f"retrieval, subject {number} of {len(heads)}")
        noisier = _noisier(head, number)
        real.append(np.stack([head_codes(denoiser, one) for one in (head, noisier)]))
        for step in steps:
            draws = [repainted_head(denoiser, head, step, seed=seed).codes for seed in (1, 2)]
            generated[step].append(np.stack(draws))
    return CodedHeads(
        tuple(names),
        both,
        np.stack(real, axis=1),
        {step: np.stack(codes, axis=1) for step, codes in generated.items()},
    )


def retrieval_rows(heads: CodedHeads) -> list[RetrievalRow]:
    """Every way to map features, at every noise level; asked by the first draw."""
    rows = []
    own = range(len(heads.names))
    for step, generated in heads.generated.items():
        for method, (real_map, generated_map) in _methods(heads.real, generated).items():
            ranks = slice_ranks(generated_map(generated[0]), real_map(heads.real[0]), own)
            trained, held_out = ranks[: heads.trained], ranks[heads.trained :]
            rows.append(
                RetrievalRow(
                    step,
                    method,
                    found_by(trained),
                    found_by(held_out),
                    difference(trained, held_out),
                )
            )
    return rows


def _methods(real: Array, generated: Array) -> dict[str, Pair]:
    """Maps of the real and of the generated domain, none of which saw which is which's."""
    size = real.shape[-1]
    as_it_is = LinearMap(np.zeros(size, np.float32), np.eye(size, dtype=np.float32))
    means = [level_mean(codes.reshape(-1, *codes.shape[2:])) for codes in (real, generated)]
    centred = [LinearMap(mean, np.eye(size, dtype=np.float32)) for mean in means]
    white = [level_whitening(codes[0], ridge=_RIDGE) for codes in (real, generated)]
    found: dict[str, Pair] = {
        "raw": (as_it_is, as_it_is),
        "mean of the level removed": (centred[0], centred[1]),
        "whitening": (white[0], white[1]),
    }
    views = [_views(codes, mean) for codes, mean in zip((real, generated), means, strict=True)]
    for loss in LOSSES:
        maps = learned_maps(views[0], views[1], MapTraining(disentangling=loss))
        found[f"learned, {loss}"] = (
            LinearMap(means[0], maps.real.matrix),
            LinearMap(means[1], maps.generated.matrix),
        )
    return found


def _views(codes: Array, mean: Array) -> tuple[Array, Array]:
    """Two views (N·L, C) of all slices that are there in both, without the mean of their level."""
    there = codes.any(axis=-1).all(axis=0)
    return (codes[0] - mean)[there], (codes[1] - mean)[there]


def _noisier(head: HealthyHead, seed: int) -> HealthyHead:
    generator = torch.Generator().manual_seed(seed)
    noise = _VIEW_NOISE * torch.randn(head.shown.shape, generator=generator)
    return HealthyHead(head.shown + noise * head.brain, head.brain, head.pose_overlap)


def row_json(row: RetrievalRow) -> dict[str, Any]:
    """A row as plain values."""
    return {
        "step": row.step,
        "method": row.method,
        **{
            kind: {"recall": list(found.recall), "precision": found.precision, "n": found.slices}
            for kind, found in (("trained", row.trained), ("held_out", row.held_out))
        },
        "difference": [row.gap.mean, row.gap.low, row.gap.high],
    }
