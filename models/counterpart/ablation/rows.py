"""The rows of the ablation: what each consists of, and in which fields it differs from another.

All rows share size, batch, schedule and seed, so that a row differs from the one before it by what
it adds and by nothing else. The published method keeps its objective, noise, levels and map
(`counterpart.training.configurations`); of its sizes and rates it keeps nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

from counterpart.denoiser import DenoiserConfig
from counterpart.encoder import EncoderConfig
from counterpart.errors import CounterpartError
from counterpart.plain_config import PlainConfig
from counterpart.reconstruction import ReconstructionConfig
from counterpart.residual import AnomalyConfig
from counterpart.training.configurations import Configuration, configuration_named
from counterpart.training.encoder_stage import EncoderTraining
from counterpart.training.examples import ExampleConfig
from counterpart.training.healing import HealingConfig
from counterpart.training.schedule import Schedule

PAPER_CODE, PAPER_TEXT = "paper-code", "paper-text"
HEALING, RENDERED = "+ healing", "+ rendered contrasts"
CONDITION, DEPARTURE = "+ condition", "+ second output channel"
CALIBRATED, SECOND_PASS = "+ calibration", "+ second pass"
AUTOENCODER, BASELINE = "autoencoder", "strongest baseline"
CROSS_ATTENTION, SIMPLEX = "cross-attention instead", "simplex noise instead"
EVEN_LEVELS = "even noise levels instead"

OUR_LEVELS = ReconstructionConfig(levels=(20, 40), weights=(1.0, 1.0), departure_weights=(1.0, 1.0))
_ONE_LOOK = ReconstructionConfig(levels=(0,), weights=(1.0,), departure_weights=(1.0,))
_MAX_GROUPS, _MAX_HEAD = 16, 32

AnySchedule = TypeVar("AnySchedule", bound=Schedule)


@dataclass(frozen=True)
class Sizes(PlainConfig):
    """What all rows share.

    Args:
        channels: Widths of the denoiser, and of the autoencoder.
        steps: Optimiser steps of each row.
        encoder_steps: Optimiser steps of each encoder, before the row that it belongs to.
        batch_size: Slices, or pairs of them, per step.
        encoder_channels: Widths of the encoder's four levels, one residual block each.
        seed: Of everything random.
    """

    channels: tuple[int, ...] = (32, 64, 64)
    steps: int = 600
    encoder_steps: int = 200
    batch_size: int = 16
    encoder_channels: tuple[int, ...] = (16, 32, 64, 64)
    seed: int = 1

    def scheduled(self, own: AnySchedule, steps: int) -> AnySchedule:
        """A stage's settings under the schedule that all rows share: that of our denoiser."""
        ours = configuration_named("ours").healing
        return replace(
            own,
            steps=steps,
            batch_size=self.batch_size,
            learning_rate=ours.learning_rate,
            weight_decay=ours.weight_decay,
            warmup_steps=min(ours.warmup_steps, max(1, steps // 5)),
            decay_share=ours.decay_share,
            second_moment=ours.second_moment,
            ema_decay=min(ours.ema_decay, 1.0 - 10.0 / max(steps, 20)),
            validate_every=steps,
            checkpoint_every=min(100, steps),
            seed=self.seed,
        )

    def encoder(self, cells: int) -> EncoderConfig:
        """The encoder of these sizes."""
        return EncoderConfig(layers=(1, 1, 1, 1), channels=self.encoder_channels, cells=cells)

    def denoiser(self, like: DenoiserConfig) -> DenoiserConfig:
        """A denoiser of these sizes and of another's form."""
        levels = len(self.channels)
        return replace(
            like,
            channels=self.channels,
            attention=(False,) * (levels - 1) + (True,),
            residual_blocks=DenoiserConfig().residual_blocks,
            head_channels=math.gcd(_MAX_HEAD, self.channels[-1]),
            norm_groups=math.gcd(_MAX_GROUPS, *self.channels),
            fold=DenoiserConfig().fold,
            encoder=None if like.encoder is None else self.encoder(like.encoder.cells),
        )


@dataclass(frozen=True)
class Method:
    """Everything that a trained row consists of.

    Args:
        kind: ``denoiser`` or ``autoencoder``.
        network: Size and form.
        healing: How it is trained.
        examples: What it is trained on.
        encoder_training: How its encoder is trained before; None without a condition.
        pairs: What the encoder's pairs are made of; None without a condition.
        reconstruction: Noise levels.
        anomaly: How the map is made.
        calibrated: Whether the map is in units of what health leaves.
        second_pass: Whether flagged slices are repainted once more.
    """

    kind: str
    network: DenoiserConfig
    healing: HealingConfig
    examples: ExampleConfig
    encoder_training: EncoderTraining | None
    pairs: ExampleConfig | None
    reconstruction: ReconstructionConfig
    anomaly: AnomalyConfig
    calibrated: bool = False
    second_pass: bool = False


@dataclass(frozen=True)
class Row:
    """One row.

    Args:
        name: As it stands in the table.
        adds: What it has more than the row it is compared with, in words.
        method: None for the baseline, which has no network.
        network_of: Row whose network it uses; its own name where it trains one.
        encoder_of: Row whose encoder it uses; None without a condition.
        compared_with: Row that its paired differences are taken from, or that is taken from it.
        reversed: Whether the difference is the other row's figure minus this one's.
    """

    name: str
    adds: str
    method: Method | None
    network_of: str | None = None
    encoder_of: str | None = None
    compared_with: str | None = None
    reversed: bool = False

    @property
    def trains(self) -> bool:
        """Whether it has a network of its own."""
        return self.network_of == self.name


def folder_name(name: str) -> str:
    """The name of a row as that of a folder."""
    return "-".join("".join(c if c.isalnum() else " " for c in name).split())


def ablation_rows(sizes: Sizes) -> tuple[Row, ...]:
    """All rows, in their order."""
    healing = _healing(sizes)
    rendered = replace(healing, examples=configuration_named("ours").examples)
    own = _own_rows(healing, rendered, sizes)
    return (*_published_rows(sizes), *own, *_other_rows(rendered), *_choice_rows(own))


def _published_rows(sizes: Sizes) -> tuple[Row, ...]:
    code = _published("paper-code", sizes)
    text = _published("paper-text", sizes)
    return (
        Row(PAPER_CODE, "the published method as its code has it", code, PAPER_CODE, PAPER_CODE),
        Row(
            PAPER_TEXT,
            "the published method as its text has it",
            text,
            *(PAPER_TEXT, PAPER_TEXT, PAPER_CODE),
        ),
    )


def _own_rows(healing: Method, rendered: Method, sizes: Sizes) -> tuple[Row, ...]:
    """What we add to the published method, each row one part more."""
    condition = _conditioned(rendered, sizes)
    departure = replace(
        condition,
        network=replace(condition.network, departure=True),
        healing=replace(condition.healing, departure_weight=HealingConfig().departure_weight),
        anomaly=replace(condition.anomaly, departure_power=AnomalyConfig().departure_power),
    )
    calibrated = replace(departure, calibrated=True)
    second = replace(calibrated, second_pass=True)
    return (
        Row(
            HEALING,
            "patterned slices with a clean answer, the brain mask, what the noisy slice lacks; "
            "no condition",
            healing,
            *(HEALING, None, PAPER_TEXT),
        ),
        Row(
            RENDERED,
            "T2-like, FLAIR-like and random contrasts, thick slices",
            rendered,
            *(RENDERED, None, HEALING),
        ),
        Row(
            CONDITION,
            "the code of an encoder in the embedding of the noise level",
            condition,
            *(CONDITION, CONDITION, RENDERED),
        ),
        Row(
            DEPARTURE,
            "where the shown slice departs from health, trained and in the map",
            departure,
            *(DEPARTURE, CONDITION, CONDITION),
        ),
        Row(
            CALIBRATED,
            "the residual in units of what health leaves, and a threshold",
            calibrated,
            *(DEPARTURE, CONDITION, DEPARTURE),
        ),
        Row(
            SECOND_PASS,
            "flagged slices repainted once more; the map stays",
            second,
            *(DEPARTURE, CONDITION, CALIBRATED),
        ),
    )


def _other_rows(rendered: Method) -> tuple[Row, ...]:
    """What the whole method is compared with."""
    return (
        Row(
            AUTOENCODER,
            "healthy slices through a bottleneck, no diffusion",
            _autoencoder(rendered),
            *(AUTOENCODER, None, SECOND_PASS),
            reversed=True,
        ),
        Row(
            BASELINE,
            "intensity alone, no network",
            None,
            compared_with=SECOND_PASS,
            reversed=True,
        ),
    )


def _choice_rows(own: Sequence[Row]) -> Iterator[Row]:
    """Choices that could have been made otherwise, each beside the trained whole."""
    whole = next(row.method for row in own if row.name == DEPARTURE)
    if whole is None:
        return
    choices = {
        CROSS_ATTENTION: (
            "the code by cross-attention to four tokens of it",
            replace(whole, network=replace(whole.network, condition="cross-attention")),
        ),
        SIMPLEX: (
            "simplex noise, in training and in repainting",
            replace(
                whole,
                healing=replace(whole.healing, noise="simplex"),
                reconstruction=replace(whole.reconstruction, noise="simplex"),
            ),
        ),
        EVEN_LEVELS: (
            "noise levels drawn evenly in training, low ones not oftener",
            replace(whole, healing=replace(whole.healing, low_noise=1.0)),
        ),
    }
    for name, (words, method) in choices.items():
        yield Row(name, words, method, *(name, CONDITION, DEPARTURE))


def chosen_rows(names: tuple[str, ...], sizes: Sizes) -> tuple[Row, ...]:
    """The rows of some names, and those whose networks they use; all if there is no name.

    Raises:
        CounterpartError: There is no row of a name.
    """
    rows = {row.name: row for row in ablation_rows(sizes)}
    for name in names:
        if name not in rows:
            known = ", ".join(repr(one) for one in rows)
            raise CounterpartError(f"expected a row of {known}, got {name!r}.")
    wanted = {part for name in names for part in (name, rows[name].network_of)}
    return tuple(row for row in rows.values() if not names or row.name in wanted)


def changed_fields(row: Method, before: Method) -> dict[str, tuple[Any, Any]]:
    """The fields in which a method differs from another: name to value before and value now."""
    old, new = dict(_flat(asdict(before))), dict(_flat(asdict(row)))
    return {
        name: (old.get(name), new.get(name))
        for name in (*old, *(key for key in new if key not in old))
        if old.get(name) != new.get(name)
    }


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _published(name: str, sizes: Sizes) -> Method:
    """A published method at the sizes and under the schedule of all rows."""
    known: Configuration = configuration_named(name)
    if known.reconstruction is None or known.anomaly is None:
        raise CounterpartError(f"the configuration {name!r} fixes neither levels nor map.")
    return Method(
        kind="denoiser",
        network=sizes.denoiser(known.denoiser),
        healing=sizes.scheduled(known.healing, sizes.steps),
        examples=known.examples,
        encoder_training=sizes.scheduled(known.encoder_training, sizes.encoder_steps),
        pairs=known.pairs,
        reconstruction=known.reconstruction,
        anomaly=known.anomaly,
    )


def _healing(sizes: Sizes) -> Method:
    """Ours on real T1 alone, with neither condition nor second output channel."""
    ours = configuration_named("ours")
    network = replace(ours.denoiser, condition="none", encoder=None, departure=False)
    t1_alone = configuration_named("paper-text").examples.contrasts
    return Method(
        kind="denoiser",
        network=sizes.denoiser(network),
        healing=replace(
            sizes.scheduled(ours.healing, sizes.steps), departure_weight=0.0, code_dropout=0.0
        ),
        examples=replace(ours.examples, contrasts=t1_alone, thick_share=0.0),
        encoder_training=None,
        pairs=None,
        reconstruction=OUR_LEVELS,
        anomaly=replace(ours.anomaly or AnomalyConfig(), departure_power=0.0),
    )


def _conditioned(method: Method, sizes: Sizes) -> Method:
    """The same with the condition of ours."""
    ours = configuration_named("ours")
    cells = EncoderConfig().cells if ours.denoiser.encoder is None else ours.denoiser.encoder.cells
    return replace(
        method,
        network=replace(
            method.network, condition=ours.denoiser.condition, encoder=sizes.encoder(cells)
        ),
        healing=replace(method.healing, code_dropout=ours.healing.code_dropout),
        encoder_training=sizes.scheduled(ours.encoder_training, sizes.encoder_steps),
        pairs=ours.pairs,
    )


def _autoencoder(like: Method) -> Method:
    """An autoencoder that sees the same contrasts, without patterns."""
    return replace(
        like,
        kind="autoencoder",
        network=replace(like.network, shows_brain=False, adds_to_noisy=False),
        healing=replace(like.healing, pattern_weight=0.0),
        examples=replace(like.examples, pattern_share=0.0),
        reconstruction=_ONE_LOOK,
    )
