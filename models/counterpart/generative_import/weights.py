"""Reads the weights of a network trained elsewhere as data: nothing in a file is executed."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from counterpart.errors import ModelError

PICKLED = (".pt", ".pth", ".ckpt")
_CONTAINERS = ("state_dict", "model_state_dict", "model")
_PREFIXES = ("module.", "_orig_mod.", "model.", "unet.", "denoiser.")
_HOW_TO_CONVERT = (
    "Where the network was trained, load the file and save its tensors alone: "
    "`safetensors.torch.save_file(network.state_dict(), 'weights.safetensors')`, or "
    "`torch.save(network.state_dict(), 'weights.pt')`."
)


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read a state dict from a safetensors file or a PyTorch checkpoint.

    A checkpoint may be the state dict itself or hold it under ``state_dict``,
    ``model_state_dict``, ``model`` or a name that begins with ``unet``. A prefix that all names
    share (``module.``, ``model.``, ``unet.``, ``denoiser.``) is taken off.

    Args:
        path: ``.safetensors``, ``.pt``, ``.pth`` or ``.ckpt``.

    Returns:
        The tensors by name, as float32.

    Raises:
        ModelError: The file is of another kind, damaged, holds more than data, or not one network.
    """
    if not path.is_file():
        raise ModelError(f"{path}: there is no such file.")
    if path.suffix == ".safetensors":
        content = _read_safetensors(path)
    elif path.suffix in PICKLED:
        content = _read_checkpoint(path)
    else:
        raise ModelError(
            f"{path}: expected .safetensors, {', '.join(PICKLED)}, got {path.suffix!r}."
        )
    named = _without_prefix(_state_dict(path, content))
    return {name: _checked(path, name, value) for name, value in named.items()}


def _read_safetensors(path: Path) -> object:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ModelError(f"{path}: not a readable safetensors file ({error}).") from error


def _read_checkpoint(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path}: holds more than tensors, or is damaged; code from a file is never executed. "
            + _HOW_TO_CONVERT
        ) from error
    except Exception as error:  # a damaged archive makes the reader fail in many ways
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"{path}: not a readable checkpoint ({reason}). " + _HOW_TO_CONVERT
        ) from error


def _state_dict(path: Path, content: object) -> dict[str, object]:
    """The innermost state dict of a checkpoint."""
    if not isinstance(content, dict) or not content:
        raise ModelError(f"{path}: expected tensors by name, got {type(content).__name__}.")
    named = {str(name): value for name, value in content.items()}
    if all(isinstance(value, torch.Tensor) for value in named.values()):
        return named
    held = sorted(
        name
        for name, value in named.items()
        if isinstance(value, dict) and (name in _CONTAINERS or name.startswith("unet"))
    )
    if len(held) > 1:
        raise ModelError(
            f"{path}: holds several state dicts ({', '.join(held)}). Save the wanted one alone."
        )
    if not held:
        expected = ", ".join(repr(name) for name in _CONTAINERS)
        raise ModelError(
            f"{path}: expected a state dict, or one under {expected} or 'unet…'; there are "
            f"{', '.join(sorted(named)[:8])}."
        )
    return _state_dict(path, named[held[0]])


def _without_prefix(named: dict[str, object]) -> dict[str, object]:
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in named):
            return _without_prefix({name[len(prefix) :]: value for name, value in named.items()})
    return named


def _checked(path: Path, name: str, value: object) -> torch.Tensor:
    if not isinstance(value, torch.Tensor) or not value.is_floating_point():
        raise ModelError(f"{path}: {name!r} is no tensor of floating-point numbers.")
    if value.is_sparse or value.is_quantized or value.is_meta:
        raise ModelError(f"{path}: {name!r} is no plain tensor.")
    if not bool(torch.isfinite(value).all()):
        raise ModelError(f"{path}: {name!r} holds numbers that are not finite.")
    return value.detach().float()
