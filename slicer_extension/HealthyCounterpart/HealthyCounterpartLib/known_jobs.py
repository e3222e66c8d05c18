"""Jobs that were asked for and not fetched yet; what is kept names no scan of the scene."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Protocol

_KEY = "HealthyCounterpart/Jobs"
_MOST = 20


class Settings(Protocol):
    """Where the application keeps texts; `QSettings` is one."""

    def value(self, key: str, default: str) -> Any:
        """The text that is kept."""

    def setValue(self, key: str, text: str) -> None:
        """Keep a text."""


@dataclass(frozen=True)
class RememberedJob:
    """A job of which this computer knows.

    Args:
        id: On the server.
        url: Of the server.
        when: Local time at which it was asked for, in words.
        study: Id of the study; empty for a scan of the scene.
        contrast: As it was chosen; may be empty.
    """

    id: str
    url: str
    when: str
    study: str = ""
    contrast: str = ""


class KnownJobs:
    """The remembered jobs, newest first.

    Args:
        settings: Keep them.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def all(self) -> tuple[RememberedJob, ...]:
        """Every job; what cannot be read is left out."""
        try:
            kept = json.loads(str(self._settings.value(_KEY, "[]")))
            return tuple(RememberedJob(**one) for one in kept)
        except (ValueError, TypeError):
            return ()

    def at(self, url: str) -> tuple[RememberedJob, ...]:
        """Those of one server."""
        return tuple(job for job in self.all() if job.url == url)

    def remember(self, job: RememberedJob) -> None:
        """Keep a job, once."""
        others = [one for one in self.all() if (one.id, one.url) != (job.id, job.url)]
        self._keep([job, *others])

    def forget(self, job_id: str, url: str) -> None:
        """Let a job go; one that is not known is no error."""
        self._keep([one for one in self.all() if (one.id, one.url) != (job_id, url)])

    def _keep(self, jobs: list[RememberedJob]) -> None:
        self._settings.setValue(_KEY, json.dumps([asdict(job) for job in jobs[:_MOST]]))
