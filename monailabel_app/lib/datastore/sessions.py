"""Sessions: what stock clients call a scan that they send without adding it to the studies."""

from __future__ import annotations

import json
import secrets
import time
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
    """

    def __init__(self, folder: Path, uploads: UploadStore) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._uploads = uploads

    def open(self, content: str, expiry_s: int) -> tuple[str, dict[str, Any]]:
        """Begin a session; its id and what stock clients are told of it."""
        session_id = secrets.token_hex(16)
        kept_s = min(expiry_s, MAX_EXPIRY_S) if expiry_s > 0 else MAX_EXPIRY_S
        facts = {"name": session_id, "scan": content, "create_ts": int(time.time())}
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
        if facts["create_ts"] + facts["expiry"] < time.time():
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

    def close(self, session_id: str) -> dict[str, Any]:
        """End a session; the upload goes when its time is over.

        Raises:
            Problem: There is none.
        """
        facts = self.find(session_id)
        (self._folder / f"{session_id}.json").unlink(missing_ok=True)
        return facts
