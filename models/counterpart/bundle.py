"""A released model on disk: a MONAI bundle folder, read strictly, its JSON as data only.

=================================== ==========================================================
``configs/metadata.json``           MONAI's description: version, networks, formats
``configs/inference.json``          sizes and noise levels (plain values; never executed)
``models/model.safetensors``        averaged weights, float16
``configs/calibrations.json``       thresholds and p-values (`counterpart.calibration.record`)
``models/calibrations.safetensors`` how large a residual health leaves
``configs/familiarity.json``        what healthy heads have (`counterpart.familiarity.record`)
``models/familiarity.safetensors``  their codes by level, and their histograms
``configs/references.json``         its healthy references (`counterpart.attribution.record`)
``models/references.safetensors``   their features by level
``models/regions.nii.gz``           coarse regions in template space, if known
``docs/README.md``                  the model card
``manifest.json``                   sha256 of every other file
=================================== ==========================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from counterpart.attribution.record import ReferenceRecord
from counterpart.bundle_files import read_arrays, read_json, write_arrays, write_json
from counterpart.calibration.domain import ScanDomain
from counterpart.calibration.record import (
    SIMULATION,
    Calibration,
    choose_calibration,
    pack_calibrations,
    unpack_calibrations,
)
from counterpart.denoiser import Denoiser, DenoiserConfig
from counterpart.errors import ModelError
from counterpart.familiarity.record import Familiarity
from counterpart.hashing import file_sha256
from counterpart.reconstruction import ReconstructionConfig
from counterpart.regions import ATLAS_FILE, RegionAtlas, read_atlas, write_atlas
from counterpart.residual import AnomalyConfig

DEFAULT_MODEL = "healthy-brain"
WEIGHTS = "models/model.safetensors"
REGIONS = f"models/{ATLAS_FILE}"
CALIBRATIONS = "configs/calibrations.json"
CALIBRATION_ARRAYS = "models/calibrations.safetensors"
FAMILIARITY = "configs/familiarity.json"
FAMILIARITY_ARRAYS = "models/familiarity.safetensors"
REFERENCES = "configs/references.json"
REFERENCE_ARRAYS = "models/references.safetensors"
METADATA = "configs/metadata.json"
SETTINGS = "configs/inference.json"
CARD = "docs/README.md"
MANIFEST = "manifest.json"
SERVING = "serving.json"
_OPTIONAL = (
    *(REGIONS, CALIBRATIONS, CALIBRATION_ARRAYS),
    *(FAMILIARITY, FAMILIARITY_ARRAYS, REFERENCES, REFERENCE_ARRAYS),
)


@dataclass(frozen=True)
class ModelSettings:
    """What turns weights into maps.

    Args:
        network: Size of the denoiser.
        reconstruction: Noise levels and weights.
        anomaly: How residual and departure become one map.
    """

    network: DenoiserConfig
    reconstruction: ReconstructionConfig
    anomaly: AnomalyConfig

    def to_json(self) -> dict[str, Any]:
        """The settings as plain values."""
        return {
            "network": self.network.to_json(),
            "reconstruction": self.reconstruction.to_json(),
            "anomaly": self.anomaly.to_json(),
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> ModelSettings:
        """Read settings; an unknown or missing key is an error that names it."""
        expected = {"network", "reconstruction", "anomaly"}
        if set(values) != expected:
            wrong = sorted(set(values) ^ expected)[0]
            raise ModelError(f"model settings: unexpected or missing key {wrong!r}.")
        return cls(
            DenoiserConfig.from_json(values["network"]),
            ReconstructionConfig.from_json(values["reconstruction"]),
            AnomalyConfig.from_json(values["anomaly"]),
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
        calibrations: What was learned on healthy scans: scales, thresholds, p-values.
        regions: Names where findings lie, if the bundle has it.
        familiarity: What healthy heads have; None in older bundles.
        references: The healthy scans it was trained on, by pseudonym; None in older bundles.
    """

    name: str
    version: str
    weights_sha256: str
    settings: ModelSettings
    denoiser: Denoiser
    calibrations: tuple[Calibration, ...] = ()
    regions: RegionAtlas | None = None
    familiarity: Familiarity | None = None
    references: ReferenceRecord | None = None

    @property
    def contrasts(self) -> tuple[str, ...]:
        """The contrasts that have a healthy threshold, sorted."""
        return tuple(sorted({one.contrast for one in self.calibrations}))

    def calibration(
        self, contrast: str, domain: ScanDomain | None = None
    ) -> tuple[Calibration, str]:
        """The calibration for a scan, and in a sentence how it came to be this one.

        Of healthy scans if one applies, else one from simulation, else, and it says so, that of
        the other contrast with the highest threshold, whose p-values do not hold.

        Raises:
            ModelError: The model has no calibration at all.
        """
        found, reason = choose_calibration(self.calibrations, contrast, self.weights_sha256, domain)
        if found is not None:
            return found, reason
        if not self.calibrations:
            raise ModelError(
                f"the model {self.name} has no healthy threshold: calibrate it with "
                "`counterpart calibrate`."
            )
        highest = max(self.calibrations, key=lambda one: one.threshold)
        source = f"that of {highest.contrast}, for want of one for {contrast}"
        borrowed = replace(
            highest, kind=SIMULATION, masses=(), domain=None, threshold_source=source
        )
        return borrowed, f"{reason} The threshold is that of {highest.contrast}."


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
        bundle_name(folder),
        version,
        digests[WEIGHTS],
        settings,
        denoiser,
        read_calibrations(folder) if CALIBRATIONS in digests else (),
        read_atlas(folder / REGIONS) if REGIONS in digests else None,
        read_familiarity(folder) if FAMILIARITY in digests else None,
        _named_references(folder) if REFERENCES in digests else None,
    )


