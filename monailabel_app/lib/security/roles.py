"""Which role a request needs: one table for every route, the stock ones included."""

from __future__ import annotations

import re

OPEN = ""

_EVERY = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH")
_CHANGES = ("POST", "PUT", "DELETE", "PATCH")
# The first line that fits decides; what fits none is a user's.
_TABLE: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("GET", "HEAD"), r"/counterpart/health|/favicon\.ico|/auth/?", OPEN),
    (("POST",), r"/auth/token", OPEN),
    (("DELETE",), r"/datastore(/.*)?", "admin"),
    (("PUT",), r"/datastore/image/info", "admin"),
    (("GET", "HEAD"), r"/datastore/dataset", "annotator"),
    (("DELETE",), r"/counterpart/scans/.*", "admin"),
    (_CHANGES, r"/train(/.*)?", "admin"),
    (_CHANGES, r"/counterpart/training(/.*)?", "admin"),
    (_CHANGES, r"/counterpart/models(/.*)?", "admin"),
    (_CHANGES, r"/counterpart/cohort(/.*)?", "admin"),
    (_CHANGES, r"/batch/infer(/.*)?", "admin"),
    (_EVERY, r"/model(/.*)?", "admin"),
    (_EVERY, r"/logs(/.*)?", "admin"),
    (_EVERY, r"/reload", "admin"),
)
_COMPILED = tuple((methods, re.compile(path), role) for methods, path, role in _TABLE)


def required_role(method: str, path: str) -> str:
    """The role that a request needs; `OPEN` where anybody may ask.

    Args:
        method: Of the request.
        path: Of the request, decoded, without the root path.
    """
    for methods, pattern, role in _COMPILED:
        if method in methods and pattern.fullmatch(path):
            return role
    return "user"
