"""The cache of results: what was computed, found by what it was computed from.

::

    results/<key>/maps/          what the process wrote: maps, findings.json, provenance.json,
                                 and whose they are, as a keyed hash: scan.txt
    results/<key>/views/<view>/  the same by another threshold: mask, findings.json, report
    results/<key>/references/    its healthy references as they are told, and pictures of them
    results/<key>/used           touched whenever the result is asked for

A result is complete once its folder is there: it comes by one rename.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from lib.state import StateFolder

logger = logging.getLogger("counterpart.server")

_MAPS, _VIEWS, _REFERENCES, _USED = "maps", "views", "references", "used"
SCAN_FILE = "scan.txt"
_REFRESH_S = 30.0


class ResultCache:
    """Results within a size and a lifetime; what was asked for longest ago goes first.

    Args:
        state: The server's folders.
        limit_bytes: Most that all results may take.
        lifetime_s: How long a result is kept after it was last asked for.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        state: StateFolder,
        limit_bytes: int,
        lifetime_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._state = state
        self._limit_bytes = limit_bytes
        self._lifetime_s = lifetime_s
        self._clock = clock
        self._lock = threading.Lock()

    def find(self, key: str) -> Path | None:
        """The folder of a result's maps, which then counts as just used; None if there is none."""
        folder = self._folder(key)
        if not key or not (folder / _MAPS).is_dir():
            return None
        used = folder / _USED
        now = self._clock()
        try:
            if now - used.stat().st_mtime > _REFRESH_S:
                os.utime(used, (now, now))
        except FileNotFoundError:
            return None  # it is being removed at this moment
        return folder / _MAPS

    def view(self, key: str, name: str) -> Path:
        """The folder of a view of a result, made if it is missing."""
        folder = self._folder(key) / _VIEWS / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def references(self, key: str) -> Path:
        """The folder of what is told and shown of a result's healthy references."""
        folder = self._folder(key) / _REFERENCES
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def put(self, key: str, work: Path) -> Path:
        """Take in what was computed, by one rename, and let others go if there is too much.

        Args:
            key: Of the computation.
            work: Folder with the files; it is moved.
        """
        draft = self._state.temporary()
        work.rename(draft / _MAPS)
        (draft / _USED).touch()
        with self._lock:
            folder = self._folder(key)
            if folder.exists():
                _remove(folder, self._state)
            draft.rename(folder)
        self.evict(keep=key)
        return folder / _MAPS

    def keys_of(self, scan: str) -> set[str]:
        """The results of a scan, by its keyed hash."""
        found = self._state.results.glob(f"*/{_MAPS}/{SCAN_FILE}")
        return {path.parts[-3] for path in found if path.read_text() == scan}

    def remove(self, key: str) -> None:
        """Remove a result at once."""
        with self._lock:
            _remove(self._folder(key), self._state)

    def evict(self, keep: str = "") -> list[str]:
        """Remove what is too old, and what was used longest ago as long as there is too much.

        Args:
            keep: Key of a result that stays, however large it is.

        Returns:
            The keys that went.
        """
        with self._lock:
            found = sorted(self._entry(path) for path in self._state.results.iterdir())
            total = sum(size for _, size, _ in found)
            gone = []
            for used, size, key in found:
                old = self._clock() - used > self._lifetime_s
                if key != keep and (old or total > self._limit_bytes):
                    _remove(self._folder(key), self._state)
                    total -= size
                    gone.append(key)
        if gone:
            logger.info("%d results made room", len(gone))
        return gone

    def _folder(self, key: str) -> Path:
        return self._state.results / key

    def _entry(self, folder: Path) -> tuple[float, int, str]:
        """When a result was last used, how large it is, and its key."""
        used = folder / _USED
        size = sum(_size(path) for path in folder.rglob("*"))
        return (used.stat().st_mtime if used.exists() else 0.0, size, folder.name)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0


def _remove(folder: Path, state: StateFolder) -> None:
    """Out of sight by one rename, then off the disk."""
    if folder.exists():
        grave = state.temporary() / folder.name
        folder.rename(grave)
        shutil.rmtree(grave.parent, ignore_errors=True)
