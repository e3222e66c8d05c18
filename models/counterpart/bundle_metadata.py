"""Describes a bundle in the form of MONAI's metadata schema."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version as version_of
from typing import Any

from counterpart import __version__
from counterpart.results import DISCLAIMER

_SCHEMA = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/"
    "0.8.1/meta_schema_20240725.json"
)


def bundle_metadata(
    version: str,
    task: str,
    description: str,
    *,
    image: dict[str, Any],
    answer: dict[str, Any],
) -> dict[str, Any]:
    """The contents of ``configs/metadata.json``.

    Args:
        version: Of the model.
        task: What the network is for.
        description: What it does, in a sentence.
        image: Its input, from `image_format`.
        answer: Its output, from `image_format`.
    """
    return {
        "schema": _SCHEMA,
        "version": version,
        "changelog": {version: "first weights"},
        "monai_version": version_of("monai"),
        "pytorch_version": version_of("torch").split("+")[0],
        "numpy_version": version_of("numpy"),
        "required_packages_version": {"healthy-counterpart": __version__},
        "task": task,
        "description": description,
        "authors": "The Counterpart developers",
        "copyright": "The Counterpart developers",
        "intended_use": f"{DISCLAIMER}; not for clinical use",
        "network_data_format": {"inputs": {"image": image}, "outputs": {"pred": answer}},
    }


def image_format(
    channels: Sequence[str], spatial_shape: Sequence[int | str], value_range: tuple[float, float]
) -> dict[str, Any]:
    """How MONAI's schema describes an array of a network.

    Args:
        channels: What each channel holds.
        spatial_shape: Sizes, or MONAI's expressions such as ``16*n``.
        value_range: Lowest and highest value.
    """
    return {
        "type": "image",
        "format": "magnitude",
        "modality": "MR",
        "num_channels": len(channels),
        "spatial_shape": list(spatial_shape),
        "dtype": "float32",
        "value_range": list(value_range),
        "is_patch_data": False,
        "channel_def": {str(number): words for number, words in enumerate(channels)},
    }
