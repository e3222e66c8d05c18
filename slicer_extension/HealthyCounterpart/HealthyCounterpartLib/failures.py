"""Why a server was not reached, or a connection broke: from the system's errors to sentences."""

from __future__ import annotations

import errno
import http.client
import socket
import ssl

from HealthyCounterpartLib.address import ServerAddress
from HealthyCounterpartLib.probes import speaks_plain_http, speaks_tls
from HealthyCounterpartLib.problems import ServerProblem
from HealthyCounterpartLib.translation import _

_TIMEOUTS = (socket.timeout, TimeoutError)  # one and the same from Python 3.10
_NO_ROUTE = (
    errno.ENETUNREACH,
    errno.EHOSTUNREACH,
    errno.ENETDOWN,
    errno.EADDRNOTAVAIL,
    errno.EHOSTDOWN,
)
_FORBIDDEN = (errno.EACCES, errno.EPERM)
_UNKNOWN_NAME = (socket.EAI_NONAME, socket.EAI_FAIL, getattr(socket, "EAI_NODATA", -5))
# OpenSSL's numbers of what is wrong with a certificate.
_SELF_SIGNED = (18, 19)
_UNKNOWN_ISSUER = (2, 20, 21)
_NOT_YET, _EXPIRED = 9, 10
_WRONG_NAME = (62, 64)


def connecting_failed(address: ServerAddress, error: OSError, timeout_s: float) -> ServerProblem:
    """Why no connection came about.

    Args:
        address: Of the server.
        error: That the system gave.
        timeout_s: How long was waited.
    """
    host, where = address.host, address.url
    if isinstance(error, socket.gaierror):
        return _name_failed(host, error)
    if isinstance(error, ConnectionRefusedError):
        return ServerProblem(
            "refused",
            _("{host} is there, but nobody listens at its port {port}.").format(
                host=host, port=address.port
            ),
            _("Start the server (`counterpart serve`), or correct the port."),
        )
    if isinstance(error, _TIMEOUTS):
        return ServerProblem(
            "timeout",
            _("Nobody answers at {where} within {seconds:g} s.").format(
                where=where, seconds=timeout_s
            ),
            _("Correct the address, or ask whether a firewall is in the way."),
        )
    if error.errno in _NO_ROUTE:
        return ServerProblem(
            "no_route",
            _("There is no way to {host} from this machine.").format(host=host),
            _("Check the network and the VPN, or correct the address."),
        )
    if error.errno in _FORBIDDEN:
        return ServerProblem(
            "no_route",
            _("This machine does not let a connection to {host} out.").format(host=host),
            _("Ask who looks after this machine; its firewall forbids it."),
        )
    return _lost(address, error)


def handshake_failed(
    address: ServerAddress, error: OSError, timeout_s: float, *, heard: bool
) -> ServerProblem:
    """Why TLS did not come about.

    Args:
        address: Of the server.
        error: That TLS or the system gave.
        timeout_s: How long was waited.
        heard: Whether the server has answered before, and so does speak TLS.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate_problem(address, error)
    if not heard and speaks_plain_http(address, timeout_s):
        return ServerProblem(
            "tls",
            _("The server at {host} speaks plain HTTP, not TLS.").format(host=address.host),
            _("Type http:// in place of https:// if it is reached through a network you trust."),
        )
    if isinstance(error, _TIMEOUTS):
        return ServerProblem(
            "timeout",
            _("{where} takes the connection, but does not begin TLS within {seconds:g} s.").format(
                where=address.url, seconds=timeout_s
            ),
            _("Correct the address, or try again later."),
        )
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        return _tls_ended(address, error)
    return _lost(address, error)


def talking_failed(
    address: ServerAddress, error: Exception, wait_s: float, *, heard: bool
) -> ServerProblem:
    """Why a request was not answered, or an answer broke off.

    Args:
        address: Of the server.
        error: That the system, TLS or HTTP gave.
        wait_s: How long was waited.
        heard: Whether the server has answered before, and so does speak as it is spoken to.
    """
    if isinstance(error, _TIMEOUTS):
        return ServerProblem(
            "timeout",
            _("{where} takes the request, but does not answer within {seconds:g} s.").format(
                where=address.url, seconds=wait_s
            ),
            _("It may be busy: try again in a minute."),
        )
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        return _tls_ended(address, error)
    if not (heard or address.secure) and speaks_tls(address, wait_s):
        return ServerProblem(
            "tls",
            _("The server at {host} wants TLS, and was asked without.").format(host=address.host),
            _("Type https:// in place of http://."),
        )
    broken = (http.client.IncompleteRead, http.client.RemoteDisconnected)
    if isinstance(error, http.client.HTTPException) and not isinstance(error, broken):
        return ServerProblem(
            "not_counterpart",
            _("What answers at {where} is no web server.").format(where=address.url),
            _("Correct the port: another program listens at this one."),
        )
    return _lost(address, error)


def _lost(address: ServerAddress, error: Exception) -> ServerProblem:
    why = ""
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        why = error.strerror or ""
    return ServerProblem(
        "lost",
        _("The connection to {host} broke off{why}.").format(
            host=address.host, why=f" ({why})" if why else ""
        ),
        _("Try again; if it happens again, look after the network or the server."),
    )


def _name_failed(host: str, error: socket.gaierror) -> ServerProblem:
    if error.errno in _UNKNOWN_NAME:
        return ServerProblem(
            "unknown_host",
            _("No machine of the name {host} is known.").format(host=host),
            _("Correct the name, or connect the VPN if the machine is known there only."),
        )
    return ServerProblem(
        "no_route",
        _("The name {host} cannot be looked up at the moment.").format(host=host),
        _("Check that this machine is connected to the network."),
    )


def _tls_ended(address: ServerAddress, error: ssl.SSLError) -> ServerProblem:
    why = (error.reason or "").replace("_", " ").lower() or _("no reason given")
    return ServerProblem(
        "tls",
        _("TLS with {host} does not come about ({why}).").format(host=address.host, why=why),
        _("Ask its administrator which TLS it speaks, and whether it wants a certificate of you."),
    )


def _certificate_problem(
    address: ServerAddress, error: ssl.SSLCertVerificationError
) -> ServerProblem:
    host, code = address.host, error.verify_code
    trust = _(
        "Ask its administrator for the certificate of who signed it, and start Slicer with the "
        "environment variable SSL_CERT_FILE naming a file with it."
    )
    renew = _("Ask its administrator to renew it.")
    if code in _SELF_SIGNED:
        said = _(
            "The certificate of {host} is signed by nobody that this machine trusts: by itself."
        )
        cure = trust
    elif code in _UNKNOWN_ISSUER:
        said, cure = (
            _("The certificate of {host} is signed by one whom this machine does not know."),
            trust,
        )
    elif code == _EXPIRED:
        said, cure = _("The certificate of {host} has expired."), renew
    elif code == _NOT_YET:
        said, cure = (
            _("The certificate of {host} is not valid yet."),
            _("Check this machine's clock."),
        )
    elif code in _WRONG_NAME:
        said = _("The certificate at {host} is for another name.")
        cure = _("Type the name that the certificate is for, or ask the administrator.")
    else:
        said, cure = _("The certificate of {host} is not valid ({why})."), renew
    return ServerProblem("tls", said.format(host=host, why=error.verify_message), cure)
