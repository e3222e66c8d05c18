"""Imports a ``DiffusionModelUNet`` trained with MONAI Generative Models into MONAI core's.

============================ =============================================================
``models/model.safetensors`` float32 weights under MONAI core's names
``configs/network.json``     arguments of MONAI core's ``DiffusionModelUNet``
``configs/metadata.json``    where the weights are from, what was assumed and compared
``docs/README.md``           the same for people
``manifest.json``            sha256 of every other file
============================ =============================================================
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from monai.networks.nets.diffusion_model_unet import DiffusionModelUNet
from safetensors.torch import save_file

from counterpart.bundle import CARD, MANIFEST, METADATA, WEIGHTS, load_weights, write_manifest
from counterpart.bundle_files import read_json
from counterpart.bundle_metadata import bundle_metadata
from counterpart.denoiser import parameter_count
from counterpart.errors import ModelError
from counterpart.generative_import.comparison import (
    NOT_INSTALLED,
    TIME_STEPS,
    Comparison,
    compare_with_generative,
    is_generative_installed,
)
from counterpart.generative_import.network import (
    CoreNetwork,
    GenerativeNetwork,
    assumed,
    network_of,
)
from counterpart.generative_import.weights import read_weights
from counterpart.hashing import file_sha256
from counterpart.results import DISCLAIMER

NETWORK = "configs/network.json"
_FILES = (WEIGHTS, NETWORK, METADATA, CARD)
# Created by the old package for every plain attention block, and used by none.
_UNUSED = ("proj_attn.weight", "proj_attn.bias")
_NEW_PARTS = (".attn.to_q.", ".postconv.", ".out_proj.")  # in names of MONAI core alone


@dataclass(frozen=True)
class Imported:
    """What was imported.

    Args:
        source: Name of the file with the weights.
        sha256: Of that file.
        size: Of the network, in the old package's words.
        assumed: Arguments taken from the old package's defaults.
        parameters: Number of parameters of the imported network.
        comparison: With the old package, if that is installed.
    """

    source: str
    sha256: str
    size: GenerativeNetwork
    assumed: dict[str, int | float]
    parameters: int
    comparison: Comparison | None

    @property
    def note(self) -> str:
        """What was assumed, in a sentence; empty if nothing."""
        values = ", ".join(f"{name} {value:g}" for name, value in self.assumed.items())
        if not values:
            return ""
        return (
            f"Weights do not show {', '.join(self.assumed)}: generative's defaults were taken "
            f"({values}). If the network was built with others its output is wrong, and no "
            "comparison can tell: give them with --config."
        )

    @property
    def verdict(self) -> str:
        """Whether the outputs were compared, and how far they differ."""
        if self.comparison is None:
            return NOT_INSTALLED
        found = self.comparison
        return (
            f"compared with generative {found.version} at time steps "
            f"{', '.join(map(str, TIME_STEPS))}: largest difference {found.difference:.2g} "
            f"(largest output {found.output:.3g}, allowed {found.allowed:.1g})"
        )


def import_generative(source: Path, out: Path, *, config: Path | None = None) -> Imported:
    """Read weights of MONAI Generative Models, check them, and write them for MONAI core.

    Args:
        source: ``.safetensors``, ``.pt``, ``.pth`` or ``.ckpt``; see
            `counterpart.generative_import.weights.read_weights`.
        out: Folder to make; nothing is left there if anything fails.
        config: JSON with arguments of the old ``DiffusionModelUNet``, under their names there.

    Raises:
        ModelError: The file, the config or the outputs are not as expected; or ``out`` exists.
    """
    if out.exists():
        raise ModelError(f"{out}: exists already. Choose another output folder.")
    given = {} if config is None else read_json(config)
    weights = read_weights(source)
    size = network_of(weights, given)
    network = converted_network(weights, size)
    compared = is_generative_installed()
    imported = Imported(
        source.name,
        file_sha256(source),
        size,
        assumed(given),
        parameter_count(network),
        compare_with_generative(network, weights, size) if compared else None,
    )
    _write_folder(out, network, imported)
    return imported


def converted_network(
    weights: Mapping[str, torch.Tensor], size: GenerativeNetwork
) -> DiffusionModelUNet:
    """MONAI core's network with the weights of the old package's, in evaluation mode.

    Core's own ``load_old_state_dict`` depends on how the network was built and leaves what it does
    not find at random values; here each tensor is asked for by its old name.

    Args:
        weights: Under the old names.
        size: Of the network, from `counterpart.generative_import.network.network_of`.

    Raises:
        ModelError: A tensor is missing, of another shape, or has no place.
    """
    network = size.core().build()
    wanted = {name: old_name(name) for name in network.state_dict()}
    _refuse_difference(weights, set(wanted.values()) | _unused_names(wanted.values()))
    for name, value in network.state_dict().items():
        shape = tuple(weights[wanted[name]].shape)
        if shape != tuple(value.shape):
            raise ModelError(
                f"the weights {wanted[name]!r} have the shape {shape}, but a network of this size "
                f"has {tuple(value.shape)} there."
            )
    network.load_state_dict({name: weights[old] for name, old in wanted.items()}, strict=True)
    return network.eval().requires_grad_(False)


def old_name(name: str) -> str:
    """How MONAI Generative Models call a tensor of MONAI core's ``DiffusionModelUNet``.

    >>> old_name("middle_block.attention.attn.to_q.weight")
    'middle_block.attention.to_q.weight'
    >>> old_name("up_blocks.0.upsampler.postconv.conv.bias")
    'up_blocks.0.upsampler.conv.conv.bias'
    """
    if ".transformer_blocks." in name:
        return name.replace(".out_proj.", ".to_out.0.")
    return name.replace(".attn.", ".").replace(".upsampler.postconv.", ".upsampler.conv.")


def load_imported(folder: Path) -> DiffusionModelUNet:
    """Load a network that `import_generative` wrote, every file checked against the manifest.

    Args:
        folder: That it wrote.

    Returns:
        The network in evaluation mode, on the CPU.

    Raises:
        ModelError: A file is missing, changed, or not of this form.
    """
    _check_manifest(folder)
    try:
        network = CoreNetwork.from_json(read_json(folder / NETWORK)).build()
    except TypeError as error:
        raise ModelError(f"{folder / NETWORK}: a key is missing ({error}).") from error
    load_weights(folder, network, device="cpu")
    return network


def _unused_names(names: Iterable[str]) -> set[str]:
    """The projections that lie beside the keys of plain attention in the old files."""
    ending = ".to_k.bias"  # transformers have no such bias
    blocks = [name.removesuffix(ending) for name in names if name.endswith(ending)]
    return {f"{block}.{unused}" for block in blocks for unused in _UNUSED}


def _refuse_difference(weights: Mapping[str, torch.Tensor], expected: set[str]) -> None:
    new = [name for name in weights if any(part in name for part in _NEW_PARTS)]
    if new:
        raise ModelError(
            f"{new[0]!r} and others are names of MONAI core's own network, which needs no import."
        )
    for problem, names in (
        ("are missing from the file", sorted(expected - set(weights))),
        ("have no place in the network", sorted(set(weights) - expected)),
    ):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            listed = ", ".join(repr(name) for name in names[:3])
            raise ModelError(f"the weights {listed}{more} {problem}.")


def _check_manifest(folder: Path) -> None:
    digests = read_json(folder / MANIFEST).get("sha256")
    if not isinstance(digests, dict):
        raise ModelError(f"{folder / MANIFEST}: the key 'sha256' is missing.")
    for name in sorted({*_FILES, *digests}):
        if name not in _FILES or name not in digests:
            raise ModelError(f"{folder / MANIFEST}: expected the files {', '.join(_FILES)}.")
        path = folder / name
        if not path.is_file() or file_sha256(path) != digests[name]:
            raise ModelError(f"{path}: missing or changed since the network was imported.")


def _write_folder(out: Path, network: DiffusionModelUNet, imported: Imported) -> None:
    """Write everything beside the folder first and move it there by one rename."""
    out.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        for name in _FILES:
            (work / name).parent.mkdir(parents=True, exist_ok=True)
        weights = {key: value.contiguous() for key, value in network.state_dict().items()}
        save_file(weights, work / WEIGHTS)
        (work / WEIGHTS).chmod(0o644)
        size = imported.size.core().to_json()
        (work / NETWORK).write_text(json.dumps(size, indent=1) + "\n")
        (work / METADATA).write_text(json.dumps(_metadata(imported), indent=1) + "\n")
        (work / CARD).write_text(_card(imported, out.name))
        write_manifest(work)
        work.chmod(0o755)
        work.rename(out)
    finally:
        if work.exists():
            shutil.rmtree(work)


def _metadata(imported: Imported) -> dict[str, Any]:
    size = imported.size
    comparison = imported.comparison
    return {
        **bundle_metadata(
            "1.0.0",
            "Diffusion model trained with MONAI Generative Models",
            "DiffusionModelUNet whose weights were imported into MONAI core's network.",
            image=_format(size, size.in_channels),
            answer=_format(size, size.out_channels),
        ),
        "changelog": {"1.0.0": "imported"},
        "authors": "unknown: those who trained the imported weights",
        "copyright": "unknown: of those who trained the imported weights",
        "imported": {
            "file": imported.source,
            "sha256": imported.sha256,
            "assumed": imported.assumed,
            "comparison": None if comparison is None else asdict(comparison),
        },
    }


def _format(size: GenerativeNetwork, channels: int) -> dict[str, Any]:
    """An input or output in MONAI's words; what scans it was trained on is not known."""
    multiple = 2 ** (len(size.num_channels) - 1)
    return {
        "type": "image",
        "format": "raw",
        "num_channels": channels,
        "spatial_shape": [f"{multiple}*n"] * size.spatial_dims,
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": False,
    }


