"""The routes that say what this server is: info, health, a page of all routes, logs."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request, Response
from fastapi import Path as InPath
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from counterpart import __version__
from counterpart.bundle import (
    CALIBRATIONS,
    WEIGHTS,
    bundle_folder,
    bundle_name,
    bundle_version,
    checked_digests,
    read_calibrations,
)
from counterpart.errors import CounterpartError, ModelError
from counterpart.registry.by_contrast import serving_by_contrast
from counterpart.results import DISCLAIMER
from lib.inference.messages import problem_of
from lib.problems import ERRORS, conflict, not_found
from lib.security.tokens import Person
from lib.server import Server

_TEXT = {"schema": {"type": "string"}}
STRATEGIES = ("random", "first")
Strategy = Annotated[str, InPath(json_schema_extra={"enum": list(STRATEGIES)})]


class Health(BaseModel):
    """Whether the server can be asked."""

    state: str
    version: str


class CalibrationFacts(BaseModel):
    """What a contrast is calibrated on."""

    contrast: str
    kind: str
    scans: int
    threshold: float
    p_floor: float | None
    version: str


class ModelFacts(BaseModel):
    """Which model serves."""

    name: str
    version: str
    weights_sha256: str


class UserFacts(BaseModel):
    """Who asks."""

    name: str
    role: str


class ServerInfo(BaseModel):
    """What this server is, for the extension and for scripts."""

    name: str = "Counterpart"
    version: str = __version__
    disclaimer: str = DISCLAIMER
    model: ModelFacts
    calibrations: list[CalibrationFacts]
    device: str
    user: UserFacts
    limits: dict[str, int]
    images: int


def about_routes(server: Server, app_info: Callable[[], dict[str, Any]]) -> APIRouter:
    """The routes of this file.

    Args:
        server: The server.
        app_info: What MONAI Label's app says of itself.
    """
    router = APIRouter(responses=ERRORS)
    _add_facts(router, server, app_info)
    _add_upkeep(router, server)
    return router


def _add_facts(router: APIRouter, server: Server, app_info: Callable[[], dict[str, Any]]) -> None:
    facts = _Facts(server)

    @router.get("/info/", tags=["MONAI Label: app"], summary="Models, trainers and studies")
    async def info() -> dict[str, Any]:
        return app_info()

    @router.get("/counterpart/health", tags=["Server"], summary="Whether the server is ready")
    async def health() -> Health:
        state = "ready" if server.compute.ready.is_set() else "starting"
        return Health(state=state, version=__version__)

    @router.get("/counterpart/info", tags=["Server"], summary="Model, calibration, user, limits")
    async def server_info(request: Request) -> ServerInfo:
        person: Person = request.state.person
        return await run_in_threadpool(facts.info, person)

    @router.post(
        "/activelearning/{strategy}", tags=["MONAI Label: app"], summary="An image to look at next"
    )
    def next_sample(
        strategy: Strategy, params: Annotated[dict[str, Any] | None, Body()] = None
    ) -> dict[str, str]:
        if strategy not in STRATEGIES:
            raise not_found("A strategy of this name", f"There are {', '.join(STRATEGIES)}.")
        images = server.studies.images()
        if not images:
            return {}
        image = images[0] if strategy == "first" else random.choice(images)  # nosec: no secret
        return {"id": image, "name": image}


def _add_upkeep(router: APIRouter, server: Server) -> None:
    @router.get(
        "/logs/",
        tags=["Server"],
        summary="The last lines of the server's log",
        response_class=Response,
        responses={200: {"description": "The lines.", "content": {"text/plain": _TEXT}}},
    )
    def logs(lines: Annotated[int, Query(ge=1, le=5000)] = 300) -> PlainTextResponse:
        path = server.app / "logs" / "app.log"
        if not path.is_file():
            raise not_found("The log", "The server writes it into its app's folder.")
        with path.open(encoding="utf-8", errors="replace") as stream:
            return PlainTextResponse("".join(deque(stream, lines)))

    @router.post("/reload", tags=["Server"], summary="Read tokens and studies again")
    def reload() -> dict[str, str]:
        try:
            server.tokens.reload()
        except CounterpartError as error:
            said = f"The tokens stay as they were: {problem_of(error).error}"
            raise conflict(said, "Correct the token file and reload again.") from error
        server.studies.refresh()
        return {}

    @router.get("/favicon.ico", include_in_schema=False)
    async def favicon() -> Response:
        return Response(status_code=204)


class _Facts:
    """What is known of the bundle that serves; its files are hashed once a version."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._known: tuple[str, ModelFacts, list[CalibrationFacts]] | None = None

    def info(self, person: Person) -> ServerInfo:
        """The answer for a person."""
        fingerprint = self._server.fingerprint()
        if self._known is None or self._known[0] != fingerprint:
            self._known = (fingerprint, *_served_facts(self._server.settings.model))
        _, model, calibrations = self._known
        return ServerInfo(
            model=model,
            calibrations=calibrations,
            device=self._server.settings.device,
            user=UserFacts(name=person.name, role=person.role),
            limits={"upload_mb": self._server.settings.upload_bytes >> 20},
            images=len(self._server.studies.images()),
        )


def _served_facts(model: str) -> tuple[ModelFacts, list[CalibrationFacts]]:
    """The version that serves, and by which version each contrast is calibrated."""
    folder = bundle_folder(model)
    facts, calibrations = _bundle_facts(folder)
    try:
        by_contrast = serving_by_contrast(model)
    except ModelError:  # a folder, or one version by its number: it serves every contrast alone
        by_contrast = {}
    for contrast, entry in by_contrast.items():
        if entry.folder.resolve() != folder.resolve():
            _, older = _bundle_facts(entry.folder)
            calibrations = [one for one in calibrations if one.contrast != contrast]
            calibrations += [one for one in older if one.contrast == contrast]
    return facts, calibrations


def _bundle_facts(folder: Path) -> tuple[ModelFacts, list[CalibrationFacts]]:
    digests = checked_digests(folder)
    name, version = bundle_name(folder), bundle_version(folder)
    found = read_calibrations(folder) if CALIBRATIONS in digests else ()
    calibrations = [
        CalibrationFacts(
            contrast=one.contrast,
            kind=one.kind,
            scans=one.n,
            threshold=one.threshold,
            p_floor=one.p_floor,
            version=version,
        )
        for one in found
        if one.weights_sha256 == digests[WEIGHTS]
    ]
    return ModelFacts(name=name, version=version, weights_sha256=digests[WEIGHTS]), calibrations
