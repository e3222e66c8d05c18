"""The encoder stage: contrastive learning on healthy slices with and without a drawn pattern."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import lightning
import torch

from counterpart.cohort import Cohort
from counterpart.contrastive import (
    MARGIN,
    TEMPERATURE,
    alignment,
    rank_info_nce,
    recall_at_one,
    uniformity,
)
from counterpart.denoiser import soft_limit
from counterpart.encoder import Encoder, EncoderConfig
from counterpart.errors import CohortError
from counterpart.targets import HELD_OUT_FAMILIES
from counterpart.training.examples import ExampleConfig
from counterpart.training.masked_reconstruction import (
    PatchDecoder,
    hidden_error,
    kept_patches,
)
from counterpart.training.ranks import own_samples
from counterpart.training.schedule import Schedule, optimiser_and_rate
from counterpart.training.views import ViewMaker, Views

VALIDATION_SEED = 90_000_003
VALIDATION_LEVELS_MM = (-30.0, -10.0, 10.0, 30.0, 50.0)
VALIDATION_CONTRASTS = ("T1", "T2", "FLAIR")
VALIDATION_SUBJECTS = 20
VALIDATION_PAIR_BATCHES = len(VALIDATION_LEVELS_MM) * len(VALIDATION_CONTRASTS)


@dataclass(frozen=True)
class EncoderTraining(Schedule):
    """How the encoder is trained; see `Schedule` for the rest.

    Args:
        temperature: Of the contrastive loss.
        margin: ε of the contrastive loss, in units of similarity over temperature.
        kept_patches: How many of nine patches both views keep while the others are filled in, as
            the paper's released code does; 9 hides nothing.
    """

    steps: int = 10_000
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    validate_every: int = 500
    temperature: float = TEMPERATURE
    margin: float = MARGIN
    kept_patches: int = 9

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.kept_patches <= 9:
            raise CohortError(f"expected to keep 1 to 9 of 9 patches, got {self.kept_patches}.")


class EncoderModule(lightning.LightningModule):
    """Trains an `Encoder` on pairs that are made on the device, step by step."""

    def __init__(
        self,
        network: EncoderConfig,
        training: EncoderTraining,
        examples: ExampleConfig,
        cohort: Cohort,
    ) -> None:
        super().__init__()
        self.training_config = training
        self.examples = examples
        self.encoder = Encoder(network).to(memory_format=torch.channels_last)
        self.decoder = PatchDecoder(network) if training.kept_patches < 9 else None
        # Pooled features are compared then, and the code stays as it was drawn.
        self.encoder.code.requires_grad_(self.decoder is None)
        self._cohort = cohort
        self._makers: dict[str, ViewMaker] = {}
        self._figures: list[dict[str, torch.Tensor]] = []

    def maker(self, part: str) -> ViewMaker:
        """The pairs of one part of the cohort, on this module's device."""
        if part not in self._makers:
            config = self.examples
            if part != "train":
                config = replace(config, families=HELD_OUT_FAMILIES, pattern_share=1.0)
            self._makers[part] = ViewMaker(self._cohort.part(part), config, device=self.device)
        return self._makers[part]

    def codes(self, views: Views) -> tuple[torch.Tensor, torch.Tensor]:
        """Codes (B, D) of both views of the pairs."""
        shown = soft_limit(torch.cat((views.clean, views.patterned)))
        clean, patterned = self.encoder(shown).chunk(2)
        return clean, patterned

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        """One step; ``batch`` holds the sample numbers, the pairs are made here."""
        training = self.training_config
        samples = own_samples(batch.tolist(), self.global_rank, self.trainer.world_size)
        with torch.autocast(self.device.type, enabled=False):  # pairs in full precision
            maker = self.maker("train")
            views = maker.make_views(training.seed, self.global_step, samples)
        if self.decoder is None:
            clean, patterned = self.codes(views)
            loss = self._contrast(clean, patterned, samples[0])
        else:
            loss = self._masked_loss(self.decoder, views, samples)
        self.log("loss", loss, prog_bar=True, sync_dist=True)
        return loss

    def _contrast(self, clean: torch.Tensor, patterned: torch.Tensor, start: int) -> torch.Tensor:
        training = self.training_config
        return rank_info_nce(
            clean,
            patterned,
            self._of_all_ranks(clean),
            self._of_all_ranks(patterned),
            start,
            temperature=training.temperature,
            margin=training.margin,
        )

    def _masked_loss(self, decoder: PatchDecoder, views: Views, samples: list[int]) -> torch.Tensor:
        """Filling in hidden patches, plus the contrast of pooled features under the same mask."""
        training = self.training_config
        kept = kept_patches(training.seed, self.global_step, samples, training.kept_patches)
        both = kept.repeat(2, 1, 1, 1).to(self.device)
        slices = soft_limit(torch.cat((views.clean, views.patterned)))
        found = self.encoder.feature_map(slices * both)
        clean, patterned = self.encoder.pooled(found).chunk(2)
        filled = hidden_error(decoder(found), slices, both)
        return filled + self._contrast(clean, patterned, samples[0])

    def validation_step(self, batch: torch.Tensor, batch_idx: int) -> None:
        """Pairs of held-out subjects and families at fixed levels, always the same ones."""
        level = VALIDATION_LEVELS_MM[batch_idx % len(VALIDATION_LEVELS_MM)]
        contrast = VALIDATION_CONTRASTS[batch_idx // len(VALIDATION_LEVELS_MM)]
        maker = self.maker("validate")
        count = min(maker.subjects, VALIDATION_SUBJECTS)
        with torch.autocast(self.device.type, enabled=False):
            views = maker.make_views(
                VALIDATION_SEED, batch_idx, range(count), contrast=contrast, level_mm=level
            )
        self._figures.append(pair_figures(*self.codes(views)))

    def on_validation_epoch_end(self) -> None:
        """Log the mean figures over levels and contrasts."""
        for name in self._figures[0] if self._figures else ():
            mean = torch.stack([figures[name] for figures in self._figures]).mean()
            self.log(f"val_{name}", mean, prog_bar=True, sync_dist=True)
        self._figures.clear()

    def configure_optimizers(self) -> Any:
        """AdamW; warm-up, constant rate, linear decay to zero."""
        learning = (part for part in self.parameters() if part.requires_grad)
        return optimiser_and_rate(learning, self.training_config)

    def _of_all_ranks(self, codes: torch.Tensor) -> torch.Tensor:
        """The codes of all ranks in their order, with gradient."""
        if self.trainer.world_size == 1:
            return codes
        gathered = torch.as_tensor(self.all_gather(codes, sync_grads=True))
        return gathered.flatten(0, 1)


def pair_figures(clean: torch.Tensor, patterned: torch.Tensor) -> dict[str, torch.Tensor]:
    """How well codes (B, D) tell subjects apart whatever patterns are painted on them.

    Returns:
        ``own_similarity``: mean cosine of a slice with itself with a pattern;
        ``other_similarity``: the same with the other subjects' slices; ``recall_at_1``: share of
        patterned slices whose most similar clean slice is their own; ``alignment`` and
        ``uniformity`` as in `counterpart.contrastive`.
    """
    clean, patterned = clean.float(), patterned.float()
    similarity = torch.nn.functional.cosine_similarity(patterned[:, None], clean[None], dim=2)
    own = similarity.diagonal()
    others = similarity[~torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)]
    return {
        "own_similarity": own.mean(),
        "other_similarity": others.mean(),
        "recall_at_1": recall_at_one(patterned, clean),
        "alignment": alignment(clean, patterned),
        "uniformity": uniformity(clean),
    }
