"""Who may ask the server: the names, roles and tokens of a token file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from counterpart.errors import ServingError

ROLES = ("user", "annotator", "reviewer", "admin")
MIN_TOKEN_CHARACTERS = 16
_OTHERS = 0o077
_COMMENT = re.compile(r"(^|\s)#.*")  # a token may have a # within


@dataclass(frozen=True)
class Person:
    """Somebody with a token.

    Args:
        name: For logs and the audit.
        role: One of `ROLES`; each may do what those before it may.
        token: The secret itself, never shown.
    """

    name: str
    role: str
    token: str

    def __repr__(self) -> str:
        return f"Person({self.name!r}, {self.role!r})"


def known_people(token_file: Path | None, token: str) -> tuple[Person, ...]:
    """Everybody with a token.

    Args:
        token_file: One token alone, or lines ``NAME ROLE TOKEN``; ``#`` begins a comment.
        token: Of an administrator, from the environment; empty without one.

    Raises:
        ServingError: The file cannot be read, others may read it, a line or a token is wrong, or a
            name has two tokens.
    """
    people = [_person("admin", "admin", token, "COUNTERPART_TOKEN")] if token else []
    if token_file is not None:
        people += _read(token_file)
    names = [person.name for person in people]
    for name in names:
        if names.count(name) > 1:
            raise ServingError(f"there are two tokens for {name!r}; give each person one name.")
    return tuple(people)


def _read(path: Path) -> list[Person]:
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ServingError(
            f"{path}: no such token file; `openssl rand -hex 32` draws a token for it."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ServingError(f"{path}: the tokens cannot be read ({error}).") from error
    if mode & _OTHERS:
        raise ServingError(f"{path}: others may read the tokens; run `chmod 600 {path}`.")
    lines = [_COMMENT.sub("", line).split() for line in text.splitlines()]
    lines = [words for words in lines if words]
    if not lines:
        raise ServingError(f"{path}: holds no token; write one, or lines NAME ROLE TOKEN.")
    if len(lines) == 1 and len(lines[0]) == 1:
        return [_person("admin", "admin", lines[0][0], str(path))]
    for words in lines:
        if len(words) != 3:
            raise ServingError(
                f"{path}: expected NAME ROLE TOKEN on each line, found {len(words)} words on one."
            )
    return [_person(name, role, token, str(path)) for name, role, token in lines]


def _person(name: str, role: str, token: str, source: str) -> Person:
    if role not in ROLES:
        raise ServingError(f"{source}: {role!r} is no role, but {', '.join(ROLES)} are.")
    if len(token) < MIN_TOKEN_CHARACTERS:
        raise ServingError(
            f"{source}: the token of {name!r} has fewer than {MIN_TOKEN_CHARACTERS} characters; "
            "draw one with `openssl rand -hex 32`."
        )
    if not token.isascii():
        raise ServingError(
            f"{source}: the token of {name!r} has letters that a request's header cannot carry; "
            "use ASCII characters only."
        )
    return Person(name, role, token)
