"""Uploaded scans, kept by the hash of their content for a while, never twice.

::

    scans/<sha256>/scan.json     name, shape, spacing
    scans/<sha256>/<file>        the scan as it came, or a folder with the slices of a series
    scans/<sha256>/used          touched whenever the upload is used
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lib.datastore.names import ARCHIVE_SUFFIXES
from lib.datastore.receiving import remove, unpack_series
from lib.inference.link import ProcessLink
from lib.inference.messages import Task
from lib.problems import not_found
from lib.state import StateFolder, write_json

_FACTS, _USED = "scan.json", "used"


@dataclass(frozen=True)
class Upload:
    """One uploaded scan.

    Args:
        content: Its content hash.
        name: As the client calls it, without suffix.
        path: Of the file, or of the folder with the slices.
        shape: Voxels along each axis.
        spacing_mm: Size of a voxel.
        bytes: Of the file as it came.
    """

    content: str
    name: str
    path: Path
    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    bytes: int


class UploadStore:
    """The uploads.

    Args:
        state: The server's folders.
        desk: The process that checks scans.
        limit_bytes: Most that an unpacked archive may have.
        lifetime_s: How long an upload is kept after it was last used.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        state: StateFolder,
        desk: ProcessLink,
        limit_bytes: int,
        lifetime_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._state = state
        self._desk = desk
        self._limit_bytes = limit_bytes
        self._lifetime_s = lifetime_s
        self._clock = clock

    def find(self, content: str) -> Upload:
        """An upload by its hash, which then counts as just used.

        Raises:
            Problem: There is none.
        """
        folder = self._state.scans / content
        try:
            facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
            now = self._clock()
            os.utime(folder / _USED, (now, now))
        except FileNotFoundError as error:
            hint = "Send it with PUT /counterpart/scans; uploads are kept for a while only."
            raise not_found("A scan with this hash", hint) from error
        return Upload(
            content,
            facts["name"],
            folder / facts["file"],
            tuple(facts["shape"]),
            tuple(facts["spacing_mm"]),
            facts["bytes"],
        )

    def has(self, content: str) -> bool:
        """Whether there is such an upload."""
        return (self._state.scans / content / _FACTS).is_file()

    def take(self, received: Path, content: str, name: str, suffix: str) -> Upload:
        """Check what was received and keep it; what cannot be used leaves nothing.

        Args:
            received: The file, or a folder with the slices of a series, within a temporary folder.
            content: Its hash.
            name: As the client calls it, without suffix.
            suffix: Of its format.

        Raises:
            Problem: It is no scan that can be used.
        """
        draft = self._state.temporary()
        try:
            files = [received] if received.is_file() else list(received.iterdir())
            size = sum(file.stat().st_size for file in files)
            place = draft / f"{name}{'' if suffix in ARCHIVE_SUFFIXES else suffix}"
            if suffix in ARCHIVE_SUFFIXES:
                place.mkdir()
                unpack_series(received, place, self._limit_bytes)
            else:
                received.rename(place)
            facts = self._desk.ask(Task("check", {"scan": str(place)}))
            known = {"name": name, "file": place.name, "bytes": size}
            write_json(draft / _FACTS, {**facts, **known})
            (draft / _USED).touch()
            if not self.has(content):
                draft.rename(self._state.scans / content)
            return self.find(content)
        finally:
            remove(draft)

    def purge(self, content: str) -> bool:
        """Remove an upload at once; whether there was one."""
        folder = self._state.scans / content
        if not folder.exists():
            return False
        grave = self._state.temporary()
        folder.rename(grave / "scan")
        remove(grave)
        return True

    def purge_old(self) -> None:
        """Remove the uploads that nobody has used for too long."""
        limit = self._clock() - self._lifetime_s
        for folder in self._state.scans.iterdir():
            used = folder / _USED
            if not used.exists() or used.stat().st_mtime < limit:
                self.purge(folder.name)
