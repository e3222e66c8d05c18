"""Puts measured text into the marked sections of a Markdown document, and leaves the rest alone.

A section lies between two comments, which a reader of the page does not see::

    <!-- bench generate: begin -->
    …
    <!-- bench generate: end -->
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from counterpart.errors import CounterpartError


def replace_section(path: Path, name: str, text: str) -> None:
    """Replace what lies between the marks of a section.

    The file is written beside itself first and then renamed, so that at any moment it is the old
    document or the new one, complete.

    Args:
        path: An existing Markdown file, UTF-8.
        name: Of the section, as in its marks, such as ``bench generate``.
        text: Markdown without the marks, which stay.

    Raises:
        CounterpartError: There is no such file, or its marks are not one begin before one end; or
            the text itself holds a mark.
    """
    content, start, stop = _find(path, name)
    if any(mark in text for mark in _marks(name)):
        raise CounterpartError(f"the text for {path} holds a mark of the section {name!r} itself.")
    line = "\r\n" if "\r\n" in content else "\n"
    inner = line.join(("", "", *text.strip().splitlines(), "", ""))
    _write(path, content[:start] + inner + content[stop:])


def append_to_section(path: Path, name: str, line: str) -> None:
    """Add a line at the end of a section, such as a row to its table.

    Args:
        path: An existing Markdown file, UTF-8.
        name: Of the section.
        line: Markdown, one line.

    Raises:
        CounterpartError: As in `replace_section`.
    """
    content, start, stop = _find(path, name)
    replace_section(path, name, f"{content[start:stop].rstrip()}\n{line}")


def check_section(path: Path, name: str) -> None:
    """Refuse a document without the section, before the work whose outcome it shall hold.

    Raises:
        CounterpartError: As in `replace_section`.
    """
    _find(path, name)


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def _find(path: Path, name: str) -> tuple[str, int, int]:
    """The document, and where the text of the section begins and ends in it."""
    if not path.is_file():
        raise CounterpartError(f"{path}: no such file. Give an existing Markdown document.")
    try:
        content = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise CounterpartError(f"{path}: expected a text in UTF-8 ({error}).") from error
    begin, end = _marks(name)
    for mark in (begin, end):
        count = content.count(mark)
        if count != 1:
            raise CounterpartError(
                f"{path}: expected the mark {mark} once, found it {count} times. The text goes "
                f"between the lines {begin} and {end}."
            )
    start, stop = content.index(begin) + len(begin), content.index(end)
    if stop < start:
        raise CounterpartError(f"{path}: the mark {end} stands before {begin}. Swap them.")
    return content, start, stop


def _write(path: Path, content: str) -> None:
    path = path.resolve()  # a link stays one
    number, part = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content.encode())
        os.chmod(part, stat.S_IMODE(path.stat().st_mode))
        os.replace(part, path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
