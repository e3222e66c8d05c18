"""Damages the bytes of a valid scan: anywhere, in its header's fields, or inside its packing."""

from __future__ import annotations

import gzip
import io
import re
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import pydicom

from counterpart.fuzzing.specimens import Specimen

ANY, REFUSED, SAME = "any", "refused", "same"
_GZIP = b"\x1f\x8b"
_NUMBERS = ("0", "-1", "1", "7", "8", "9", "1000000", "2147483647", "4294967296", "1e30", "1e-30")
_WORDS = ("nan", "inf", "-inf", "", "x" * 5000, "(1,0,0)", "none", "\x00", "é", "True", "raw")
_NIFTI_FIELDS = {
    0: "<i",  # sizeof_hdr
    **{offset: "<h" for offset in range(40, 56, 2)},  # dim
    70: "<h",  # datatype
    72: "<h",  # bitpix
    **{offset: "<f" for offset in range(76, 108, 4)},  # pixdim
    **{offset: "<f" for offset in (108, 112, 116)},  # vox_offset, slope, intercept
    123: "<b",  # xyzt_units
    252: "<h",  # qform_code
    254: "<h",  # sform_code
    **{offset: "<f" for offset in range(256, 328, 4)},  # quaternion, offsets, rows
    344: "<i",  # magic
}
_VALUES = {
    "<b": (0, 1, 2, 3, 127, -1),
    "<h": (0, 1, 2, 3, 4, 8, 16, 64, 512, 1792, 2304, 32767, -1, -32768),
    "<i": (0, 1, 348, 540, 1543569408, -1, 2**31 - 1),
    "<f": (0.0, -0.0, 1.0, -1.0, 0.5, 352.0, 353.0, 1e30, 1e-30, float("nan"), float("inf")),
}
_ELEMENTS: dict[str, tuple[object, ...]] = {
    "Rows": (0, 1, 9, 11, 65535),
    "Columns": (0, 1, 8, 10, 65535),
    "BitsAllocated": (0, 1, 8, 12, 32, 64),
    "BitsStored": (0, 8, 12, 17),
    "HighBit": (0, 7, 14, 31),
    "PixelRepresentation": (0, 2),
    "SamplesPerPixel": (0, 3),
    "PhotometricInterpretation": ("RGB", "PALETTE COLOR", "MONOCHROME1", ""),
    "NumberOfFrames": ("0", "2", "-3", "2147483647"),
    "ImagePositionPatient": (["0", "0", "0"], ["1e300", "0", "0"], ["0", "0"], None),
    "ImageOrientationPatient": (["0"] * 6, ["1", "0", "0", "1", "0", "0"], ["1"] * 5, None),
    "PixelSpacing": (["0", "0"], ["1e9", "1"], ["1"], ["-1", "1"], None),
    "RescaleSlope": ("0", "1e300", "1e-300", "-1", None),
    "RescaleIntercept": ("1e300", "-1000", None),
    "Modality": ("CT", "SEG", None),
    "ImageType": (["ORIGINAL", "PRIMARY", "M", "MOSAIC"], ["ORIGINAL", "PRIMARY", "P"], None),
    "SeriesInstanceUID": ("1.2.3", None),
    "PixelData": (b"", b"\x00\x00"),
}


@dataclass(frozen=True)
class Mutant:
    """A damaged scan.

    Args:
        format: Of the specimen.
        entry: The file's name to read; empty for the folder itself.
        files: Name and content of each file.
        story: What was done, in order.
        rule: ``refused`` if voxels are missing, ``same`` if a checksum guards what was changed,
            so that the scan must be refused or come out unchanged; else ``any``.
    """

    format: str
    entry: str
    files: dict[str, bytes]
    story: str
    rule: str


def make_mutant(specimen: Specimen, random: Random) -> Mutant:
    """Damage one file of a specimen in one of several ways."""
    name = random.choice(sorted(specimen.files))
    content = specimen.files[name]
    ways = [_anywhere, _in_header, _truncated]
    if name.endswith(".nii"):
        ways.append(_nifti_field)
    if name.endswith(".nii.gz"):
        ways.append(_inside)
    if name.endswith((".nrrd", ".nhdr", ".mha", ".mhd")):
        ways += [_text_field, _text_field]
    if name.endswith(".dcm"):
        ways += [_element, _element]
    way = random.choice(ways)
    damaged, rule = way(content, random)
    if rule == REFUSED and name.endswith((".nhdr", ".mhd")):
        rule = ANY  # a header may lose its last line break and still say all
    story = f"{name}: {way.__name__.lstrip('_')}, {len(content)} to {len(damaged)} bytes"
    return Mutant(specimen.format, specimen.entry, {**specimen.files, name: damaged}, story, rule)


