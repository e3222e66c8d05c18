"""The one whitelist of names: what may become a file's name, a tag's folder, or an id."""

from __future__ import annotations

import re

from lib.problems import Problem, bad_request

SCAN_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha")
ARCHIVE_SUFFIXES = (".zip",)
LABEL_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+@() -]{0,119}")
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
_ID = re.compile(r"[0-9a-f]{32}")
_HASH = re.compile(r"[0-9a-f]{64}")


def checked_name(name: str) -> str:
    """A name for a new image.

    Raises:
        Problem: It could be more than a name.
    """
    if not _NAME.fullmatch(name) or ".." in name or name != name.strip():
        error = "A name may have letters, digits, spaces and . _ + @ ( ) - only, 120 at most."
        raise bad_request(error, "Choose another name; a path is none.")
    return name


def checked_tag(tag: str) -> str:
    """A tag of a label.

    Raises:
        Problem: It could be more than a tag.
    """
    if not _TAG.fullmatch(tag):
        error = "A tag may have letters, digits, _ and - only, 40 at most."
        raise bad_request(error, "Use 'final' or 'original', or a word of your own.")
    return tag


def checked_id(text: str) -> str:
    """The id of a job, a session or a run.

    Raises:
        Problem: It is none.
    """
    if not _ID.fullmatch(text):
        raise bad_request("An id has 32 hexadecimal digits.", "Use the id that the server gave.")
    return text


def checked_hash(text: str) -> str:
    """The content hash of an upload.

    Raises:
        Problem: It is none.
    """
    if not _HASH.fullmatch(text):
        error = "The hash of a scan has 64 hexadecimal digits."
        raise bad_request(error, "Use the hash that PUT /counterpart/scans answered.")
    return text


def split_name(filename: str, suffixes: tuple[str, ...] = SCAN_SUFFIXES) -> tuple[str, str]:
    """A file's name and its suffix, as a client sent it.

    Args:
        filename: What the client calls the file; folders before it are left away.
        suffixes: Which are accepted.

    Raises:
        Problem: The suffix is another, or the name is none.
    """
    plain = re.split(r"[/\\]", filename)[-1]
    for suffix in suffixes:
        if plain.lower().endswith(suffix):
            return checked_name(plain[: -len(suffix)]), suffix
    raise Problem(
        415,
        f"Expected a file that ends in {', '.join(suffixes)}.",
        "Convert the scan, and give its name with the suffix of its format.",
    )
