"""Reads a folder with one DICOM series as a volume, sorted by where its slices lie."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from counterpart.errors import ScanError
from counterpart.formats.dicom_frames import (
    DICOM_SUFFIXES,
    Frame,
    has_pixels,
    header_tags,
    is_dicom,
    quiet_pydicom,
    read_frames,
    read_header,
    text,
)
from counterpart.formats.dicom_pixels import stored_planes
from counterpart.formats.scan_checks import check_memory, checked_affine, spatial_shape
from counterpart.formats.stored_image import StoredImage, flip_lps

MISSING, UNEQUAL, UNEVEN = 0.5, 0.25, 0.02  # shares of the distance between slices
Headers = dict[Path, Dataset]


def read_dicom(path: Path) -> StoredImage:
    """Read the series in a folder, or the series that a file belongs to.

    Args:
        path: A folder with one series, other files aside; or one file, whose series is gathered
            from its folder.

    Raises:
        ScanError: No series or several, not MR, colour, a mosaic, slices that are missing, lie at
            the same place or are not parallel, or voxels that cannot be read.
    """
    with quiet_pydicom():
        return _read_series(path)


def _read_series(path: Path) -> StoredImage:
    headers = _one_series(path, _image_headers(path))
    frames = [frame for file, header in headers.items() for frame in read_frames(file, header)]
    header = next(iter(headers.values()))
    _check_alike(path, headers)
    frames, affine, warnings = _stack(path, frames)
    columns, rows = (_size(path, header, name) for name in ("Columns", "Rows"))
    shape = spatial_shape(path, (columns, rows, len(frames)))
    affine = checked_affine(path, flip_lps(affine))
    check_memory(path, shape)
    return StoredImage(
        _values(frames, shape),
        affine,
        warnings=(*warnings, *_header_warnings(header, affine, len(frames))),
        tags=header_tags(header),
        files=tuple(dict.fromkeys(frame.path for frame in frames)),
    )


def _image_headers(path: Path) -> Headers:
    """Headers of all images in the folder, in the order of their names."""
    folder = path if path.is_dir() else path.parent
    names = [file for file in sorted(folder.iterdir()) if file.name[0] != "." and file.is_file()]
    named = [file for file in names if file == path or file.suffix.lower() in DICOM_SUFFIXES]
    files = [file for file in names if file in set(named) or is_dicom(file)]
    headers: Headers = {}
    for file in files:
        if not is_dicom(file):
            raise ScanError(
                f"{file}: not a readable DICOM file (expected 'DICM' at byte 128). It may be "
                "truncated: copy or export it again."
            )
        header = read_header(file)
        if has_pixels(header):
            headers[file] = header
    return headers


def _one_series(path: Path, headers: Headers) -> Headers:
    if not headers:
        raise ScanError(
            f"{path}: expected a folder with the images of one DICOM series, found none. "
            "Give the folder that holds the files themselves, or a NIfTI, NRRD or MHA file."
        )
    series: dict[str, Headers] = {}
    for file, header in headers.items():
        series.setdefault(text(header, "SeriesInstanceUID"), {})[file] = header
    if path in headers:
        return series[text(headers[path], "SeriesInstanceUID")]
    if len(series) > 1:
        listed = "; ".join(_describe(list(found.values())) for found in series.values())
        raise ScanError(
            f"{path}: expected one DICOM series, found {len(series)}: {listed[:600]}. "
            "Put the wanted one into a folder of its own, or give one of its files."
        )
    return headers


def _describe(headers: Sequence[Dataset]) -> str:
    name = text(headers[0], "SeriesDescription") or "without description"
    return f"{name!r} ({len(headers)} file{'s' * (len(headers) > 1)})"


def _check_alike(path: Path, headers: Headers) -> None:
    for names in (("Rows", "Columns"), ("Modality",), ("PhotometricInterpretation",)):
        kinds = {tuple(text(header, name) for name in names) for header in headers.values()}
        if len(kinds) > 1:
            raise ScanError(
                f"{path}: expected the same {' and '.join(names)} in every image, got "
                f"{sorted(kinds)[:4]}. Give one series alone."
            )


def _size(path: Path, header: Dataset, name: str) -> int:
    found = text(header, name)
    return int(found) if found.isdecimal() else 0


def _stack(
    path: Path, frames: list[Frame]
) -> tuple[list[Frame], NDArray[np.float64], tuple[str, ...]]:
    """Frames sorted along their normal, the affine in LPS, and what to say of their distances."""
    first = frames[0]
    for frame in frames:
        if not np.allclose(frame.directions, first.directions, atol=1e-3):
            raise ScanError(
                f"{path}: expected parallel slices, but {frame.path.name} points elsewhere than "
                f"{first.path.name}. Give one series without localisers."
            )
        if not np.allclose(frame.spacing_mm, first.spacing_mm, rtol=1e-3):
            raise ScanError(
                f"{path}: expected the same pixel spacing in every slice, got {first.spacing_mm} "
                f"and {frame.spacing_mm} mm. Give one series alone."
            )
    normal = np.cross(*first.directions)
    frames = sorted(frames, key=lambda frame: float(frame.position_mm @ normal))
    spatial_shape(path, (8, 8, len(frames)))
    step, warnings = _slice_step(path, frames, normal)
    affine = np.eye(4)
    affine[:3, 0] = first.directions[0] * first.spacing_mm[1]
    affine[:3, 1] = first.directions[1] * first.spacing_mm[0]
    affine[:3, 2] = step
    affine[:3, 3] = frames[0].position_mm
    return frames, affine, warnings


def _slice_step(
    path: Path, frames: list[Frame], normal: NDArray[np.float64]
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """From one slice to the next in mm, if all lie where equal steps would put them."""
    positions = np.array([frame.position_mm for frame in frames])
    gaps = np.diff(positions @ normal)
    usual = float(np.median(gaps))
    same = int((gaps < 1e-3).sum())
    if same:
        raise ScanError(
            f"{path}: expected each slice at a place of its own, but {same} of {len(frames)} lie "
            "where another one lies: several volumes or echoes. Give one volume."
        )
    if gaps.max() > (1.0 + MISSING) * usual:
        at = int(gaps.argmax())
        raise ScanError(
            f"{path}: expected a slice every {usual:.2f} mm, but between slices {at + 1} and "
            f"{at + 2} lie {float(gaps.max()):.2f} mm: slices are missing. Export all of them."
        )
    step = (positions[-1] - positions[0]) / (len(frames) - 1)
    ideal = positions[0] + np.arange(len(frames))[:, None] * step
    off = float(np.sqrt(((positions - ideal) ** 2).sum(axis=1)).max())
    if off > UNEQUAL * usual:
        raise ScanError(
            f"{path}: expected equal distances between the slices, but they vary from "
            f"{float(gaps.min()):.2f} to {float(gaps.max()):.2f} mm. Resample the series first."
        )
    if off <= max(UNEVEN * usual, 0.02):
        return step, ()
    return step, (
        f"The distances between the slices vary from {float(gaps.min()):.2f} to "
        f"{float(gaps.max()):.2f} mm; equal ones are assumed, up to {off:.2f} mm off.",
    )


def _header_warnings(header: Dataset, affine: NDArray[np.float64], count: int) -> tuple[str, ...]:
    warnings = []
    step = float(np.linalg.norm(affine[:3, 2]))
    thickness = _positive(text(header, "SliceThickness"))
    if thickness and step > 1.05 * thickness:
        warnings.append(
            f"Slices of {thickness:.2f} mm lie {step:.2f} mm apart; what is in the gaps between "
            "them is not seen."
        )
    promised = _positive(text(header, "ImagesInAcquisition"))
    if promised and promised > count and "NumberOfFrames" not in header:
        warnings.append(
            f"The header speaks of {promised:.0f} images in the acquisition, the folder holds "
            f"{count}; slices may be missing at an end."
        )
    if text(header, "PhotometricInterpretation") == "MONOCHROME1":
        warnings.append("The images are stored with dark and bright exchanged (MONOCHROME1).")
    if not text(header, "Modality"):
        warnings.append("The header does not say that the scan is MR; it is assumed.")
    return tuple(warnings)


def _positive(found: str) -> float:
    try:
        number = float(found)
    except ValueError:
        return 0.0
    return number if np.isfinite(number) and number > 0.0 else 0.0


def _values(frames: list[Frame], shape: tuple[int, int, int]) -> NDArray[np.float32]:
    values = np.empty(shape, np.float32, order="F")
    for at, (frame, plane) in enumerate(zip(frames, stored_planes(frames), strict=True)):
        if plane.shape != (shape[1], shape[0]):
            raise ScanError(
                f"{frame.path}: expected {shape[1]} x {shape[0]} pixels as in the other images, "
                f"got {plane.shape}. Export the series again."
            )
        with np.errstate(all="ignore"):  # what becomes inf is refused later
            values[:, :, at] = (plane * frame.slope + frame.intercept).T
    return values
