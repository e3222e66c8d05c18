"""Reads and writes NRRD, whose axes are vectors in a named space, so that no digit is lost.

The format: https://teem.sourceforge.net/nrrd/format.html
"""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from counterpart.errors import ScanError
from counterpart.formats.scan_checks import check_memory, checked_affine, spatial_shape
from counterpart.formats.stored_image import StoredImage, flip_lps
from counterpart.formats.voxel_bytes import VoxelBytes, surplus_warning

NRRD_SUFFIXES = (".nrrd", ".nhdr")
MAX_LINE, MAX_LINES = 2**16, 10_000
_TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
_DTYPES = {name: code for code, names in _TYPES.items() for name in names}
_SPACES = {
    "right-anterior-superior": (1.0, 1.0, 1.0),
    "ras": (1.0, 1.0, 1.0),
    "left-anterior-superior": (-1.0, 1.0, 1.0),
    "las": (-1.0, 1.0, 1.0),
    "left-posterior-superior": (-1.0, -1.0, 1.0),
    "lps": (-1.0, -1.0, 1.0),
}
Fields = dict[str, str]


def read_nrrd(path: Path) -> StoredImage:
    """Read a ``.nrrd`` file, or a ``.nhdr`` header with its data file beside it.

    Raises:
        ScanError: Not NRRD, truncated, damaged, not 3-D, colour, or without space directions.
    """
    with path.open("rb") as stream:
        fields = _read_fields(path, stream)
        axes, shape = _axes(path, fields)
        affine, warnings = _affine(path, fields, axes)
        check_memory(path, shape)
        if "data file" not in fields:
            values, surplus = _values(path, fields, shape, stream, path)
        else:
            beside = file_beside(path, fields["data file"])
            with beside.open("rb") as data:
                values, surplus = _values(path, fields, shape, data, beside)
    return StoredImage(values, affine, warnings=(*warnings, *surplus_warning(surplus)))


def write_nrrd(path: Path, values: NDArray[Any], affine: NDArray[np.float64]) -> None:
    """Write values (I, J, K) as gzip-packed NRRD in LPS, with the affine to the last digit."""
    lps = flip_lps(affine)
    columns = [_vector(lps[:3, axis]) for axis in range(4)]
    dtype = values.dtype.newbyteorder("<")
    header = (
        "NRRD0004",
        f"type: {_TYPES[dtype.str[1:]][-1]}",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {' '.join(str(n) for n in values.shape)}",
        f"space directions: {' '.join(columns[:3])}",
        "kinds: domain domain domain",
        "endian: little",
        "encoding: gzip",
        f"space origin: {columns[3]}",
    )
    packed = gzip.compress(values.astype(dtype).tobytes("F"), compresslevel=1, mtime=0)
    path.write_bytes("\n".join(header).encode() + b"\n\n" + packed)


def file_beside(path: Path, name: str) -> Path:
    """The data file that a detached header names; it must stand beside the header.

    Raises:
        ScanError: It is elsewhere, several, or missing.
    """
    plain = re.fullmatch(r"(\./)?([^/\\\x00]{1,255})", name.strip())
    beside = path.with_name(plain[2]) if plain and plain[2] not in (".", "..") else None
    if beside is None or beside == path or not beside.is_file():
        raise ScanError(
            f"{path}: expected one data file beside the header, but it names {name[:80]!r}, which "
            "is none. Put header and data into one folder, or export with an attached header."
        )
    return beside


def _vector(column: NDArray[np.float64]) -> str:
    return f"({','.join(repr(float(x)) for x in column)})"


def _read_fields(path: Path, stream: BinaryIO) -> Fields:
    """The header's fields, by name in lower case; the stream is left at the first data byte."""
    if not re.fullmatch(rb"NRRD000[1-5]\r?\n", stream.readline(MAX_LINE)):
        raise ScanError(
            f"{path}: not a readable NRRD image (expected NRRD0001 to NRRD0005 in the first "
            "line). Export the scan again."
        )
    fields: Fields = {}
    for _ in range(MAX_LINES):
        line = stream.readline(MAX_LINE)
        text = line.rstrip(b"\r\n").decode("latin-1")
        if not text:
            break
        name, colon, value = text.partition(": ")
        name = name.strip().lower()
        if text.startswith("#") or ":=" in text.split(": ")[0]:
            continue
        if not colon or name in fields:
            raise _bad_field(path, name or text, "is given twice" if colon else "has no value")
        fields[name] = value.strip()
        if name == "data file" and not line.endswith(b"\n"):
            break
    return fields


def _bad_field(path: Path, name: str, problem: str) -> ScanError:
    return ScanError(
        f"{path}: not a readable NRRD image (the field {name[:60]!r} {problem}). "
        "Export the scan again."
    )


def _field(path: Path, fields: Fields, name: str) -> str:
    if not fields.get(name):
        raise _bad_field(path, name, "is missing")
    return fields[name]


def _integer(path: Path, fields: Fields, name: str, text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,15}", text):
        raise _bad_field(path, name, f"should be a whole number, got {text[:40]!r}")
    return int(text)


