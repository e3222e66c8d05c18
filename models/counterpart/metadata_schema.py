"""Checks a bundle's metadata with MONAI's own check, offline."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path

from monai.bundle import verify_metadata

from counterpart.bundle_files import read_json
from counterpart.errors import ModelError
from counterpart.hashing import file_sha256

SCHEMA_FILE = "metadata_schema.json"
_TALKATIVE = ("monai.bundle.scripts", "monai.apps")


def check_metadata(path: Path) -> None:
    """Check ``configs/metadata.json`` with `monai.bundle.verify_metadata`.

    The schema is the one in the package, so nothing is downloaded.

    Args:
        path: Of the metadata.

    Raises:
        ModelError: The file is no data, or a key is missing or of the wrong kind; it is named.
    """
    read_json(path)
    with as_file(files("counterpart") / SCHEMA_FILE) as schema, _silent_monai():
        try:
            digest = file_sha256(schema)  # MONAI warns of a file without one
            verify_metadata(str(path), schema, hash_val=digest, hash_type="sha256")
        except ValueError as error:
            raise ModelError(f"{path}: not valid by MONAI's schema: {_fault(error)}.") from error


def _fault(error: ValueError) -> str:
    """What is wrong and where, in the words of the schema check."""
    cause = error.__cause__
    message = str(getattr(cause, "message", error))
    place = ".".join(str(key) for key in getattr(cause, "absolute_path", ()))
    return f"{place}: {message}" if place else message


@contextmanager
def _silent_monai() -> Iterator[None]:
    """MONAI's loggers write to the standard output; here only errors may."""
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
