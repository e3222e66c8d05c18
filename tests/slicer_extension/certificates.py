"""Certificates for the tests, made by the command `openssl`: a good one, and one for each fault."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

_CONFIG = """
[ca]
default_ca = own
[own]
dir = .
database = index.txt
serial = serial
new_certs_dir = .
default_md = sha256
policy = any
email_in_dn = no
[any]
commonName = supplied
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[local]
subjectAltName = IP:127.0.0.1, DNS:localhost
authorityKeyIdentifier = keyid
[elsewhere]
subjectAltName = DNS:elsewhere.example
authorityKeyIdentifier = keyid
[self]
subjectAltName = IP:127.0.0.1, DNS:localhost
subjectKeyIdentifier = hash
"""
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def make_certificates(folder: Path) -> dict[str, Path]:
    """``authority``, and files with certificate and key: ``good``, ``self_signed``, ``expired``,
    ``wrong_name``, ``not_yet``.
    """
    if shutil.which("openssl") is None:
        pytest.skip("needs the command openssl")
    (folder / "config").write_text(_CONFIG)
    (folder / "index.txt").touch()
    (folder / "serial").write_text("01")
    req = ("req", "-config", "config", "-x509", "-days", "30", *_KEY)
    _run(folder, *req, "-subj", "/CN=authority", "-extensions", "authority", "-keyout", "ca.key",
         "-out", "ca.pem")  # fmt: skip
    _run(folder, *req, "-subj", "/CN=server", "-extensions", "self", "-keyout", "self.key",
         "-out", "self.pem")  # fmt: skip
    found = {"authority": folder / "ca.pem", "self_signed": _joined(folder, "self")}
    spans = {
        "good": ("local", "20200101000000Z", "20990101000000Z"),
        "wrong_name": ("elsewhere", "20200101000000Z", "20990101000000Z"),
        "expired": ("local", "20200101000000Z", "20210101000000Z"),
        "not_yet": ("local", "20980101000000Z", "20990101000000Z"),
    }
    for name, (names, start, end) in spans.items():
        _run(folder, "req", "-config", "config", "-new", *_KEY, "-subj", f"/CN={name}",
             "-keyout", f"{name}.key", "-out", f"{name}.csr")  # fmt: skip
        _run(folder, "ca", "-batch", "-notext", "-config", "config", "-cert", "ca.pem",
             "-keyfile", "ca.key", "-extensions", names, "-startdate", start, "-enddate", end,
             "-in", f"{name}.csr", "-out", f"{name}.pem")  # fmt: skip
        found[name] = _joined(folder, name)
    return found


def _run(folder: Path, *words: str) -> None:
    done = subprocess.run(["openssl", *words], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)


def _joined(folder: Path, name: str) -> Path:
    path = folder / f"{name}-with-key.pem"
    path.write_text((folder / f"{name}.pem").read_text() + (folder / f"{name}.key").read_text())
    return path
