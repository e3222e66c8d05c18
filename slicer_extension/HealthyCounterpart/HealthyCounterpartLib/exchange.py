"""One request and its answer, on a connection of its own that a stop or a deadline cuts off."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Callable, Optional

from HealthyCounterpartLib.address import ServerAddress
from HealthyCounterpartLib.failures import connecting_failed, handshake_failed, talking_failed
from HealthyCounterpartLib.problems import ServerProblem
from HealthyCounterpartLib.refusals import refusal
from HealthyCounterpartLib.translation import _
from HealthyCounterpartLib.worker import Stopped

_BLOCK_BYTES = 256 << 10
_REFUSAL_BYTES = 64 << 10
_LOOK_S = 0.1


@dataclass(frozen=True)
class Request:
    """What is asked.

    Args:
        method: Of HTTP.
        path: Below the server's base, quoted, with the query.
        blocks: The body, piece by piece.
        length: Of the body, bytes; None without one.
        content_type: Of the body.
        wait_s: Longest wait for the next bytes; None for the usual one.
        whole_s: Longest time for the whole exchange; None without such a bound.
        anonymous: Whether the token is left out.
    """

    method: str
    path: str
    blocks: Iterable[bytes] = ()
    length: Optional[int] = None
    content_type: str = "application/json"
    wait_s: Optional[float] = None
    whole_s: Optional[float] = 180.0
    anonymous: bool = False


class Answer:
    """An answer whose status is good.

    Args:
        response: Of the connection.
        guard: Turns what breaks while it is read into a problem.
    """

    def __init__(
        self,
        response: http.client.HTTPResponse,
        guard: Callable[[], contextlib.AbstractContextManager[None]],
    ) -> None:
        self.headers = response.headers
        self.length: Optional[int] = response.length
        self._response = response
        self._guard = guard

    def blocks(self, most_bytes: int) -> Iterator[bytes]:
        """The content, piece by piece.

        Raises:
            ServerProblem: It breaks off, or is longer than ``most_bytes``.
        """
        received = 0
        while self.length is None or received < self.length:
            with self._guard():
                block = self._response.read1(_BLOCK_BYTES)
                if not block and self.length is not None:
                    raise http.client.IncompleteRead(b"", self.length - received)
            if not block:
                return
            received += len(block)
            if received > most_bytes:
                raise nonsense(_("it is longer than it can be"))
            yield block

    def content(self, most_bytes: int) -> bytes:
        """The whole content."""
        return b"".join(self.blocks(most_bytes))


class Exchange:
    """Asks one server; from one thread at a time or from several.

    Args:
        address: Of the server.
        token: For it; empty for none. It is part of no message and of no log.
        timeout_s: Longest wait for a connection, and for the next bytes.
        context: For TLS; without it the system's certificates decide whom to trust.

    Raises:
        ServerProblem: The token has letters that no token has.
        ValueError: The context would let an unknown server pass for the right one.
    """

    def __init__(
        self,
        address: ServerAddress,
        token: str = "",
        timeout_s: float = 10.0,
        context: Optional[ssl.SSLContext] = None,
    ) -> None:
        if context is not None and not (
            context.check_hostname and context.verify_mode == ssl.CERT_REQUIRED
        ):
            raise ValueError("expected a context that verifies certificates and host names")
        self.address = address
        self.timeout_s = timeout_s
        self._token = _checked_token(token)
        self._context = context
        self._heard = False

    @contextlib.contextmanager
    def answer(self, request: Request, stop: Optional[threading.Event] = None) -> Iterator[Answer]:
        """The answer to a request, if it is a good one; the connection ends with it.

        Args:
            request: What is asked.
            stop: Cuts the connection off once it is set.

        Raises:
            ServerProblem: The server is not reached, does not answer, or refuses.
            Stopped: ``stop`` was set.
        """
        stop = stop or threading.Event()
        wait_s = request.wait_s or self.timeout_s
        with (
            contextlib.closing(self._connection()) as connection,
            _Cutter(connection.sock, stop, request.whole_s) as cutter,
        ):
            connection.sock.settimeout(wait_s)

            def guard() -> contextlib.AbstractContextManager[None]:
                return self._guarded(cutter, wait_s)

            response = self._asked(connection, request, guard)
            with contextlib.closing(response):
                answer = Answer(response, guard)
                if not 200 <= response.status < 300:
                    raise self._refusal(response.status, answer)
                self._heard = True
                yield answer

    def _connection(self) -> http.client.HTTPConnection:
        """A connection that is open, over TLS where that is wanted."""
        address = self.address
        try:
            plain = socket.create_connection((address.host, address.port), self.timeout_s)
        except OSError as error:
            raise connecting_failed(address, error, self.timeout_s) from error
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not address.secure:
            connection = http.client.HTTPConnection(address.host, address.port)
            connection.sock = plain
            return connection
        if self._context is None:
            self._context = ssl.create_default_context()
            self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            secured = self._context.wrap_socket(plain, server_hostname=address.host)
        except OSError as error:
            plain.close()
            raise handshake_failed(address, error, self.timeout_s, heard=self._heard) from error
        connection = http.client.HTTPSConnection(address.host, address.port, context=self._context)
        connection.sock = secured
        return connection

    def _asked(
        self,
        connection: http.client.HTTPConnection,
        request: Request,
        guard: Callable[[], contextlib.AbstractContextManager[None]],
    ) -> http.client.HTTPResponse:
        """Send a request and wait for its answer."""
        path = self.address.base + request.path
        connection.putrequest(request.method, path, skip_accept_encoding=True)
        for name, value in self._headers(request).items():
            connection.putheader(name, value)
        try:
            with guard():
                connection.endheaders()
            for block in request.blocks:
                left = memoryview(block)
                while left:
                    with guard():
                        left = left[connection.sock.send(left) :]
        except ServerProblem as broken:
            return self._answered_early(connection, broken, guard)
        with guard():
            return connection.getresponse()

    def _answered_early(
        self,
        connection: http.client.HTTPConnection,
        broken: ServerProblem,
        guard: Callable[[], contextlib.AbstractContextManager[None]],
    ) -> http.client.HTTPResponse:
        """The answer of a server that hung up before it had read all of the request."""
        try:
            with guard():
                return connection.getresponse()
        except ServerProblem as problem:
            raise problem if problem.kind == "tls" else broken from None

    def _headers(self, request: Request) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity", "Connection": "close"}
        if self._token and not request.anonymous:
            headers["Authorization"] = f"Bearer {self._token}"
        if request.length is not None:
            headers["Content-Length"] = str(request.length)
            headers["Content-Type"] = request.content_type
        return headers

    def _refusal(self, status: int, answer: Answer) -> ServerProblem:
        try:
            content = next(answer.blocks(_REFUSAL_BYTES * 8), b"")[:_REFUSAL_BYTES]
        except ServerProblem:
            content = b""  # the status says enough
        location = str(answer.headers.get("Location") or "")
        return refusal(
            self.address, status, content, location=location, with_token=bool(self._token)
        )

    @contextlib.contextmanager
    def _guarded(self, cutter: _Cutter, wait_s: float) -> Iterator[None]:
        """Turns what happens to a connection into a problem; files are not its business."""
        try:
            yield
            if cutter.stop.is_set() or cutter.late:
                raise http.client.IncompleteRead(b"")
        except (OSError, http.client.HTTPException) as error:
            if cutter.stop.is_set():
                raise Stopped from None
            why = socket.timeout() if cutter.late else error
            waited_s = cutter.whole_s if cutter.late and cutter.whole_s else wait_s
            raise talking_failed(self.address, why, waited_s, heard=self._heard) from error


class _Cutter:
    """Cuts a connection off under whoever waits on it, once a stop is set or time is over."""

    def __init__(
        self, connection: socket.socket, stop: threading.Event, whole_s: Optional[float]
    ) -> None:
        self.stop = stop
        self.late = False
        self.whole_s = whole_s
        self._connection = connection
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="cutter", daemon=True)

    def __enter__(self) -> _Cutter:
        self._thread.start()
        return self

    def __exit__(self, *how: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        until = time.monotonic() + self.whole_s if self.whole_s else float("inf")
        while not self._done.wait(_LOOK_S):
            self.late = time.monotonic() > until
            if self.stop.is_set() or self.late:
                with contextlib.suppress(OSError):  # below TLS, which another thread may be in
                    socket.socket.shutdown(self._connection, socket.SHUT_RDWR)
                return


def nonsense(why: str) -> ServerProblem:
    """An answer is not what was agreed.

    Args:
        why: In words that go on a sentence.
    """
    return ServerProblem(
        "nonsense",
        _("The server's answer cannot be used: {why}.").format(why=why),
        _("Ask its administrator to update the server, or update this extension."),
    )


def _checked_token(token: str) -> str:
    text = token.strip()
    if any(not "!" <= letter <= "~" for letter in text):
        raise ServerProblem(
            "token",
            _("The token has a space or a letter in it that no token has."),
            _("Copy it again, without what stands around it."),
        )
    return text
