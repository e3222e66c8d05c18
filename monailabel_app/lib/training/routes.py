"""The routes of training: MONAI Label's own, for its clients' button, and ours with more to say."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request, Response
from fastapi.responses import FileResponse

from lib.inference.stock_request import IGNORED, check_model
from lib.parameters import ModelKey
from lib.problems import ERRORS, Problem, Responses, not_found
from lib.security.tokens import Person
from lib.server import Server
from lib.training.supervisor import Run, TrainingSupervisor

_STATUS = {"running": "RUNNING", "done": "DONE", "failed": "ERROR", "cancelled": "STOPPED"}
_STOCK = (*IGNORED, "name", "pretrained", "max_epochs", "dataset", "train_batch_size")
Params = Annotated[
    dict[str, Any] | None,
    Body(description="mode (auto, calibrate, train), start (released, nothing), resume, force, …"),
]


def train_routes(server: Server, supervisor: TrainingSupervisor) -> APIRouter:
    """The stock routes below ``/train``."""
    router = APIRouter(prefix="/train", tags=["MONAI Label: training"], responses=ERRORS)

    @router.get("/", summary="The last training, as stock clients know it")
    def status(all: bool = False, check_if_running: bool = False) -> Response:
        run = supervisor.latest()
        if run is None or (check_if_running and not run.alive):
            raise not_found("A training", "Start one with POST /train/healthy_counterpart.")
        return _json([_task(run)] if all else _task(run))

    @router.post("/{model}", summary="Calibrate or retrain on the healthy cohort")
    def start(
        request: Request,
        model: ModelKey,
        params: Params = None,
        run_sync: bool = False,
        enqueue: bool = False,
    ) -> Response:
        """Below 40 subjects the default is calibration alone; `{"mode": "train"}` asks for more.

        `{"resume": true}` goes on with the last run from its checkpoint.
        """
        check_model(model)
        if run_sync:
            error = "A training is not waited for."
            raise Problem(400, error, "Leave run_sync out and look at GET /counterpart/training.")
        return _json(_task(supervisor.start(_ours(params), _name(request))))

    @router.delete("/", summary="Stop the training; its last checkpoint stays")
    def stop() -> Response:
        run = supervisor.stop()
        return _json(_task(run) if run is not None else None)

    return router


def training_routes(server: Server, supervisor: TrainingSupervisor) -> APIRouter:
    """Our routes below ``/counterpart/training``."""
    router = APIRouter(prefix="/counterpart/training", tags=["Training"], responses=ERRORS)

    @router.get("", summary="How far the last training is")
    def progress() -> Response:
        """Stage, epoch, loss, time left; the gates' verdicts and whether it was published."""
        run = supervisor.latest()
        if run is None:
            return _json({"state": "none", "run": None})
        return _json({**run.progress(), "alive": run.alive, "log": run.log()})

    @router.post("", summary="Calibrate or retrain on the healthy cohort")
    def start(request: Request, params: Params = None) -> Response:
        run = supervisor.start(_ours(params), _name(request))
        return _json({**run.progress(), "alive": run.alive})

    @router.delete("", summary="Stop the training; its last checkpoint stays")
    def stop() -> Response:
        run = supervisor.stop()
        if run is None:
            raise not_found("A running training", "GET /counterpart/training tells its state.")
        return _json({**run.progress(), "alive": run.alive})

    html: Responses = {200: {"description": "The report.", "content": {"text/html": {}}}}

    @router.get(
        "/report", summary="The training's report", response_class=FileResponse, responses=html
    )
    def report() -> FileResponse:
        run = supervisor.latest()
        name = run.progress().get("report") if run is not None else None
        if run is None or not name or not (run.folder / "report.html").is_file():
            raise not_found("A report", "It is written when a training has ended.")
        return FileResponse(run.folder / "report.html", media_type="text/html; charset=utf-8")

    return router


def _ours(params: dict[str, Any] | None) -> dict[str, Any]:
    """What of a request's params is ours, without what stock clients add of themselves."""
    return {key: value for key, value in (params or {}).items() if key not in _STOCK}


def _name(request: Request) -> str:
    person: Person = request.state.person
    return person.name


def _task(run: Run) -> dict[str, Any]:
    """A run in the form of MONAI Label's tasks."""
    progress = run.progress()
    return {
        "id": run.folder.name,
        "status": _STATUS.get(str(progress["state"]), "RUNNING"),
        "request": {"model": "healthy_counterpart"},
        "start_ts": progress.get("started"),
        "end_ts": None if run.alive else progress.get("updated"),
        "details": run.log(),
    }


def _json(values: object) -> Response:
    return Response(json.dumps(values), media_type="application/json")
