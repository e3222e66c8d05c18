"""Keeps texts in the application's settings; tokens are never given to it."""

from __future__ import annotations

from typing import Any


class QtSettings:
    """Texts in `QSettings`, written at once, so that a crash loses no job.

    Args:
        settings: A ``qt.QSettings``.
    """

    def __init__(self, settings: Any) -> None:
        self._settings = settings

    def value(self, key: str, default: str) -> str:
        """The text that is kept."""
        self._settings.sync()  # another Slicer may have written meanwhile
        kept = self._settings.value(key, default)
        return kept if isinstance(kept, str) else default

    def setValue(self, key: str, text: str) -> None:
        """Keep a text."""
        self._settings.setValue(key, text)
        self._settings.sync()
