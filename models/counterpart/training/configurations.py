"""Named configurations: ours, and the published method as its text and as its code have it.

The paper is arXiv 2406.00772. Its text and its released code differ; each has a configuration here
that follows it as far as the data allow, with every deviation listed. They exist to be compared.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from counterpart.denoiser import DenoiserConfig
from counterpart.encoder import EncoderConfig
from counterpart.errors import CounterpartError
from counterpart.reconstruction import ReconstructionConfig
from counterpart.residual import AnomalyConfig
from counterpart.training.encoder_stage import EncoderTraining
from counterpart.training.examples import ExampleConfig
from counterpart.training.healing import HealingConfig

_T1_ALONE = (1.0, 0.0, 0.0, 0.0)
_HEALTHY_T1 = ExampleConfig(contrasts=_T1_ALONE, pattern_share=0.0, thick_share=0.0)
_RESNET_50 = EncoderConfig("bottleneck", (3, 4, 6, 3), (64, 128, 256, 512), norm_groups=32, cells=1)
_THREE_LEVELS = ReconstructionConfig(
    levels=(250, 500, 750), weights=(1.0,) * 3, departure_weights=(1.0,) * 3
)


@dataclass(frozen=True)
class Configuration:
    """Everything that one way of training and inference consists of.

    Args:
        encoder: Size of the encoder.
        encoder_training: How it is trained.
        pairs: What its pairs are made of.
        denoiser: Size and form of the denoiser; its encoder is that of ``encoder``.
        healing: How it is trained.
        examples: What its examples are made of.
        reconstruction: Fixed noise levels; None where they are chosen on held-out subjects.
        anomaly: Fixed map; None where it is chosen on held-out subjects.
        deviations: Where it differs from what it follows, one sentence each.
    """

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    encoder_training: EncoderTraining = field(default_factory=EncoderTraining)
    pairs: ExampleConfig = field(default_factory=ExampleConfig)
    denoiser: DenoiserConfig = field(
        default_factory=lambda: DenoiserConfig(condition="embedding", encoder=EncoderConfig())
    )
    healing: HealingConfig = field(default_factory=lambda: HealingConfig(low_noise=2.0))
    examples: ExampleConfig = field(default_factory=ExampleConfig)
    reconstruction: ReconstructionConfig | None = None
    anomaly: AnomalyConfig | None = None
    deviations: tuple[str, ...] = ()


_DATA_DEVIATIONS = (
    "T1 of 88 healthy subjects instead of T2 of 385: T2 was not to be had.",
    "Template pose is MNI152 instead of SRI24, and slices are 80 × 96 voxels of 2 mm.",
    "Values are spreads around the brain's bulk instead of percentiles from 0 to 1; the forward "
    "process scales them by 0.2 to the same range.",
    "The healthy threshold comes from healthy scans, and findings have at least 0.1 ml.",
)

_PAPER_TEXT = Configuration(
    encoder=EncoderConfig(cells=1),
    encoder_training=EncoderTraining(learning_rate=1e-4, weight_decay=0.05),
    pairs=ExampleConfig(contrasts=_T1_ALONE, pattern_share=1.0, thick_share=0.0),
    denoiser=DenoiserConfig(
        condition="embedding",
        encoder=EncoderConfig(cells=1),
        shows_brain=False,
        departure=False,
        adds_to_noisy=False,
        signal_scale=0.2,
    ),
    healing=HealingConfig(
        learning_rate=1e-4,
        lowest_step=0,
        highest_step=999,
        low_noise=1.0,
        pattern_weight=0.0,
        departure_weight=0.0,
        code_dropout=0.0,
    ),
    examples=_HEALTHY_T1,
    reconstruction=_THREE_LEVELS,
    anomaly=AnomalyConfig(median_voxels=1, departure_power=0.0, residual_power=1.0),
    deviations=(
        *_DATA_DEVIATIONS,
        "The text gives no sizes: encoder and denoiser have ours.",
        "No bias correction (N4); a bias field is drawn in training instead.",
        "Target patterns are ours, drawn in 3-D; the text does not say how they are made.",
    ),
)

_PAPER_CODE = Configuration(
    encoder=_RESNET_50,
    encoder_training=EncoderTraining(
        steps=14_400,
        learning_rate=1e-4,
        weight_decay=0.05,
        second_moment=0.999,
        kept_patches=3,
    ),
    pairs=_HEALTHY_T1,
    denoiser=DenoiserConfig(
        channels=(128, 256, 256),
        attention=(False, False, False),
        residual_blocks=3,
        norm_groups=32,
        condition="embedding",
        encoder=_RESNET_50,
        fold=1,
        shows_brain=False,
        departure=False,
        adds_to_noisy=False,
        signal_scale=0.2,
    ),
    healing=HealingConfig(
        steps=14_400,
        batch_size=32,
        learning_rate=1e-4,
        weight_decay=0.0,
        warmup_steps=0,
        decay_share=0.0,
        second_moment=0.999,
        ema_decay=0.0,
        lowest_step=0,
        highest_step=999,
        low_noise=1.0,
        pattern_weight=0.0,
        departure_weight=0.0,
        code_dropout=0.0,
        encoder_learns=True,
        noise="simplex",
    ),
    examples=_HEALTHY_T1,
    reconstruction=ReconstructionConfig(
        levels=(250, 500, 750),
        weights=(1.0,) * 3,
        departure_weights=(1.0,) * 3,
        noise="simplex",
    ),
    anomaly=AnomalyConfig(
        median_voxels=5,
        departure_power=0.0,
        residual_power=1.0,
        size_first=True,
        erosion_voxels=3,
    ),
    deviations=(
        *_DATA_DEVIATIONS,
        "The encoder has dense convolutions on slices whose hidden patches are 0, and group norms, "
        "where SparK has sparse ones and batch norms; its first convolution is 5 × 5.",
        "Hidden patches are ninths of the slice (27 × 32 voxels) instead of 32 × 32.",
        "The code is scaled to a fixed length, and its embedding is added to that of the noise "
        "level instead of put beside it.",
        "No ghosting among the augmentations; gamma, bias, blur and noise are drawn.",
        "MONAI's U-Net of these sizes has 32 million parameters instead of 43.9 million.",
    ),
)

CONFIGURATIONS = {
    "ours": Configuration(),
    "paper-text": _PAPER_TEXT,
    "paper-code": _PAPER_CODE,
}


def configuration_named(name: str) -> Configuration:
    """The configuration of a name.

    Raises:
        CounterpartError: There is none of this name.
    """
    if name not in CONFIGURATIONS:
        known = ", ".join(CONFIGURATIONS)
        raise CounterpartError(f"expected a configuration of {known}, got {name!r}.")
    return CONFIGURATIONS[name]
