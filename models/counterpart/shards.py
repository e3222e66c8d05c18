"""Large arrays of many subjects on disk: a few safetensors files, each with its hash."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from counterpart.errors import CohortError
from counterpart.hashing import file_sha256

Arrays = Mapping[str, NDArray[np.uint8]]
_PER_SHARD = 16


def write_shards(
    folder: Path, stem: str, counted: str, items: Iterable[Arrays]
) -> list[dict[str, object]]:
    """Stack the arrays of up to 16 items into each file.

    Args:
        folder: Where the files go; exists.
        stem: Their names begin with it.
        counted: What the items are, in the entry that is returned.
        items: Arrays by name, of the same shape in every item; never all in memory.

    Returns:
        For each file its name, how many items it holds, and its sha256.
    """
    entries: list[dict[str, object]] = []
    waiting = iter(items)
    while chunk := list(islice(waiting, _PER_SHARD)):
        path = folder / f"{stem}-{len(entries):03d}.safetensors"
        save_file({name: np.stack([item[name] for item in chunk]) for name in chunk[0]}, path)
        entries.append({"file": path.name, counted: len(chunk), "sha256": file_sha256(path)})
    return entries


def read_shards(folder: Path, entries: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[np.uint8]]:
    """Read what `write_shards` wrote, joined along the first axis.

    Raises:
        CohortError: A file is missing or has changed.
    """
    parts = []
    for entry in entries:
        path = folder / str(entry["file"])
        if not path.is_file() or file_sha256(path) != entry["sha256"]:
            raise CohortError(f"{path}: missing or changed since it was written; prepare again.")
        parts.append(load_file(path))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
