"""Asks where an export shall be written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from HealthyCounterpartLib.translation import _

SUFFIXES = {"segmentation": ".seg.nrrd", "table": ".csv", "report": ".html"}
MAPS_FOLDER = "healthy-counterpart"


def asker(qt: Any) -> Callable[[str], str]:
    """Asks with Qt's dialogs.

    Args:
        qt: Qt's classes.
    """
    return lambda kind: ask_path(qt, kind)


def ask_path(qt: Any, kind: str) -> str:
    """Ask for a file, or for the folder in which a new one for the maps is made.

    Args:
        qt: Qt's classes.
        kind: ``segmentation``, ``maps``, ``table`` or ``report``.

    Returns:
        Path; empty if the reader thinks better of it.
    """
    if kind == "maps":
        chosen = qt.QFileDialog.getExistingDirectory(None, _("Folder for the maps"))
        return str(free_path(Path(chosen) / MAPS_FOLDER, "")) if chosen else ""
    suffix = SUFFIXES[kind]
    first = f"findings{suffix}" if kind != "report" else f"report{suffix}"
    chosen = qt.QFileDialog.getSaveFileName(None, _("Write to"), first, f"*{suffix}")
    if isinstance(chosen, tuple):  # PySide6 tells the filter, too
        chosen = chosen[0]
    if not chosen or chosen.lower().endswith(suffix):
        return chosen or ""
    # The dialog has asked about another name than this one.
    return str(free_path(Path(chosen), suffix))


def free_path(path: Path, suffix: str) -> Path:
    """A path at which nothing lies yet: the given one, or one with a number.

    Args:
        path: Without the suffix.
        suffix: Is added.
    """
    candidate, number = path.with_name(f"{path.name}{suffix}"), 1
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.name}-{number}{suffix}")
    return candidate
