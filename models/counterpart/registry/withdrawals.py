"""Healthy references that are named by no answer any more, whichever version of a model answers.

``<registry>/<name>/withdrawn.json`` lists their pseudonyms. The weights stay trained on them until
the model is retrained without their scans, and every answer counts them.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from counterpart.errors import ModelError
from counterpart.registry.serving import now_utc
from counterpart.registry.versions import account, checked_name, locked, registry_folder
from counterpart.whole_file import write_whole

WITHDRAWN = "withdrawn.json"


def withdrawn_references(name: str, root: Path | None = None) -> frozenset[str]:
    """The pseudonyms that were withdrawn from a model.

    Args:
        name: Of the model.
        root: The registry; see `counterpart.registry.versions.registry_folder`.

    Raises:
        ModelError: The list is damaged.
    """
    return frozenset(one["reference"] for one in _read(registry_folder(root) / name / WITHDRAWN))


def withdraw(
    name: str,
    reference: str,
    known: Collection[str],
    *,
    reason: str = "",
    root: Path | None = None,
) -> None:
    """Withdraw a reference from all versions of a model, published and to come.

    Args:
        name: Of the model.
        reference: Pseudonym.
        known: The pseudonyms that the model's versions know.
        reason: Why, for the list.
        root: The registry.

    Raises:
        ModelError: The model knows no such reference, it is withdrawn already, or the list is
            damaged.
    """
    folder = registry_folder(root) / checked_name(name)
    with locked(folder):
        listed = _read(folder / WITHDRAWN)
        if any(one["reference"] == reference for one in listed):
            raise ModelError(f"{reference} was withdrawn from {name} before.")
        if reference not in known:
            raise ModelError(f"{reference}: {name} knows no such reference.")
        entry = {"reference": reference, "time": now_utc(), "by": account(), "reason": reason}
        content = json.dumps({"withdrawn": [*listed, entry]}, indent=1) + "\n"
        write_whole(folder / WITHDRAWN, lambda file: file.write(content.encode()))


def _read(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    try:
        listed: list[dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))["withdrawn"]
        if all(isinstance(one["reference"], str) for one in listed):
            return listed
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: the list of withdrawn references is damaged.") from error
    raise ModelError(f"{path}: the list of withdrawn references is damaged.")
