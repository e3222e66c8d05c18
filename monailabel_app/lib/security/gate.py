"""The gate that every request passes: addresses, origins, tokens, roles, sizes; one log line."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import re
import time
from dataclasses import dataclass

import anyio
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lib.problems import Problem
from lib.security.audit import AuditLog
from lib.security.patterns import RoutePatterns
from lib.security.roles import OPEN, required_role
from lib.security.tokens import Person, Tokens

logger = logging.getLogger("counterpart.server")

MAX_JSON_BYTES = 1 << 18
MAX_ADDRESS_BYTES = 4096
# What may carry files; every other body is read into memory as one piece.
_WITH_FILES = re.compile(
    r"/(counterpart/(scans|models/publish)|datastore(/image|/label)?|session|(infer|model)/[^/]*)/?"
)
_MOST_LEFT_BYTES = 32 << 20
_MOST_LEFT_S = 2.0
_PAUSE_AFTER_WRONG_TOKEN_S = 0.5
_LOCAL_NAMES = ("localhost",)
_FORWARDED = (
    "forwarded",
    "via",
    "x-client-ip",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
)
_OPEN_PERSON = Person("anybody", "user")
_LOOPBACK_PERSON = Person("this machine", "admin")


@dataclass(frozen=True)
class GateRules:
    """What the gate goes by.

    Args:
        insecure: Whether requests without a token are served from any address.
        upload_bytes: Most that a body may have.
        origins: Web pages from which a browser may ask, besides the server's own.
    """

    insecure: bool
    upload_bytes: int
    origins: frozenset[str]


class Gate:
    """ASGI middleware around the whole server."""

    def __init__(
        self,
        app: ASGIApp,
        tokens: Tokens,
        rules: GateRules,
        audit: AuditLog,
        patterns: RoutePatterns,
    ) -> None:
        self._app = app
        self._patterns = patterns
        self._tokens = tokens
        self._rules = rules
        self._audit = audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer why not."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        start = time.perf_counter()
        watched = _Watched(receive, send, self._limit(scope))
        try:
            scope["state"] = dict(scope.get("state", {}))
            await self._admit(scope)
            watched.check_length(Headers(scope=scope))
            await self._app(scope, watched.receive, watched.send)
        except Problem as problem:
            await watched.answer(problem)
        except Exception:
            if watched.problem is None:
                logger.exception("defect in %s", self._route(scope))
                defect = "The server has a defect."
                hint = "Tell the administrator; the server's log has the details."
                await watched.answer(Problem(500, defect, hint))
            else:
                await watched.answer(watched.problem)
        finally:
            self._write_down(scope, watched.status, time.perf_counter() - start)

    async def _admit(self, scope: Scope) -> None:
        """Find out who asks, for the routes and the logs, and refuse what they may not do."""
        headers = Headers(scope=scope)
        _check_framing(headers)
        path = _checked_path(scope)
        self._check_origin(headers)
        role = required_role(scope["method"], path)
        if role == OPEN and not self._tokens:
            known = _LOOPBACK_PERSON if _is_local(scope, headers) else _OPEN_PERSON
            scope["state"]["person"] = known
            return
        person = await self._who(scope, headers)
        scope["state"]["person"] = person or (_OPEN_PERSON if role == OPEN else None)
        if role == OPEN:
            return
        if person is None:
            error = "This server wants a token."
            hint = "Send it as 'Authorization: Bearer TOKEN', or log in with your name and token."
            raise Problem(401, error, hint, {"WWW-Authenticate": "Bearer"})
        if not person.may(role):
            error = f"This needs the role {role}; {person.name} has the role {person.role}."
            raise Problem(403, error, "Ask the administrator.")

    async def _who(self, scope: Scope, headers: Headers) -> Person | None:
        """Who asks; None if a token is needed and none was sent."""
        kind, _, token = headers.get("authorization", "").partition(" ")
        if self._tokens:
            if not token:
                return None
            person = self._tokens.identify(token.strip()) if kind.lower() == "bearer" else None
            if person is None:
                await asyncio.sleep(_PAUSE_AFTER_WRONG_TOKEN_S)
                error = "The token is not valid, or has run out."
                hint = "Check it, or log in again."
                raise Problem(401, error, hint, {"WWW-Authenticate": "Bearer"})
            return person
        if _is_local(scope, headers):
            return _LOOPBACK_PERSON
        if self._rules.insecure:
            return _OPEN_PERSON
        raise Problem(
            403,
            "Without tokens, this server answers the machine alone that it runs on.",
            "The administrator gives it tokens with --token-file.",
        )

    def _check_origin(self, headers: Headers) -> None:
        """Refuse what other people's web pages ask in a user's name."""
        origin = headers.get("origin")
        if origin in self._rules.origins:
            return
        if origin is None:  # a picture or a frame of a page, unless the user follows a link
            origin = headers.get("referer", "unknown")
            foreign = headers.get("sec-fetch-site") == "cross-site"
            foreign &= headers.get("sec-fetch-mode") != "navigate"
        else:
            own = headers.get("host", "").lower()
            foreign = not own or origin.partition("://")[2].lower() != own
        if foreign:
            error = f"The web page {origin!r} may not use this server."
            hint = "The administrator allows pages with COUNTERPART_CORS_ORIGINS."
            raise Problem(403, error, hint)

    def _limit(self, scope: Scope) -> int:
        files = _WITH_FILES.fullmatch(_without_root(scope)) is not None
        return self._rules.upload_bytes if files else MAX_JSON_BYTES

    def _route(self, scope: Scope) -> str:
        """The route's pattern: the log shows no ids and no queries."""
        known = getattr(scope.get("route"), "path", None)
        return known or self._patterns.of(_without_root(scope))

    def _write_down(self, scope: Scope, status: int, seconds: float) -> None:
        person = scope.get("state", {}).get("person")
        name = person.name if isinstance(person, Person) else "nobody"
        method, route = scope["method"], self._route(scope)
        noted = scope.get("state", {})
        asks_again = method in ("GET", "HEAD") and status < 400
        level = logging.DEBUG if asks_again else logging.INFO if status < 400 else logging.WARNING
        scan = f", scan {noted['audit_scan']}" if "audit_scan" in noted else ""
        words = (name, method, route, status, 1e3 * seconds, scan)
        logger.log(level, "%s %s %s: %d, %.0f ms%s", *words)
        if method in ("GET", "HEAD") and status not in (401, 403) and not scan:
            return
        try:
            self._audit.write(person, f"{method} {route}", status, noted)
        except OSError as error:
            logger.error("the audit log cannot be written: %s", error.strerror)


