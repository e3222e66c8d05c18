"""Addresses of servers: what a URL names, which hosts are this machine, which ports are free."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from counterpart.errors import CounterpartError

ANY_HOST = {"0.0.0.0": "127.0.0.1", "::": "::1"}


@dataclass(frozen=True)
class Address:
    """Where a server answers.

    Args:
        secure: Whether over TLS.
        host: Name or number, an IPv6 one without brackets.
        port: None for that of the scheme.
        base: Path below which the server lives, without a slash at its end.
    """

    secure: bool
    host: str
    port: int | None
    base: str = ""

    @classmethod
    def of(cls, url: str) -> Address:
        """The address that a URL names.

        Raises:
            CounterpartError: It is none.
        """
        hint = f"expected an address such as http://127.0.0.1:8000, got {url!r}."
        try:
            split = urlsplit(url)
            port = split.port
        except ValueError as error:
            raise CounterpartError(hint) from error
        if split.scheme not in ("http", "https") or not split.hostname:
            raise CounterpartError(hint)
        if split.query or split.fragment or split.username is not None:
            raise CounterpartError(hint)
        return cls(split.scheme == "https", split.hostname, port, split.path.rstrip("/"))

    @property
    def url(self) -> str:
        """The address as a URL without a slash at its end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        return f"http{'s' * self.secure}://{host}{port}{self.base}"

    def connection(
        self, timeout_s: float, context: ssl.SSLContext | None = None
    ) -> http.client.HTTPConnection:
        """A connection that is opened by its first request.

        Args:
            timeout_s: For each wait.
            context: For TLS; without it the system's certificates decide.
        """
        if self.secure:
            return http.client.HTTPSConnection(
                self.host, self.port, timeout=timeout_s, context=context, blocksize=1 << 20
            )
        return http.client.HTTPConnection(
            self.host, self.port, timeout=timeout_s, blocksize=1 << 20
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on this host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def own_host(host: str) -> str:
    """Where this machine itself reaches a server that listens on this host."""
    return ANY_HOST.get(host, host)


def bind_problem(host: str, port: int) -> OSError | None:
    """Why nobody can listen there; None if somebody can."""
    try:
        (family, kind, protocol, _, place), *_ = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        with socket.socket(family, kind, protocol) as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(place)
    except OSError as error:
        return error
    return None


def free_port(host: str, preferred: int) -> int:
    """The preferred port if it is free, else one that the system chooses; 0 prefers none."""
    if preferred and bind_problem(host, preferred) is None:
        return preferred
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as one:
        one.bind((host, 0))
        port: int = one.getsockname()[1]
    return port
