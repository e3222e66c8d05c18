"""The file that says which version of a model serves, and how it came to.

It holds the history; the last event names what serves. It is replaced by one rename, so a reader
sees the old file or the new one and never a part.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from counterpart.bundle import SERVING
from counterpart.bundle_files import read_json
from counterpart.errors import ModelError
from counterpart.registry.verdict import Verdict

FORMAT = 1
REGISTRY, RELEASED = "registry", "released"


@dataclass(frozen=True)
class Event:
    """One change of what serves.

    Args:
        kind: ``publish`` or ``rollback``.
        version: That serves from then on.
        source: ``registry``, or ``released`` where it is the one in the package.
        time: When, ISO 8601, UTC.
        by: Who, the account's name.
        reason: Why, in words.
        weights_sha256: Of the version.
        cohort: Content hash of the cohort that the gates used, if any.
        verdicts: Of the gates.
        forced: Names of the gates that did not pass and were overruled.
    """

    kind: str
    version: str
    source: str
    time: str
    by: str
    reason: str
    weights_sha256: str
    cohort: str = ""
    verdicts: tuple[Verdict, ...] = ()
    forced: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in ("publish", "rollback") or self.source not in (REGISTRY, RELEASED):
            raise ModelError(f"unknown kind of event: {self.kind} of a {self.source} version.")

    @property
    def place(self) -> tuple[str, str]:
        """Version and source."""
        return self.version, self.source

    def to_json(self) -> dict[str, Any]:
        """The event as plain values."""
        return {
            **vars(self),
            "verdicts": [verdict.to_json() for verdict in self.verdicts],
            "forced": list(self.forced),
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Event:
        """Read an event; a key that is unknown or missing raises a TypeError."""
        verdicts = tuple(Verdict.from_json(entry) for entry in values["verdicts"])
        return cls(**{**values, "verdicts": verdicts, "forced": tuple(values["forced"])})


@dataclass(frozen=True)
class Serving:
    """Which version of a model serves.

    Args:
        history: At least one event, the oldest first.
    """

    history: tuple[Event, ...]

    def __post_init__(self) -> None:
        if not self.history:
            raise ModelError("the history of a model in the registry is empty.")

    @property
    def now(self) -> Event:
        """The event by which the version that serves came to."""
        return self.history[-1]

    @property
    def published(self) -> tuple[str, ...]:
        """The versions in the registry, in the order of their publication."""
        return tuple(dict.fromkeys(e.version for e in self.history if e.kind == "publish"))

    def trail(self) -> list[tuple[str, str]]:
        """Version and source of what serves, last, and of what a rollback falls back to, before.

        A rollback shortens the trail, so that two in a row go two versions back.
        """
        trail: list[tuple[str, str]] = []
        for event in self.history:
            if event.source == RELEASED:
                trail = [event.place]
            elif event.kind == "rollback" and event.place in trail:
                trail = trail[: trail.index(event.place) + 1]
            else:
                trail.append(event.place)
        return trail

    def then(self, event: Event) -> Serving:
        """What serves after one more event."""
        return Serving((*self.history, event))


def now_utc() -> str:
    """The present, ISO 8601 to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def read_serving(folder: Path) -> Serving | None:
    """Which version serves, by the file in the folder of a name; None if there is no such file.

    Raises:
        ModelError: The file is damaged or of another format.
    """
    path = folder / SERVING
    if not path.exists():
        return None
    values = read_json(path)
    if values.get("format") != FORMAT:
        raise ModelError(f"{path}: format {values.get('format')!r}, expected {FORMAT}.")
    try:
        serving = Serving(tuple(Event.from_json(entry) for entry in values["history"]))
        if values["serving"] != serving.now.version:
            raise ModelError(f"'serving' is {values['serving']!r}, the history says otherwise.")
    except (KeyError, TypeError, ValueError, AttributeError, ModelError) as error:
        raise ModelError(f"{path}: damaged ({error}); restore it from a backup.") from error
    return serving


def write_serving(folder: Path, serving: Serving) -> None:
    """Replace the file by one rename: from here on the new version serves."""
    values = {
        "format": FORMAT,
        "serving": serving.now.version,
        "history": [event.to_json() for event in serving.history],
    }
    handle, name = tempfile.mkstemp(prefix=f".{SERVING}-", dir=folder)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(json.dumps(values, indent=1, allow_nan=False) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, 0o644)
        os.replace(name, folder / SERVING)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Have the system write a folder's entries to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
