"""The healthy references that a result names, and whether one of them was withdrawn since."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from counterpart.registry.withdrawals import withdrawn_references

_FILE = "references.json"


def has_references(maps: Path) -> bool:
    """Whether a result says which healthy references are most similar.

    Args:
        maps: Folder of the result.
    """
    return (maps / _FILE).is_file()


def read_references(maps: Path) -> dict[str, Any]:
    """What a result says of its healthy references; empty where it says nothing.

    Args:
        maps: Folder of the result.
    """
    if not has_references(maps):
        return {}
    told: dict[str, Any] = json.loads((maps / _FILE).read_text(encoding="utf-8"))
    return told


def named_references(maps: Path) -> frozenset[str]:
    """The pseudonyms that a result names.

    Args:
        maps: Folder of the result.
    """
    return frozenset(str(one["id"]) for one in read_references(maps).get("references", ()))


def names_withdrawn(maps: Path, model: str) -> bool:
    """Whether a result names a subject who was withdrawn from the model since.

    Args:
        maps: Folder of the result.
        model: Name of the model that made it.

    Raises:
        ModelError: The list of those who were withdrawn is damaged.
    """
    named = named_references(maps)
    return bool(named) and not named.isdisjoint(withdrawn_references(model))
