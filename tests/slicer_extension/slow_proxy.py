"""A TCP proxy before a server: slow, or cutting connections in the middle."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

_BLOCK = 16 << 10


class SlowProxy:
    """Hands bytes on in both directions; its fields may be changed while it runs."""

    def __init__(self, port: int) -> None:
        self.bytes_per_s = float("inf")
        self.cut_up_at: int | None = None  # one connection is cut after so many bytes
        self.cut_down_at: int | None = None
        self.connections = 0
        self.sent_up = 0
        self.most_up = 0  # in one connection
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for one in self._open:  # a thread that sleeps or reads would keep a closed one open
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            self._open += [client, server]
            for pair, up in (((client, server), True), ((server, client), False)):
                threading.Thread(target=self._pump, args=(*pair, up), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, up: bool) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while block := source.recv(_BLOCK):
                time.sleep(len(block) / self.bytes_per_s)
                passed += len(block)
                if up:
                    self.sent_up += len(block)
                    self.most_up = max(self.most_up, passed)
                if self._cuts(passed, up):
                    break
                sink.sendall(block)
            else:
                sink.shutdown(socket.SHUT_WR)
                return
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _cuts(self, passed: int, up: bool) -> bool:
        """Whether this connection is cut here, which happens once."""
        limit = self.cut_up_at if up else self.cut_down_at
        if limit is None or passed < limit:
            return False
        if up:
            self.cut_up_at = None
        else:
            self.cut_down_at = None
        return True


@contextlib.contextmanager
def slow_proxy(port: int) -> Iterator[SlowProxy]:
    proxy = SlowProxy(port)
    try:
        yield proxy
    finally:
        proxy.close()
