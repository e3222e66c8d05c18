"""Takes an exact number of bytes from a file, plain or deflated, and never fewer without a word."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import BinaryIO

from counterpart.errors import ScanError

CHUNK = 2**20
MAX_DEFLATION = 1040  # deflate cannot do better than 1032 to 1
MAX_SURPLUS = 2**26
_GZIP_OR_ZLIB = 47
GZIP_MAGIC = b"\x1f\x8b"


class VoxelBytes:
    """The bytes of an open file, inflated on the way if it is packed (gzip or zlib).

    Checksum and length at the end of a packed file are verified by `surplus`.

    Args:
        path: For messages.
        stream: Open at the first byte to take.
        packed: Whether the bytes are deflated.
    """

    def __init__(self, path: Path, stream: BinaryIO, *, packed: bool) -> None:
        self._path = path
        self._stream = stream
        self._packed = packed
        self._left = path.stat().st_size - stream.tell()
        self._inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._pending = b""

    def take(self, count: int) -> bytearray:
        """Exactly ``count`` bytes.

        Raises:
            ScanError: The file holds fewer, or is damaged.
        """
        most = (self._left + len(self._pending)) * (MAX_DEFLATION if self._packed else 1) + CHUNK
        if count > most:
            raise self._ended(count, None)
        taken = bytearray(count)
        view, at = memoryview(taken), 0
        while at < count:
            piece = self._next(min(CHUNK, count - at))
            if not piece:
                raise self._ended(count, at)
            view[at : at + len(piece)] = piece
            at += len(piece)
        return taken

    def skip(self, count: int) -> None:
        """Leave out ``count`` bytes.

        Raises:
            ScanError: The file holds fewer, or is damaged.
        """
        at = 0
        while at < count:
            piece = self._next(min(CHUNK, count - at))
            if not piece:
                raise self._ended(count, at)
            at += len(piece)

    def surplus(self) -> int:
        """Read to the end, so that its checksum is verified; how many bytes were left (capped).

        Raises:
            ScanError: The end is missing or damaged.
        """
        count = 0
        while count < MAX_SURPLUS:
            piece = self._next(CHUNK)
            if not piece:
                break
            count += len(piece)
        return count

    def _next(self, most: int) -> bytes:
        return self._inflated(most) if self._packed else self._stream.read(most)

    def _inflated(self, most: int) -> bytes:
        while True:
            if self._inflater.eof and not self._begin_next_member():
                return b""
            if not self._pending:
                self._pending = self._stream.read(CHUNK)
                self._left -= len(self._pending)
            try:
                piece = self._inflater.decompress(self._pending, most)
            except zlib.error as error:
                raise ScanError(
                    f"{self._path}: the file ends early or is damaged: expected intact compressed "
                    "voxels, got others. Copy or export it again."
                ) from error
            ended = not self._pending and not piece
            self._pending = self._inflater.unconsumed_tail or self._inflater.unused_data
            if piece:
                return piece
            if ended and not self._inflater.eof:
                raise ScanError(
                    f"{self._path}: the file ends early or is damaged: expected the end of the "
                    "compressed voxels, got the end of the file. Copy or export it again."
                )

    def _begin_next_member(self) -> bool:
        """A packed file may consist of several; what is no further one is left alone."""
        if len(self._pending) < 2:
            self._pending += self._stream.read(CHUNK)
        if self._pending[:2] != GZIP_MAGIC:
            return False
        self._inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
        return True

    def _ended(self, expected: int, got: int | None) -> ScanError:
        came = "far fewer" if got is None else f"{got:,}"
        return ScanError(
            f"{self._path}: the file ends early or is damaged: expected {expected:,} bytes of "
            f"voxels, got {came}. Copy or export it again."
        )


def surplus_warning(count: int) -> tuple[str, ...]:
    """What to say of bytes that the header does not account for."""
    if not count:
        return ()
    return (
        f"The file holds {count:,}{' or more' if count >= MAX_SURPLUS else ''} bytes that its "
        "header does not account for; slices may be missing.",
    )
