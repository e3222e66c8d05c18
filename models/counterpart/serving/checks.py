"""What would keep a server from working, found before it is started: one sentence each."""

from __future__ import annotations

import errno
import shutil
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path

from counterpart.errors import ServingError
from counterpart.serving.address import Address, bind_problem, is_loopback
from counterpart.serving.options import Encryption
from counterpart.serving.state_folder import is_address

NEEDED_BYTES = 10**9
FreeBytes = Callable[[Path], int]


def free_bytes(path: Path) -> int:
    """The bytes that may still be written where a path lies or will lie."""
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    return shutil.disk_usage(there).free


def check_studies(studies: str) -> None:
    """Refuse studies that are no writable folder and no address.

    Raises:
        ServingError: They are not.
    """
    if is_address(studies):
        Address.of(studies)
        return
    folder = Path(studies)
    if not folder.exists():
        raise ServingError(
            f"{studies}: no such studies folder; make it with `mkdir -p {studies}`, or correct "
            "--studies."
        )
    if not folder.is_dir():
        raise ServingError(f"{studies}: is a file; --studies wants the folder with the scans.")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ServingError(f"{studies}: the disk is full; free at least 1 GB.") from error
        raise ServingError(
            f"{studies}: the studies folder cannot be written ({error.strerror}), but labels and "
            "marks are kept there; change its owner or permissions."
        ) from error


def check_disk(folder: Path, free: FreeBytes = free_bytes) -> None:
    """Refuse a folder whose disk has less than 1 GB left.

    Raises:
        ServingError: It has less.
    """
    left = free(folder)
    if left < NEEDED_BYTES:
        raise ServingError(
            f"{folder}: only {left / 1e6:.0f} MB are free on this disk, and the server needs at "
            f"least {NEEDED_BYTES / 1e6:.0f} MB; free some, or choose another folder."
        )


def check_port(host: str, port: int) -> None:
    """Refuse a port that cannot be listened on.

    Raises:
        ServingError: It is no port, is in use or is forbidden, or the host is not this machine's.
    """
    if not 1 <= port <= 65535:
        raise ServingError(f"--port {port}: expected a number from 1 to 65535.")
    problem = bind_problem(host, port)
    if problem is None:
        return
    if problem.errno == errno.EADDRINUSE:
        raise ServingError(
            f"port {port} of {host} is in use; stop what listens there, or choose another --port."
        )
    if problem.errno == errno.EACCES:
        raise ServingError(f"port {port} is for root alone; choose one above 1023 with --port.")
    raise ServingError(
        f"--host {host}: this machine cannot listen there ({problem.strerror}); give one of its "
        "own addresses."
    )


def check_access(host: str, *, tokens: bool, insecure: bool) -> None:
    """Refuse to serve other machines without tokens, unless that is said to be wanted.

    Raises:
        ServingError: Nothing would keep anybody out.
    """
    if not (is_loopback(host) or tokens or insecure):
        raise ServingError(
            f"--host {host}: other machines could ask without a token; give --token-file (or "
            "COUNTERPART_TOKEN), or --insecure if everybody there may."
        )


def check_encryption(chosen: Encryption) -> None:
    """Refuse a key and a certificate that do not open or do not fit.

    Raises:
        ServingError: They do not.
    """
    if not chosen.wanted:
        if chosen.ca_certs is not None or chosen.keyfile_password is not None:
            raise ServingError("TLS needs --ssl-keyfile and --ssl-certfile.")
        return
    if chosen.keyfile is None or chosen.certfile is None:
        raise ServingError("TLS needs both --ssl-keyfile and --ssl-certfile.")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    password = chosen.keyfile_password or ""
    try:
        # Without a password given, an encrypted key must fail and not ask the terminal for one.
        context.load_cert_chain(chosen.certfile, chosen.keyfile, lambda: password)
        if chosen.ca_certs is not None:
            context.load_verify_locations(chosen.ca_certs)
    except (OSError, ValueError) as error:  # which ssl.SSLError is too
        raise ServingError(
            f"{chosen.certfile}, {chosen.keyfile}: not a certificate with its key that can be "
            f"used ({error.strerror if isinstance(error, OSError) else error})."
        ) from error


def check_root_path(path: str) -> None:
    """Refuse a root path that is none.

    Raises:
        ServingError: It does not begin with a slash, or ends with one.
    """
    if path and (not path.startswith("/") or path.endswith("/") or "//" in path):
        raise ServingError(f"--root-path {path}: expected a path such as /counterpart-server.")
