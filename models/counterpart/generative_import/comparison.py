"""Compares an imported network with the package it was trained with, number by number."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version as version_of
from typing import Any

import torch
from monai.networks.nets.diffusion_model_unet import DiffusionModelUNet
from torch import nn

from counterpart.errors import ModelError
from counterpart.generative_import.network import GenerativeNetwork

NOT_INSTALLED = "not compared: install healthy-counterpart[generative]"
TIME_STEPS = (0, 1, 250, 999)
# Both networks do the same sums in another order. Random networks of every kind differed by 2e-6 of
# their largest output at most, and by a twentieth of it and more with attention read wrong.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Comparison:
    """How far two networks answer differently.

    Args:
        version: Of the package compared with.
        difference: Largest absolute difference of the outputs.
        output: Largest absolute output.
    """

    version: str
    difference: float
    output: float

    @property
    def allowed(self) -> float:
        """The largest difference that rounding explains."""
        return TOLERANCE * max(1.0, self.output)


def is_generative_installed() -> bool:
    """Whether the package ``generative`` (monai-generative) is there to compare with."""
    return importlib.util.find_spec("generative") is not None


def compare_with_generative(
    network: DiffusionModelUNet, weights: Mapping[str, torch.Tensor], size: GenerativeNetwork
) -> Comparison:
    """Compare an imported network with ``generative``'s own on random inputs.

    Args:
        network: The imported one, in evaluation mode.
        weights: As they were read, under the old names.
        size: Of the network.

    Raises:
        ModelError: ``generative`` cannot take the weights, or the outputs differ, or are all zero.
    """
    old = generative_network(size)
    try:
        old.load_state_dict(dict(weights), strict=True)
    except RuntimeError as error:
        raise ModelError(f"`generative` does not take the weights: {error}") from error
    old.eval()
    with torch.no_grad():
        inputs = example_inputs(size)
        expected, answer = old(**inputs), network(**inputs)
    found = Comparison(
        version_of("monai-generative"),
        float((answer - expected).abs().max()),
        float(expected.abs().max()),
    )
    if found.output == 0.0:
        raise ModelError("the network answers nothing but zeros: it has not been trained.")
    if not found.difference <= found.allowed:
        raise ModelError(
            f"the imported network differs from `generative` {found.version} by up to "
            f"{found.difference:.3g}, more than the {found.allowed:.1g} that rounding explains "
            f"(largest output {found.output:.3g}). Nothing was written."
        )
    return found


def generative_network(size: GenerativeNetwork) -> nn.Module:
    """The network of the package ``generative``, with random weights.

    Args:
        size: Its arguments. Flash attention, the same function for a GPU with xformers, is left.

    Raises:
        ModelError: The package cannot be imported.
    """
    try:
        with warnings.catch_warnings():
            # The package is no longer developed and decorates functions as torch used to have it.
            warnings.filterwarnings("ignore", ".*autocast.* is deprecated", FutureWarning)
            from generative.networks.nets import DiffusionModelUNet as OldDiffusionModelUNet
    except ImportError as error:
        raise ModelError(
            f"the package `generative` cannot be imported ({error}). Install "
            "healthy-counterpart[generative] anew, or remove it to import without comparing."
        ) from error
    network: nn.Module = OldDiffusionModelUNet(**{**size.to_json(), "use_flash_attention": False})
    return network


def example_inputs(size: GenerativeNetwork) -> dict[str, Any]:
    """Random inputs on which to compare: one example for each of `TIME_STEPS`.

    Args:
        size: Of the network.

    Returns:
        Arguments of the network's ``forward``: ``x`` (B, C, 2n, n) or (B, C, 2n, n, n),
        ``timesteps`` (B,), and where it takes them ``context`` (B, 3, D) and ``class_labels`` (B,).
    """
    generator = torch.Generator().manual_seed(0)
    batch = len(TIME_STEPS)
    halvings = 2 ** (len(size.num_channels) - 1)
    edge = max(2 * halvings, 8) if size.spatial_dims == 2 else max(halvings, 4)
    shape = (2 * edge, *(edge,) * (size.spatial_dims - 1))
    inputs = {
        "x": torch.randn(batch, size.in_channels, *shape, generator=generator),
        "timesteps": torch.tensor(TIME_STEPS),
    }
    if size.with_conditioning:
        inputs["context"] = torch.randn(
            batch, 3, size.cross_attention_dim or 0, generator=generator
        )
    if size.num_class_embeds:
        inputs["class_labels"] = torch.arange(batch) % size.num_class_embeds
    return inputs
