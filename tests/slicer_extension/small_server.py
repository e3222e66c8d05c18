"""Small servers that answer as strangers do: plain bytes, or HTTP with what a test gives."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Reply = tuple[int, dict[str, str], bytes]
Replies = dict[str, Reply]


def json_reply(values: object, status: int = 200) -> Reply:
    return status, {"Content-Type": "application/json"}, json.dumps(values).encode()


def html_reply(text: str, status: int = 200) -> Reply:
    return status, {"Content-Type": "text/html"}, f"<html>{text}</html>".encode()


class SmallServer(ThreadingHTTPServer):
    """Answers by path; whatever else is asked gets ``otherwise``."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, replies: Replies, otherwise: Reply) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies = replies
        self.otherwise = otherwise
        self.seen: list[tuple[str, str, dict[str, str]]] = []

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, *what: Any) -> None:
        """A client that goes away is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: SmallServer

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.seen.append((self.command, self.path, dict(self.headers)))
        left = int(self.headers.get("Content-Length") or 0)
        while left > 0:
            left -= len(self.rfile.read(min(left, 1 << 20)) or b"\0" * left)
        status, headers, content = self.server.replies.get(path, self.server.otherwise)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def __getattr__(self, name: str) -> Any:
        """Every method is answered alike."""
        if name.startswith("do_"):
            return self.do_GET
        raise AttributeError(name)

    def log_message(self, *what: Any) -> None:
        """Nothing is printed."""


@contextlib.contextmanager
def small_server(
    replies: Replies | None = None,
    otherwise: Reply = (404, {"Content-Type": "application/json"}, b'{"detail": "Not Found"}'),
    certificate: Path | None = None,
) -> Iterator[SmallServer]:
    """A web server; over TLS if a file with certificate and key is given."""
    server = SmallServer(replies or {}, otherwise)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def raw_server(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port at which every connection is given to a function; yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        over = threading.Event()

        def accept() -> None:
            while not over.is_set():
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=one, args=(connection,), daemon=True).start()

        def one(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                talk(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            over.set()
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()
