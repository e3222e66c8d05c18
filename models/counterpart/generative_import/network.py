"""The size of a network of MONAI Generative Models: what its weights show, what a config must say.

Two descriptions of one network: `GenerativeNetwork` holds the arguments of the old package,
`CoreNetwork` those of MONAI core's successor that computes the same function.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from monai.networks.nets.diffusion_model_unet import DiffusionModelUNet

from counterpart.errors import ModelError
from counterpart.plain_config import PlainConfig

Weights = Mapping[str, torch.Tensor]

# What no shape tells, although the output depends on it; the values are the old package's defaults.
DEFAULTS: dict[str, int | float] = {
    "num_head_channels": 8,
    "norm_num_groups": 32,
    "norm_eps": 1e-6,
}


@dataclass(frozen=True)
class CoreNetwork(PlainConfig):
    """The arguments of MONAI core's ``DiffusionModelUNet``; its documentation explains each.

    ``include_fc`` is the one that counts: the old package creates an output projection for plain
    attention and never applies it, so the same function needs ``include_fc=False`` there.
    """

    spatial_dims: int
    in_channels: int
    out_channels: int
    num_res_blocks: tuple[int, ...]
    channels: tuple[int, ...]
    attention_levels: tuple[bool, ...]
    norm_num_groups: int
    norm_eps: float
    resblock_updown: bool
    num_head_channels: tuple[int, ...]
    with_conditioning: bool
    transformer_num_layers: int
    cross_attention_dim: int | None
    num_class_embeds: int | None
    upcast_attention: bool
    dropout_cattn: float
    include_fc: bool
    use_combined_linear: bool
    use_flash_attention: bool

    def build(self) -> DiffusionModelUNet:
        """The network, with random weights.

        Raises:
            ModelError: Values that no network can have.
        """
        try:
            return DiffusionModelUNet(**self.to_json())
        except (ValueError, TypeError, ZeroDivisionError) as error:
            raise ModelError(f"no network can have this size: {error}") from error


@dataclass(frozen=True)
class GenerativeNetwork(PlainConfig):
    """The arguments of ``generative.networks.nets.DiffusionModelUNet``, under its names.

    Args:
        spatial_dims: 2 or 3.
        in_channels: Of the input.
        out_channels: Of the output.
        num_res_blocks: Residual blocks of each level.
        num_channels: Width of each level.
        attention_levels: Whether a level has attention; the middle block always has.
        num_head_channels: Width of an attention head, level by level.
        norm_num_groups: Groups of each group normalisation; divides every width.
        norm_eps: Added to its variance.
        resblock_updown: Whether residual blocks change the resolution, instead of convolutions.
        with_conditioning: Spatial transformers with a context, instead of plain attention.
        transformer_num_layers: Layers of each spatial transformer.
        cross_attention_dim: Width of the context, with conditioning.
        num_class_embeds: Number of classes, if there are any.
        upcast_attention: Attention in float32 whatever the precision.
        use_flash_attention: The same function by a faster kernel.
        dropout_cattn: Dropout of the spatial transformers, for training.
    """

    spatial_dims: int
    in_channels: int
    out_channels: int
    num_res_blocks: tuple[int, ...]
    num_channels: tuple[int, ...]
    attention_levels: tuple[bool, ...]
    num_head_channels: tuple[int, ...]
    norm_num_groups: int
    norm_eps: float
    resblock_updown: bool = False
    with_conditioning: bool = False
    transformer_num_layers: int = 1
    cross_attention_dim: int | None = None
    num_class_embeds: int | None = None
    upcast_attention: bool = False
    use_flash_attention: bool = False
    dropout_cattn: float = 0.0

    def __post_init__(self) -> None:
        for name in ("resblock_updown", "upcast_attention", "use_flash_attention"):
            _require(name, getattr(self, name), isinstance(getattr(self, name), bool), "a bool")
        for name in ("norm_num_groups", "transformer_num_layers"):
            _require(name, getattr(self, name), _is_count(getattr(self, name)), "a positive int")
        eps, dropout, heads = self.norm_eps, self.dropout_cattn, self.num_head_channels
        _require("norm_eps", eps, _is_number(eps) and eps > 0, "a positive number")
        _require("dropout_cattn", dropout, _is_number(dropout) and 0 <= dropout <= 1, "in [0, 1]")
        of_levels = isinstance(heads, tuple) and len(heads) == len(self.num_channels)
        counts = of_levels and all(map(_is_count, heads))
        _require("num_head_channels", heads, counts, "a positive int, or one for each level")
        for width in self.num_channels:
            divides = width % self.norm_num_groups == 0
            _require("norm_num_groups", self.norm_num_groups, divides, f"a divisor of {width}")
        for level in self.attending_levels:
            width, head = self.num_channels[level], heads[level]
            # Of plain attention only the number of heads counts: 32 by 12 makes 2 heads of 16.
            fits = head <= width and (self.with_conditioning or width % (width // head) == 0)
            _require("num_head_channels", head, fits, f"a width that heads of {width} can have")

    @property
    def attending_levels(self) -> tuple[int, ...]:
        """The levels whose head width matters: with attention, and the last (the middle block)."""
        last = len(self.num_channels) - 1
        return tuple(i for i, has in enumerate(self.attention_levels) if has or i == last)

    def core(self) -> CoreNetwork:
        """The arguments with which MONAI core's network computes the same function."""
        heads = list(self.num_head_channels)
        if not self.with_conditioning:
            for level in self.attending_levels:
                width = self.num_channels[level]
                heads[level] = width // (width // heads[level])
        return CoreNetwork(
            spatial_dims=self.spatial_dims,
            in_channels=self.in_channels,
            out_channels=self.out_channels,
            num_res_blocks=self.num_res_blocks,
            channels=self.num_channels,
            attention_levels=self.attention_levels,
            norm_num_groups=self.norm_num_groups,
            norm_eps=self.norm_eps,
            resblock_updown=self.resblock_updown,
            num_head_channels=tuple(heads),
            with_conditioning=self.with_conditioning,
            transformer_num_layers=self.transformer_num_layers,
            cross_attention_dim=self.cross_attention_dim,
            num_class_embeds=self.num_class_embeds,
            upcast_attention=self.upcast_attention,
            # Core's flash attention drops at random in evaluation as well; the old one never does.
            dropout_cattn=0.0 if self.use_flash_attention else self.dropout_cattn,
            include_fc=self.with_conditioning,
            use_combined_linear=False,
            use_flash_attention=self.use_flash_attention,
        )


