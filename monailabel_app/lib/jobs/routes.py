"""The routes of jobs and uploads, below ``/counterpart``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from lib.datastore.names import ARCHIVE_SUFFIXES, SCAN_SUFFIXES, checked_hash, split_name
from lib.datastore.receiving import receive_stream, remove
from lib.datastore.sessions import SessionStore
from lib.datastore.uploads import Upload
from lib.jobs.files import ResultFile, result_file
from lib.jobs.job import Job, JobRequest, JobStatus, ResultName
from lib.jobs.pictures import picture_file
from lib.jobs.status import status_of
from lib.parameters import JobId, Reference, ScanHash
from lib.problems import ERRORS, Responses, bad_request
from lib.server import Server

_POLL_S = 0.15
_HEARTBEAT_S = 15.0
_FILE = {"schema": {"type": "string", "format": "binary"}}
_MEDIA = ("application/octet-stream", "application/gzip", "application/json", "text/csv")
# A report is one file: whatever it holds, it loads nothing and sends nothing.
_REPORT_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
)
_FILES: Responses = {
    200: {
        "description": "The file.",
        "content": {kind: _FILE for kind in (*_MEDIA, "text/html", "image/png")},
    },
    206: {"description": "A part of the file.", "content": {"application/octet-stream": _FILE}},
    304: {"description": "The client has this very file."},
}
_PICTURE: Responses = {
    **_FILES,
    200: {"description": "The file.", "content": {"application/gzip": _FILE}},
}


class UploadFacts(BaseModel):
    """What is known of an upload."""

    scan: str
    name: str
    shape: list[int]
    spacing_mm: list[float]
    bytes: int


class JobList(BaseModel):
    """All jobs, the newest first."""

    jobs: list[JobStatus]


class Purged(BaseModel):
    """What a purge removed."""

    removed: int


def scan_routes(server: Server, sessions: SessionStore) -> APIRouter:
    """The routes of uploads."""
    router = APIRouter(prefix="/counterpart/scans", tags=["Scans"], responses=ERRORS)
    body = {"requestBody": {"required": True, "content": {"application/octet-stream": _FILE}}}
    created: Responses = {201: {"model": UploadFacts, "description": "The scan is kept."}}

    @router.put("", summary="Send a scan", openapi_extra=body, responses=created)
    async def put_scan(
        request: Request,
        response: Response,
        name: Annotated[str, Query(max_length=200, description="File name with suffix.")],
    ) -> UploadFacts:
        """The body is the file itself: NIfTI, NRRD, MetaImage, or a ZIP file with a DICOM series.

        It is streamed to the disk. The same bytes are kept once.
        """
        stem, suffix = split_name(name, (*SCAN_SUFFIXES, *ARCHIVE_SUFFIXES))
        work = server.state.temporary()
        try:
            received = work / f"received{suffix}"
            content = await receive_stream(request.stream(), received)
            server.note(request, content=content)
            if server.uploads.has(content):
                return _facts(server.uploads.find(content))
            arguments = (received, content, stem, suffix)
            upload = await run_in_threadpool(server.uploads.take, *arguments)
            response.status_code = 201
            return _facts(upload)
        finally:
            remove(work)

    @router.get("/{scan}", summary="What is known of an upload")
    async def get_scan(scan: ScanHash) -> UploadFacts:
        return _facts(server.uploads.find(checked_hash(scan)))

    @router.delete("/{scan}", summary="Remove an upload with all that was made of it")
    async def delete_scan(request: Request, scan: ScanHash) -> Purged:
        content = checked_hash(scan)
        server.note(request, content=content)
        removed = await run_in_threadpool(server.purge, content)
        return Purged(removed=removed + sessions.purge(content))

    return router


def job_routes(server: Server) -> APIRouter:
    """The routes of jobs."""
    router = APIRouter(prefix="/counterpart/jobs", tags=["Jobs"], responses=ERRORS)
    _add_asking(router, server)
    _add_results(router, server)
    _add_references(router, server)
    return router


def _add_asking(router: APIRouter, server: Server) -> None:
    accepted: Responses = {202: {"model": JobStatus, "description": "The job waits or runs."}}

    def told(request: Request, job: Job) -> JobStatus:
        return status_of(job, server.queue, request.scope.get("root_path", ""))

    @router.post("", summary="Ask for a healthy counterpart", responses=accepted)
    async def post_job(request: Request, response: Response, wanted: JobRequest) -> JobStatus:
        """The same request has the same id; what was computed once is not computed again."""
        if (wanted.image is None) == (wanted.scan is None):
            hint = "Send {'image': ID} or {'scan': HASH}."
            raise bad_request("Expected either an image or a scan.", hint)
        if wanted.image is not None:
            job = await run_in_threadpool(server.submit_image, wanted.image, wanted.options)
        else:
            job = await run_in_threadpool(server.submit_upload, wanted.scan or "", wanted.options)
        server.note(request, job)
        response.status_code = 200 if job.state == "done" else 202
        return told(request, job)

    @router.get("", summary="All jobs")
    async def get_jobs(request: Request) -> JobList:
        return JobList(jobs=[told(request, job) for job in server.store.all()[:500]])

    @router.get("/{job_id}", summary="How far a job is")
    async def get_job(request: Request, job_id: JobId) -> JobStatus:
        return told(request, server.job(job_id))

    @router.delete("/{job_id}", summary="Stop a job")
    async def delete_job(request: Request, job_id: JobId) -> JobStatus:
        """A job that runs stops within one batch of the network. One that has ended stays."""
        job = server.job(job_id)
        server.note(request, job)
        return told(request, await run_in_threadpool(server.queue.cancel, job))

    stream: Responses = {200: {"description": "Events.", "content": {"text/event-stream": {}}}}

    @router.get(
        "/{job_id}/events",
        summary="How far a job is, as server-sent events",
        response_class=StreamingResponse,
        responses=stream,
    )
    async def get_events(request: Request, job_id: JobId) -> StreamingResponse:
        job = server.job(job_id)
        root = request.scope.get("root_path", "")
        return StreamingResponse(_events(server, job, root), media_type="text/event-stream")


def _add_results(router: APIRouter, server: Server) -> None:
    @router.get(
        "/{job_id}/results/{name}",
        summary="One file of a finished job",
        response_class=FileResponse,
        responses=_FILES,
    )
    async def get_result(
        request: Request,
        job_id: JobId,
        name: ResultName,
        format: Annotated[str | None, Query(max_length=10)] = None,
        if_none_match: Annotated[str | None, Header()] = None,
    ) -> Response:
        """Maps are `nii`, `nii.gz` or `nrrd`; findings `json` or `csv`; the report `html` or `png`.

        The most similar healthy references are `json`, of models that know theirs alone; they are
        those of the counterpart, by whichever threshold the findings are listed. Answers to
        `Range`, `If-Range` and `If-None-Match`.
        """
        job = server.job(job_id)
        server.note(request, job)
        file = await run_in_threadpool(result_file, server, job, name, format)
        shown = "inline" if name == "report" else "attachment"
        return _sent(file, if_none_match, shown)


def _add_references(router: APIRouter, server: Server) -> None:
    @router.get(
        "/{job_id}/references/{reference}",
        summary="The picture of a healthy reference that a finished job names",
        response_class=FileResponse,
        responses=_PICTURE,
    )
    async def get_reference(
        request: Request,
        job_id: JobId,
        reference: Reference,
        if_none_match: Annotated[str | None, Header()] = None,
    ) -> Response:
        """`nii.gz`: the prepared scan, without face and skull, where the patient's brain lies.

        Only where the administrator allows it; `viewable` of the result `references` says so.
        """
        job = server.job(job_id)
        server.note(request, job)
        file = await run_in_threadpool(picture_file, server, job, reference)
        return _sent(file, if_none_match)


def _sent(file: ResultFile, if_none_match: str | None, shown: str = "attachment") -> Response:
    """A file of a job, unless the client has it."""
    headers = {"ETag": file.etag, "Cache-Control": "private, no-cache"}
    if file.media_type.startswith("text/html"):
        headers["Content-Security-Policy"] = _REPORT_POLICY
    tags = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    if file.etag in tags or "*" in tags:
        return Response(status_code=304, headers=headers)
    return FileResponse(
        file.path,
        headers=headers,
        media_type=file.media_type,
        filename=file.name,
        content_disposition_type=shown,
    )


async def _events(server: Server, job: Job, root: str) -> AsyncIterator[str]:
    """Every change of a job's status, until it has ended."""
    last, quiet = "", 0.0
    while True:
        ended = job.ended
        status = status_of(job, server.queue, root).model_dump_json()
        same = status_of_change(job) == last
        if not same or ended:
            last, quiet = status_of_change(job), 0.0
            yield f"event: status\ndata: {status}\n\n"
        elif quiet > _HEARTBEAT_S:
            quiet = 0.0
            yield ": still there\n\n"
        if ended:
            return
        await asyncio.sleep(_POLL_S)
        quiet += _POLL_S


def status_of_change(job: Job) -> str:
    """What of a job a client would want to hear of at once."""
    return f"{job.state} {job.stage} {job.fraction:.3f}"


def _facts(upload: Upload) -> UploadFacts:
    return UploadFacts(
        scan=upload.content,
        name=upload.name,
        shape=list(upload.shape),
        spacing_mm=list(upload.spacing_mm),
        bytes=upload.bytes,
    )
