"""What the healthy cohort is, as far as headers tell; training looks closer before it starts."""

from __future__ import annotations

import threading
from typing import Any

from fastapi import APIRouter

from lib.cohort.marks import marked_scans
from lib.problems import ERRORS
from lib.server import Server


def cohort_routes(server: Server) -> APIRouter:
    """The route ``GET /counterpart/cohort``."""
    router = APIRouter(prefix="/counterpart/cohort", tags=["Training"], responses=ERRORS)
    turn = threading.Lock()

    @router.get("", summary="The scans that are marked as healthy, and what speaks against them")
    def cohort() -> dict[str, Any]:
        """Subjects, contrasts, voxel sizes, what is refused and why, and what is advised.

        Mark with `PUT /datastore/image/info?image=ID` and the form `info={"cohort": "healthy"}`.
        """
        from counterpart.cohort_checks.overview import cohort_overview

        with turn:  # one look at the disk at a time
            return cohort_overview(marked_scans(server.studies)).to_json()

    return router