def _anywhere(content: bytes, random: Random) -> tuple[bytes, str]:
    damaged, first = _scrambled(content, 0, len(content), random)
    return damaged, SAME if first >= _guarded_from(content) else ANY


def _in_header(content: bytes, random: Random) -> tuple[bytes, str]:
    damaged, first = _scrambled(content, 0, min(len(content), 400), random)
    return damaged, SAME if first >= _guarded_from(content) else ANY


def _guarded_from(content: bytes) -> int:
    """Where bytes begin that a checksum guards."""
    if content.startswith(_GZIP):
        return 0
    for start, packed, last in (
        (b"NRRD", b"encoding: gzip", b"\n\n"),
        (b"Obje", b"CompressedData = True", b"LOCAL\n"),
    ):
        if content.startswith(start) and packed in content:
            return content.index(last) + len(last)
    return len(content) + 1


def _truncated(content: bytes, random: Random) -> tuple[bytes, str]:
    return content[: random.randrange(len(content))], REFUSED


def _inside(content: bytes, random: Random) -> tuple[bytes, str]:
    """Unpack, damage, pack again, so that the checksum fits."""
    way = random.choice([_anywhere, _in_header, _truncated, _nifti_field, _nifti_field])
    damaged, rule = way(gzip.decompress(content), random)
    return gzip.compress(damaged, 1, mtime=0), rule


def _scrambled(content: bytes, low: int, high: int, random: Random) -> tuple[bytes, int]:
    """Change, insert, remove or repeat bytes at one to three places; the first place changed."""
    raw = bytearray(content)
    places = sorted(random.randrange(low, high) for _ in range(random.choice((1, 1, 2, 3))))
    for at in reversed(places):
        _STROKES[random.randrange(len(_STROKES))](raw, at, random)
    return bytes(raw), places[0]


def _flip(raw: bytearray, at: int, random: Random) -> None:
    if at < len(raw):
        raw[at] ^= 1 << random.randrange(8)


def _set(raw: bytearray, at: int, random: Random) -> None:
    size = random.choice((1, 2, 4, 8))
    raw[at : at + size] = random.choice((b"\x00", b"\xff", b"\x7f", random.randbytes(1))) * size


def _insert(raw: bytearray, at: int, random: Random) -> None:
    raw[at:at] = random.randbytes(random.choice((1, 2, 7, 64, 1000)))


def _remove(raw: bytearray, at: int, random: Random) -> None:
    del raw[at : at + random.choice((1, 2, 7, 64))]


def _repeat(raw: bytearray, at: int, random: Random) -> None:
    raw[at:at] = raw[at : at + random.choice((1, 4, 32, 200))]


_STROKES: tuple[Callable[[bytearray, int, Random], None], ...] = (
    _flip,
    _flip,
    _set,
    _insert,
    _remove,
    _repeat,
)


def _nifti_field(content: bytes, random: Random) -> tuple[bytes, str]:
    raw = bytearray(content)
    for _ in range(random.choice((1, 1, 2))):
        offset, kind = random.choice(sorted(_NIFTI_FIELDS.items()))
        struct.pack_into(kind, raw, offset, random.choice(_VALUES[kind]))
    return bytes(raw), ANY


def _text_field(content: bytes, random: Random) -> tuple[bytes, str]:
    """Change a value, or a part of it, in a header of lines."""
    mark = b"\n\n" if content.startswith(b"NRRD") else b"ElementDataFile"
    end = content.index(mark) if mark in content else len(content)
    lines = content[:end].split(b"\n")
    at = random.randrange(len(lines))
    word = random.choice((*_NUMBERS, *_NUMBERS, *_WORDS)).encode()
    action = random.randrange(5)
    if action == 0:
        lines.insert(at, random.choice(lines))
    elif action == 1:
        del lines[at]
    elif action == 2:
        lines[at] = re.sub(rb"([:=]) .*", rb"\1 " + word.replace(b"\\", b""), lines[at])
    else:
        parts = re.split(rb"([ ,()]+)", lines[at])
        parts[random.randrange(len(parts))] = word
        lines[at] = b"".join(parts)
    return b"\n".join(lines) + content[end:], ANY


def _element(content: bytes, random: Random) -> tuple[bytes, str]:
    """Set or remove one DICOM element."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(io.BytesIO(content))
        name = random.choice(sorted(_ELEMENTS))
        value = random.choice(_ELEMENTS[name])
        if value is None:
            dataset.pop(name, None)
        else:
            setattr(dataset, name, value)
        stream = io.BytesIO()
        try:
            dataset.save_as(stream, write_like_original=False)
        except Exception:  # pydicom refuses to write some of it: damage the bytes instead
            return _anywhere(content, random)
    return stream.getvalue(), ANY
