"""Reads what DICOM files say of each of their frames: where it lies, and how its values scale."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import UID

from counterpart.errors import ScanError

TAGS = (
    "Modality",
    "SeriesDescription",
    "ProtocolName",
    "SequenceName",
    "ScanningSequence",
    "EchoTime",
    "RepetitionTime",
    "InversionTime",
    "ContrastBolusAgent",
)
DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
MAX_FRAMES = 4096
_DEFLATED = "1.2.840.10008.1.2.1.99"
_SEQUENCE = ("MRTimingAndRelatedParametersSequence", "MREchoSequence", "MRModifierSequence")


@dataclass(frozen=True, eq=False)
class Frame:
    """One slice.

    Args:
        path: The file that holds it.
        index: Which frame of the file, from 0.
        position_mm: (3,) centre of the first voxel, LPS.
        directions: (2, 3) unit vectors along a row and down a column, LPS.
        spacing_mm: Between rows and between columns, as DICOM has it.
        slope: Scale of the stored values.
        intercept: Offset of the stored values.
    """

    path: Path
    index: int
    position_mm: NDArray[np.float64]
    directions: NDArray[np.float64]
    spacing_mm: tuple[float, float]
    slope: float
    intercept: float


def is_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM files do."""
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def read_header(path: Path) -> Dataset:
    """The header of a DICOM file, without its voxels.

    Raises:
        ScanError: Not readable as DICOM.
    """
    return read_dataset(path, stop_before_pixels=True)


def read_dataset(path: Path, *, stop_before_pixels: bool = False) -> Dataset:
    """A whole DICOM file.

    Raises:
        ScanError: Not readable as DICOM, or deflated.
    """
    with _foreign_bytes(path):
        meta = pydicom.filereader.read_file_meta_info(str(path))
        if str(meta.get("TransferSyntaxUID", "")) == _DEFLATED:
            raise compressed_error(path, _DEFLATED)
        with io.BytesIO(path.read_bytes()) as stream:
            return pydicom.dcmread(stream, stop_before_pixels=stop_before_pixels)


def compressed_error(path: Path, syntax: str, reason: str = "") -> ScanError:
    """The refusal of compressed voxels that cannot be read, with the compression's name."""
    name = "".join(letter for letter in str(UID(syntax).name) if letter.isprintable())[:80]
    said = "".join(letter for letter in reason if letter.isprintable())[:120].rstrip(". ")
    return ScanError(
        f"{path}: expected voxels that are plain or packed in a way that can be read, got "
        f"{name!r}{f' ({said})' if said else ''}. Export the series uncompressed (Explicit VR "
        "Little Endian)."
    )


@contextmanager
def _foreign_bytes(path: Path) -> Iterator[None]:
    """Turn whatever pydicom raises on damaged bytes, which can be anything, into one refusal."""
    try:
        with quiet_pydicom():
            yield
    except ScanError:
        raise
    except Exception as error:
        raise ScanError(
            f"{path}: not a readable DICOM file ({type(error).__name__}: {str(error)[:100]}). "
            "Export the series again."
        ) from error


def has_pixels(header: Dataset) -> bool:
    """Whether the file is an image; others in a folder are passed over."""
    return "Rows" in header and "Columns" in header


def text(header: Dataset, name: str) -> str:
    """An element as one line of printable text; empty where it is missing or damaged."""
    try:
        value = header.get(name, "")
        parts = [str(part) for part in value] if _is_many(value) else [str(value)]
    except Exception:  # damaged bytes are decoded only here, and may raise anything
        return ""
    line = "\\".join("" if part == "None" else part for part in parts)
    return "".join(letter for letter in line if letter.isprintable()).strip()[:128]


def _is_many(value: object) -> bool:
    return isinstance(value, (list, tuple, pydicom.multival.MultiValue))


def header_tags(header: Dataset) -> dict[str, str]:
    """What the header says of modality and sequence; nothing about the person."""
    nested = [header, *_nested(header)]
    tags = {name: next(filter(None, (text(part, name) for part in nested)), "") for name in TAGS}
    tags["EchoTime"] = tags["EchoTime"] or next(
        filter(None, (text(part, "EffectiveEchoTime") for part in nested)), ""
    )
    return {name: value for name, value in tags.items() if value}


def _nested(header: Dataset) -> list[Dataset]:
    groups = [
        *_items(header, "SharedFunctionalGroupsSequence"),
        *_items(header, "PerFrameFunctionalGroupsSequence")[:1],
    ]
    return [item for group in groups for name in _SEQUENCE for item in _items(group, name)]


def _items(part: Dataset, name: str) -> list[Dataset]:
    try:
        return list(part.get(name) or [])
    except Exception:  # a damaged sequence counts as missing, and what needs it says so
        return []