def bundle_folder(source: Path | str) -> Path:
    """The folder of a bundle: itself, or that which `counterpart.registry.versions.resolve` names.

    Raises:
        ModelError: There is none.
    """
    from counterpart.registry.versions import resolve  # which reads bundles itself

    return resolve(source)


def bundle_name(folder: Path) -> str:
    """The name of a bundle's folder; of a version in the registry that of the folder above."""
    folder = folder.resolve()
    return folder.parent.name if (folder.parent / SERVING).is_file() else folder.name


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
    needed = {WEIGHTS, METADATA, SETTINGS, *(n for n in _OPTIONAL if (folder / n).exists())}
    for name in sorted(needed | set(digests)):
        path = folder / name
        if name not in digests:
            raise ModelError(f"{folder / MANIFEST}: has no sha256 of {name}.")
        if not path.is_file() or file_sha256(path) != digests[name]:
            raise ModelError(f"{path}: missing or changed since the model was written.")
    return digests


def read_calibrations(folder: Path) -> tuple[Calibration, ...]:
    """The calibrations of a bundle.

    Raises:
        ModelError: They are damaged; the key or array that is wrong is named.
    """
    path = folder / CALIBRATIONS
    values = read_json(path).get("calibrations")
    if not isinstance(values, list) or not all(isinstance(one, dict) for one in values):
        raise ModelError(f"{path}: the key 'calibrations' is missing or no list of objects.")
    return tuple(unpack_calibrations(values, read_arrays(folder / CALIBRATION_ARRAYS)))


def write_calibrations(folder: Path, calibrations: Sequence[Calibration]) -> None:
    """Write or replace the calibrations of a bundle; the manifest is the caller's to renew."""
    values, arrays = pack_calibrations(calibrations)
    write_json(folder / CALIBRATIONS, {"calibrations": values})
    write_arrays(arrays, folder / CALIBRATION_ARRAYS)


def read_familiarity(folder: Path) -> Familiarity:
    """What a bundle knows of healthy heads; ModelError if it is damaged."""
    values = read_json(folder / FAMILIARITY)
    return Familiarity.from_json(values, read_arrays(folder / FAMILIARITY_ARRAYS))


def write_familiarity(folder: Path, found: Familiarity) -> None:
    """Write or replace what a bundle knows of healthy heads; the manifest is the caller's."""
    write_json(folder / FAMILIARITY, found.to_json())
    write_arrays(found.to_arrays(), folder / FAMILIARITY_ARRAYS)


def read_references(folder: Path) -> ReferenceRecord:
    """The healthy references of a bundle, withdrawn ones too; ModelError if they are damaged."""
    return ReferenceRecord.read(
        read_json(folder / REFERENCES), read_arrays(folder / REFERENCE_ARRAYS)
    )


def write_references(folder: Path, found: ReferenceRecord) -> None:
    """Write or replace a bundle's healthy references; the manifest is the caller's to renew."""
    write_json(folder / REFERENCES, found.to_json())
    write_arrays(found.to_arrays(), folder / REFERENCE_ARRAYS)


def _named_references(folder: Path) -> ReferenceRecord:
    """Those that may be named."""
    from counterpart.registry.withdrawals import withdrawn_references  # which reads bundles

    in_registry = (folder.resolve().parent / SERVING).is_file()
    root = folder.resolve().parent.parent if in_registry else None
    return read_references(folder).without(withdrawn_references(bundle_name(folder), root))


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
    calibrations: Sequence[Calibration] = (),
    regions: RegionAtlas | None = None,
    familiarity: Familiarity | None = None,
    references: ReferenceRecord | None = None,
) -> None:
    """Write a bundle; the weights as float16.

    Args:
        folder: Made if needed; files of an older bundle in it are replaced.
        weights: Of the network.
        settings: Sizes and levels.
        metadata: For ``configs/metadata.json``.
        card: The model card, Markdown.
        calibrations: Bound to the hash of the weights as they are written here.
        regions: Names where findings lie, if known.
        familiarity: What healthy heads have, if known.
        references: The healthy scans that it was trained on, if known.
    """
    for name in (WEIGHTS, METADATA, CARD):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / WEIGHTS).write_bytes(released_weights(weights))
    for name in _OPTIONAL:
        (folder / name).unlink(missing_ok=True)
    if calibrations:
        write_calibrations(folder, calibrations)
    if regions is not None:
        write_atlas(folder / REGIONS, regions)
    if familiarity is not None:
        write_familiarity(folder, familiarity)
    if references is not None:
        write_references(folder, references)
    write_json(folder / SETTINGS, settings.to_json())
    write_json(folder / METADATA, metadata)
    (folder / CARD).write_text(card)
    write_manifest(folder)


def released_weights(weights: dict[str, torch.Tensor]) -> bytes:
    """Weights as the bytes of a bundle's file: float16, safetensors."""
    content: bytes = save({key: value.half().contiguous() for key, value in weights.items()})
    return content


def write_manifest(folder: Path) -> None:
    """Write the sha256 of every file of a bundle."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    digests = {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}
    write_json(folder / MANIFEST, {"sha256": digests})
