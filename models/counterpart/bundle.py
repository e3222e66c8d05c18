"""A released model on disk: a MONAI bundle folder, read strictly, its JSON as data only.

========================== ===================================================================
``configs/metadata.json``  MONAI's description of the bundle: version, networks, formats
``configs/inference.json`` sizes, noise levels, thresholds (plain values; never executed)
``models/model.safetensors`` averaged weights, float16
``models/regions.nii.gz``  coarse regions in template space (`counterpart.regions`), if known
``docs/README.md``         the model card
``manifest.json``          sha256 of every other file
========================== ===================================================================
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from counterpart.denoiser import Denoiser, DenoiserConfig
from counterpart.errors import ModelError
from counterpart.hashing import file_sha256
from counterpart.package_data import package_data
from counterpart.reconstruction import ReconstructionConfig
from counterpart.regions import ATLAS_FILE, RegionAtlas, read_atlas, write_atlas
from counterpart.residual import AnomalyConfig

DEFAULT_MODEL = "healthy-brain"
WEIGHTS = "models/model.safetensors"
REGIONS = f"models/{ATLAS_FILE}"
METADATA = "configs/metadata.json"
SETTINGS = "configs/inference.json"
CARD = "docs/README.md"
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Threshold:
    """The healthy threshold of one contrast.

    Args:
        value: Of the anomaly map; positive.
        source: In words: how it was found, on how many scans.
    """

    value: float
    source: str

    def __post_init__(self) -> None:
        if not (math.isfinite(self.value) and self.value > 0):
            raise ModelError(f"a healthy threshold must be positive, got {self.value}.")


@dataclass(frozen=True)
class ModelSettings:
    """What turns weights into findings.

    Args:
        network: Size of the denoiser.
        reconstruction: Noise levels and weights.
        anomaly: How residual and departure become one map.
        thresholds: Healthy threshold by contrast.
    """

    network: DenoiserConfig
    reconstruction: ReconstructionConfig
    anomaly: AnomalyConfig
    thresholds: dict[str, Threshold]

    def threshold(self, contrast: str) -> Threshold:
        """The threshold of a contrast, or the highest known one, and it says so."""
        if contrast in self.thresholds:
            return self.thresholds[contrast]
        if not self.thresholds:
            raise ModelError("the model has no healthy threshold; export it again.")
        name = max(self.thresholds, key=lambda known: self.thresholds[known].value)
        known = self.thresholds[name]
        return Threshold(known.value, f"that of {name}, for want of one for {contrast}")

    def to_json(self) -> dict[str, Any]:
        """The settings as plain values."""
        return {
            "network": self.network.to_json(),
            "reconstruction": self.reconstruction.to_json(),
            "anomaly": self.anomaly.to_json(),
            "thresholds": {
                name: {"value": known.value, "source": known.source}
                for name, known in self.thresholds.items()
            },
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> ModelSettings:
        """Read settings; an unknown or missing key is an error that names it."""
        expected = {"network", "reconstruction", "anomaly", "thresholds"}
        if set(values) != expected:
            wrong = sorted(set(values) ^ expected)[0]
            raise ModelError(f"model settings: unexpected or missing key {wrong!r}.")
        return cls(
            DenoiserConfig.from_json(values["network"]),
            ReconstructionConfig.from_json(values["reconstruction"]),
            AnomalyConfig.from_json(values["anomaly"]),
            {
                name: Threshold(float(known["value"]), str(known["source"]))
                for name, known in values["thresholds"].items()
            },
        )


@dataclass(frozen=True, eq=False)
class Model:
    """A loaded model.

    Args:
        name: Name of the bundle's folder.
        version: From its metadata.
        weights_sha256: Of the weights file.
        settings: Everything but the weights.
        denoiser: The network in evaluation mode.
        regions: Names where findings lie, if the bundle has it.
    """

    name: str
    version: str
    weights_sha256: str
    settings: ModelSettings
    denoiser: Denoiser
    regions: RegionAtlas | None = None


def load_model(source: Path | str = DEFAULT_MODEL, *, device: str = "cpu") -> Model:
    """Load a bundle and check every file against the manifest.

    Args:
        source: A bundle's folder, or the name of a released model.
        device: Where the network shall work.

    Raises:
        ModelError: The bundle is missing, damaged, or not of this version's form.
    """
    folder = bundle_folder(source)
    digests = checked_digests(folder)
    settings = _read_settings(folder / SETTINGS)
    version = bundle_version(folder)
    denoiser = Denoiser(settings.network)
    load_weights(folder, denoiser, device=device)
    denoiser.to(memory_format=torch.channels_last)
    return Model(
        folder.resolve().name,
        version,
        digests[WEIGHTS],
        settings,
        denoiser,
        read_atlas(folder / REGIONS) if REGIONS in digests else None,
    )


def bundle_folder(source: Path | str) -> Path:
    """The folder of a bundle: itself, or that of a released model of this name.

    Raises:
        ModelError: There is none.
    """
    folder = Path(source)
    if not folder.is_dir():
        folder = package_data("pretrained") / str(source)
    if not (folder / MANIFEST).is_file():
        raise ModelError(f"{source}: no model bundle (a folder with {MANIFEST}) of this name.")
    return folder


def bundle_version(folder: Path) -> str:
    """The version that a bundle's metadata name.

    Raises:
        ModelError: They cannot be read, or name none.
    """
    metadata = read_json(folder / METADATA)
    if "version" not in metadata:
        raise ModelError(f"{folder / METADATA}: the key 'version' is missing.")
    return str(metadata["version"])


def checked_digests(folder: Path) -> dict[str, str]:
    """The sha256 of every file of a bundle, compared with the files.

    Raises:
        ModelError: A file is missing, changed, or not listed.
    """
    digests = read_json(folder / MANIFEST).get("sha256")
    if not isinstance(digests, dict):
        raise ModelError(f"{folder / MANIFEST}: the key 'sha256' is missing.")
    needed = {WEIGHTS, METADATA, SETTINGS}
    if (folder / REGIONS).exists():
        needed.add(REGIONS)
    for name in sorted(needed | set(digests)):
        path = folder / name
        if name not in digests:
            raise ModelError(f"{folder / MANIFEST}: has no sha256 of {name}.")
        if not path.is_file() or file_sha256(path) != digests[name]:
            raise ModelError(f"{path}: missing or changed since the model was written.")
    return digests


def _read_settings(path: Path) -> ModelSettings:
    try:
        return ModelSettings.from_json(read_json(path))
    except KeyError as error:
        raise ModelError(f"{path}: the key {error} is missing.") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{path}: a value has the wrong kind ({error}).") from error


def load_weights(folder: Path, network: nn.Module, *, device: str) -> None:
    """Read a bundle's weights into a network, for evaluation alone.

    Args:
        folder: Of the bundle.
        network: Takes the weights, strictly.
        device: Where the network shall work.

    Raises:
        ModelError: The weights cannot be read, do not fit, or there is no such device.
    """
    try:
        weights = {key: value.float() for key, value in load_file(folder / WEIGHTS).items()}
        network.load_state_dict(weights, strict=True)
    except SafetensorError as error:
        raise ModelError(f"{folder / WEIGHTS}: not readable weights ({error}).") from error
    except RuntimeError as error:
        raise ModelError(f"{folder}: the weights do not fit the network ({error}).") from error
    try:
        network.to(torch.device(device))
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"the device {device!r} cannot be used: {error}") from error
    network.eval().requires_grad_(False)


class Settings(Protocol):
    """What turns weights into answers, as plain values."""

    def to_json(self) -> dict[str, Any]:
        """The settings as plain values."""
        ...


def write_bundle(
    folder: Path,
    weights: dict[str, torch.Tensor],
    settings: Settings,
    metadata: dict[str, Any],
    card: str,
    *,
    regions: RegionAtlas | None = None,
) -> None:
    """Write a bundle; the weights as float16.

    Args:
        folder: Made if needed; files of an older bundle in it are replaced.
        weights: Of the network.
        settings: Sizes, levels, thresholds.
        metadata: For ``configs/metadata.json``.
        card: The model card, Markdown.
        regions: Names where findings lie, if known.
    """
    for name in (WEIGHTS, METADATA, CARD):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    half = {key: value.half().contiguous() for key, value in weights.items()}
    save_file(half, folder / WEIGHTS)
    (folder / WEIGHTS).chmod(0o644)
    (folder / REGIONS).unlink(missing_ok=True)
    if regions is not None:
        write_atlas(folder / REGIONS, regions)
    (folder / SETTINGS).write_text(json.dumps(settings.to_json(), indent=1) + "\n")
    (folder / METADATA).write_text(json.dumps(metadata, indent=1) + "\n")
    (folder / CARD).write_text(card)
    write_manifest(folder)


def write_manifest(folder: Path) -> None:
    """Write the sha256 of every file of a bundle."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    digests = {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}
    (folder / MANIFEST).write_text(json.dumps({"sha256": digests}, indent=1) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a bundle's JSON as data.

    Raises:
        ModelError: It is missing, no JSON object, or holds an expression (``$``, ``_target_``).
    """
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: not a readable JSON file ({error}).") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path}: expected a JSON object.")
    _refuse_expressions(path, values)
    return values


def _refuse_expressions(path: Path, value: object) -> None:
    if isinstance(value, dict):
        if "_target_" in value:
            raise ModelError(f"{path}: '_target_' is refused; a bundle's JSON is data.")
        for part in value.values():
            _refuse_expressions(path, part)
    elif isinstance(value, list):
        for part in value:
            _refuse_expressions(path, part)
    elif isinstance(value, str) and value.startswith(("$", "@", "%")):
        raise ModelError(f"{path}: the expression {value[:40]!r} is refused.")
