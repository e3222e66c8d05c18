"""Writes a scan of the scene as NRRD, block by block, and hashes it on the way.

The format: https://teem.sourceforge.net/nrrd/format.html
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from HealthyCounterpartLib.problems import ScanProblem
from HealthyCounterpartLib.scan_source import SceneScan
from HealthyCounterpartLib.translation import _
from HealthyCounterpartLib.worker import Stopped

SUFFIX = ".nrrd"
_BLOCK_BYTES = 1 << 20
_TYPES = {
    "i1": "int8",
    "u1": "uint8",
    "i2": "int16",
    "u2": "uint16",
    "i4": "int32",
    "u4": "uint32",
    "i8": "int64",
    "u8": "uint64",
    "f4": "float",
    "f8": "double",
}


def file_bytes(scan: SceneScan) -> int:
    """How large the file of a scan will be."""
    return len(_header(scan)) + scan.values.nbytes


def write_scan(scan: SceneScan, path: Path, stop: threading.Event) -> str:
    """Write a scan as plain NRRD; the same scan under the same name is always the same file.

    Args:
        scan: Its values may be any view, such as a mirrored one; no copy of them is made.
        path: The file; it is replaced.
        stop: Ends the writing.

    Returns:
        The sha256 of the file, in hexadecimal digits.

    Raises:
        ScanProblem: The scan is not 3-D, empty, or has values that the format does not know.
        Stopped: ``stop`` was set.
    """
    digest = hashlib.sha256()
    with path.open("wb") as stream:
        for block in _blocks(scan):
            if stop.is_set():
                raise Stopped
            digest.update(block)
            stream.write(block)
    return digest.hexdigest()


def _blocks(scan: SceneScan) -> Iterator[bytes]:
    """The file's bytes: the header, then rows of voxels, of which i runs fastest."""
    yield _header(scan)
    little = scan.values.dtype.newbyteorder("<")
    rows = max(_BLOCK_BYTES // (scan.values.shape[2] * little.itemsize), 1)
    for plane in scan.values:
        for first in range(0, len(plane), rows):
            yield plane[first : first + rows].astype(little, order="C", copy=False).tobytes()


def _header(scan: SceneScan) -> bytes:
    """The header, with the affine to the last digit.

    The name stands in it as a remark. A server keeps a scan under the hash of its file and by the
    name that it first had; a scan that was renamed, and so has another contrast, is another file.
    """
    values = scan.values
    kind = _TYPES.get(values.dtype.str[1:])
    if values.ndim != 3 or values.size == 0 or kind is None:
        raise ScanProblem(
            _("A scan has one number for each voxel of a volume; this one has {what}.").format(
                what=f"{values.dtype} {values.shape}"
            ),
            _("Choose a grey-scale volume."),
        )
    columns = [_vector(scan.ijk_to_ras[:3, axis]) for axis in range(4)]
    lines = (
        "NRRD0004",
        f"# {''.join(letter for letter in scan.name if letter.isprintable())}",
        f"type: {kind}",
        "dimension: 3",
        "space: right-anterior-superior",
        f"sizes: {' '.join(str(count) for count in values.shape[::-1])}",
        f"space directions: {' '.join(columns[:3])}",
        "kinds: domain domain domain",
        "endian: little",
        "encoding: raw",
        f"space origin: {columns[3]}",
    )
    return "\n".join(lines).encode() + b"\n\n"


def _vector(column: np.ndarray) -> str:
    return f"({','.join(repr(float(number) + 0.0) for number in column)})"
