"""Finds weights, samples and server app: inside an installed wheel, or beside a checkout's code."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from counterpart.errors import ModelError


def package_data(kind: str) -> Path:
    """The folder of package data.

    Args:
        kind: ``pretrained``, ``sample_data`` or ``monailabel_app``.

    Raises:
        ModelError: It was not installed.
    """
    package = Path(str(files("counterpart")))
    in_checkout = {
        "pretrained": package.parent / "pretrained",
        "sample_data": package.parent.parent / "sample_data",
        "monailabel_app": package.parent.parent / "monailabel_app",
    }
    for folder in (package / kind, in_checkout[kind]):
        if folder.is_dir():
            return folder
    raise ModelError(f"the package data '{kind}' is missing; install healthy-counterpart again.")
