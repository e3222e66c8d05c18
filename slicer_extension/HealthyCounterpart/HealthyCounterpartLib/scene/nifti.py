"""Checks a NIfTI file before Slicer reads it: the reader hides that a file is broken.

A file that broke off is read as if the rest were zeros, and values that are not finite become zero.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import numpy as np

from HealthyCounterpartLib.problems import ArrivalProblem
from HealthyCounterpartLib.translation import _

HEADER_BYTES = 348
_SFORM_CODE, _SFORM = 254, 280  # where it says whether and how voxels lie in space
FLOAT32, UINT8 = 16, 2
BYTES = {FLOAT32: 4, UINT8: 1}
BLOCK = 1 << 22  # bytes that are looked at together


@dataclass(frozen=True)
class NiftiHeader:
    """What the header says.

    Args:
        shape: Voxels along I, J, K.
        kind: NIfTI's code of the voxel type.
        order: ``<`` where the lowest byte comes first, else ``>``.
        offset: Bytes before the voxels.
    """

    shape: tuple[int, ...]
    kind: int
    order: str
    offset: int

    @property
    def length(self) -> int:
        """Bytes that the whole file must have."""
        return self.offset + self.shape[0] * self.shape[1] * self.shape[2] * BYTES[self.kind]


def check_nifti(path: Path, shape: Optional[tuple[int, int, int]], kind: int) -> NiftiHeader:
    """Find out whether a file is a whole volume of this shape and type, with finite values.

    Args:
        path: Uncompressed NIfTI-1 file.
        shape: Expected voxels along I, J, K; None where any will do.
        kind: Expected voxel type, `FLOAT32` or `UINT8`.

    Returns:
        What the header says.

    Raises:
        ArrivalProblem: It is not.
    """
    header = read_header(path)
    if shape is not None and header.shape != tuple(shape):
        raise ArrivalProblem(
            _("{name} has {got} voxels, the scan has {expected}.").format(
                name=path.name, got=_times(header.shape), expected=_times(shape)
            ),
            _("Generate again; if it happens again, tell the server's administrator."),
        )
    if header.kind != kind:
        raise ArrivalProblem(
            _("{name} holds values of another type than was agreed.").format(name=path.name),
            _("Ask the server's administrator to update the server."),
        )
    if path.stat().st_size < header.length:
        raise ArrivalProblem(
            _("{name} arrived in part only.").format(name=path.name), _("Generate again.")
        )
    if kind == FLOAT32 and not _is_finite(path, header):
        raise ArrivalProblem(
            _("{name} holds values that are not numbers.").format(name=path.name),
            _("Generate again; if it happens again, tell the server's administrator."),
        )
    return header


def read_grey_volume(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a volume of any size and place, as it lies in the file.

    Slicer's reader takes no axes that are not at right angles; these are kept here.

    Args:
        path: Uncompressed NIfTI-1 file, float32.

    Returns:
        (K, J, I) float32 values, and (4, 4) voxel to RAS mm.

    Raises:
        ArrivalProblem: It cannot be read, or does not say where it lies.
    """
    header = check_nifti(path, None, FLOAT32)
    count = header.shape[0] * header.shape[1] * header.shape[2]
    values = np.fromfile(path, f"{header.order}f4", count, offset=header.offset)
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
    affine = np.eye(4)
    affine[:3] = np.reshape(struct.unpack_from(f"{header.order}12f", head, _SFORM), (3, 4))
    (placed,) = struct.unpack_from(f"{header.order}h", head, _SFORM_CODE)
    if not (placed > 0 and np.isfinite(affine).all() and abs(np.linalg.det(affine)) > 0):
        raise ArrivalProblem(
            _("{name} does not say where it lies in space.").format(name=path.name),
            _("Ask the server's administrator to update the server."),
        )
    return values.astype(np.float32).reshape(header.shape[::-1]), affine


def read_header(path: Path) -> NiftiHeader:
    """Read shape, type and size from a NIfTI-1 file.

    Args:
        path: The file.

    Raises:
        ArrivalProblem: It cannot be read, or is no volume.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEADER_BYTES)
        order = "<" if struct.unpack_from("<i", head, 0)[0] == HEADER_BYTES else ">"
        if struct.unpack_from(order + "i", head, 0)[0] != HEADER_BYTES:
            raise ValueError("no NIfTI-1 file")
        dim = struct.unpack_from(order + "8h", head, 40)
        (kind,) = struct.unpack_from(order + "h", head, 70)
        (offset,) = struct.unpack_from(order + "f", head, 108)
        shape = tuple(dim[1:4])
        flat = 3 <= dim[0] <= 7 and max(dim[4 : dim[0] + 1], default=1) <= 1
        if not flat or min(shape) < 1 or offset < HEADER_BYTES:
            raise ValueError(f"dimensions {dim}")
        return NiftiHeader(shape, kind, order, int(offset))
    except (OSError, ValueError, OverflowError, struct.error) as error:
        raise ArrivalProblem(
            _("{name} is not a volume ({why}).").format(name=path.name, why=error),
            _("Generate again; if it happens again, tell the server's administrator."),
        ) from error


def _is_finite(path: Path, header: NiftiHeader) -> bool:
    left = header.length - header.offset
    with path.open("rb") as file:
        file.seek(header.offset)
        while left > 0:
            block = file.read(min(BLOCK, left))
            left -= len(block)
            if not block or not np.isfinite(np.frombuffer(block, header.order + "f4")).all():
                return False
    return True


def _times(shape: tuple[int, ...]) -> str:
    return " × ".join(str(length) for length in shape)
