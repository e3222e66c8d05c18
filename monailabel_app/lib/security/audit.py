"""The audit log: who did what, when, with which model, to which scan, as keyed hashes alone."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from lib.security.tokens import Person


class AuditLog:
    """A file of JSON lines that only grows.

    Args:
        path: Of the file; others than its owner cannot read it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def write(
        self, person: Person | None, action: str, status: int, noted: Mapping[str, Any]
    ) -> None:
        """Add a line.

        Args:
            person: Who asked.
            action: Method and route.
            status: Of the answer.
            noted: What routes have noted of the request: ``model``, ``scan`` (keyed hash).
        """
        line = {
            "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            "who": person.name if person else None,
            "role": person.role if person else None,
            "action": action,
            "status": status,
            "model": noted.get("audit_model"),
            "scan": noted.get("audit_scan"),
        }
        with self._lock:
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(handle, (json.dumps(line) + "\n").encode())
            finally:
                os.close(handle)
