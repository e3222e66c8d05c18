"""Reads and writes MetaImage (.mha, .mhd), whose world is LPS by ITK's convention."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from counterpart.errors import ScanError
from counterpart.formats.nrrd_image import file_beside
from counterpart.formats.scan_checks import check_memory, checked_affine, spatial_shape
from counterpart.formats.stored_image import StoredImage, flip_lps
from counterpart.formats.voxel_bytes import VoxelBytes, surplus_warning

_LENGTHS = 2000  # a unit direction to one part in 10^12
META_SUFFIXES = (".mha", ".mhd")
MAX_LINE, MAX_LINES = 2**16, 10_000
_DTYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_TYPES = {code: name for name, code in _DTYPES.items()}
_ORIENTATION = ("transformmatrix", "rotation", "orientation")
_ORIGIN = ("offset", "position", "origin")
_SPACING = ("elementspacing", "elementsize")
_BIG_ENDIAN = ("binarydatabyteordermsb", "elementbyteordermsb")
Fields = dict[str, str]


def read_meta(path: Path) -> StoredImage:
    """Read a ``.mha`` file, or a ``.mhd`` header with its data file beside it.

    Raises:
        ScanError: Not MetaImage, truncated, damaged, not 3-D, colour, or without orientation.
    """
    with path.open("rb") as stream:
        fields = _read_fields(path, stream)
        shape = _shape(path, fields)
        affine, warnings = _affine(path, fields, len(fields["dimsize"].split()))
        check_memory(path, shape)
        name = fields["elementdatafile"]
        if name.upper() == "LOCAL":
            values, surplus = _values(path, fields, shape, stream, path)
        else:
            beside = file_beside(path, name)
            with beside.open("rb") as data:
                values, surplus = _values(path, fields, shape, data, beside)
    return StoredImage(values, affine, warnings=(*warnings, *surplus_warning(surplus)))


def write_meta(path: Path, values: NDArray[Any], affine: NDArray[np.float64]) -> None:
    """Write values (I, J, K) as packed MetaImage in LPS, with the affine to the last digit."""
    lps = flip_lps(affine)
    parts = [split_column(lps[:3, axis]) for axis in range(3)]
    dtype = values.dtype.newbyteorder("<")
    packed = zlib.compress(values.astype(dtype).tobytes("F"), 1)
    header = (
        "ObjectType = Image",
        "NDims = 3",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
        "CompressedData = True",
        f"CompressedDataSize = {len(packed)}",
        f"TransformMatrix = {' '.join(_text(direction) for direction, _ in parts)}",
        f"Offset = {_text(lps[:3, 3])}",
        "CenterOfRotation = 0 0 0",
        "AnatomicalOrientation = RAI",
        f"ElementSpacing = {' '.join(repr(step) for _, step in parts)}",
        f"DimSize = {' '.join(str(n) for n in values.shape)}",
        f"ElementType = {_TYPES[dtype.str[1:]]}",
        "ElementDataFile = LOCAL",
    )
    path.write_bytes("\n".join(header).encode() + b"\n" + packed)


def split_column(column: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """A unit direction and a length whose product is the column, in floating point too.

    A rounded quotient times its divisor may miss by one last digit. So lengths that differ in their
    last digits are tried, and each quotient's neighbours, until every product is exact. Where no
    length within 2,000 last digits does it, which is one column in tens of thousands, the product
    misses by one last digit.
    """
    nearest = float(np.sqrt((column**2).sum()))
    steps = np.arange(_LENGTHS, dtype=np.float64) * np.spacing(nearest)
    lengths = np.stack([nearest + steps, nearest - steps], axis=1).reshape(-1, 1)  # nearest first
    quotient = column / lengths
    found = quotient.copy()
    for candidate in (np.nextafter(quotient, -2.0), np.nextafter(quotient, 2.0), quotient):
        found = np.where(candidate * lengths == column, candidate, found)
    exact = np.flatnonzero((found * lengths == column).all(axis=1))
    if not exact.size:
        return column / nearest, nearest
    return found[exact[0]], float(lengths[exact[0], 0])


def _text(numbers: NDArray[np.float64]) -> str:
    return " ".join(repr(float(x)) for x in numbers)


def _bad_field(path: Path, problem: str) -> ScanError:
    return ScanError(f"{path}: not a readable MetaImage ({problem}). Export the scan again.")


def _read_fields(path: Path, stream: BinaryIO) -> Fields:
    """The header's fields, by name in lower case; the stream is left at the first data byte."""
    fields: Fields = {}
    for _ in range(MAX_LINES):
        line = stream.readline(MAX_LINE)
        name, equals, value = line.rstrip(b"\r\n").decode("latin-1").partition("=")
        name = name.strip().lower()
        if not equals or not name.isprintable() or len(name) > 128:
            raise _bad_field(path, "expected lines 'Key = Value' up to ElementDataFile")
        if name in fields:
            raise _bad_field(path, f"{name} is given twice")
        fields[name] = value.strip()
        if name == "elementdatafile":
            return fields
    raise _bad_field(path, "expected ElementDataFile at the end of the header")


def _first(fields: Fields, names: tuple[str, ...]) -> str | None:
    return next((fields[name] for name in names if fields.get(name)), None)


