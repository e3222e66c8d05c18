"""The whole heads of a cohort on disk, from which the brain network learns.

Beside the stripped, posed brains (`counterpart.cohort`) a cohort's folder may hold shards
``heads-000.safetensors`` with, for each head,

=========== =============== ===== ===========================================================
``image``   (N, I, J, K)    uint8 the scan, 0 to 255; all 0 where only a label map is known
``tissue``  (N, I, J, K)    uint8 what a voxel is made of, see below
=========== =============== ===== ===========================================================

2 mm voxels, axes to right, anterior, superior, centred on the brain. Tissue 0 is what is not known
(air, or whatever a scan shows outside the brain); `BRAIN_TISSUES` make up the brain with the fluid
around it; from `FIRST_OUTSIDE` on they are skull, skin, fat and so on, of label maps alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from counterpart.cohort import read_index
from counterpart.errors import CohortError
from counterpart.hashing import file_sha256
from counterpart.shards import Arrays, read_shards, write_shards

HEAD_SHAPE = (96, 120, 112)
OUTER_FLUID, GREY, WHITE, DEEP, VENTRICLE, CEREBELLUM, BRAINSTEM = range(1, 8)
BRAIN_TISSUES = range(1, 8)
FIRST_OUTSIDE = 8
_ARRAYS = ("image", "tissue")
_INDEX = "heads.json"


@dataclass(frozen=True)
class HeadEntry:
    """What is known of one head.

    Args:
        name: Identifier.
        part: ``train``, ``validate`` or ``calibrate``.
        has_image: Whether there is a scan, or a label map alone.
    """

    name: str
    part: str
    has_image: bool


@dataclass(frozen=True, eq=False)
class PreparedHead:
    """One head with its arrays, ready to be written."""

    entry: HeadEntry
    image: NDArray[np.uint8]
    tissue: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Heads:
    """Heads in memory.

    Args:
        entries: One per head, in the order of the arrays.
        image: (N, I, J, K) uint8.
        tissue: (N, I, J, K) uint8.
        content_hash: sha256 of the index, which names the shards' own.
    """

    entries: tuple[HeadEntry, ...]
    image: torch.Tensor
    tissue: torch.Tensor
    content_hash: str

    def part(self, name: str) -> Heads:
        """The heads of one part of the split.

        Raises:
            CohortError: The part is empty.
        """
        rows = [row for row, entry in enumerate(self.entries) if entry.part == name]
        if not rows:
            raise CohortError(
                f"the cohort has no whole head in part '{name}'. Prepare it from unstripped scans "
                "with labels or brain masks."
            )
        index = torch.tensor(rows)
        entries = tuple(self.entries[row] for row in rows)
        return Heads(entries, self.image[index], self.tissue[index], self.content_hash)


def write_heads(folder: Path, prepared: Iterable[PreparedHead]) -> int:
    """Write the heads of a cohort as shards with their index.

    Args:
        folder: The cohort's folder, which exists.
        prepared: Heads, one after the other; never all in memory.

    Returns:
        How many there were; with none, nothing is written.
    """
    entries: list[HeadEntry] = []

    def arrays() -> Iterator[Arrays]:
        for head in prepared:
            entries.append(head.entry)
            yield {"image": head.image, "tissue": head.tissue}

    shards = write_shards(folder, "heads", "heads", arrays())
    if entries:
        index = {"heads": [asdict(entry) for entry in entries], "shards": shards}
        (folder / _INDEX).write_text(json.dumps(index, indent=1) + "\n")
    return len(entries)


def read_heads(folder: Path) -> Heads:
    """Read the heads of a cohort and check them against their hashes.

    Raises:
        CohortError: The folder is no cohort, has no heads, or they are damaged.
    """
    read_index(folder)
    path = folder / _INDEX
    if not path.is_file():
        raise CohortError(
            f"{folder}: holds no whole heads. Prepare it again from scans that are not stripped, "
            "with labels (NAME_labels.nii.gz) or brain masks (NAME_brain.nii.gz) beside them."
        )
    try:
        index = json.loads(path.read_text())
        entries = tuple(HeadEntry(**entry) for entry in index["heads"])
        found = read_shards(folder, index["shards"])
    except (ValueError, TypeError, KeyError) as error:
        raise CohortError(f"{path}: damaged ({error}); prepare the cohort again.") from error
    image, tissue = (torch.from_numpy(found[name]) for name in _ARRAYS)
    if len(entries) != len(image):
        raise CohortError(
            f"{path}: damaged ({len(entries)} names for {len(image)} heads); prepare again."
        )
    return Heads(entries, image, tissue, file_sha256(path))
