"""Finds out which protocol a port speaks, once asking it in the expected one has failed.

Nothing but a greeting is sent: no token, no name, no scan.
"""

from __future__ import annotations

import socket
import ssl

from HealthyCounterpartLib.address import ServerAddress

_MOST_S = 3.0


def speaks_plain_http(address: ServerAddress, timeout_s: float) -> bool:
    """Whether a server answers plain HTTP where TLS was expected."""
    try:
        with _connected(address, timeout_s) as connection:
            connection.sendall(b"HEAD / HTTP/1.0\r\n\r\n")
            return connection.recv(5) == b"HTTP/"
    except OSError:
        return False


def speaks_tls(address: ServerAddress, timeout_s: float) -> bool:
    """Whether a server speaks TLS where plain HTTP was expected.

    No authority is trusted, so the handshake ends at the certificate at the latest.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        with _connected(address, timeout_s) as connection:
            context.wrap_socket(connection, server_hostname=address.host).close()
    except ssl.SSLCertVerificationError:
        return True
    except OSError:
        return False
    return True


def _connected(address: ServerAddress, timeout_s: float) -> socket.socket:
    return socket.create_connection((address.host, address.port), min(timeout_s, _MOST_S))
