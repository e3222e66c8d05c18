"""The stock routes of batch inference."""

from __future__ import annotations

import json
import time
from typing import Annotated, Any

from fastapi import APIRouter, Body, Response

from lib.inference.batch import BatchInference, BatchTask, Which
from lib.inference.stock_request import check_model, check_params, options_of
from lib.parameters import ModelKey
from lib.problems import ERRORS, not_found
from lib.server import Server


def batch_routes(server: Server) -> APIRouter:
    """The routes below ``/batch``."""
    router = APIRouter(prefix="/batch", tags=["MONAI Label: inference"], responses=ERRORS)
    batch = BatchInference(server)

    @router.get("/infer", summary="The last batch")
    def status(all: bool = False, check_if_running: bool = False) -> Response:
        tasks = batch.tasks()
        if not tasks or (check_if_running and tasks[-1].status != "RUNNING"):
            raise not_found("A batch", "Start one with POST /batch/infer/healthy_counterpart.")
        return _json([task.to_json() for task in tasks] if all else tasks[-1].to_json())

    @router.post("/infer/{model}", summary="Every image of the studies, one after the other")
    def start(
        model: ModelKey,
        images: Which = "all",
        params: Annotated[dict[str, Any] | None, Body()] = None,
        run_sync: bool = False,
    ) -> Response:
        """Each image gets the mask as label `original` and the maps under their tags.

        It works where the server works, on a CPU or a GPU; what stock clients say of devices and
        workers means nothing here.
        """
        check_model(model)
        given = check_params(params or {})
        most = given.get("max_batch_size")
        chosen = _images(server, images)
        chosen = chosen[:most] if isinstance(most, int) and most > 0 else chosen
        shown = {"model": model, "images": images, **given}
        task = batch.start(chosen, options_of(given), shown)
        while run_sync and task.status == "RUNNING":
            time.sleep(0.1)
        return _json(task.to_json())

    @router.delete("/infer", summary="Stop the batch")
    def stop() -> Response:
        task: BatchTask | None = batch.stop()
        return _json(task.to_json() if task is not None else None)

    return router


def _images(server: Server, which: Which) -> list[str]:
    store = server.studies.datastore
    if which == "labeled":
        return sorted(store.get_labeled_images())
    if which == "unlabeled":
        return sorted(store.get_unlabeled_images())
    return server.studies.images()


def _json(values: object) -> Response:
    return Response(json.dumps(values), media_type="application/json")
