"""What the server answers where a request cannot be served: an error and a hint, for a person."""

from __future__ import annotations

import http
from typing import Any

from pydantic import BaseModel, Field

Responses = dict[int | str, dict[str, Any]]


class ErrorBody(BaseModel):
    """The body of every answer that is an error."""

    error: str = Field(description="What is wrong, one sentence.")
    hint: str = Field(description="What to do about it, one sentence.")


class Problem(Exception):
    """A request that cannot be served.

    Args:
        status: HTTP status, 400 to 599.
        error: What is wrong, one sentence.
        hint: What to do about it, one sentence.
        headers: Of the answer.
    """

    def __init__(
        self, status: int, error: str, hint: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.hint = hint
        self.headers = headers or {}

    def to_json(self) -> dict[str, str]:
        """The answer's body."""
        return {"error": self.error, "hint": self.hint}


def not_found(what: str, hint: str) -> Problem:
    """There is no such thing."""
    return Problem(http.HTTPStatus.NOT_FOUND, f"{what} does not exist.", hint)


def bad_request(error: str, hint: str) -> Problem:
    """The request says something that it may not."""
    return Problem(http.HTTPStatus.BAD_REQUEST, error, hint)


def unusable(error: str, hint: str) -> Problem:
    """What was sent was understood, but is no scan that can be used."""
    return Problem(http.HTTPStatus.UNPROCESSABLE_ENTITY, error, hint)


def conflict(error: str, hint: str) -> Problem:
    """The request does not fit the state that the server is in."""
    return Problem(http.HTTPStatus.CONFLICT, error, hint)


# What the OpenAPI page says of every route: all errors look alike.
ERRORS: Responses = {
    "4XX": {"model": ErrorBody, "description": "The request cannot be served; error and hint."}
}
