"""The stock routes of the datastore, by checked names and with sentences for errors."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Query, Request, Response, UploadFile
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from lib.cohort.marks import KEY as COHORT_KEY
from lib.cohort.marks import SUBJECT_KEY
from lib.datastore.names import LABEL_SUFFIXES, SCAN_SUFFIXES, checked_name, split_name
from lib.datastore.receiving import copy_upload, remove
from lib.inference.messages import Task
from lib.parameters import ImageId, LabelId, NewTag, Tag
from lib.plain_json import read_object
from lib.problems import ERRORS, Problem, bad_request, not_found
from lib.security.tokens import Person
from lib.server import Server

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file.",
        "content": {"application/octet-stream": _BINARY, "application/gzip": _BINARY},
    },
    206: {"description": "A part of the file.", "content": {"application/octet-stream": _BINARY}},
}


class Listing(str, Enum):
    """What of the datastore is wanted."""

    train = "train"
    stats = "stats"
    all = "all"


def datastore_routes(server: Server) -> APIRouter:
    """The routes below ``/datastore``."""
    router = APIRouter(prefix="/datastore", tags=["MONAI Label: datastore"], responses=ERRORS)
    _add_listing(router, server)
    _add_images(router, server)
    _add_image_info(router, server)
    _add_labels(router, server)
    _add_label_info(router, server)
    return router


def _add_listing(router: APIRouter, server: Server) -> None:
    studies = server.studies

    @router.get("/", summary="What the datastore holds")
    def listing(output: Listing | None = None) -> Response:
        store = studies.datastore
        if output is Listing.all:
            return _json(store.json())
        if output is not Listing.train:
            return _json(store.status())
        # By their names: where the studies lie is the server's own business.
        rows = [{key: Path(path).name for key, path in row.items()} for row in store.datalist()]
        return _json(rows)

    @router.get("/dataset", summary="All images with a final label, as ZIP", responses=_FILE)
    def dataset(limit_cases: Annotated[int | None, Query(ge=1)] = None) -> FileResponse:
        if not studies.datastore.datalist():
            raise not_found("An image with a final label", "Save labels with PUT /datastore/label.")
        path = Path(studies.datastore.get_dataset_archive(limit_cases))
        done = BackgroundTask(remove, path)
        return FileResponse(
            path, media_type="application/zip", filename="dataset.zip", background=done
        )


def _add_images(router: APIRouter, server: Server) -> None:
    studies = server.studies

    @router.put("/", summary="Add an image", deprecated=True)
    @router.put("/image", summary="Add an image")
    def add_image(
        request: Request,
        file: Annotated[UploadFile, File()],
        image: Annotated[str | None, Query(max_length=200)] = None,
        params: Annotated[str, Form(max_length=20_000)] = "{}",
    ) -> dict[str, str]:
        """The scan is read first; what cannot be used is not added."""
        stem, suffix = split_name(file.filename or "", SCAN_SUFFIXES)
        checked_name(image or stem)
        info = _info(params, request)
        _check_marks(info, request)
        work = server.state.temporary()
        try:
            received = work / f"{stem}{suffix}"
            server.note(request, content=copy_upload(file.file, received))
            server.desk.ask(Task("check", {"scan": str(received)}))
            return {"image": studies.add(image or stem, received, suffix, info)}
        finally:
            remove(work)

    @router.delete("/", summary="Remove an image and its labels", deprecated=True)
    @router.delete("/image", summary="Remove an image and its labels")
    def remove_image(request: Request, id: ImageId) -> dict[str, str]:
        server.note(request, content=studies.content(studies.path(id)))
        studies.remove_image(id)
        return {}

    @router.head("/image", include_in_schema=False)
    def check_image(image: ImageId) -> dict[str, str]:
        studies.path(image)
        return {}

    @router.get("/image", summary="Download an image", response_class=FileResponse, responses=_FILE)
    def download_image(request: Request, image: ImageId) -> FileResponse:
        path = studies.path(image)
        server.note(request, content=studies.content(path))
        if path.is_dir():
            error = "The image is a folder of slices."
            raise bad_request(error, "Fetch it from the archive.")
        return _file(path)


def _add_image_info(router: APIRouter, server: Server) -> None:
    studies = server.studies

    @router.get("/image/info", summary="What is known of an image")
    def image_info(image: ImageId) -> Response:
        studies.path(image)
        return _json(_without_path(studies.datastore.get_image_info(image)))

    @router.put("/image/info", summary="Say something of an image, such as that it is healthy")
    def put_image_info(
        request: Request,
        image: ImageId,
        info: Annotated[str, Form(max_length=20_000)] = "{}",
    ) -> dict[str, str]:
        """`info={"cohort": "healthy"}` adds it to the cohort, `{"cohort": ""}` takes it out."""
        values = _info(info, request)
        server.note(request, content=studies.content(studies.path(image)))
        studies.say_of_image(image, values)
        return {}


def _add_labels(router: APIRouter, server: Server) -> None:
    studies = server.studies

    @router.put("/label", summary="Save a label")
    def save_label(
        request: Request,
        image: ImageId,
        label: Annotated[UploadFile, File()],
        tag: NewTag = "final",
        params: Annotated[str, Form(max_length=20_000)] = "{}",
    ) -> dict[str, str]:
        _, suffix = split_name(label.filename or "label.nii.gz", LABEL_SUFFIXES)
        server.note(request, content=studies.content(studies.path(image)))
        info = _info(params, request)
        work = server.state.temporary()
        try:
            named = work / f"{image}{suffix}"
            copy_upload(label.file, named)
            server.desk.ask(Task("check_label", {"scan": str(named)}))
            return {"image": image, "label": studies.save_label(image, named, tag or "final", info)}
        finally:
            remove(work)

    @router.delete("/label", summary="Remove a label")
    def remove_label(request: Request, id: LabelId, tag: Tag) -> dict[str, str]:
        studies.label_path(id, tag)
        server.note(request, content=studies.content(studies.path(id)))
        studies.remove_label(id, tag)
        return {}

    @router.head("/label", include_in_schema=False)
    def check_label(tag: Tag, image: ImageId = "", label: LabelId = "") -> dict[str, str]:
        studies.label_path(image or label, tag)
        return {}

    @router.get("/label", summary="Download a label", response_class=FileResponse, responses=_FILE)
    def download_label(request: Request, label: LabelId, tag: Tag) -> FileResponse:
        path = studies.label_path(label, tag)
        server.note(request, content=studies.content(studies.path(label)))
        return _file(path)


def _add_label_info(router: APIRouter, server: Server) -> None:
    studies = server.studies

    @router.get("/label/info", summary="What is known of a label, such as its provenance")
    def label_info(label: LabelId, tag: Tag) -> Response:
        studies.label_path(label, tag)
        return _json(_without_path(studies.datastore.get_label_info(label, tag)))

    @router.put("/label/info", summary="Say something of a label")
    def put_label_info(
        request: Request,
        label: LabelId,
        tag: Tag,
        info: Annotated[str, Form(max_length=20_000)] = "{}",
    ) -> dict[str, str]:
        studies.label_path(label, tag)
        server.note(request, content=studies.content(studies.path(label)))
        studies.say_of_label(label, tag, _info(info, request))
        return {}

    @router.put("/updatelabelinfo", summary="Say something of a label", deprecated=True)
    def put_label_params(
        request: Request,
        label: LabelId,
        tag: Tag,
        params: Annotated[str, Form(max_length=20_000)] = "{}",
    ) -> dict[str, str]:
        return put_label_info(request, label, tag, params)


def _info(text: str, request: Request) -> dict[str, Any]:
    """What a form says, as plain values, and who said it."""
    values = read_object(text, "What the form says")
    if "path" in values or "name" in values:
        raise bad_request("'path' and 'name' are the server's to say.", "Leave them out.")
    person: Person = request.state.person
    return {**values, "user": person.name}


def _check_marks(info: dict[str, Any], request: Request) -> None:
    """Refuse marks of the cohort from others than the administrator."""
    person: Person = request.state.person
    if not person.may("admin") and {COHORT_KEY, SUBJECT_KEY} & set(info):
        error = f"{COHORT_KEY!r} and {SUBJECT_KEY!r} are the administrator's to say."
        raise Problem(403, error, "Leave them out, or ask the administrator to mark the image.")


def _without_path(info: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in (info or {}).items() if key != "path"}


def _json(values: object) -> Response:
    """Plain values; what Python would write as NaN was refused when it came in."""
    return Response(json.dumps(values, default=str), media_type="application/json")


def _file(path: Path) -> FileResponse:
    kind = "application/gzip" if path.name.endswith(".gz") else "application/octet-stream"
    return FileResponse(path, media_type=kind, filename=path.name)
