"""Reads objects that clients send as JSON: plain values that every reader of JSON takes back."""

from __future__ import annotations

import json
import math
from typing import Any

from lib.problems import Problem, bad_request

_MAX_DEPTH = 8
_MAX_WHOLE = 1 << 63
_HINT = "Send an object, such as {}."


def read_object(text: str, what: str) -> dict[str, Any]:
    """The object that a text holds.

    Args:
        text: JSON; nothing stands for an empty object.
        what: What is read, as the beginning of a sentence.

    Raises:
        Problem: It is none.
    """
    try:
        values = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise bad_request(f"{what} is no JSON.", _HINT) from error
    return checked_object(values, what)


def checked_object(values: object, what: str) -> dict[str, Any]:
    """An object that can be written as JSON and read by others.

    Python reads and writes more than JSON has: numbers that are none, halves of characters, nests
    of any depth. A file with one of them is not read again by others, and an answer not by clients.

    Raises:
        Problem: It is none.
    """
    if not isinstance(values, dict) or not _is_plain(values, _MAX_DEPTH):
        raise bad_request(f"{what} is no plain JSON object.", _HINT)
    return values


def check_text(text: str, what: str) -> str:
    """A text that can be written.

    Raises:
        Problem: It holds halves of characters.
    """
    if not _is_text(text):
        raise Problem(400, f"{what} is no text.", "Send letters as UTF-8.")
    return text


def _is_plain(value: object, deep: int) -> bool:
    if isinstance(value, str):
        return _is_text(value)
    if isinstance(value, dict):
        parts = [*value, *value.values()]
        return deep > 0 and all(_is_plain(part, deep - 1) for part in parts)
    if isinstance(value, list):
        return deep > 0 and all(_is_plain(part, deep - 1) for part in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, int) or -_MAX_WHOLE <= value < _MAX_WHOLE


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
