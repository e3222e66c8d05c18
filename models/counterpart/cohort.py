"""The prepared healthy cohort on disk: the one thing that training reads.

A cohort is a folder with ``cohort.json`` and shards ``part-000.safetensors``. Each subject has

========== ================= ===== ==========================================================
``scan``   (K, I, J)         uint8 normalised T1: ``low + step * value`` spreads
``brain``  (K, I, J)         uint8 brain mask, 0 or 1
``tissue`` (4, K, I, J)      uint8 fractions of fluid, grey, white, deep grey in 255ths
``inward`` (K, I, J)         uint8 distance to the ventricles, mm, at most 255
========== ================= ===== ==========================================================

on the canvas of `counterpart.template`, slices first. The cohort's hash is that of its contents.
A cohort of another contrast than T1 serves calibration alone: its ``scan`` is of that contrast, its
``tissue`` and ``inward`` are empty.
Where label maps are known, ``regions.nii.gz`` says which coarse region lies where
(`counterpart.regions`), and `counterpart.heads` describes the whole heads.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from counterpart.errors import CohortError
from counterpart.shards import Arrays, read_shards, write_shards

FORMAT = 1
PARTS = ("train", "validate", "calibrate")
CROSS_FIT = "cross-fit"  # of a cohort that is too small to be dealt into parts
TRAINED_ON = "T1"
_ARRAYS = ("scan", "brain", "tissue", "inward")


@dataclass(frozen=True)
class Subject:
    """What the cohort knows of one subject.

    Args:
        name: Identifier.
        part: ``train``, ``validate`` or ``calibrate``; or ``cross-fit``.
        low: Spreads of the stored value 0.
        step: Spreads per stored grey level.
        pose_overlap: Dice of the brain with the template.
    """

    name: str
    part: str
    low: float
    step: float
    pose_overlap: float


@dataclass(frozen=True, eq=False)
class PreparedSubject:
    """One subject with its arrays, ready to be written.

    Args:
        subject: What is known of it.
        arrays: By name, as in the shards.
        regions: (I, J, K) codes of `counterpart.regions` on the canvas, where labels are known;
            they are counted, not written.
    """

    subject: Subject
    arrays: dict[str, NDArray[np.uint8]]
    regions: NDArray[np.uint8] | None = None


@dataclass(frozen=True, eq=False)
class Cohort:
    """A cohort in memory.

    Args:
        subjects: One entry per subject, in the order of the arrays.
        scan: (N, K, I, J) uint8.
        brain: (N, K, I, J) uint8.
        tissue: (N, 4, K, I, J) uint8.
        inward: (N, K, I, J) uint8.
        content_hash: sha256 of the shards and of what is known of the subjects.
        contrast: Of the scans; only T1 has tissue fractions.
    """

    subjects: tuple[Subject, ...]
    scan: torch.Tensor
    brain: torch.Tensor
    tissue: torch.Tensor
    inward: torch.Tensor
    content_hash: str
    contrast: str = TRAINED_ON

    @property
    def has_tissue(self) -> bool:
        """Whether other contrasts can be rendered from it, and networks trained on it."""
        return self.contrast == TRAINED_ON

    @property
    def cross_fitted(self) -> bool:
        """Whether its subjects are to be cross-fitted by fold."""
        return any(subject.part == CROSS_FIT for subject in self.subjects)

    def part(self, name: str) -> Cohort:
        """The subjects of one part of the split.

        Raises:
            CohortError: The part is empty.
        """
        rows = [row for row, subject in enumerate(self.subjects) if subject.part == name]
        if not rows:
            raise CohortError(
                f"the cohort has no subject in part '{name}'. Prepare it again with more subjects."
            )
        index = torch.tensor(rows)
        return Cohort(
            subjects=tuple(self.subjects[row] for row in rows),
            content_hash=self.content_hash,
            contrast=self.contrast,
            **{array: getattr(self, array)[index] for array in _ARRAYS},
        )


def write_cohort(
    folder: Path, prepared: Iterable[PreparedSubject], facts: dict[str, object]
) -> str:
    """Write subjects as shards with their index.

    Args:
        folder: The cohort's folder; made if needed.
        prepared: Subjects, one after the other; never all in memory.
        facts: What else ``cohort.json`` should say (source, versions, contrast if it is not T1).

    Returns:
        The content hash.

    Raises:
        CohortError: There was no subject.
    """
    folder.mkdir(parents=True, exist_ok=True)
    subjects: list[Subject] = []

    def arrays() -> Iterator[Arrays]:
        for item in prepared:
            subjects.append(item.subject)
            yield item.arrays

    shards = write_shards(folder, "part", "subjects", arrays())
    if not subjects:
        raise CohortError("no scan could be prepared, so there is no cohort to write.")
    entries = [asdict(subject) for subject in subjects]
    digest = _content_hash(entries, shards, facts.get("contrast", TRAINED_ON))
    index = {
        "format": FORMAT,
        "content_hash": digest,
        "subjects": entries,
        "shards": shards,
        **facts,
    }
    (folder / "cohort.json").write_text(json.dumps(index, indent=1) + "\n")
    return digest


def read_cohort(folder: Path) -> Cohort:
    """Read a cohort and check it against its hashes.

    Raises:
        CohortError: The folder is no cohort, of another format, or damaged.
    """
    index = read_index(folder)
    found = read_shards(folder, index["shards"])
    subjects = tuple(Subject(**entry) for entry in index["subjects"])
    arrays = {name: torch.from_numpy(found[name]) for name in _ARRAYS}
    contrast = str(index.get("contrast", TRAINED_ON))
    return Cohort(
        subjects=subjects, content_hash=str(index["content_hash"]), contrast=contrast, **arrays
    )


def source_of(folder: Path) -> str:
    """What a cohort was made from, in the words of its ``cohort.json``."""
    return str(read_index(folder).get("source", "unknown"))


def read_index(folder: Path) -> dict[str, Any]:
    """The contents of ``cohort.json``, checked against its hash.

    Raises:
        CohortError: It is missing, damaged, or of another format.
    """
    path = folder / "cohort.json"
    if not path.is_file():
        raise CohortError(f"{folder}: no cohort.json. Make a cohort with `counterpart prepare`.")
    try:
        index: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        raise CohortError(f"{path}: damaged ({error}); prepare the cohort again.") from error
    if index.get("format") != FORMAT:
        raise CohortError(f"{folder}: cohort format {index.get('format')}, expected {FORMAT}.")
    known = (index.get("subjects"), index.get("shards"), index.get("contrast", TRAINED_ON))
    if index.get("content_hash") != _content_hash(*known):
        raise CohortError(f"{path}: changed since it was written; prepare the cohort again.")
    return index


def _content_hash(subjects: object, shards: object, contrast: object) -> str:
    """Of what is known of the subjects, of the shards' hashes, and of a contrast other than T1."""
    known = [subjects, shards, *([] if contrast == TRAINED_ON else [contrast])]
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()
