"""Settings as QSettings keeps them, in memory."""

from typing import Any


class PlainSettings:
    """Keeps texts."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def value(self, key: str, default: str) -> Any:
        return self.kept.get(key, default)

    def setValue(self, key: str, text: str) -> None:
        self.kept[key] = text
