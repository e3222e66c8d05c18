"""Who asks: tokens from a file or the environment, and the short-lived ones that log-in gives."""

from __future__ import annotations

import hashlib
import hmac
import time
from dataclasses import dataclass

import jwt

from counterpart.serving.people import ROLES, known_people
from lib.settings import ServerSettings

LOGIN_S = 12 * 3600
_ALGORITHM = "HS256"


@dataclass(frozen=True)
class Person:
    """Who a request comes from.

    Args:
        name: For logs and the audit.
        role: One of `ROLES`; each may do what those before it may.
        token: Digest of the token; empty for who came without one.
    """

    name: str
    role: str
    token: bytes = b""

    def may(self, role: str) -> bool:
        """Whether this person's role is at least that one."""
        return ROLES.index(self.role) >= ROLES.index(role)

    @property
    def monai_roles(self) -> list[str]:
        """The names that MONAI Label has for the roles."""
        return [f"monailabel-{role}" for role in ROLES if self.may(role)]


class Tokens:
    """The tokens that are valid.

    Args:
        settings: Token file, token of the environment.
        key: Secret that log-ins are signed with.

    Raises:
        ServingError: The file cannot be read, or says something that it may not.
    """

    def __init__(self, settings: ServerSettings, key: bytes) -> None:
        self._settings = settings
        self._key = key
        self._people: list[Person] = []
        self.reload()

    def __bool__(self) -> bool:
        return bool(self._people)

    def reload(self) -> None:
        """Read the token file again; people who are no longer in it are out at once."""
        people = known_people(self._settings.token_file, self._settings.token)
        self._people = [Person(one.name, one.role, _digest(one.token)) for one in people]

    def identify(self, token: str) -> Person | None:
        """Who has this token, or this log-in; None if nobody."""
        return self._by_token(token) or self._by_login(token)

    def log_in(self, name: str, token: str) -> str | None:
        """Exchange a name and a token for a log-in that ends by itself; None if they do not fit."""
        person = self._by_token(token)
        if person is None or not hmac.compare_digest(person.name.encode(), name.encode()):
            return None
        claims = {
            "sub": person.name,
            "tok": hmac.new(self._key, person.token, hashlib.sha256).hexdigest(),
            "exp": int(time.time()) + LOGIN_S,
        }
        return jwt.encode(claims, self._key, algorithm=_ALGORITHM)

    def _by_token(self, token: str) -> Person | None:
        digest = _digest(token)
        found = None
        for person in self._people:  # all of them, so that the time does not tell which
            if hmac.compare_digest(digest, person.token):
                found = person
        return found

    def _by_login(self, token: str) -> Person | None:
        try:
            claims = jwt.decode(
                token, self._key, algorithms=[_ALGORITHM], options={"require": ["sub", "exp"]}
            )
        except (jwt.InvalidTokenError, ValueError):
            return None
        for person in self._people:
            fits = hmac.new(self._key, person.token, hashlib.sha256).hexdigest()
            if person.name == claims["sub"] and hmac.compare_digest(fits, str(claims.get("tok"))):
                return person
        return None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
