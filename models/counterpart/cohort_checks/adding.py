"""Adds a folder of healthy scans to a studies folder: copied or linked, never overwriting."""

from __future__ import annotations

import filecmp
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from counterpart.cohort_checks.datastore import image_folder, mark_healthy
from counterpart.cohort_checks.headers import header_grid
from counterpart.cohort_checks.seen_scan import RefusedScan
from counterpart.errors import CohortError, CounterpartError
from counterpart.prepare import COMPANIONS
from counterpart.scans import is_nifti, scan_name

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Added:
    """What came of adding a folder.

    Args:
        new: Names of the files that were copied or linked.
        there: Names of those that lay there before with the same bytes.
        marked: How many images were not marked before.
        refused: What was left out and why.
    """

    new: tuple[str, ...]
    there: tuple[str, ...]
    marked: int
    refused: tuple[RefusedScan, ...]


def add_cohort(
    folder: Path, studies: Path, *, link: bool = False, progress: Progress | None = None
) -> Added:
    """Copy or link every NIfTI scan of a folder into a studies folder, and mark it as healthy.

    Label maps, brain and lesion masks beside the scans are left where they are.

    Args:
        folder: Healthy scans.
        studies: The studies folder of a server, which may be running.
        link: Make symbolic links instead of copies.
        progress: Called with (done, total, name); may raise to stop, and then nothing is marked.

    Raises:
        CohortError: A folder is missing, there is no scan, or another file has a scan's name.
    """
    if not folder.is_dir():
        raise CohortError(f"{folder}: no such folder. Give the folder with the healthy scans.")
    target = image_folder(studies)
    scans = [path for path in sorted(folder.iterdir()) if is_nifti(path) and path.is_file()]
    scans = [path for path in scans if not scan_name(path).endswith(COMPANIONS)]
    if not scans:
        raise CohortError(f"{folder}: no NIfTI scan (NAME_T1.nii.gz) in it.")
    there = [path.name for path in scans if _lies_there(path, target / path.name)]
    new, refused = [], []
    for number, path in enumerate(scans):
        if progress:
            progress(number, len(scans), path.name)
        try:
            header_grid(path)
        except CounterpartError as error:
            refused.append(RefusedScan(path.name, str(error).removeprefix(f"{path}: ")))
            continue
        if path.name not in there:
            _put(path, target / path.name, link=link)
            new.append(path.name)
    gone = {one.scan for one in refused}
    there = [name for name in there if name not in gone]
    return Added(tuple(new), tuple(there), mark_healthy(studies, [*new, *there]), tuple(refused))


def _lies_there(path: Path, place: Path) -> bool:
    """Whether the same bytes lie there already.

    Raises:
        CohortError: Another file does, or one that the server could not tell from it.
    """
    twin = place.with_name(scan_name(place) + (".nii" if place.name.endswith(".gz") else ".nii.gz"))
    if twin.exists():
        raise CohortError(f"{twin}: has the name of {path} but for .gz; rename one of them.")
    if not os.path.lexists(place):
        return False
    if not place.is_file() or not filecmp.cmp(path, place, shallow=False):
        raise CohortError(
            f"{place}: another file of this name lies there and is not overwritten. Rename {path}."
        )
    return True


def _put(path: Path, place: Path, *, link: bool) -> None:
    """Copy or link a file so that it is there whole or not at all; an existing one is kept.

    Raises:
        CohortError: Somebody has put a file of this name there meanwhile.
    """
    try:
        if link:
            place.symlink_to(path.resolve())
            return
        handle, name = tempfile.mkstemp(prefix=".adding-", suffix=".part", dir=place.parent)
        os.close(handle)
        try:
            shutil.copyfile(path, name)
            os.chmod(name, 0o644)
            os.link(name, place)
        finally:
            Path(name).unlink()
    except FileExistsError as error:
        raise CohortError(f"{place}: appeared meanwhile and is not overwritten.") from error