def network_of(weights: Weights, given: dict[str, Any]) -> GenerativeNetwork:
    """The network that weights belong to.

    Args:
        weights: Under the old package's names, from `counterpart.generative_import.weights`.
        given: Some or all of its constructor's arguments; they may not contradict the weights.

    Raises:
        ModelError: The weights are of another kind of network, or an argument is unknown, wrong,
            or contradicts them.
    """
    known = [field.name for field in fields(GenerativeNetwork)]
    for name in given:
        if name not in known:
            raise ModelError(f"unknown key {name!r} in the config; known are {', '.join(known)}.")
    seen = seen_in(weights)
    levels = len(seen["num_channels"])
    said = {**DEFAULTS, **given}
    for name in ("num_res_blocks", "num_head_channels"):
        if _is_count(said.get(name)):
            said[name] = (said[name],) * levels
    said = {key: tuple(value) if isinstance(value, list) else value for key, value in said.items()}
    for name, value in seen.items():
        if name in said and said[name] != value:
            raise ModelError(
                f"the config contradicts the weights: {name} is {given[name]!r} in the config, "
                f"but {_plain(value)!r} in the weights."
            )
    network = GenerativeNetwork.from_json({**said, **seen})
    _check_heads(weights, network)
    return network


def assumed(given: dict[str, Any]) -> dict[str, int | float]:
    """The arguments that neither weights nor config tell, and the defaults taken for them."""
    return {name: value for name, value in DEFAULTS.items() if name not in given}


