"""Makes one web application of all routes and puts it in the place of MONAI Label's own.

MONAI Label's routes hold everybody up while one scan is computed and let names reach beyond the
studies' folder, so none of them stays: each is here again, by the same address and form.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from monailabel.config import settings as monai_settings
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from counterpart import __version__
from counterpart.errors import CounterpartError
from counterpart.results import DISCLAIMER
from lib.about import about_routes
from lib.cohort.routes import cohort_routes
from lib.datastore.routes import datastore_routes
from lib.datastore.session_routes import session_routes
from lib.datastore.sessions import SessionStore
from lib.docs_page import docs_routes
from lib.inference.batch_routes import batch_routes
from lib.inference.messages import problem_of
from lib.inference.routes import infer_routes
from lib.jobs.routes import job_routes, scan_routes
from lib.problems import Problem
from lib.security.auth_routes import auth_routes
from lib.security.gate import Gate, GateRules
from lib.server import Server
from lib.training.model_routes import model_routes
from lib.training.routes import train_routes, training_routes
from lib.training.supervisor import TrainingSupervisor
from lib.viewer import viewer_routes

logger = logging.getLogger("counterpart.server")

_ABOUT = f"""How would this very brain look in health, and where does the patient differ?

**{DISCLAIMER}. Not for clinical use.**

1. Send a scan with `PUT /counterpart/scans?name=head_FLAIR.nii.gz`, or use an image of the studies.
2. Ask for its counterpart with `POST /counterpart/jobs`.
3. Follow it with `GET /counterpart/jobs/{{id}}`, or as events.
4. Fetch `counterpart`, `residual`, `anomaly`, `mask`, `findings`, `report`.

The routes of MONAI Label work as its own clients expect. Every error is `{{"error", "hint"}}`.
"""
_HINTS = {
    404: "The page /docs lists what there is.",
    405: "The page /docs lists what each address answers to.",
}


def web_application(
    server: Server,
    supervisor: TrainingSupervisor,
    app_info: Callable[[], dict[str, Any]],
    studies: str,
) -> ASGIApp:
    """All routes behind the gate.

    Args:
        server: The server's parts.
        supervisor: Of the training.
        app_info: What MONAI Label's app says of itself.
        studies: Folder or address of the studies.
    """
    app = FastAPI(
        title="Counterpart",
        version=__version__,
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    sessions = SessionStore(server.state.root / "sessions", server.uploads)
    routers = [
        about_routes(server, app_info),
        auth_routes(server.tokens),
        scan_routes(server),
        job_routes(server),
        infer_routes(server, sessions),
        datastore_routes(server),
        session_routes(server, sessions),
        batch_routes(server),
        cohort_routes(server),
        train_routes(server, supervisor),
        training_routes(server, supervisor),
        model_routes(server),
        viewer_routes(studies),
    ]
    for router in routers:
        app.include_router(router)
    app.include_router(docs_routes(app.openapi))
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(CounterpartError, _library_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    origins = frozenset(str(one).rstrip("/") for one in monai_settings.MONAI_LABEL_CORS_ORIGINS)
    rules = GateRules(server.settings.insecure, server.settings.upload_bytes, origins)
    gate = Gate(app, server.tokens, rules, server.audit)
    if not origins:
        return gate
    return CORSMiddleware(
        gate,
        allow_origins=sorted(origins),
        allow_methods=["GET", "HEAD", "POST", "PUT", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "Range", "If-None-Match"],
        expose_headers=["ETag", "Content-Disposition", "Content-Range"],
    )


async def _problem(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, Problem):
        raise error
    return JSONResponse(error.to_json(), error.status, headers=error.headers)


async def _library_error(request: Request, error: Exception) -> JSONResponse:
    return await _problem(request, problem_of(error))


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    """What does not fit the OpenAPI page, in words."""
    if not isinstance(error, RequestValidationError):
        raise error
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
    text = f"{where or 'The body'}: {first['msg']}."
    problem = Problem(422, text, "The page /docs says what is expected.")
    return JSONResponse(problem.to_json(), problem.status)


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    hint = _HINTS.get(error.status_code, "The page /docs says what is expected.")
    problem = Problem(error.status_code, str(error.detail).rstrip(".") + ".", hint)
    return JSONResponse(problem.to_json(), problem.status, headers=error.headers)
