"""Unpacks a model bundle that came as ZIP: known names and sizes alone, never code."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path, PurePosixPath

from lib.datastore.receiving import BROKEN_ARCHIVE
from lib.problems import unusable

_MEMBER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}")
_SUFFIXES = (".json", ".safetensors", ".md", ".gz", ".txt", ".png")
_MOST_FILES = 60
_MOST_BYTES = 600 << 20
_MOST_DEEP = 3


def unpack_bundle(archive: Path, folder: Path) -> None:
    """Unpack a bundle; the bundle's own manifest is checked when it is published.

    Args:
        archive: The ZIP file; the bundle's files lie at its top or in one folder.
        folder: Becomes the bundle.

    Raises:
        Problem: It is no ZIP file, or holds what no bundle holds.
    """
    try:
        with zipfile.ZipFile(archive) as opened:  # an administrator's
            members = [member for member in opened.infolist() if not member.is_dir()]
            total = sum(member.file_size for member in members)
            if not 0 < len(members) <= _MOST_FILES or total > _MOST_BYTES:
                raise _refused(f"{len(members)} files of {total >> 20} MiB")
            top = _common_top([member.filename for member in members])
            for member in members:
                place = folder / _place(member, top)
                place.parent.mkdir(parents=True, exist_ok=True)
                content = opened.read(member)
                if len(content) != member.file_size:
                    raise _refused("a file of another size than it says")
                place.write_bytes(content)
    except BROKEN_ARCHIVE as error:
        raise unusable("The archive cannot be unpacked.", "Send a bundle as ZIP.") from error


def _common_top(names: list[str]) -> str:
    """The one folder that everything lies in, with a slash; empty without one."""
    tops = {name.split("/", 1)[0] if "/" in name else "" for name in names}
    only = tops.pop() if len(tops) == 1 else ""
    known = ("configs", "models", "docs")
    return f"{only}/" if only and only not in known else ""


def _place(member: zipfile.ZipInfo, top: str) -> PurePosixPath:
    name = member.filename.removeprefix(top)
    parts = name.split("/")
    plain = all(_MEMBER.fullmatch(part) and ".." not in part for part in parts)
    link = (member.external_attr >> 16) & 0o170000 == 0o120000
    if not plain or link or len(parts) > _MOST_DEEP or not name.endswith(_SUFFIXES):
        raise _refused(f"the file {name[:80]!r}")
    return PurePosixPath(name)


def _refused(what: str) -> Exception:
    return unusable(f"The archive holds {what}, which no bundle holds.", "Send a bundle as ZIP.")
