"""Reads and writes the arrays of a bundle that are not weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from counterpart.errors import ModelError


def read_arrays(path: Path) -> dict[str, Any]:
    """The arrays of a safetensors file, by name.

    Raises:
        ModelError: The file is missing or damaged.
    """
    try:
        return dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: not readable ({error}).") from error


def write_arrays(arrays: Mapping[str, Any], path: Path) -> None:
    """Write or replace a safetensors file that everyone may read."""
    save_file(dict(arrays), path)
    path.chmod(0o644)
