"""Every text that a person reads goes through `_`, which Slicer translates."""

from __future__ import annotations

try:
    from slicer.i18n import tr as _translated
except ImportError:  # outside the application: scripts and tests
    _translated = str


def _(text: str) -> str:
    """A text in the language of the application.

    Args:
        text: In English, with ``{names}`` that are filled in afterwards.
    """
    return str(_translated(text))


__all__ = ["_"]
