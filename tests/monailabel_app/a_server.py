"""A real server process on a free port, and a plain way to ask it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from counterpart.bundle import CALIBRATIONS, METADATA, SETTINGS, bundle_version, write_manifest
from counterpart.bundle_files import read_json, write_json
from counterpart.registry.publishing import Terms, publish

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "sample_data" / "patients"
RELEASED = ROOT / "models" / "pretrained" / "healthy-brain"
RELEASED_VERSION = bundle_version(RELEASED)
QUICK = f"{RELEASED_VERSION}.quick"
FLAIR_THRESHOLD = next(
    float(one["threshold"])
    for one in read_json(RELEASED / CALIBRATIONS)["calibrations"]
    if one["contrast"] == "FLAIR"
)
NO_GATES = Terms(gates=())
SCANS = ("sample-01_FLAIR", "sample-01_T1", "sample-02_FLAIR")
START_S = 240.0
JOB_S = 280.0


@dataclass
class Answer:
    """What came back."""

    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def is_a_problem(self, status: int) -> bool:
        """Whether it is the error that every client can show: a sentence and a hint."""
        said = self.json
        whole = set(said) == {"error", "hint"} and all(said.values())
        return self.status == status and whole and said["error"].rstrip("'\"").endswith((".", "?"))


@dataclass
class AServer:
    """A server of its own studies and state; `start` and `stop` may be repeated."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    host: str = "127.0.0.1"
    token: str = ""
    process: subprocess.Popen[bytes] | None = None
    port: int = 0
    address: str = "127.0.0.1"  # by which it is asked

    @property
    def studies(self) -> Path:
        return self.folder / "studies"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def app(self) -> Path:
        return self.folder / "app"

    @property
    def registry(self) -> Path:
        return self.folder / "registry"

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}"

    @property
    def log(self) -> str:
        return (self.folder / "server.log").read_text(errors="replace")

    def prepare(self, scans: tuple[str, ...] = SCANS) -> None:
        """Copy the samples, and give MONAI Label an app folder that it may write into."""
        self.studies.mkdir(parents=True, exist_ok=True)
        self.app.mkdir(exist_ok=True)
        for scan in scans:
            shutil.copy(SAMPLES / f"{scan}.nii.gz", self.studies)
        for name in ("main.py", "lib"):
            if not (self.app / name).exists():
                (self.app / name).symlink_to(ROOT / "monailabel_app" / name)
        if not self.registry.exists():
            publish(quick_model(self.folder / "made", QUICK), root=self.registry, terms=NO_GATES)

    def start(self) -> "AServer":
        self.port = self.port or free_port()
        words = ["start_server", "--app", str(self.app), "--studies", str(self.studies)]
        words += ["--host", self.host, "--port", str(self.port)]
        known = {
            "COUNTERPART_STATE": str(self.state),
            "COUNTERPART_MODELS": str(self.registry),
            "MONAI_LABEL_TRACKING_ENABLED": "false",
        }
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "monailabel.main", *words],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**os.environ, **known, **self.environment},
            )
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended: {self.log[-2000:]}")
            try:
                if self.ask("GET", "/counterpart/health").status == 200:
                    return self
            except OSError:
                time.sleep(0.2)
        raise RuntimeError(f"the server does not answer: {self.log[-2000:]}")

    def stop(self, how: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(30)
            self.process = None

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        *,
        token: str | None = None,
    ) -> Answer:
        """Ask once; an error is an answer too."""
        token = self.token if token is None else token
        sent = {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(
            self.url + path, data=body, headers={**sent, **(headers or {})}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=JOB_S) as answer:
                return Answer(answer.status, answer.read(), lower(answer.headers))
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read(), lower(error.headers))

    def ask_json(self, method: str, path: str, values: object, **more: Any) -> Answer:
        body = json.dumps(values).encode()
        return self.ask(method, path, body, {"Content-Type": "application/json"}, **more)

    def submit(self, image: str = SCANS[0], **options: Any) -> dict[str, Any]:
        answer = self.ask_json("POST", "/counterpart/jobs", {"image": image, "options": options})
        if answer.status not in (200, 202):
            raise RuntimeError(f"{answer.status}: {answer.body!r}")
        return dict(answer.json)

    def wait(self, job: str, states: tuple[str, ...] = ("done", "failed", "cancelled")) -> Any:
        """The job's status once it is in one of these states."""
        deadline = time.monotonic() + JOB_S
        while time.monotonic() < deadline:
            status = self.ask("GET", f"/counterpart/jobs/{job}").json
            if status["state"] in states:
                return status
            time.sleep(0.05)
        raise RuntimeError(f"the job is still {status}")


ServerOf = Callable[..., AServer]


def quick_model(folder: Path, version: str) -> Path:
    """The released model at one noise level and without the second pass: a third of the time."""
    bundle = folder / version / "healthy-brain"
    shutil.copytree(RELEASED, bundle)
    settings = read_json(bundle / SETTINGS)
    quick = {"levels": [40], "weights": [1.0], "departure_weights": [1.0], "second_pass": False}
    write_json(
        bundle / SETTINGS, {**settings, "reconstruction": settings["reconstruction"] | quick}
    )
    write_json(bundle / METADATA, {**read_json(bundle / METADATA), "version": version})
    write_manifest(bundle)
    return bundle


def lower(headers: Any) -> dict[str, str]:
    return {key.lower(): value for key, value in headers.items()}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def multipart(fields: dict[str, str], files: dict[str, tuple[str, bytes]]) -> tuple[bytes, Any]:
    """The body of a form, and its headers."""
    edge = "counterpart-test-edge"
    parts = [
        f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    for name, (filename, content) in files.items():
        head = f'--{edge}\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"'
        kind = "\r\nContent-Type: application/octet-stream\r\n\r\n"
        parts.append(f"{head}{kind}".encode() + content + b"\r\n")
    body = b"".join(parts) + f"--{edge}--\r\n".encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={edge}"}


def own_address() -> str:
    """The address by which other machines would ask this one."""
    for addresses in psutil.net_if_addrs().values():
        for one in addresses:
            if one.family == socket.AF_INET and not one.address.startswith("127."):
                return str(one.address)
    pytest.skip("this machine has no address but its own loopback")


def from_network(server: AServer, method: str, path: str, token: str = "") -> Answer:
    """Ask by the machine's own address, as another machine would."""
    other = AServer(server.folder, port=server.port)
    other.address = own_address()
    return other.ask(method, path, token=token)