def seen_in(weights: Weights) -> dict[str, Any]:
    """The constructor's arguments that the shapes of the weights show.

    Raises:
        ModelError: A tensor that every such network has is missing.
    """
    first = _shape(weights, "conv_in.conv.weight")
    if len(first) not in (4, 5):
        raise ModelError(f"expected a 2-D or 3-D network, got a first kernel of shape {first}.")
    levels = _count(weights, r"down_blocks\.(\d+)\.")
    widths = [
        _shape(weights, f"down_blocks.{i}.resnets.0.conv1.conv.weight")[0] for i in range(levels)
    ]
    transformer = "middle_block.attention.transformer_blocks"
    conditioned = any(name.startswith(transformer) for name in weights)
    seen = {
        "spatial_dims": len(first) - 2,
        "in_channels": first[1],
        "out_channels": _shape(weights, "out.2.conv.weight")[0],
        "num_res_blocks": tuple(
            _count(weights, rf"down_blocks\.{i}\.resnets\.(\d+)\.") for i in range(levels)
        ),
        "num_channels": tuple(widths),
        "attention_levels": tuple(
            any(name.startswith(f"down_blocks.{i}.attentions.") for name in weights)
            for i in range(levels)
        ),
        "with_conditioning": conditioned,
        "cross_attention_dim": None,
        "num_class_embeds": None,
    }
    if conditioned:
        context = _shape(weights, f"{transformer}.0.attn2.to_k.weight")
        seen["cross_attention_dim"] = context[1]
        seen["transformer_num_layers"] = _count(weights, re.escape(transformer) + r"\.(\d+)\.")
    if "class_embedding.weight" in weights:
        seen["num_class_embeds"] = _shape(weights, "class_embedding.weight")[0]
    if levels > 1:
        seen["resblock_updown"] = "down_blocks.0.downsampler.conv1.conv.weight" in weights
    return seen


def _check_heads(weights: Weights, network: GenerativeNetwork) -> None:
    """Compare the head widths with those of the spatial transformers, which are whole heads."""
    if not network.with_conditioning:
        return
    for level in network.attending_levels:
        has = network.attention_levels[level]
        place = f"down_blocks.{level}.attentions.0" if has else "middle_block.attention"
        inner = _shape(weights, f"{place}.proj_in.conv.weight")[0]
        head, width = network.num_head_channels[level], network.num_channels[level]
        if width // head * head != inner:
            raise ModelError(
                f"num_head_channels of level {level} is {head}, but the weights of its transformer "
                f"are {inner} wide, which {width // head} heads of {head} are not."
            )


def _shape(weights: Weights, name: str) -> tuple[int, ...]:
    if name in weights:
        shape = tuple(weights[name].shape)
        if len(shape) > 1:
            return shape
        raise ModelError(f"the weights {name!r} have the shape {shape}, which no kernel has.")
    groups = sorted({known.split(".")[0] for known in weights})
    raise ModelError(
        f"no weights of a DiffusionModelUNet of MONAI Generative Models: {name!r} is missing. "
        f"There are: {', '.join(groups[:8])}."
    )


def _count(weights: Weights, pattern: str) -> int:
    """How many different numbers the pattern finds at the names' beginnings."""
    return len({found.group(1) for name in weights if (found := re.match(pattern, name))})


def _require(name: str, value: object, fine: bool, expected: str) -> None:
    if not fine:
        default = " (the default)" if _is_default(name, value) else ""
        raise ModelError(
            f"the network's {name} is {value!r}{default}, expected {expected}; give it in --config."
        )


def _is_default(name: str, value: object) -> bool:
    return name in DEFAULTS and value == DEFAULTS[name]


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
