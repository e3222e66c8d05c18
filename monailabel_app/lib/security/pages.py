"""Web pages of other servers that may ask: what browsers want to hear before they let them."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from lib.problems import bad_request


class AllowedPages(CORSMiddleware):
    """Answers the browsers of allowed pages; all other requests are the gate's to judge.

    Args:
        gate: What is behind.
        origins: Of the pages.
    """

    def __init__(self, gate: ASGIApp, origins: frozenset[str]) -> None:
        super().__init__(
            gate,
            allow_origins=sorted(origins),
            allow_methods=["GET", "HEAD", "POST", "PUT", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Range", "If-None-Match"],
            expose_headers=["ETag", "Content-Disposition", "Content-Range"],
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on, with what the browser wants to hear if the page is allowed."""
        origin = Headers(scope=scope).get("origin") if scope["type"] == "http" else None
        if origin is not None and self.is_allowed_origin(origin):
            await super().__call__(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def preflight_response(self, request_headers: Headers) -> Response:
        """What a browser asks before it sends what a page has written."""
        answer = super().preflight_response(request_headers)
        if answer.status_code < 400:
            return answer
        problem = bad_request("A page may not ask in this way.", "See what it may in /docs.")
        kept = {key: value for key, value in answer.headers.items() if key[:6] == "access"}
        return JSONResponse(problem.to_json(), problem.status, kept)
