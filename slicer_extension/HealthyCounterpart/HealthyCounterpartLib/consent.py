"""To which hosts the reader has agreed to send scans: asked once for each."""

from __future__ import annotations

import json

from HealthyCounterpartLib.known_jobs import Settings

_KEY = "HealthyCounterpart/Consent"


class Consent:
    """The hosts that may get scans.

    Args:
        settings: Keep them.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def given(self, host: str) -> bool:
        """Whether the reader has agreed for this host."""
        return host.lower() in self._hosts()

    def give(self, host: str) -> None:
        """The reader agrees for this host."""
        hosts = sorted({*self._hosts(), host.lower()})
        self._settings.setValue(_KEY, json.dumps(hosts))

    def _hosts(self) -> list[str]:
        try:
            kept = json.loads(str(self._settings.value(_KEY, "[]")))
        except ValueError:
            return []
        return [str(host) for host in kept] if isinstance(kept, list) else []
