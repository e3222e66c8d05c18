"""What the server and its processes say to each other: one line of JSON each.

The server sends ``{"id", "kind", "arguments"}`` and perhaps ``{"cancel": id}``. A process answers
``{"id", "words", "fraction"}`` any number of times and then ``{"id", "done"}``,
``{"id", "failed"}`` or ``{"id", "cancelled"}``; ``{"ready": true}`` says that it has warmed up.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from counterpart.errors import CounterpartError, ModelError
from lib.problems import Problem, unusable

Tell = Callable[[str, float], None]
Values = dict[str, Any]
Work = Callable[[Values, Tell], Values]
_SENTENCE = re.compile(r"(?<=[.!?;:])\s+")
_FOLDERS = re.compile(r"(?<![\w.:/])/(?:[\w.@+ -]+/)+(?=[\w.])")
# What another library said, in its own terms.
_CAUSE = re.compile(r"\s*\([^()]*(?:Errno|Error|codec|Exception)[^()]*\)")
_HINT = "Send another scan, or correct this one; the page /docs says what can be read."


class Cancelled(Exception):
    """The work is no longer wanted."""


@dataclass(frozen=True)
class Task:
    """A piece of work.

    Args:
        kind: What is to be done.
        arguments: Plain values.
    """

    kind: str
    arguments: Values = field(default_factory=dict)


def problem_of(error: Exception, path: str | None = None) -> Problem:
    """What a person is told of an error of the library: no folders, and the cure apart.

    Args:
        error: As it was raised.
        path: The file at fault, whose folders are the server's own business.
    """
    text = str(error)
    if path:
        text = text.replace(path, Path(path).name)
    text = _CAUSE.sub("", _FOLDERS.sub("", text))
    if isinstance(error, ModelError):
        return Problem(503, text, "Tell the administrator: the model on the server is at fault.")
    if isinstance(error, MemoryError):
        return unusable("The scan needs more memory than the server has.", "Send a smaller one.")
    if not isinstance(error, CounterpartError):
        raise error
    parts = _SENTENCE.split(text)
    head, rest = parts[0], parts[1:]
    # A file's name alone is no sentence, nor is what breaks off within a bracket.
    while rest and (head.endswith(":") or head.count("(") > head.count(")")):
        head = f"{head} {rest.pop(0)}"
    if head.endswith(";"):  # what follows is the cure
        head, rest = f"{head[:-1]}.", [part[:1].upper() + part[1:] for part in rest]
    return unusable(head, " ".join(rest) or _HINT)
