"""The model registry: which versions of which models there are, and which one serves.

::

    <registry>/<name>/serving.json   which version serves, and the history
    <registry>/<name>/<version>/     a bundle (`counterpart.bundle`); never changed again
    <registry>/<name>/.lock          held while a version is published or rolled back

A version is published once the history in ``serving.json`` names it. Whatever else lies there is
left over from a publication that did not end, and is not seen. The models in the package are in
the list as released versions; a model of the registry comes before a released one of its name.
"""

from __future__ import annotations

import fcntl
import getpass
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from counterpart.bundle import MANIFEST, WEIGHTS, bundle_version, checked_digests
from counterpart.errors import ModelError
from counterpart.package_data import package_data
from counterpart.registry.serving import (
    REGISTRY,
    RELEASED,
    Event,
    Serving,
    now_utc,
    read_serving,
    write_serving,
)

VARIABLE = "COUNTERPART_MODELS"
LOCK = ".lock"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True)
class Entry:
    """One version of a model.

    Args:
        name: Of the model.
        version: Of the model.
        folder: The bundle.
        source: ``registry`` or ``released``.
        serving: Whether the name alone means this version.
    """

    name: str
    version: str
    folder: Path
    source: str
    serving: bool


def registry_folder(chosen: Path | None = None) -> Path:
    """Where the registry lies: as chosen, else as the environment says, else in the home."""
    if chosen is not None:
        return chosen
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE])
    data = Path(os.environ.get("XDG_DATA_HOME", ""))
    # The XDG specification has relative paths ignored.
    home = data if data.is_absolute() else Path.home() / ".local" / "share"
    return home / "counterpart" / "models"


def resolve(source: Path | str, version: str | None = None, *, root: Path | None = None) -> Path:
    """The folder of a bundle.

    A plain name means a model of the registry, else a folder, else a released model; a path means
    the folder.

    Args:
        source: A bundle's folder, ``name`` or ``name@version``.
        version: Of the name; without it the one that serves.
        root: The registry; see `registry_folder`.

    Raises:
        ModelError: There is no such bundle, or the registry is damaged.
    """
    folder = Path(source)
    is_bundle = version is None and (folder / MANIFEST).is_file()
    name, wanted = str(source), version
    if version is None and "@" in name:
        name, wanted = name.split("@", 1)
    named = _NAME.fullmatch(name) is not None
    if is_bundle and (isinstance(source, Path) or not named):
        return folder
    found = _of_name(name, registry_folder(root)) if named else []
    if is_bundle and not any(entry.source == REGISTRY for entry in found):
        return folder
    for entry in found:
        if entry.version == wanted or (wanted is None and entry.serving):
            return entry.folder
    if found:
        known = ", ".join(entry.version for entry in found)
        raise ModelError(f"{source}: the model {name} has no version {wanted}, but {known}.")
    raise ModelError(f"{source}: no model bundle (a folder with {MANIFEST}) of this name.")


def entries(root: Path | None = None) -> list[Entry]:
    """Every published and released version, by name and in the order of publication.

    Raises:
        ModelError: A file that says which version serves is damaged.
    """
    folder = registry_folder(root)
    names = {path.name for path in _folders(folder) if _NAME.fullmatch(path.name)}
    names |= {path.name for path in _folders(_released_folder())}
    return [entry for name in sorted(names) for entry in _of_name(name, folder)]


def history(name: str, root: Path | None = None) -> tuple[Event, ...]:
    """How the version of a name that serves came to; empty for a model that was only released.

    Raises:
        ModelError: The file that says which version serves is damaged.
    """
    known = read_serving(registry_folder(root) / checked_name(name))
    return known.history if known else ()


def rollback(
    name: str, to: str | None = None, *, reason: str = "", root: Path | None = None
) -> Entry:
    """Let an earlier version serve again.

    Args:
        name: Of the model.
        to: The version; without it the one that served before. Two rollbacks in a row go two
            versions back, at last to the released one.
        reason: Why, for the history.
        root: The registry; see `registry_folder`.

    Returns:
        The version that now serves.

    Raises:
        ModelError: There is no such version, it is damaged, or someone is publishing.
    """
    folder = registry_folder(root) / checked_name(name)
    if read_serving(folder) is None:
        raise ModelError(f"{name}: no version of this model was published in {folder.parent}.")
    with locked(folder):
        known = read_serving(folder)
        found = _of_name(name, folder.parent)
        if known is None:
            raise ModelError(f"{folder}: the registry was changed meanwhile; try again.")
        target = _rollback_target(name, known, found, to)
        digests = checked_digests(target.folder)
        event = Event(
            "rollback",
            target.version,
            target.source,
            now_utc(),
            account(),
            reason,
            digests[WEIGHTS],
        )
        write_serving(folder, known.then(event))
    return Entry(name, target.version, target.folder, target.source, True)


def checked_name(name: str, what: str = "name") -> str:
    """The name or version of a model, if it can be a folder's name.

    Raises:
        ModelError: It cannot.
    """
    if not _NAME.fullmatch(name):
        raise ModelError(
            f"{name!r} cannot be the {what} of a model: letters, digits and . _ + - are allowed, "
            "the first a letter or a digit."
        )
    return name


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a name; the system lets go of it when the process ends, however it ends.

    Raises:
        ModelError: Another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ModelError(
                f"{folder}: another process is publishing or rolling back this model; "
                "try again when it has ended."
            ) from error
        yield


def account() -> str:
    """The name of the account that runs the program, or its number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def released(name: str) -> Entry | None:
    """The model of this name in the package, as if no registry were."""
    folder = _released_folder() / name
    if not (folder / MANIFEST).is_file():
        return None
    return Entry(name, bundle_version(folder), folder, RELEASED, True)


def _of_name(name: str, root: Path) -> list[Entry]:
    """The versions of a name, those of the registry first."""
    in_package = released(name)
    known = read_serving(root / name)
    if known is None:
        return [in_package] if in_package else []
    found = [
        Entry(
            name, version, root / name / version, REGISTRY, known.now.place == (version, REGISTRY)
        )
        for version in known.published
    ]
    if in_package is not None:
        serving = known.now.source == RELEASED
        found.append(Entry(name, in_package.version, in_package.folder, RELEASED, serving))
    return found


def _rollback_target(name: str, known: Serving, found: list[Entry], to: str | None) -> Entry:
    present = known.now.place
    if to is not None:
        chosen = [entry for entry in found if entry.version == to]
        if not chosen:
            there = ", ".join(entry.version for entry in found)
            raise ModelError(f"{name} has no version {to}, but {there}.")
        if chosen[0].serving:
            raise ModelError(f"{name} {to} is the version that serves already.")
        return chosen[0]
    trail = known.trail()
    in_package = [(entry.version, RELEASED) for entry in found if entry.source == RELEASED]
    before = (trail[:-1] or [place for place in in_package if place != present])[-1:]
    for entry in found:
        if [(entry.version, entry.source)] == before:
            return entry
    raise ModelError(f"{name}: no version served before {present[0]}.")


def _released_folder() -> Path:
    return package_data("pretrained")


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir())
