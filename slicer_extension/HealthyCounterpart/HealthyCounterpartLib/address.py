"""Where a server answers, as somebody typed it, and whether what is sent there stays private."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Optional, Union
from urllib.parse import SplitResult, quote, urlsplit

from HealthyCounterpartLib.problems import ServerProblem
from HealthyCounterpartLib.translation import _

DEFAULT_PORT = 8000
EXAMPLE = f"http://127.0.0.1:{DEFAULT_PORT}"
_SCHEMES = ("http", "https")
_MOST_LETTERS = 1000
_Number = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]


@dataclass(frozen=True)
class ServerAddress:
    """Where a server answers.

    Args:
        secure: Whether over TLS.
        host: Name or number; an IPv6 one without brackets.
        port: 1 to 65535.
        base: Path below which the server lives, without a slash at its end.
    """

    secure: bool
    host: str
    port: int
    base: str = ""

    @classmethod
    def of(cls, typed: str) -> ServerAddress:
        """The address that somebody typed.

        Without ``http://`` or ``https://`` it is plain HTTP, at port 8000 unless one is given;
        with it, the port is that of the scheme.

        Raises:
            ServerProblem: It is none (kind ``address``); the sentence never repeats a password.
        """
        text = typed.strip()
        _check_letters(text)
        bare = "://" not in text
        split = _split(f"http://{_bracketed(text)}" if bare else text)
        port = _port(split)
        _check_parts(split)
        host = _checked_host(split.hostname or "")
        secure = split.scheme == "https"
        if port is None:
            port = DEFAULT_PORT if bare else 443 if secure else 80
        return cls(secure, host, port, quote(split.path.rstrip("/"), safe="/%:@!$&'()*+,;=~"))

    @property
    def url(self) -> str:
        """The address as a URL, without a slash at its end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = self.port == (443 if self.secure else 80)
        port = "" if usual else f":{self.port}"
        return f"http{'s' * self.secure}://{host}{port}{self.base}"

    @property
    def local(self) -> bool:
        """Whether the server is on this machine, so that nothing leaves it."""
        number = _number(self.host)
        if number is None:
            return self.host.lower().rstrip(".") == "localhost"
        return number.is_loopback

    @property
    def warns(self) -> str:
        """A sentence where what is sent could be read on the way; else empty."""
        if self.secure or self.local:
            return ""
        return _(
            "The scan and the token travel to {host} unencrypted, and can be read on the way; an "
            "address that begins with https:// is safer."
        ).format(host=self.host)


def _problem(sentence: str, cure: str = "") -> ServerProblem:
    usual = _("Type the address that the server printed when it was started, such as {example}.")
    return ServerProblem("address", sentence, cure or usual.format(example=EXAMPLE))


def _check_letters(text: str) -> None:
    """Refuse what has letters that no address has, each in its own words."""
    if not text:
        raise _problem(_("No address of a server is given."))
    if any(letter.isspace() or not letter.isprintable() for letter in text):
        raise _problem(_("The address has a space or an invisible letter in it."))
    if "\\" in text:
        raise _problem(_("The address has a backslash in it."), _("Type / in its place."))
    if len(text) > _MOST_LETTERS:
        raise _problem(_("The address is too long to be one."))


def _bracketed(text: str) -> str:
    """An IPv6 number that was typed without brackets, with them."""
    return f"[{text}]" if ":" in text and _number(text) is not None else text


def _split(text: str) -> SplitResult:
    try:
        split = urlsplit(text)
    except ValueError as error:
        raise _problem(_("The address has brackets that do not fit."), "") from error
    if split.scheme not in _SCHEMES:
        raise _problem(
            _("A server is asked by http:// or https://, not by {scheme}://.").format(
                scheme=split.scheme[:20]
            )
        )
    return split


def _port(split: SplitResult) -> Optional[int]:
    try:
        port = split.port
    except ValueError:
        port = 0
    if port == 0:
        if split.hostname in _SCHEMES:
            raise _problem(_("After http: or https: come two slashes."))
        raise _problem(_("The port, behind the colon, is not a number from 1 to 65535."))
    return port


def _check_parts(split: SplitResult) -> None:
    if split.username is not None or split.password is not None:
        raise _problem(
            _("A name or a password does not belong into the address."),
            _("Type the address alone; the token has a field of its own."),
        )
    if split.query or split.fragment:
        raise _problem(
            _("The address goes on behind a ? or a #."), _("Leave out that and what follows it.")
        )
    if split.hostname in _SCHEMES:
        raise _problem(_("After http: or https: come two slashes."))


def _checked_host(host: str) -> str:
    number = _number(host)
    if host == "0" or (number is not None and _is_unspecified(number)):
        raise _problem(
            _("{host} is where a server listens, not where it can be asked.").format(host=host),
            _(
                "Type 127.0.0.1 in its place if the server runs on this machine, else the name of "
                "the machine that it runs on."
            ),
        )
    try:
        known = bool(host) and bool(host.encode("idna"))
    except UnicodeError:
        known = False
    if not known:
        raise _problem(_("The address names no machine."))
    return host


def _number(host: str) -> Optional[_Number]:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_unspecified(number: _Number) -> bool:
    inner = getattr(number, "ipv4_mapped", None)
    return number.is_unspecified or (inner is not None and inner.is_unspecified)
