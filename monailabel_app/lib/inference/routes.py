"""The stock routes of inference, which wait for a job without holding anybody else up."""

from __future__ import annotations

import asyncio
import json
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Query, Request, Response, UploadFile
from fastapi.responses import FileResponse, JSONResponse
from requests_toolbelt import MultipartEncoder
from starlette.concurrency import run_in_threadpool

from counterpart.results import DISCLAIMER
from lib.datastore.names import ARCHIVE_SUFFIXES, SCAN_SUFFIXES, split_name
from lib.datastore.receiving import copy_upload, remove
from lib.datastore.sessions import SessionStore
from lib.inference.infer_task import LABELS
from lib.inference.stock_labels import store_labels
from lib.inference.stock_request import check_model, options_of, read_params
from lib.jobs.files import ResultFile, result_file
from lib.jobs.job import Job, JobOptions
from lib.parameters import ModelKey
from lib.problems import ERRORS, Problem, bad_request, conflict
from lib.server import Server

_POLL_S = 0.05
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    **ERRORS,
    200: {
        "description": "The findings (`params`) and the anomaly mask (`image`).",
        "content": {
            "multipart/form-data": {"schema": {"type": "object"}},
            "application/octet-stream": _BINARY,
            "application/gzip": _BINARY,
            "application/json": {"schema": {"type": "object"}},
        },
    },
}


class Output(str, Enum):
    """What an answer holds."""

    image = "image"
    json = "json"
    all = "all"
    dicom_seg = "dicom_seg"


def infer_routes(server: Server, sessions: SessionStore) -> APIRouter:
    """The route ``POST /infer/{model}``."""
    router = APIRouter(prefix="/infer", tags=["MONAI Label: inference"], responses=_ANSWERS)

    @router.post("/{model}", summary="Anomaly mask and findings, as stock clients ask for them")
    async def infer(
        request: Request,
        model: ModelKey,
        image: Annotated[str, Query(max_length=200)] = "",
        session_id: Annotated[str, Query(max_length=64)] = "",
        output: Output | None = None,
        params: Annotated[str, Form(max_length=20_000)] = "{}",
        file: Annotated[UploadFile | None, File()] = None,
        label: Annotated[UploadFile | None, File()] = None,
    ) -> Response:
        """The mask is uint8 NRRD, `params` has the findings.

        The float maps are stored as labels of the image under the tags `counterpart`, `residual`
        and `anomaly` (signed), with the provenance in the label's info.
        """
        check_model(model)
        if output is Output.dicom_seg:
            raise bad_request("DICOM SEG is not offered.", "Ask for image, json or all.")
        given = read_params(params)
        options = options_of(given)
        if file is not None and file.filename:
            job = await run_in_threadpool(_submit_file, server, file, options)
        elif session_id:
            job = await run_in_threadpool(sessions.submit, server, session_id, options)
        elif image:
            job = await run_in_threadpool(server.submit_image, image, options)
        else:
            error = "Neither an image nor a file nor a session is named."
            raise bad_request(error, "Say ?image=ID, or send the scan as 'file'.")
        server.note(request, job)
        await finished(job)
        server.note(request, job)  # now by the model that did it
        return await run_in_threadpool(_answer, server, job, output, given)

    return router


async def finished(job: Job) -> None:
    """Wait until a job has ended well.

    Raises:
        Problem: It failed, or somebody stopped it.
    """
    while not job.ended:
        await asyncio.sleep(_POLL_S)
    if job.state == "failed":
        raise Problem(job.status or 422, job.error or "The job failed.", job.hint or "Ask again.")
    if job.state == "cancelled":
        raise conflict("The job was cancelled.", "Ask again.")


def _submit_file(server: Server, file: UploadFile, options: JobOptions) -> Job:
    stem, suffix = split_name(file.filename or "", (*SCAN_SUFFIXES, *ARCHIVE_SUFFIXES))
    work = server.state.temporary()
    try:
        received = work / f"received{suffix}"
        content = copy_upload(file.file, received)
        if not server.uploads.has(content):
            server.uploads.take(received, content, stem, suffix)
        return server.submit_upload(content, options)
    finally:
        remove(work)


def _answer(server: Server, job: Job, output: Output | None, given: dict[str, Any]) -> Response:
    """The answer in MONAI Label's form."""
    store_labels(server, job)
    findings = result_file(server, job, "findings", None).path.read_text(encoding="utf-8")
    provenance = result_file(server, job, "provenance", None).path.read_text(encoding="utf-8")
    params = {
        "label_names": LABELS,
        "job": job.id,
        **json.loads(findings),
        "provenance": json.loads(provenance),
        "disclaimer": DISCLAIMER,
    }
    if output is Output.json:
        return JSONResponse(params)
    packed = str(given.get("result_extension", "")).endswith("nii.gz")
    mask = result_file(server, job, "mask", "nii.gz" if packed else "nrrd")
    if output is Output.image:
        return FileResponse(mask.path, media_type=mask.media_type, filename=mask.name)
    return _multipart(params, mask)


def _multipart(params: dict[str, Any], mask: ResultFile) -> Response:
    fields = {
        "params": (None, json.dumps(params), "application/json"),
        "image": (mask.name, Path(mask.path).read_bytes(), mask.media_type),
    }
    body = MultipartEncoder(fields=fields)
    return Response(content=body.to_string(), media_type=body.content_type)