def _card(imported: Imported, name: str) -> str:
    size = imported.size
    attention = "spatial transformers" if size.with_conditioning else "plain attention"
    facts = [
        f"{imported.parameters / 1e6:.1f} million parameters, float32",
        f"{size.spatial_dims}-D, {size.in_channels} channels in, {size.out_channels} out",
        f"widths {list(size.num_channels)}, residual blocks {list(size.num_res_blocks)}",
        f"{attention}, levels {list(size.attention_levels)}",
        f"context of width {size.cross_attention_dim or 'none'}, "
        f"classes: {size.num_class_embeds or 'none'}",
    ]
    lines = [
        f"# {name}: a DiffusionModelUNet imported from MONAI Generative Models",
        "",
        f"**{DISCLAIMER}. Not for clinical use.**",
        "",
        f"Weights of `{imported.source}` (sha256 `{imported.sha256}`), brought under the names of "
        "MONAI core's `DiffusionModelUNet`. Whoever trained them holds the rights to them.",
        "",
        *(f"- {fact}" for fact in facts),
        "",
        "## Checked",
        "",
        f"Outputs: {imported.verdict}.",
        *(["", imported.note] if imported.note else []),
        "",
        "## Use",
        "",
        "    from counterpart.generative_import.conversion import load_imported",
        "    network = load_imported(Path('this folder'))",
        "",
    ]
    return "\n".join(lines)
