"""Receives files: streamed to the disk, hashed on the way, under names of our own."""

from __future__ import annotations

import hashlib
import io
import lzma
import os
import shutil
import struct
import zipfile
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, BinaryIO

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from lib.problems import Problem, unusable
from lib.state import disk_problem

CHUNK_BYTES = 1 << 20
MAX_MEMBERS = 4000
_TABLE_BYTES = 2 << 20
# What Python raises where an archive is damaged, packed in another way, or made to be.
BROKEN_ARCHIVE = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    NotImplementedError,
    RuntimeError,
    EOFError,
    OverflowError,
    ValueError,
    OSError,
)


async def receive_stream(parts: AsyncIterator[bytes], path: Path) -> str:
    """Stream a body into a new file.

    Args:
        parts: Of the body.
        path: Must not exist.

    Returns:
        The sha256 of the content.

    Raises:
        Problem: The body is empty, breaks off, or the disk is full.
    """
    digest = hashlib.sha256()
    waiting: list[bytes] = []
    held = 0
    try:
        with path.open("xb") as stream:
            async for part in parts:
                digest.update(part)
                waiting.append(part)
                held += len(part)
                if held >= CHUNK_BYTES:
                    await run_in_threadpool(stream.write, b"".join(waiting))
                    waiting, held = [], 0
            await run_in_threadpool(_finish, stream, b"".join(waiting))
    except OSError as error:
        raise disk_problem(error) from error
    except ClientDisconnect as error:
        raise Problem(400, "The upload broke off.", "Send the file again.") from error
    if path.stat().st_size == 0:
        raise unusable("The file is empty.", "Send the scan's file as the body.")
    return digest.hexdigest()


def copy_upload(source: BinaryIO, path: Path) -> str:
    """Copy a part of a form into a new file.

    Returns:
        The sha256 of the content.

    Raises:
        Problem: The disk is full.
    """
    digest = hashlib.sha256()
    try:
        with path.open("xb") as stream:
            while part := source.read(CHUNK_BYTES):
                digest.update(part)
                stream.write(part)
            _finish(stream, b"")
    except OSError as error:
        raise disk_problem(error) from error
    return digest.hexdigest()


def unpack_series(archive: Path, folder: Path, limit_bytes: int) -> None:
    """Unpack a ZIP file with a DICOM series into a folder, under numbers for names.

    No name in the archive is ever used, so none can lead elsewhere; links and folders are left out.

    Args:
        archive: The ZIP file.
        folder: A new folder.
        limit_bytes: Most that may come out.

    Raises:
        Problem: It is no ZIP file, holds too much, or holds no file.
    """
    try:
        with _ShortReads(archive) as file, zipfile.ZipFile(file) as opened:
            members = [m for m in opened.infolist() if not m.is_dir() and not _is_link(m)]
            if not 0 < len(members) <= MAX_MEMBERS:
                error = f"The archive holds {len(members)} files, expected 1 to {MAX_MEMBERS}."
                raise unusable(error, "Send a ZIP file with the slices of one series.")
            left = limit_bytes
            for number, member in enumerate(members):
                with opened.open(member) as source:
                    left -= _copy(source, folder / f"{number:05d}.dcm", left)
    except BROKEN_ARCHIVE as error:
        hint = "Send a ZIP file without a password, with the slices of one DICOM series."
        raise unusable("The archive cannot be unpacked.", hint) from error


def content_hash(path: Path) -> str:
    """The sha256 of a file, or of a folder's files in the order of their names."""
    digest = hashlib.sha256()
    files = [path] if path.is_file() else sorted(p for p in path.iterdir() if p.is_file())
    for file in files:
        with file.open("rb") as stream:
            while part := stream.read(CHUNK_BYTES):
                digest.update(part)
    return digest.hexdigest()


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _finish(stream: BinaryIO, rest: bytes) -> None:
    stream.write(rest)
    stream.flush()
    os.fsync(stream.fileno())


def _is_link(member: zipfile.ZipInfo) -> bool:
    return (member.external_attr >> 16) & 0o170000 == 0o120000


def _copy(source: IO[bytes], path: Path, left: int) -> int:
    written = 0
    with _opened(path) as stream:
        while part := source.read(CHUNK_BYTES):
            written += len(part)
            if written > left:
                error = "The archive holds more than is accepted."
                raise Problem(413, error, "Send the slices of one series alone.")
            _write(stream, part)
    return written


def _opened(path: Path) -> io.FileIO:
    try:
        return io.FileIO(path, "x")
    except OSError as error:
        raise disk_problem(error) from error


def _write(stream: io.FileIO, part: bytes) -> None:
    """Write all of it; an archive's own errors look like the disk's, so these are told apart."""
    try:
        while part:
            part = part[stream.write(part) :]
    except OSError as error:
        raise disk_problem(error) from error


class _ShortReads(io.FileIO):
    """A file that refuses to hand out much at once: an archive's table of contents is one piece."""

    def read(self, size: int | None = -1, /) -> bytes:
        """At most `_TABLE_BYTES`.

        Raises:
            BadZipFile: More was asked for.
        """
        wanted = _TABLE_BYTES + 1 if size is None or size < 0 else size
        part = super().read(wanted) if wanted <= _TABLE_BYTES + 1 else None
        if part is None or len(part) > _TABLE_BYTES:
            raise zipfile.BadZipFile("the table of contents is too long")
        return part
