"""Reads and writes the files of a bundle: JSON as data alone, and arrays that are no weights."""

from __future__ import annotations

import json
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


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write a bundle's JSON, one value a line."""
    path.write_text(json.dumps(values, indent=1) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a bundle's JSON as data.

    Raises:
        ModelError: It is missing, no JSON object, or holds an expression (``$``, ``_target_``).
    """
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: not a readable JSON file ({error}).") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path}: expected a JSON object.")
    _refuse_expressions(path, values)
    return values


def _refuse_expressions(path: Path, value: object) -> None:
    if isinstance(value, dict):
        if "_target_" in value:
            raise ModelError(f"{path}: '_target_' is refused; a bundle's JSON is data.")
        for part in value.values():
            _refuse_expressions(path, part)
    elif isinstance(value, list):
        for part in value:
            _refuse_expressions(path, part)
    elif isinstance(value, str) and value.startswith(("$", "@", "%")):
        raise ModelError(f"{path}: the expression {value[:40]!r} is refused.")