def _numbers(path: Path, name: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split()[:256]]
    except ValueError:
        raise _bad_field(path, f"{name} should hold numbers, got {text[:60]!r}") from None


def _flag(path: Path, fields: Fields, names: tuple[str, ...], default: str) -> bool:
    text = (_first(fields, names) or default).lower()
    if text not in ("true", "false", "1", "0"):
        raise _bad_field(path, f"{names[0]} should be True or False, got {text[:40]!r}")
    return text in ("true", "1")


def _shape(path: Path, fields: Fields) -> tuple[int, int, int]:
    if fields.get("objecttype", "image").lower() != "image":
        raise _bad_field(path, f"expected an Image, got {fields['objecttype'][:40]!r}")
    texts = fields.get("dimsize", "").split()
    if not texts or not all(re.fullmatch(r"[0-9]{1,15}", text) for text in texts):
        raise _bad_field(path, f"DimSize should hold whole numbers, got {' '.join(texts)[:60]!r}")
    if fields.get("ndims") != str(len(texts)):
        raise _bad_field(path, f"NDims is {fields.get('ndims')}, but DimSize has {len(texts)}")
    channels = fields.get("elementnumberofchannels", "1")
    if channels != "1":
        raise ScanError(
            f"{path}: expected one real number per voxel, got {channels[:20]} (colour or vectors). "
            "Give one grey-scale volume."
        )
    return spatial_shape(path, [int(text) for text in texts])


def _affine(
    path: Path, fields: Fields, dimension: int
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Voxel to world in RAS; axes of size one beyond the third are left out."""
    matrix, spacing = _first(fields, _ORIENTATION), _first(fields, _SPACING)
    origin = _first(fields, _ORIGIN)
    if matrix is None or spacing is None:
        raise ScanError(
            f"{path}: expected TransformMatrix and ElementSpacing, but "
            f"{'TransformMatrix' if matrix is None else 'ElementSpacing'} is not there: the affine "
            "is missing. Export with orientation."
        )
    directions = _numbers(path, "TransformMatrix", matrix)
    steps = _numbers(path, "ElementSpacing", spacing)
    offset = _numbers(path, "Offset", origin) if origin else [0.0] * dimension
    if (len(directions), len(steps), len(offset)) != (dimension**2, dimension, dimension):
        raise _bad_field(path, f"orientation, spacing and offset should have {dimension} axes")
    affine = np.eye(4)
    with np.errstate(all="ignore"):
        columns = np.array(directions).reshape(dimension, dimension)[:3, :3].T
        affine[:3, :3] = columns * np.array(steps[:3])
    affine[:3, 3] = offset[:3]
    warning = "The file does not say where its first voxel lies; the origin is assumed."
    return checked_affine(path, flip_lps(affine)), () if origin else (warning,)


def _values(
    path: Path, fields: Fields, shape: tuple[int, int, int], stream: BinaryIO, file: Path
) -> tuple[NDArray[np.float32], int]:
    """Voxels, and how many bytes are left; ``file`` holds them, ``path`` the header."""
    if not _flag(path, fields, ("binarydata",), "True"):
        raise ScanError(
            f"{path}: expected binary voxels, got text (BinaryData = False). Export as binary."
        )
    code = _DTYPES.get(fields.get("elementtype", ""))
    if code is None:
        raise _bad_field(path, f"ElementType {fields.get('elementtype', 'missing')[:40]!r}")
    dtype = np.dtype(code).newbyteorder(">" if _flag(path, fields, _BIG_ENDIAN, "False") else "<")
    packed = _flag(path, fields, ("compresseddata",), "False")
    count = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    _seek_voxels(path, fields, stream, None if packed else file.stat().st_size - count)
    source = VoxelBytes(file, stream, packed=packed)
    array = np.frombuffer(source.take(count), dtype).reshape(shape, order="F")
    surplus = source.surplus()
    slope, offset = _scale(path, fields)
    with np.errstate(all="ignore"):  # too large for float32 becomes inf, which is refused later
        if (slope, offset) != (1.0, 0.0):
            array = array * slope + offset
        return np.asarray(array, dtype=np.float32), surplus


def _seek_voxels(path: Path, fields: Fields, stream: BinaryIO, last: int | None) -> None:
    """Go to the first voxel; a header size of -1 means that the voxels end the file."""
    text = fields.get("headersize", "0")
    if text == "-1" and last is not None:
        stream.seek(max(last, stream.tell()))
    elif re.fullmatch(r"[0-9]{1,12}", text) and (text == "0" or stream.tell() == 0):
        stream.seek(int(text) or stream.tell())
    else:
        raise _bad_field(path, f"HeaderSize {text[:40]!r} cannot be used")


def _scale(path: Path, fields: Fields) -> tuple[float, float]:
    names = ("elementtointensityfunctionslope", "elementtointensityfunctionoffset")
    texts = (fields.get(names[0]) or "1", fields.get(names[1]) or "0")
    numbers = [_numbers(path, name, text) for name, text in zip(names, texts, strict=True)]
    slope, offset = (part[0] if len(part) == 1 else np.nan for part in numbers)
    if not np.isfinite([slope, offset]).all() or slope == 0.0:
        raise _bad_field(path, f"scale {slope:g} and offset {offset:g} cannot be used")
    return slope, offset
