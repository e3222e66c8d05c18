"""Writes a map as a derived DICOM series that belongs to the patient and study of its scan."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage, generate_uid
from pydicom.valuerep import format_number_as_ds

from counterpart import __version__
from counterpart.errors import CounterpartError
from counterpart.formats.dicom_frames import read_header, text
from counterpart.formats.stored_image import flip_lps
from counterpart.scans import Scan

NOTE = "AI-generated, research use only"
_KEPT = (
    "SpecificCharacterSet",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientAge",
    "PatientWeight",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "StudyInstanceUID",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "StudyDescription",
    "AccessionNumber",
    "ReferringPhysicianName",
    "FrameOfReferenceUID",
    "PositionReferenceIndicator",
    "PatientPosition",
)
_EMPTY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "PositionReferenceIndicator",
    "PatientPosition",
    "EchoTime",
    "EchoTrainLength",
    "ScanOptions",
    "MRAcquisitionType",
)
_SQUARE = 1e-3


def write_dicom_series(
    folder: Path, values: NDArray[Any], like: Scan, *, description: str
) -> list[Path]:
    """Write values (I, J, K) as single-frame MR images, one file for each slice along K.

    Stored as int16 with a scale, so that a value is kept to 1/65534 of the largest, zero exactly,
    and whole numbers of int16 exactly. Patient, study and frame of reference are those of the
    scan's DICOM files; without such files the study is anonymous and new.

    Args:
        folder: Made if it is missing; must be empty.
        values: (I, J, K) finite.
        like: The scan.
        description: What the map is; the series description says also that it is AI-generated.

    Returns:
        The files, in slice order.

    Raises:
        CounterpartError: The folder holds files, or the grid's axes are not at right angles, which
            DICOM cannot express.
    """
    if values.shape != like.grid.shape:
        raise ValueError(f"expected values of shape {like.grid.shape}, got {values.shape}")
    affine = flip_lps(like.grid.affine)
    _check_square(folder, affine)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise CounterpartError(
            f"{folder}: expected an empty folder for a DICOM series, but it holds files. "
            "Choose another one."
        )
    stored, slope = _quantised(values)
    series = _series(like, description, affine)
    _scale(series, stored, slope)
    paths = []
    for index in range(values.shape[2]):
        path = folder / f"{index + 1:04d}.dcm"
        image = _slice(series, stored[:, :, index], affine, index)
        image.save_as(path, write_like_original=False)
        paths.append(path)
    return paths


def _check_square(folder: Path, affine: NDArray[np.float64]) -> None:
    unit = affine[:3, :3] / np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    if abs(float(unit[:, 0] @ unit[:, 1])) > _SQUARE:
        raise CounterpartError(
            f"{folder}: expected a grid whose rows and columns are at right angles, as DICOM "
            "needs, got a sheared one. Write NIfTI or NRRD instead."
        )


def _quantised(values: NDArray[Any]) -> tuple[NDArray[np.int16], float]:
    largest = float(np.abs(values.astype(np.float64)).max())
    whole = np.issubdtype(values.dtype, np.integer) or values.dtype == np.bool_
    slope = 1.0 if whole and largest <= 32767 else (largest or 1.0) / 32767
    slope = float(_decimal(slope))
    return np.clip(np.rint(values / slope), -32767, 32767).astype(np.int16), slope


def _decimal(number: float) -> str:
    """At most 16 characters, as DICOM allows for a number."""
    return str(format_number_as_ds(float(number) + 0.0))


def _series(like: Scan, description: str, affine: NDArray[np.float64]) -> Dataset:
    """All elements that the slices share."""
    image = Dataset()
    source = read_header(like.files[0]) if like.files else Dataset()
    for name in _EMPTY:
        setattr(image, name, None)
    image.StudyInstanceUID = generate_uid(prefix=None)
    image.FrameOfReferenceUID = generate_uid(prefix=None)
    for name in _KEPT:
        if text(source, name):
            image[name] = source[name]
    if not like.files:
        image.PatientName = "Anonymous"
        image.PatientIdentityRemoved = "YES"
        image.DeidentificationMethod = "Made from a file without identity"
        image.SpecificCharacterSet = "ISO_IR 192"
    _describe(image, description)
    _lay_out(image, affine, like.grid.shape)
    return image


def _describe(image: Dataset, description: str) -> None:
    image.SOPClassUID = MRImageStorage
    image.Modality = "MR"
    image.SeriesInstanceUID = generate_uid(prefix=None)
    image.SeriesNumber = 9000
    # A series description holds 64 characters; the note must never be what is cut.
    image.SeriesDescription = f"{description[: 64 - len(NOTE) - 2].strip()}, {NOTE}"
    image.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    image.DerivationDescription = f"{description}. {NOTE}; not for clinical use."[:1024]
    image.Manufacturer = "Counterpart"
    image.ManufacturerModelName = "Counterpart"
    image.SoftwareVersions = __version__
    image.ContentQualification = "RESEARCH"
    image.BurnedInAnnotation = "NO"
    image.LossyImageCompression = "00"
    image.ScanningSequence = "RM"
    image.SequenceVariant = "NONE"


def _lay_out(image: Dataset, affine: NDArray[np.float64], shape: tuple[int, int, int]) -> None:
    steps = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    axes = (affine[:3, :2] / steps[:2]).T
    image.ImageOrientationPatient = [_decimal(x) for x in axes.ravel()]
    image.PixelSpacing = [_decimal(steps[1]), _decimal(steps[0])]
    image.SliceThickness = _decimal(steps[2])
    image.SpacingBetweenSlices = _decimal(steps[2])
    image.Columns, image.Rows = shape[0], shape[1]
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit = 15
    image.PixelRepresentation = 1


def _scale(image: Dataset, stored: NDArray[np.int16], slope: float) -> None:
    image.RescaleIntercept = "0"
    image.RescaleSlope = _decimal(slope)
    image.RescaleType = "US"
    low, high = slope * float(stored.min()), slope * float(stored.max())
    image.WindowCenter = _decimal((low + high) / 2)
    image.WindowWidth = _decimal(max(high - low, slope))


def _slice(
    series: Dataset, stored: NDArray[np.int16], affine: NDArray[np.float64], index: int
) -> Dataset:
    image = Dataset()
    image.update(series)
    image.SOPInstanceUID = generate_uid(prefix=None)
    image.InstanceNumber = index + 1
    position = affine[:3, 3] + index * affine[:3, 2]
    image.ImagePositionPatient = [_decimal(x) for x in position]
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    image.SliceLocation = _decimal(float(position @ normal) / math.sqrt(float(normal @ normal)))
    image.PixelData = np.ascontiguousarray(stored.T.astype("<i2")).tobytes()
    image.file_meta = FileMetaDataset()
    image.file_meta.MediaStorageSOPClassUID = MRImageStorage
    image.file_meta.MediaStorageSOPInstanceUID = UID(str(image.SOPInstanceUID))
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.is_little_endian, image.is_implicit_VR = True, False
    return image
