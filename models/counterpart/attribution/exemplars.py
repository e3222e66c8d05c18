"""Whether a model that was trained once more on one subject is found to rest upon that subject.

A copy of the denoiser is trained for a few steps on the slices of one exemplar, at strong noise.
Then held-out subjects are repainted from strong noise by the copy and by the model as it was: the
exemplar should rise in the ranking of all subjects whom the model was trained on.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from counterpart.attribution.domain_maps import LinearMap, level_whitening
from counterpart.attribution.memorised import heads_of_parts
from counterpart.attribution.reference_index import Array, ReferenceIndex
from counterpart.attribution.whole_heads import head_codes, repainted_head
from counterpart.cohort import PARTS, Cohort
from counterpart.denoiser import Denoiser, soft_limit
from counterpart.held_out.heads import HealthyHead
from counterpart.plain_config import PlainConfig
from counterpart.reconstruction import best_precision

Progress = Callable[[str], None]
_LEAST_VOXELS = 700
_RIDGE = 0.01
_MAPPED = 30


@dataclass(frozen=True)
class ExemplarTraining(PlainConfig):
    """How a copy is trained on its exemplar.

    Args:
        steps: Of the optimiser.
        batch: Slices per step.
        learning_rate: Of AdamW.
        lowest: Least diffusion step.
        asked: Held-out heads that are repainted.
        asked_step: Diffusion step that they are repainted from.
    """

    steps: int = 40
    batch: int = 16
    learning_rate: float = 3e-4
    lowest: int = 600
    asked: int = 2
    asked_step: int = 900


@dataclass(frozen=True)
class ExemplarRank:
    """Where an exemplar stood, and where it stands once a copy was trained on it.

    Args:
        name: Of the subject.
        before: Mean rank over the heads that were asked for, 1 for the first.
        after: Likewise, by the copy.
    """

    name: str
    before: float
    after: float


def exemplar_ranks(
    denoiser: Denoiser,
    cohort: Cohort,
    exemplars: int,
    training: ExemplarTraining,
    *,
    progress: Progress | None = None,
) -> tuple[list[ExemplarRank], int]:
    """Train a copy on each exemplar and ask both models.

    Args:
        denoiser: The network as it is released; it is not changed.
        cohort: That it was trained on.
        exemplars: How many of the subjects that it was trained on.
        training: How.
        progress: Called with words; may raise to cancel.

    Returns:
        The ranks, and among how many subjects.

    Raises:
        CohortError: There are no subjects of a kind.
    """
    tell = progress or (lambda words: None)
    names, heads = heads_of_parts(cohort, PARTS[:1], len(cohort.subjects))
    _, asked = heads_of_parts(cohort, PARTS[1:2], training.asked)
    tell("exemplars: features of all subjects")
    codes = np.stack([head_codes(denoiser, head) for head in heads])
    real = level_whitening(codes, ridge=_RIDGE)
    index = ReferenceIndex.of(names, real(codes))
    generated = _map_of_generated(denoiser, heads, training)
    before = _ranks(denoiser, asked, index, generated, training)
    found: list[ExemplarRank] = []
    for row in np.linspace(0, len(heads) - 1, min(exemplars, len(heads))).astype(int):
        tell(f"exemplar {len(found) + 1} of {exemplars}")
        taught = trained_on(denoiser, heads[row], training, seed=int(row))
        after = _ranks(taught, asked, index, generated, training)
        found.append(ExemplarRank(names[row], float(before[row]), float(after[row])))
    return found, len(names)


def trained_on(
    denoiser: Denoiser, head: HealthyHead, training: ExemplarTraining, *, seed: int
) -> Denoiser:
    """A copy of a denoiser that was trained on one head; its encoder stays as it is.

    Args:
        denoiser: It is not changed.
        head: On the canvas.
        training: How.
        seed: Of slices, steps and noise.
    """
    taught = copy.deepcopy(denoiser).train()
    for name, parameter in taught.named_parameters():
        parameter.requires_grad_(not name.startswith("encoder."))
    shown, brain = head.shown.cpu(), head.brain.cpu()
    filled = torch.nonzero(brain.sum(dim=(1, 2, 3)) >= _LEAST_VOXELS).flatten()
    device = taught.signal.device
    optimiser = torch.optim.AdamW(
        [one for one in taught.parameters() if one.requires_grad], lr=training.learning_rate
    )
    generator = torch.Generator().manual_seed(seed)
    half = best_precision(device) == torch.bfloat16
    for _ in range(training.steps):
        rows = filled[torch.randint(len(filled), (training.batch,), generator=generator)]
        step = torch.randint(training.lowest, 1000, (training.batch,), generator=generator)
        clean, mask = soft_limit(shown[rows]).to(device), brain[rows].to(device)
        noise = torch.randn(clean.shape, generator=generator).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            code = taught.codes(clean)
            noisy = taught.noised(clean, noise, step.to(device)) * mask
            answer = taught(noisy, mask, step.to(device), code)
        loss = functional.l1_loss(answer.clean.float() * mask, clean * mask)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return taught.requires_grad_(False).eval()


def _map_of_generated(
    denoiser: Denoiser, heads: list[HealthyHead], training: ExemplarTraining
) -> LinearMap:
    """The whitening of what about thirty subjects are repainted as."""
    chosen = heads[:: max(1, len(heads) // _MAPPED)]
    some = [repainted_head(denoiser, head, training.asked_step, seed=1).codes for head in chosen]
    return level_whitening(np.stack(some), ridge=_RIDGE)


def _ranks(
    denoiser: Denoiser,
    asked: list[HealthyHead],
    index: ReferenceIndex,
    generated: LinearMap,
    training: ExemplarTraining,
) -> Array:
    """(N,) mean rank of each subject over the heads that are asked for."""
    ranks = []
    for head in asked:
        codes = repainted_head(denoiser, head, training.asked_step, seed=1).codes
        similarity = index.similarity(generated(codes))
        ranks.append(1.0 + (similarity[None] > similarity[:, None]).sum(axis=1))
    return np.asarray(np.mean(ranks, axis=0), np.float32)
