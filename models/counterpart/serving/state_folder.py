"""The server's own folder: where it lies, who holds it, and the app folder in it.

MONAI Label writes ``model``, ``lib``, ``logs`` and ``bin`` into the folder of an app, and an
installed package may be read-only. So the app's folder is made here, with links to the code.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from counterpart.errors import ServingError
from counterpart.package_data import package_data

LOCK, LOG, APP, SESSIONS, DICOM = "server.lock", "server.log", "app", "sessions", "dicom"
_CODE = ("main.py", "lib")
_CONVERTER = "itkimage2segimage"
_PLACEHOLDER = """#!/bin/sh
# MONAI Label fetches dcmqi from the network when this program is missing. Counterpart has no use
# for it; to store segmentations as DICOM, put dcmqi's own program in its place.
echo "itkimage2segimage: dcmqi is not installed" >&2
exit 1
"""
_LOG_BYTES = 10 << 20


def default_state(studies: str, environment: Mapping[str, str]) -> Path:
    """Where the state of a server for some studies lies if nothing else is said."""
    data = Path(environment.get("XDG_DATA_HOME", ""))
    # The XDG specification has relative paths ignored.
    home = data if data.is_absolute() else Path.home() / ".local" / "share"
    place = studies if is_address(studies) else os.path.realpath(studies)
    digest = hashlib.sha256(place.encode()).hexdigest()[:8]
    name = "".join(c if c.isalnum() else "-" for c in place.rstrip("/").rsplit("/", 1)[-1])
    return home / "counterpart" / "server" / f"{name}-{digest}"


def is_address(studies: str) -> bool:
    """Whether the studies are those of a DICOMweb server."""
    return studies.startswith(("http://", "https://"))


def hold_state(state: Path) -> IO[str]:
    """Make the folder, for its owner alone, and hold its lock.

    Returns:
        The open lock; the system lets go of it when all processes that have it open have ended.

    Raises:
        ServingError: The folder cannot be made, or another server has it.
    """
    try:
        state.mkdir(parents=True, exist_ok=True)
        state.chmod(0o700)
        stream = (state / LOCK).open("a+", encoding="utf-8")
    except OSError as error:
        raise ServingError(
            f"{state}: the server's state cannot be written there ({error.strerror}); choose "
            "another folder with --state."
        ) from error
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        stream.seek(0)
        held = stream.read().strip() or "process unknown"
        stream.close()
        raise ServingError(
            f"{state}: another server works there ({held}); stop it, or choose another folder "
            "with --state."
        ) from error
    return stream


def say_holder(stream: IO[str], text: str) -> None:
    """Write into a held lock who holds it."""
    stream.seek(0)
    stream.truncate()
    stream.write(f"{text}\n")
    stream.flush()


def make_app_folder(state: Path, *, dicomweb: bool) -> Path:
    """Renew the folder that MONAI Label takes for the app's.

    Args:
        state: The server's folder.
        dicomweb: Whether the studies are a DICOMweb server's.

    Raises:
        ServingError: Something else lies where a link shall be.
    """
    code = package_data("monailabel_app").resolve()
    app = state / APP
    for folder in (app, app / "bin", state / SESSIONS, state / DICOM):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o700)
    for name in _CODE:
        _link(app / name, code / name)
    if dicomweb and not (app / "bin" / _CONVERTER).exists():
        (app / "bin" / _CONVERTER).write_text(_PLACEHOLDER)
        (app / "bin" / _CONVERTER).chmod(0o755)
    return app


def open_log(state: Path) -> IO[bytes]:
    """The file that takes what the server says, open for its end."""
    handle = os.open(state / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    return os.fdopen(handle, "wb")


def shorten_log(state: Path) -> None:
    """Begin the log anew where it has 10 MiB; what it held is ``server.log.1`` then.

    It is copied and emptied, not renamed: the server has it open and goes on writing at its end.
    """
    path = state / LOG
    if path.exists() and path.stat().st_size > _LOG_BYTES:
        shutil.copy2(path, path.with_name(f"{LOG}.1"))
        os.truncate(path, 0)


def _link(link: Path, target: Path) -> None:
    if link.exists() and not link.is_symlink():
        raise ServingError(f"{link}: expected a link to {target}; move what lies there away.")
    part = link.with_name(f".{link.name}.part")
    part.unlink(missing_ok=True)
    part.symlink_to(target)
    os.replace(part, link)
