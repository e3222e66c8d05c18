"""Writes a file so that nobody ever sees half of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file so that at any moment its path names the old content or the new, complete.

    The content goes to a ``.part`` file beside it first; one left over from a process that died
    is written over.

    Args:
        path: The file; its folder is made if need be.
        write: Writes the content to an open file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
