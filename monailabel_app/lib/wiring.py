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
from starlette.exceptions import HTTPException
from starlette.routing import Match
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
from lib.security.pages import AllowedPages
from lib.security.patterns import RoutePatterns
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
_SEE = "The page /docs says what is expected."
# What the frameworks say in a word or in their own terms, in sentences.
_WORDS = {
    400: ("The body cannot be read as what the route expects.", _SEE),
    404: ("This address does not exist.", "The page /docs lists what there is."),
    405: (
        "This address does not answer to this method.",
        "The page /docs lists what each address answers to.",
    ),
}
_DEFECT = Problem(
    500,
    "The server has a defect.",
    "Tell the administrator; the server's log has the details.",
)
_LONGEST_NAME = 60
_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")


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
        scan_routes(server, sessions),
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
    app.add_exception_handler(Exception, _defect)
    origins = server.settings.origins
    rules = GateRules(server.settings.insecure, server.settings.upload_bytes, origins)
    patterns = RoutePatterns(lambda: app.openapi()["paths"])
    gate = Gate(app, server.tokens, rules, server.audit, patterns)
    return AllowedPages(gate, origins) if origins else gate


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
    return await _problem(request, Problem(422, _sentence(first), _SEE))


def _sentence(first: dict[str, Any]) -> str:
    """What a check of the frameworks says, without its terms."""
    if first["type"] == "json_invalid":
        return "The body is no JSON."
    named = [str(part) for part in first["loc"] if part not in ("body", "query", "path", "header")]
    where = ".".join(named)
    if len(where) > _LONGEST_NAME:
        where = f"{where[:_LONGEST_NAME]}…"
    said = {
        "extra_forbidden": "is not known here",
        "missing": "is missing",
        "value_error": "is not of the kind that is expected",
        "dict_type": "is no JSON object",
        "model_type": "is no JSON object",
        "model_attributes_type": "is no JSON object",
    }.get(first["type"])
    return f"{where or 'The body'} {said}." if said else f"{where or 'The body'}: {first['msg']}."


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    said, hint = _WORDS.get(error.status_code, (f"{str(error.detail).rstrip('.')}.", _SEE))
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_methods(request))
    return await _problem(request, Problem(error.status_code, said, hint, headers))


def _methods(request: Request) -> list[str]:
    """The methods that an address answers to."""
    asked = [(method, {**request.scope, "method": method}) for method in _METHODS]
    routes = request.app.routes
    return [m for m, one in asked if any(r.matches(one)[0] is Match.FULL for r in routes)]


async def _defect(request: Request, error: Exception) -> JSONResponse:
    """The same form for a defect; the gate writes it into the log."""
    return await _problem(request, _DEFECT)
