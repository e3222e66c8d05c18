"""The routes of the model's versions: which there are, which serves, and how to go back."""

from __future__ import annotations

import json
import threading
import time
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, File, Response, UploadFile
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field

from counterpart.bundle import WEIGHTS, bundle_folder, bundle_name
from counterpart.errors import CounterpartError
from counterpart.hashing import file_sha256
from counterpart.registry.commands import bundle_facts
from counterpart.registry.publishing import Publication, Terms, publish
from counterpart.registry.versions import entries, history, rollback
from lib.datastore.receiving import copy_upload, remove
from lib.inference.messages import problem_of
from lib.inference.stock_request import check_model
from lib.parameters import ModelKey
from lib.plain_json import check_text
from lib.problems import ERRORS, Problem, conflict, unusable
from lib.server import Server
from lib.training.bundle_upload import unpack_bundle

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The weights.", "content": {"application/octet-stream": _BINARY}}
}


class Rollback(BaseModel):
    """Which earlier version shall serve again."""

    model_config = ConfigDict(extra="forbid")

    to: str | None = Field(None, max_length=100, description="Version; else the one before.")
    reason: str = Field("", max_length=1000)


def model_routes(server: Server) -> APIRouter:
    """Our routes below ``/counterpart/models`` and the stock ones below ``/model``."""
    router = APIRouter(responses=ERRORS)
    _add_versions(router, server)
    _add_stock(router, server)
    return router


def _add_versions(router: APIRouter, server: Server) -> None:
    name = bundle_name(bundle_folder(server.settings.model))
    prefix = "/counterpart/models"
    tags: list[str | Enum] = ["Training"]

    @router.get(prefix, summary="Every version, and which one serves", tags=tags)
    def versions() -> Response:
        found = [
            {
                "name": entry.name,
                "version": entry.version,
                "source": entry.source,
                "serving": entry.serving,
                **vars(bundle_facts(entry.folder)),
            }
            for entry in entries()
        ]
        events = [event.to_json() for event in history(name)]
        return _json({"models": found, "history": events})

    @router.post(f"{prefix}/rollback", summary="Let an earlier version serve again", tags=tags)
    def roll_back(wanted: Rollback) -> Response:
        """Jobs that run end with the version that they began with; the next one uses this."""
        check_text(wanted.reason, "The reason")
        try:
            entry = rollback(name, wanted.to, reason=wanted.reason)
        except CounterpartError as error:
            said = problem_of(error)
            raise conflict(said.error, "GET /counterpart/models lists the versions.") from error
        return _json({"name": entry.name, "version": entry.version, "serving": True})

    @router.post(f"{prefix}/publish", summary="Publish a bundle that is sent as ZIP", tags=tags)
    def publish_bundle(file: Annotated[UploadFile, File()]) -> Response:
        """It goes through the gates. Needs a token: without tokens, uploading weights is off."""
        return _json(_told(_published(server, name, file)))


def _add_stock(router: APIRouter, server: Server) -> None:
    tags: list[str | Enum] = ["MONAI Label: models"]

    @router.get("/model/info/{model}", summary="Checksum of the weights that serve", tags=tags)
    def info(model: ModelKey) -> Response:
        path = _weights(server, model)
        seconds = int(path.stat().st_mtime)
        return _json({"checksum": f"SHA256:{file_sha256(path)}", "modified_time": seconds})

    @router.get(
        "/model/{model}",
        summary="Download the weights that serve",
        tags=tags,
        response_class=FileResponse,
        responses=_FILE,
    )
    def download(model: ModelKey) -> FileResponse:
        path = _weights(server, model)
        return FileResponse(path, media_type="application/octet-stream", filename=path.name)

    @router.put("/model/{model}", summary="Publish a bundle that is sent as ZIP", tags=tags)
    def upload(model: ModelKey, file: Annotated[UploadFile, File()]) -> Response:
        """The same as `POST /counterpart/models/publish`; loose weights are not taken."""
        check_model(model)
        name = bundle_name(bundle_folder(server.settings.model))
        done = _published(server, name, file)
        seconds = int(time.time())
        return _json({**_told(done), "checksum": done.version, "modified_time": seconds})

    @router.delete("/model/{model}", summary="Versions are never deleted", tags=tags)
    def delete(model: ModelKey) -> Response:
        check_model(model)
        error = "A version that was published is never deleted."
        raise conflict(error, "Let an earlier one serve with POST /counterpart/models/rollback.")


def _weights(server: Server, model: str) -> Path:
    check_model(model)
    return bundle_folder(server.settings.model) / WEIGHTS


_publishing = threading.Lock()


def _published(server: Server, name: str, file: UploadFile) -> Publication:
    """Unpack a bundle and put it through the gates; nothing of it is run."""
    if not server.tokens:
        raise Problem(
            403,
            "Without tokens, weights cannot be uploaded.",
            "Start the server with --token-file, or use `counterpart models publish`.",
        )
    with _publishing:
        work = server.state.temporary()
        try:
            copy_upload(file.file, work / "bundle.zip")
            unpack_bundle(work / "bundle.zip", work / name)
            done = publish(work / name, name=name, terms=Terms(device="cpu"))
        except CounterpartError as error:
            raise unusable(problem_of(error).error, "Send a bundle that was exported.") from error
        finally:
            remove(work)
    if not done.published:
        failed = [one.reason for one in done.verdicts if not one.passed]
        said = f"The bundle was not published: {' '.join(failed)}"
        raise Problem(422, said, "Train or calibrate it again; see docs/administrator.md.")
    return done


def _told(done: Publication) -> dict[str, Any]:
    return {
        "name": done.name,
        "version": done.version,
        "published": done.published,
        "serving": done.serving,
        "verdicts": [one.to_json() for one in done.verdicts],
    }


def _json(values: object) -> Response:
    return Response(json.dumps(values), media_type="application/json")