def _axes(path: Path, fields: Fields) -> tuple[list[int], tuple[int, int, int]]:
    """Which of the stored axes lie in space, and their sizes."""
    dimension = _integer(path, fields, "dimension", _field(path, fields, "dimension"))
    texts = _field(path, fields, "sizes").split()
    sizes = [_integer(path, fields, "sizes", text) for text in texts]
    if len(sizes) != dimension:
        raise _bad_field(path, "sizes", f"should have {dimension} entries, got {len(sizes)}")
    directions = _directions(fields)
    kinds = fields.get("kinds", "").lower().split()
    if dimension == 4 and "none" in directions and len(directions) == 4:
        other = directions.index("none")
        if sizes[other] == 1:
            kept = [axis for axis in range(4) if axis != other]
            return kept, spatial_shape(path, [sizes[axis] for axis in kept])
        kind = kinds[other] if other < len(kinds) else "list"
        raise ScanError(
            f"{path}: expected one real number per voxel, got {sizes[other]} ({kind[:40]}). "
            "Give one grey-scale volume."
        )
    if kinds and any(kind not in ("domain", "space", "???", "none") for kind in kinds[:3]):
        raise ScanError(
            f"{path}: expected one real number per voxel, got axes of the kinds "
            f"{str(kinds[:4])[:80]}. "
            "Give one grey-scale volume."
        )
    return [0, 1, 2], spatial_shape(path, sizes)


def _directions(fields: Fields) -> list[str]:
    return re.findall(r"\([^()]*\)|none", fields.get("space directions", "").lower())


def _affine(
    path: Path, fields: Fields, axes: list[int]
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Voxel to world in RAS, from the space's name, directions and origin."""
    signs = _SPACES.get(fields.get("space", "").lower())
    directions = _directions(fields)
    if signs is None or len(directions) <= max(axes):
        raise ScanError(
            f"{path}: expected a space (left-posterior-superior or alike) and three space "
            f"directions, got space {fields.get('space', 'none')[:40]!r} and "
            f"{len(directions)} directions: the affine is missing. Export with orientation."
        )
    affine = np.eye(4)
    for column, axis in enumerate(axes):
        affine[:3, column] = _numbers(path, "space directions", directions[axis])
    warnings: tuple[str, ...] = ()
    if "space origin" in fields:
        affine[:3, 3] = _numbers(path, "space origin", fields["space origin"])
    else:
        warnings = ("The file does not say where its first voxel lies; the origin is assumed.",)
    affine[:3] *= np.array(signs)[:, None]
    return checked_affine(path, affine + 0.0), warnings


def _numbers(path: Path, name: str, text: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.strip().strip("()").split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 3:
        raise _bad_field(path, name, f"should hold three numbers, got {text[:60]!r}")
    return numbers


def _values(
    path: Path, fields: Fields, shape: tuple[int, int, int], stream: BinaryIO, file: Path
) -> tuple[NDArray[np.float32], int]:
    """Voxels, and how many bytes are left; ``file`` holds them, ``path`` the header."""
    dtype = _dtype(path, fields)
    encoding = _field(path, fields, "encoding").lower()
    if encoding not in ("raw", "gzip", "gz"):
        raise ScanError(
            f"{path}: expected the encoding raw or gzip, got {encoding[:40]!r}. "
            "Export the scan as raw or gzip NRRD, or as NIfTI."
        )
    for _ in range(_count(path, fields, ("line skip", "lineskip"))):
        if not stream.readline(MAX_LINE):
            raise _bad_field(path, "line skip", "goes beyond the end of the file")
    count = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    source = VoxelBytes(file, stream, packed=encoding != "raw")
    skipped = _count(path, fields, ("byte skip", "byteskip"))
    if skipped == -1 and encoding == "raw":
        stream.seek(max(file.stat().st_size - count, stream.tell()))
    source.skip(max(skipped, 0))
    array = np.frombuffer(source.take(count), dtype).reshape(shape, order="F")
    with np.errstate(all="ignore"):
        return np.asarray(array, dtype=np.float32), source.surplus()


def _count(path: Path, fields: Fields, names: tuple[str, str]) -> int:
    text = next((fields[name] for name in names if name in fields), "0")
    count = _integer(path, fields, names[0], text)
    if not -1 <= count < 2**32:
        raise _bad_field(path, names[0], f"should be a small number, got {count}")
    return count


def _dtype(path: Path, fields: Fields) -> np.dtype[Any]:
    name = " ".join(_field(path, fields, "type").lower().split())
    if name not in _DTYPES:
        raise _bad_field(path, "type", f"should be a number's type, got {name[:40]!r}")
    dtype = np.dtype(_DTYPES[name])
    if dtype.itemsize == 1:
        return dtype
    endian = _field(path, fields, "endian").lower()
    if endian not in ("little", "big"):
        raise _bad_field(path, "endian", f"should be little or big, got {endian[:40]!r}")
    return dtype.newbyteorder("<" if endian == "little" else ">")