class _Watched:
    """The two ends of a request: how much comes in, what status goes out."""

    def __init__(self, receive: Receive, send: Send, limit: int) -> None:
        self._receive = receive
        self._send = send
        self._limit = limit
        self._received = 0
        self._whole = False
        self.status = 0
        self.problem: Problem | None = None

    def check_length(self, headers: Headers) -> None:
        """Refuse at once what says of itself that it is too long.

        Raises:
            Problem: It does.
        """
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > self._limit:
            raise self._too_much()

    async def receive(self) -> Message:
        """The next part of the body, as long as there are not too many."""
        message = await self._next()
        if self._received > self._limit:
            raise self._too_much()
        return message

    async def send(self, message: Message) -> None:
        """Pass an answer on, with what every answer carries."""
        if self.problem is not None and not self.status:
            # A route that was stopped while it read makes less of it than the gate knows.
            await self._answer(self.problem)
        if self.problem is None:
            await self._pass_on(message)

    async def answer(self, problem: Problem) -> None:
        """Answer with a problem, unless an answer has begun."""
        if not self.status:
            await self._answer(problem)

    def _too_much(self) -> Problem:
        self.problem = Problem(
            413,
            f"The body has more than the {self._limit} bytes that are accepted.",
            "Send less, or ask the administrator to raise the limit for uploads.",
        )
        return self.problem

    async def _next(self) -> Message:
        message = await self._receive()
        self._received += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        return message

    async def _pass_on(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self.status >= 400:
                await self._leave_out_rest()
            fixed = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]
            given = {key.lower() for key, _ in message.get("headers", [])}
            added = [pair for pair in fixed if pair[0] not in given]
            message = {**message, "headers": [*message.get("headers", []), *added]}
        await self._send(message)

    async def _leave_out_rest(self) -> None:
        """Let a client send what it has begun to send, within bounds, so that it hears an error."""
        left = self._received + _MOST_LEFT_BYTES
        with anyio.move_on_after(_MOST_LEFT_S):
            while not self._whole and self._received < left:
                await self._next()

    async def _answer(self, problem: Problem) -> None:
        body = json.dumps(problem.to_json()).encode()
        headers = {"content-type": "application/json", "content-length": str(len(body))}
        if problem.status in (413, 507):
            headers["connection"] = "close"  # what is still coming is not read
        raw = [(k.encode(), v.encode()) for k, v in {**headers, **problem.headers}.items()]
        start = {"type": "http.response.start", "status": problem.status, "headers": raw}
        await self._pass_on(start)
        await self._pass_on({"type": "http.response.body", "body": body})


def _check_framing(headers: Headers) -> None:
    """Refuse what a proxy before the server could take for two requests.

    Raises:
        Problem: Two headers say where the body ends.
    """
    if "transfer-encoding" in headers and "content-length" in headers:
        error = "The request says in two ways how long it is."
        hint = "Send either Content-Length or Transfer-Encoding."
        raise Problem(400, error, hint, {"connection": "close"})


def _checked_path(scope: Scope) -> str:
    """The path without the root path.

    Raises:
        Problem: It, or what follows it, could name something that no route means.
    """
    path = _without_root(scope)
    odd = any(character < " " or character in "\\\x7f" for character in path)
    if odd or any(part in (".", "..") for part in path.split("/")):
        error = "The address holds a path where a name or an id belongs."
        raise Problem(400, error, "Ask for what the page /docs lists.")
    if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MAX_ADDRESS_BYTES:
        raise Problem(414, "The address is too long.", "Ask for what the page /docs lists.")
    return path


def _without_root(scope: Scope) -> str:
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return (path[len(root) :] or "/") if root and path.startswith(root) else path


def _is_local(scope: Scope, headers: Headers) -> bool:
    """Whether a request comes from this machine, by this machine's name, and through nobody."""
    client = scope.get("client")
    if client is None or not is_loopback(client[0]):
        return False
    # A proxy that hands on without a word speaks HTTP/1.0, as nginx does by default.
    if any(name in headers for name in _FORWARDED) or scope["http_version"] == "1.0":
        return False
    return is_loopback(_without_port(headers.get("host", "")))


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0] if host.count(":") == 1 else host


def is_loopback(host: str) -> bool:
    """Whether a name or an address means this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() in _LOCAL_NAMES
