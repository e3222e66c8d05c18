"""Every text that a person reads goes through `_`, which Slicer translates."""

from __future__ import annotations

from collections.abc import Callable

try:
    from slicer.i18n import tr
except ImportError:  # outside the application: scripts and tests
    tr = str

# Slicer's function itself, no wrapper: it looks a text up by the file that calls it.
_: Callable[[str], str] = tr

__all__ = ["_"]
