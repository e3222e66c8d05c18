"""Where a denoiser's training starts: at a trained encoder, or at the weights of a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file

from counterpart.bundle import SETTINGS, WEIGHTS, bundle_folder, checked_digests
from counterpart.bundle_files import read_json
from counterpart.denoiser import Denoiser, DenoiserConfig
from counterpart.encoder import Encoder, EncoderConfig
from counterpart.errors import ModelError
from counterpart.hashing import file_sha256
from counterpart.training.run import load_averaged_weights

_HINT = "Start from a model of the same size and condition, or without one."
_CONDITION = ("encoder.", "net.class_embedding.", "tokens.")


@dataclass(frozen=True, eq=False)
class Start:
    """Weights to begin with.

    Args:
        weights: Of the denoiser, by name; those it lacks stay as they were drawn.
        may_lack: Beginnings of the names that may be lacking.
        facts: What to remember of it, as plain values.
    """

    weights: dict[str, torch.Tensor]
    may_lack: tuple[str, ...]
    facts: dict[str, str]


def encoder_of_run(run: Path) -> tuple[EncoderConfig, Start]:
    """The encoder that a run of the stage ``encoder`` has trained.

    Raises:
        ModelError: The run is of another stage, or cannot be read.
        CohortError: It has no checkpoint yet.
    """
    settings = read_json(run / "settings.json")
    if settings.get("stage") != "encoder":
        raise ModelError(f"{run}: a run of the stage {settings.get('stage')!r}, not of an encoder.")
    config = EncoderConfig.from_json(settings["network"])
    checkpoint = run / "checkpoints" / "last.ckpt"
    weights = load_averaged_weights(checkpoint, prefix="encoder.")
    named = {f"encoder.{name}": value for name, value in weights.items()}
    return config, Start(named, ("net.", "tokens."), {"encoder_sha256": file_sha256(checkpoint)})


def model_weights(source: str) -> Start:
    """The denoiser's weights of a bundle; it may lack the condition, which starts without effect.

    Args:
        source: Name or folder of the bundle.

    Raises:
        ModelError: It is missing, damaged, or not a denoiser's.
    """
    folder = bundle_folder(source)
    digests = checked_digests(folder)
    if "reconstruction" not in read_json(folder / SETTINGS):
        raise ModelError(f"{folder}: not the bundle of a denoiser.")
    weights = {name: value.float() for name, value in load_file(folder / WEIGHTS).items()}
    return Start(weights, _CONDITION, {"start_sha256": digests[WEIGHTS]})


def network_of_model(source: str) -> DenoiserConfig:
    """Size and condition of a bundle's denoiser.

    Args:
        source: Name or folder of the bundle.

    Raises:
        ModelError: It is missing, damaged, or not a denoiser's.
    """
    folder = bundle_folder(source)
    checked_digests(folder)
    settings = read_json(folder / SETTINGS)
    if "reconstruction" not in settings:
        raise ModelError(f"{folder}: not the bundle of a denoiser.")
    return DenoiserConfig.from_json(settings["network"])


def begin_with(denoiser: Denoiser, starts: tuple[Start, ...]) -> None:
    """Give a denoiser its first weights; later starts override earlier ones.

    Raises:
        ModelError: A start does not fit the denoiser, or lacks what it must not lack.
    """
    for start in starts:
        try:
            lacking, unknown = denoiser.load_state_dict(start.weights, strict=False)
        except RuntimeError as error:
            wrong = str(error).strip().splitlines()[1].strip()
            raise ModelError(f"the weights to start from do not fit: {wrong} {_HINT}") from error
        missed = [name for name in lacking if not name.startswith(start.may_lack)]
        if missed or unknown:
            wrong, how = (missed[0], "lack") if missed else (unknown[0], "hold the unknown")
            raise ModelError(f"the weights to start from do not fit: they {how} {wrong!r}. {_HINT}")


def begin_encoder_with(encoder: Encoder, start: Start) -> None:
    """Give an encoder the weights of a model's own.

    Raises:
        ModelError: The model has no encoder, or one of another size.
    """
    beginning = "encoder."
    own = {
        name.removeprefix(beginning): value
        for name, value in start.weights.items()
        if name.startswith(beginning)
    }
    if not own:
        raise ModelError("the model to start from has no encoder; begin without it.")
    try:
        encoder.load_state_dict(own, strict=True)
    except RuntimeError as error:
        wrong = str(error).strip().splitlines()[1].strip()
        raise ModelError(f"the encoder to start from does not fit: {wrong} {_HINT}") from error
