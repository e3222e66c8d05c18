"""Gets the voxels of DICOM frames: plain ones as they lie, packed ones through a process."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_pixel_data_frame
from pydicom.uid import UID, MRImageStorage, generate_uid

from counterpart.errors import ScanError
from counterpart.formats.dicom_frames import (
    Frame,
    compressed_error,
    read_dataset,
    text,
    whole_number,
)

UNPACKING_S, UNPACKING_FRAME_S = 30.0, 0.5
_PLAIN = {"1.2.840.10008.1.2": "<", "1.2.840.10008.1.2.1": "<", "1.2.840.10008.1.2.2": ">"}
_JPEG = ("1.2.840.10008.1.2.4.5", "1.2.840.10008.1.2.4.7", "1.2.840.10008.1.2.4.8")
_RLE_OR_JPEG2000 = (
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
)
_LAYOUT = (
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
)


def stored_planes(frames: Sequence[Frame]) -> list[NDArray[Any]]:
    """The stored values of frames, each (rows, columns), in the order of the frames.

    Raises:
        ScanError: Voxels are missing, or packed in a way that cannot be read.
    """
    planes: dict[int, NDArray[Any]] = {}
    numbered = sorted(enumerate(frames), key=lambda pair: str(pair[1].path))
    with tempfile.TemporaryDirectory(prefix="frames-") as folder:
        packed: dict[int, tuple[Path, str]] = {}
        for path, group in groupby(numbered, key=lambda pair: pair[1].path):
            _read_file(path, {at: frame.index for at, frame in group}, planes, packed, folder)
        if packed:
            planes |= _unpacked(packed, Path(folder))
    return [planes[at] for at in range(len(frames))]


def _read_file(
    path: Path,
    wanted: dict[int, int],
    planes: dict[int, NDArray[Any]],
    packed: dict[int, tuple[Path, str]],
    folder: str,
) -> None:
    """Put plain frames among the planes, and packed ones as files of their own into the folder."""
    dataset = read_dataset(path)
    layout = [whole_number(path, dataset, name) for name in _LAYOUT]
    _check_layout(path, layout)
    syntax = text(dataset.file_meta, "TransferSyntaxUID")
    data = _pixel_bytes(path, dataset)
    if syntax in _PLAIN:
        for at, index in wanted.items():
            planes[at] = _plain(path, data, layout, index, _PLAIN[syntax])
        return
    if syntax not in _RLE_OR_JPEG2000 and not syntax.startswith(_JPEG):
        raise compressed_error(path, syntax)
    parts = _packed_parts(path, data, dataset)
    for at, index in wanted.items():
        if index >= len(parts):
            raise _ends_early(path, index + 1, len(parts), "packed frames")
        single = _single_frame(parts[index], layout, syntax)
        single.save_as(Path(folder) / f"{at}.dcm", write_like_original=False)
        packed[at] = (path, syntax)


def _check_layout(path: Path, layout: list[int]) -> None:
    rows, columns, allocated, stored, high, signed = layout
    fits = allocated in (8, 16, 32) and 1 <= stored <= allocated and high == stored - 1
    if not fits or signed > 1 or not rows or not columns:
        raise ScanError(
            f"{path}: expected whole numbers of 8, 16 or 32 bits, got {allocated} bits, of which "
            f"{stored} up to bit {high} are used, in {rows} x {columns} pixels. "
            "Export the series again."
        )


def _pixel_bytes(path: Path, dataset: Dataset) -> bytes:
    try:
        data = dataset.get("PixelData")
    except Exception:  # pydicom decodes the element only here, and may raise anything
        data = None
    if not isinstance(data, bytes):
        raise ScanError(
            f"{path}: expected voxels (Pixel Data), but the file holds none. "
            "It may end early: copy or export it again."
        )
    return data


def _ends_early(path: Path, expected: int, got: int, what: str) -> ScanError:
    return ScanError(
        f"{path}: the file ends early or is damaged: expected {expected:,} {what}, got {got:,}. "
        "Copy or export it again."
    )


def _plain(path: Path, data: bytes, layout: list[int], index: int, order: str) -> NDArray[Any]:
    rows, columns, allocated, stored, _, signed = layout
    size = rows * columns * allocated // 8
    if len(data) < (index + 1) * size:
        raise _ends_early(path, (index + 1) * size, len(data), "bytes of voxels")
    dtype = np.dtype(f"{order}{'i' if signed else 'u'}{allocated // 8}")
    frame = np.frombuffer(data, dtype, rows * columns, index * size).reshape(rows, columns)
    unused = allocated - stored  # may hold old overlays; the sign moves up and down with the value
    native = frame.astype(dtype.newbyteorder("="))
    return (native << unused) >> unused if unused else native


def _packed_parts(path: Path, data: bytes, dataset: Dataset) -> list[bytes]:
    count = whole_number(path, dataset, "NumberOfFrames") if text(dataset, "NumberOfFrames") else 1
    try:
        return list(generate_pixel_data_frame(data, count))
    except Exception as error:  # pydicom raises anything on damaged fragments
        raise ScanError(
            f"{path}: expected intact compressed voxels, but they are damaged "
            f"({str(error)[:100]}). Copy or export the file again."
        ) from error


def _single_frame(part: bytes, layout: list[int], syntax: str) -> Dataset:
    """A file of nothing but this frame: the decoder sees our header and applies no scale."""
    frame = Dataset()
    frame.file_meta = FileMetaDataset()
    frame.file_meta.TransferSyntaxUID = UID(syntax)
    frame.file_meta.MediaStorageSOPClassUID = frame.SOPClassUID = MRImageStorage
    uid = generate_uid(prefix=None)
    frame.file_meta.MediaStorageSOPInstanceUID = frame.SOPInstanceUID = uid
    frame.is_little_endian, frame.is_implicit_VR = True, False
    frame.Modality = "MR"
    frame.SamplesPerPixel = 1
    frame.PhotometricInterpretation = "MONOCHROME2"
    for name, value in zip(_LAYOUT, layout, strict=True):
        setattr(frame, name, value)
    frame.PixelData = encapsulate([part])
    frame["PixelData"].is_undefined_length = True
    return frame


def _unpacked(packed: dict[int, tuple[Path, str]], folder: Path) -> dict[int, NDArray[Any]]:
    """Unpack all frames in one other process.

    The decoders are native code that damaged data can crash, and they report missing data on the
    console alone, with zeros in its place: whatever they print there is a refusal here.
    """
    numbers = [str(at) for at in packed]
    try:
        run = subprocess.run(
            [sys.executable, "-m", "counterpart.formats.frame_unpacking", str(folder)],
            input="\n".join(numbers),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=UNPACKING_S + UNPACKING_FRAME_S * len(packed),
            check=False,
        )
        done, complaint, failed = run.stdout.split(), run.stderr, run.returncode != 0
    except subprocess.TimeoutExpired as error:
        done, complaint, failed = (error.stdout or b"").decode().split(), "it takes too long", True
    if failed or complaint or done != numbers:
        path, syntax = packed[int(numbers[min(len(done), len(numbers) - 1)])]
        reason = complaint.strip().splitlines()[-1] if complaint.strip() else "the decoder crashed"
        raise compressed_error(path, syntax, reason)
    return {at: np.load(folder / f"{at}.npy", allow_pickle=False) for at in packed}
