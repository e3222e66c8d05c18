"""The server's own folder: jobs, results, uploads, runs, the key, and how files are put there."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from lib.problems import Problem

_KEY_BYTES = 32


@dataclass(frozen=True)
class StateFolder:
    """The folders of a server's state, readable by its own account alone.

    Args:
        root: All of it.
        key: Secret that ids in logs and addresses are hashed with.
    """

    root: Path
    key: bytes

    @property
    def jobs(self) -> Path:
        """One file for each job."""
        return self.root / "jobs"

    @property
    def results(self) -> Path:
        """One folder for each computation."""
        return self.root / "results"

    @property
    def scans(self) -> Path:
        """One folder for each upload, named by its content."""
        return self.root / "scans"

    @property
    def runs(self) -> Path:
        """One folder for each training."""
        return self.root / "runs"

    @property
    def incoming(self) -> Path:
        """What is being received; emptied at each start."""
        return self.root / "incoming"

    def keyed(self, *parts: str) -> str:
        """A digest of words that nobody without the key can make or look up; 32 hex digits."""
        text = "\0".join(parts).encode()
        return hmac.new(self.key, text, hashlib.sha256).hexdigest()[:32]

    def temporary(self) -> Path:
        """A new folder for something that is not complete yet."""
        return Path(tempfile.mkdtemp(dir=self.incoming))


def open_state(root: Path) -> StateFolder:
    """Make the folders of the state where they are missing.

    Raises:
        OSError: They cannot be made.
    """
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    root.chmod(0o700)
    state = StateFolder(root, _key(root / "secret.key"))
    for folder in (state.jobs, state.results, state.scans, state.runs, state.incoming):
        folder.mkdir(exist_ok=True, mode=0o700)
    return state


def write_whole(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Write a file beside its place and put it there by one rename.

    Raises:
        Problem: The disk is full.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(name, path)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise disk_problem(error) from error
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write plain values by one rename."""
    content = json.dumps(values, indent=1, allow_nan=False).encode()
    write_whole(path, lambda stream: stream.write(content))


def disk_problem(error: OSError) -> Problem:
    """What is said where a file cannot be written."""
    return Problem(
        507,
        f"The server cannot write ({error.strerror or error}).",
        "Tell the administrator: free disk space, or correct the folder's permissions.",
    )


def _key(path: Path) -> bytes:
    """The key, drawn once.

    Raises:
        OSError: It is damaged: with a short one, anybody could make log-ins.
    """
    if not path.exists():
        handle, name = tempfile.mkstemp(prefix=".key-", dir=path.parent)
        with os.fdopen(handle, "wb") as stream:
            stream.write(secrets.token_bytes(_KEY_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(name, path)
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise OSError(f"{path}: expected a key of {_KEY_BYTES} bytes; remove the file.")
    return key
