"""What an answer that is not the wanted one means: from an HTTP status to a sentence."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from HealthyCounterpartLib.address import ServerAddress
from HealthyCounterpartLib.problems import ServerProblem
from HealthyCounterpartLib.translation import _

_MOST_LETTERS = 500


def refusal(
    address: ServerAddress,
    status: int,
    content: bytes,
    *,
    location: str,
    with_token: bool,
) -> ServerProblem:
    """The problem that an answer tells of.

    Args:
        address: Of the server.
        status: HTTP status, not 200 to 299.
        content: Beginning of the answer.
        location: To which it redirects; empty for none.
        with_token: Whether a token was sent.
    """
    error, hint = _said(content)
    if 300 <= status < 400:
        return _redirect(address, location, status)
    if status == 401:
        return _token_problem(address, with_token)
    if status == 403:
        error = error or _("{host} does not allow this.").format(host=address.host)
        return ServerProblem(
            "role", error, hint or _("Ask its administrator for a token that may."), status
        )
    if status in (404, 410):
        return _gone(address, error, status)
    if status in (429, 502, 503, 504):
        error = error or _("{host} is busy, or is just starting.").format(host=address.host)
        return ServerProblem("busy", error, hint or _("Try again in a minute."), status)
    if 400 <= status < 500:
        error = error or _("{host} refuses the request (status {status}).").format(
            host=address.host, status=status
        )
        hint = hint or _("Update this extension, or ask the server's administrator.")
        return ServerProblem("refusal", error, hint, status)
    error = error or _("{host} has a problem of its own (status {status}).").format(
        host=address.host, status=status
    )
    hint = hint or _("Tell its administrator; the server's log has the details.")
    return ServerProblem("server", error, hint, status)


def not_counterpart(address: ServerAddress, status: int | None = None) -> ServerProblem:
    """Some web server answers that has nothing to do with this module."""
    return ServerProblem(
        "not_counterpart",
        _("A web server answers at {where}, but it is no Counterpart server.").format(
            where=address.url
        ),
        _("Correct the address or the port.")
        if not address.base
        else _("Leave out what follows the name and the port, or correct them."),
        status,
    )


def without_app(address: ServerAddress) -> ServerProblem:
    """MONAI Label answers, with another app."""
    return ServerProblem(
        "not_counterpart",
        _("MONAI Label answers at {where}, but without the Counterpart app.").format(
            where=address.url
        ),
        _("Ask its administrator to start it with Counterpart's app (`counterpart serve`)."),
    )


def old_server(address: ServerAddress) -> ServerProblem:
    """Our app answers, of a version from before what is asked."""
    return ServerProblem(
        "old_server",
        _(
            "The Counterpart server at {where} is of a version that is too old for this module."
        ).format(where=address.url),
        _("Ask its administrator to update it."),
    )


def _said(content: bytes) -> tuple[str, str]:
    """What a server of ours says: error and hint, each one line of plain text."""
    try:
        values = json.loads(content)
        return _plain(values.get("error")), _plain(values.get("hint"))
    except (ValueError, AttributeError, RecursionError):
        return "", ""


def _plain(said: object) -> str:
    if not isinstance(said, str):
        return ""
    line = " ".join(said.split())
    return "".join(letter for letter in line if letter.isprintable())[:_MOST_LETTERS]


def _redirect(address: ServerAddress, location: str, status: int) -> ServerProblem:
    """A redirect is never followed: who answers could send scan and token anywhere."""
    try:
        split = urlsplit(location)
        where = f"{split.scheme}://{split.netloc}" if split.netloc else ""
        safer = split.scheme == "https" and split.hostname == address.host and not address.secure
    except ValueError:
        where, safer = "", False
    if safer:
        return ServerProblem(
            "tls",
            _("The server at {host} wants TLS, and was asked without.").format(host=address.host),
            _("Type https:// in place of http://."),
            status,
        )
    return ServerProblem(
        "not_counterpart",
        _("{here} sends who asks elsewhere, to {there}; that is not followed.").format(
            here=address.url, there=_plain(where)[:100] or _("another page")
        ),
        _("If that is the server, type its own address."),
        status,
    )


def _token_problem(address: ServerAddress, with_token: bool) -> ServerProblem:
    if with_token:
        return ServerProblem(
            "token",
            _("{host} does not know the token, or it has run out.").format(host=address.host),
            _("Copy the token again, or ask the administrator for a new one."),
            401,
        )
    return ServerProblem(
        "token",
        _("{host} wants a token, and none is given.").format(host=address.host),
        _("Paste the token that its administrator gave you."),
        401,
    )


def _gone(address: ServerAddress, error: str, status: int) -> ServerProblem:
    if not error:  # not in our app's words: there is no such route
        return not_counterpart(address, status)
    return ServerProblem(
        "gone", error, _("Servers keep things for a while only: ask for it again."), status
    )
