"""Reads and writes the marks of a studies folder, in MONAI Label's list and under its lock.

The file is replaced by one rename, so that a server sees the old marks or the new ones; a server
that runs reads it again when its time has changed.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from counterpart.cohort_checks.marked_scan import MarkedScan
from counterpart.contrast import contrast_from_name
from counterpart.errors import CohortError
from counterpart.prepare import scan_subject
from counterpart.scans import SCAN_SUFFIXES, scan_name

DATASTORE, LOCK = "datastore_v2.json", ".lock"
KEY, HEALTHY = "cohort", "healthy"
_PATIENCE_S = 30.0


def marked_scans(studies: Path) -> list[MarkedScan]:
    """The scans of a studies folder that are marked as healthy, by name; lost files are left out.

    The subject is what the image's info says under ``subject``, else its name without the contrast.

    Raises:
        CohortError: There is no such folder, or its list is damaged.
    """
    listed = _read(_checked(studies))
    found = []
    for image, entry in sorted(listed["objects"].items()):
        info = entry["image"]["info"]
        path = _images(studies, listed) / f"{image}{entry['image']['ext']}"
        if str(info.get(KEY, "")).lower() == HEALTHY and path.exists():
            told = contrast_from_name(scan_name(path))
            contrast = None if told is None else told.name
            subject = str(info.get("subject") or scan_subject(path))
            found.append(MarkedScan(subject, path, contrast))
    return found


def image_folder(studies: Path) -> Path:
    """Where the images of a studies folder lie.

    Raises:
        CohortError: There is no such folder, or its list is damaged.
    """
    return _images(studies, _read(_checked(studies)))


def mark_healthy(studies: Path, names: Sequence[str]) -> int:
    """Mark images as healthy.

    Args:
        studies: The studies folder.
        names: Of files in its image folder.

    Returns:
        How many were not marked before.

    Raises:
        CohortError: The list is damaged, or another process holds it.
    """
    with _held(_checked(studies)):
        listed = _read(studies)
        fresh = 0
        for name in names:
            suffix = next(one for one in SCAN_SUFFIXES if name.lower().endswith(one))
            image, ext = name[: -len(suffix)], name[-len(suffix) :]
            new = {"image": {"ext": ext, "info": {"ts": int(time.time()), "name": name}}}
            info = listed["objects"].setdefault(image, {**new, "labels": {}})["image"]["info"]
            fresh += str(info.get(KEY, "")).lower() != HEALTHY
            info[KEY] = HEALTHY
        if fresh:
            _replace(studies / DATASTORE, listed)
    return fresh


def _checked(studies: Path) -> Path:
    if not studies.is_dir():
        raise CohortError(f"{studies}: no such folder. Give the folder with the studies.")
    return studies


def _images(studies: Path, listed: dict[str, Any]) -> Path:
    return studies / str(listed["images_dir"])


def _read(studies: Path) -> dict[str, Any]:
    path = studies / DATASTORE
    empty = {
        "name": "new-dataset",
        "description": "New Dataset",
        "images_dir": ".",
        "labels_dir": "labels",
        "objects": {},
    }
    if not path.exists():
        return empty
    try:
        listed: dict[str, Any] = {**empty, **json.loads(path.read_text(encoding="utf-8"))}
        for entry in listed["objects"].values():
            if not isinstance(entry["image"]["info"], dict):
                raise TypeError("an image's info is no object")
            str(entry["image"]["ext"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CohortError(
            f"{path}: not MONAI Label's list of images ({error}). Restore it, or move it away to "
            "have it made anew."
        ) from error
    return listed


@contextmanager
def _held(studies: Path) -> Iterator[None]:
    """Hold MONAI Label's own lock."""
    try:
        with FileLock(str(studies / LOCK), timeout=_PATIENCE_S):
            yield
    except Timeout as error:
        raise CohortError(
            f"{studies / LOCK}: another process holds the list of images; try again."
        ) from error


def _replace(path: Path, listed: dict[str, Any]) -> None:
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(json.dumps(listed, indent=2, default=str))
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
