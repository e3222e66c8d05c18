"""Sessions: what stock clients call a scan that they send without adding it to the studies."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lib.datastore.names import checked_id
from lib.datastore.uploads import UploadStore
from lib.jobs.job import Job, JobOptions
from lib.problems import not_found
from lib.server import Server
from lib.state import write_json

MAX_EXPIRY_S = 24 * 3600


class SessionStore:
    """Sessions, each an id for an upload that ends by itself.

    Args:
        folder: For one file each.
        uploads: Keeps the scans.
        clock: Seconds since 1970.
    """

    def __init__(
        self, folder: Path, uploads: UploadStore, clock: Callable[[], float] = time.time
    ) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._uploads = uploads
        self._clock = clock

    def open(self, content: str, expiry_s: int) -> tuple[str, dict[str, Any]]:
        """Begin a session; its id and what stock clients are told of it."""
        self.purge_old()
        session_id = secrets.token_hex(16)
        kept_s = min(expiry_s, MAX_EXPIRY_S) if expiry_s > 0 else MAX_EXPIRY_S
        facts = {"name": session_id, "scan": content, "create_ts": int(self._clock())}
        write_json(self._folder / f"{session_id}.json", {**facts, "expiry": kept_s})
        return session_id, {**facts, "expiry": kept_s}

    def find(self, session_id: str) -> dict[str, Any]:
        """What is known of a session.

        Raises:
            Problem: There is none, or it has ended.
        """
        path = self._folder / f"{checked_id(session_id)}.json"
        try:
            facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise not_found("A session with this id", "Open one with PUT /session/.") from error
        if self._has_ended(facts):
            path.unlink(missing_ok=True)
            raise not_found("A session with this id", "It has ended; open another.")
        return facts

    def path(self, session_id: str) -> Path:
        """The scan of a session.

        Raises:
            Problem: There is no such session, or its scan is gone.
        """
        return self._uploads.find(self.find(session_id)["scan"]).path

    def submit(self, server: Server, session_id: str, options: JobOptions) -> Job:
        """Ask for the counterpart of a session's scan.

        Raises:
            Problem: There is no such session, or its scan is gone.
        """
        return server.submit_upload(self.find(session_id)["scan"], options)

    def purge(self, content: str) -> int:
        """End the sessions of a scan; how many there were."""
        return self._remove(lambda facts: facts["scan"] == content)

    def purge_old(self) -> int:
        """Forget the sessions that have ended; how many there were."""
        return self._remove(self._has_ended)

    def _has_ended(self, facts: dict[str, Any]) -> bool:
        return bool(facts["create_ts"] + facts["expiry"] < self._clock())

    def _remove(self, unwanted: Callable[[dict[str, Any]], bool]) -> int:
        count = 0
        for path in self._folder.glob("*.json"):
            try:
                gone = unwanted(json.loads(path.read_text(encoding="utf-8")))
            except (FileNotFoundError, ValueError, KeyError):
                gone = False  # somebody else has removed it, or it is damaged
            if gone:
                path.unlink(missing_ok=True)
                count += 1
        return count

    def close(self, session_id: str) -> dict[str, Any]:
        """End a session; the upload goes when its time is over.

        Raises:
            Problem: There is none.
        """
        facts = self.find(session_id)
        (self._folder / f"{session_id}.json").unlink(missing_ok=True)
        return facts
