"""The stock routes of sessions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, File, Query, Request, Response, UploadFile
from fastapi.responses import FileResponse, JSONResponse

from lib.datastore.names import ARCHIVE_SUFFIXES, SCAN_SUFFIXES, split_name
from lib.datastore.receiving import MAX_MEMBERS, content_hash, copy_upload, remove
from lib.datastore.sessions import SessionStore
from lib.parameters import SessionId
from lib.problems import ERRORS, bad_request, unusable
from lib.server import Server


def session_routes(server: Server, sessions: SessionStore) -> APIRouter:
    """The routes below ``/session``."""
    router = APIRouter(prefix="/session", tags=["MONAI Label: sessions"], responses=ERRORS)

    @router.put("/", summary="Send a scan without adding it to the studies")
    def create_session(
        request: Request,
        files: Annotated[list[UploadFile], File(min_length=1)],
        uncompress: bool = False,
        expiry: Annotated[int, Query(ge=0, le=10**9, description="Seconds.")] = 0,
    ) -> dict[str, Any]:
        """One file, or the slices of a DICOM series. With `uncompress` a ZIP file of them."""
        work = server.state.temporary()
        try:
            received, stem, suffix = _received(files, work, uncompress)
            content = content_hash(received)
            server.note(request, content=content)
            if not server.uploads.has(content):
                server.uploads.take(received, content, stem, suffix)
        finally:
            remove(work)
        session_id, info = sessions.open(content, expiry)
        return {"session_id": session_id, "session_info": info}

    @router.get("/{session_id}", summary="What is known of a session, or its scan")
    def get_session(
        session_id: SessionId, update_ts: bool = False, image: bool = False
    ) -> Response:
        if not image:
            return JSONResponse(sessions.find(session_id))
        path = sessions.path(session_id)
        if path.is_dir():
            raise bad_request("The scan is a series of slices.", "Keep your own copy.")
        return FileResponse(path, media_type="application/octet-stream", filename=path.name)

    @router.delete("/{session_id}", summary="End a session")
    def remove_session(session_id: SessionId) -> dict[str, Any]:
        return sessions.close(session_id)

    return router


def _received(files: list[UploadFile], work: Path, uncompress: bool) -> tuple[Path, str, str]:
    """What was sent, on the disk, with its name and suffix."""
    if len(files) == 1:
        suffixes = ARCHIVE_SUFFIXES if uncompress else SCAN_SUFFIXES
        stem, suffix = split_name(files[0].filename or "", suffixes)
        copy_upload(files[0].file, work / f"received{suffix}")
        return work / f"received{suffix}", stem, suffix
    if not 0 < len(files) <= MAX_MEMBERS:
        raise unusable(f"{len(files)} files are too many.", "Send the slices of one series.")
    folder = work / "series"
    folder.mkdir()
    for number, file in enumerate(files):
        copy_upload(file.file, folder / f"{number:05d}.dcm")
    return folder, "series", ""