def read_frames(path: Path, header: Dataset) -> list[Frame]:
    """The frames of one file, in stored order.

    Raises:
        ScanError: Not one grey value per voxel, or a frame does not say where it lies.
    """
    _check_kind(path, header)
    count = whole_number(path, header, "NumberOfFrames") if text(header, "NumberOfFrames") else 1
    groups = _items(header, "PerFrameFunctionalGroupsSequence")
    if count == 1 and not groups:
        return [_frame(path, 0, [header])]
    if not 1 <= count <= MAX_FRAMES or len(groups) != count:
        raise ScanError(
            f"{path}: expected a position for each of its {count} frames, got {len(groups)}. "
            "Export the series as single-frame DICOM, or as NIfTI."
        )
    shared = _items(header, "SharedFunctionalGroupsSequence")[:1]
    return [_frame(path, index, [group, *shared]) for index, group in enumerate(groups)]


def _check_kind(path: Path, header: Dataset) -> None:
    modality = text(header, "Modality")
    if modality and modality != "MR":
        raise ScanError(
            f"{path}: expected an MR scan, got the modality {modality}. Give an MR series."
        )
    kind = text(header, "ImageType").upper().split("\\")
    if "MOSAIC" in kind:
        raise ScanError(
            f"{path}: expected one slice per image, got a mosaic of slices. "
            "Convert the series to NIfTI (dcm2niix)."
        )
    part = text(header, "ComplexImageComponent").upper()
    if {"P", "PHASE", "PHASE MAP"} & set(kind[2:]) or part not in ("", "MAGNITUDE"):
        raise ScanError(
            f"{path}: expected magnitude images, got complex ones "
            f"({part or 'phase'}). Give the magnitude series."
        )
    colour = text(header, "PhotometricInterpretation").upper()
    samples = text(header, "SamplesPerPixel") or "1"
    if samples != "1" or colour not in ("", "MONOCHROME1", "MONOCHROME2"):
        raise ScanError(
            f"{path}: expected one grey value per voxel, got {samples} ({colour}). "
            "Give the series itself, not pictures of it."
        )


def _frame(path: Path, index: int, parts: list[Dataset]) -> Frame:
    position = _numbers(path, parts, "PlanePositionSequence", "ImagePositionPatient", 3)
    orientation = _numbers(path, parts, "PlaneOrientationSequence", "ImageOrientationPatient", 6)
    spacing = _numbers(path, parts, "PixelMeasuresSequence", "PixelSpacing", 2)
    directions = np.array(orientation).reshape(2, 3)
    gram = directions @ directions.T
    if not np.allclose(gram, np.eye(2), atol=1e-2):
        raise ScanError(
            f"{path}: expected row and column directions at right angles, got {orientation}: the "
            "affine is singular or damaged. Export the series again."
        )
    scale = "PixelValueTransformationSequence"
    slope = _number(path, parts, scale, "RescaleSlope", 1.0)
    intercept = _number(path, parts, scale, "RescaleIntercept", 0.0)
    if slope == 0.0:
        raise _bad_element(path, "RescaleSlope", "not zero", "0")
    place = np.array(position)
    return Frame(path, index, place, directions, (spacing[0], spacing[1]), slope, intercept)


def _number(path: Path, parts: list[Dataset], sequence: str, name: str, default: float) -> float:
    if not any(text(part, name) for part in _places(parts, sequence)):
        return default
    return _numbers(path, parts, sequence, name, 1)[0]


def _numbers(path: Path, parts: list[Dataset], sequence: str, name: str, count: int) -> list[float]:
    """An element's numbers, from the frame's own functional group or from the shared one."""
    for part in _places(parts, sequence):
        found = text(part, name)
        if not found:
            continue
        try:
            numbers = [float(number) for number in found.split("\\")]
        except ValueError:
            numbers = []
        if len(numbers) != count or not np.isfinite(numbers).all():
            raise _bad_element(path, name, f"{count} finite numbers", found)
        return numbers
    raise ScanError(
        f"{path}: expected {name} in every image, but it is missing, so that nothing says where "
        "the slice lies: the affine is missing. Export the original series."
    )


def _places(parts: list[Dataset], sequence: str) -> list[Dataset]:
    if "Rows" in parts[0]:
        return parts
    return [item for part in parts for item in _items(part, sequence)]


def _bad_element(path: Path, name: str, expected: str, came: str) -> ScanError:
    return ScanError(
        f"{path}: the DICOM element {name} should be {expected}, got {came[:60]!r}. "
        "Export the series again."
    )


def whole_number(path: Path, header: Dataset, name: str) -> int:
    """An element that must be a whole number of at least 0.

    Raises:
        ScanError: It is missing or something else.
    """
    found = text(header, name)
    if not found.isdecimal() or len(found) > 9:
        raise _bad_element(path, name, "a whole number", found)
    return int(found)


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Keep pydicom's remarks on damaged elements out of the console; our errors tell them."""
    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
