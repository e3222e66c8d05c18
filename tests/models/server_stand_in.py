"""A small real HTTP server with the routes of ours: a program, and a fixture's process.

``python server_stand_in.py PORT BEHAVIOUR`` with the behaviours in `BEHAVIOURS`.
"""

from __future__ import annotations

import hashlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

TOKEN = "open-sesame-open-sesame"
BEHAVIOURS = ("good", "token", "dies", "silent", "stubborn", "failing", "truncating", "losing")
INFO = {
    "name": "Counterpart",
    "version": "0.1.0",
    "disclaimer": "AI-generated, research use only",
    "model": {"name": "healthy-brain", "version": "9.9", "weights_sha256": "c0ffee" * 10 + "abcd"},
    "calibrations": [
        {"contrast": "T1", "kind": "healthy scans", "scans": 40, "threshold": 3.0, "p_floor": 0.02},
        {"contrast": "FLAIR", "kind": "simulation", "scans": 0, "threshold": 9.0, "p_floor": None},
    ],
    "device": "cpu",
    "user": {"name": "admin", "role": "admin"},
    "limits": {"upload_mb": 1},
    "images": 4,
}
JOB_STEPS = (("queued", "", 0.0), ("running", "Finding the brain", 0.4), ("done", "", 1.0))


class StandIn(ThreadingHTTPServer):
    """Remembers its jobs and uploads."""

    daemon_threads = True

    def __init__(self, port: int, behaviour: str) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.behaviour = behaviour
        self.asked: dict[str, int] = {}
        self.options: dict[str, object] = {}
        self.lock = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    server: StandIn

    def do_GET(self) -> None:
        path, query = self._path()
        if path == "/counterpart/health":
            self._send({"state": "ready", "version": "0.1.0"})
        elif self._refused():
            return
        elif path == "/info/":
            self._send({"name": "stand-in"})
        elif path == "/counterpart/info":
            self._send(INFO)
        elif "/results/" in path:
            name, kind = path.rsplit("/", 1)[1], query.get("format", ["default"])[0]
            self._result(f"{name} as {kind}".encode() * 1000)
        elif path.startswith("/counterpart/jobs/"):
            self._send(self._job(path.rsplit("/", 1)[1]))
        else:
            self._send({"error": f"There is no {path}.", "hint": "Ask for another."}, 404)

    def do_POST(self) -> None:
        path, _ = self._path()
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if self._refused():
            return
        if path.startswith("/infer/"):
            time.sleep(0.1)
            self._send({})
            return
        asked = json.loads(body)
        if asked.get("image") == "none":
            self._send({"error": "The image does not exist.", "hint": "Ask /counterpart."}, 404)
            return
        key = json.dumps(asked, sort_keys=True).encode()
        job = hashlib.sha256(key).hexdigest()[:12]
        self._send({**self._job(job), "options": asked["options"]}, 202)

    def do_PUT(self) -> None:
        _, query = self._path()
        size = int(self.headers["Content-Length"])
        if size > 1 << 20:
            self.close_connection = True  # without reading it, as a real limit does
            self._send({"error": "The scan is over 1 MB.", "hint": "Send a smaller one."}, 413)
            return
        digest = hashlib.sha256(self.rfile.read(size)).hexdigest()
        self._send({"scan": digest, "name": query["name"][0], "bytes": size}, 201)

    def do_DELETE(self) -> None:
        path, _ = self._path()
        self._send({"id": path.rsplit("/", 1)[1], "state": "cancelled"})

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""

    def _path(self) -> tuple[str, dict[str, list[str]]]:
        split = urlsplit(self.path)
        return split.path, parse_qs(split.query)

    def _refused(self) -> bool:
        wanted = self.server.behaviour == "token"
        if wanted and self.headers["Authorization"] != f"Bearer {TOKEN}":
            self._send({"error": "A token is needed.", "hint": "Give one."}, 401)
            return True
        return False

    def _job(self, name: str) -> dict[str, object]:
        """A job that is one step further each time it is asked for."""
        with self.server.lock:
            step = self.server.asked.get(name, -1) + 1
            self.server.asked[name] = step
        if self.server.behaviour == "losing" and step == 1:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        state, stage, fraction = JOB_STEPS[min(step, len(JOB_STEPS) - 1)]
        job = {"id": name, "state": state, "stage": stage, "fraction": fraction}
        job |= {"seconds_left": 1.5, "position": 0, "findings": None, "error": None, "hint": None}
        if state == "done":
            job |= {"findings": 2, "position": None, "seconds_left": None}
        if self.server.behaviour == "failing" and state == "done":
            job |= {"state": "failed", "error": "No brain was found.", "hint": "Send a head."}
        return job

    def _result(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.server.behaviour == "truncating":
            content = content[:-1]
        self.wfile.write(content)

    def _send(self, values: object, status: int = 200) -> None:
        content = json.dumps(values).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def a_free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return port


def stand_in_command(port: int, behaviour: str) -> list[str]:
    return [sys.executable, __file__, str(port), behaviour]


@contextmanager
def running(behaviour: str = "good") -> Iterator[str]:
    """The address of a stand-in in a process of its own."""
    port = a_free_port()
    with subprocess.Popen(stand_in_command(port, behaviour), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def main() -> None:
    port, behaviour = int(sys.argv[1]), sys.argv[2]
    assert behaviour in BEHAVIOURS
    if behaviour == "dies":
        print("counterpart: the key is missing.", flush=True)
        sys.exit(7)
    if behaviour == "silent":
        print("thinking", flush=True)
        time.sleep(600)
    if behaviour == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        # Who is started in the background of a shell inherits that this is ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    with StandIn(port, behaviour) as server:
        print("listening", flush=True)
        server.serve_forever(0.05)


if __name__ == "__main__":
    main()
