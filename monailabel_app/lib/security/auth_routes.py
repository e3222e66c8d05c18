"""Log-in as MONAI Label's own clients know it: a name and a token, for a token that runs out."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Form, Request
from pydantic import BaseModel

from lib.problems import ERRORS, Problem
from lib.security.tokens import Person, Tokens

_PAUSE_S = 0.5


class AuthState(BaseModel):
    """Whether clients have to log in."""

    enabled: bool
    client_id: str = "counterpart"
    realm: str = ""


class LogIn(BaseModel):
    """What a client sends with each request from then on."""

    access_token: str | None
    token_type: str | None


class CurrentUser(BaseModel):
    """Who a token belongs to, in MONAI Label's words."""

    username: str
    email: str | None = None
    name: str | None = None
    roles: list[str]


def auth_routes(tokens: Tokens) -> APIRouter:
    """The routes below ``/auth``."""
    router = APIRouter(prefix="/auth", tags=["Log-in"], responses=ERRORS)

    @router.get("/", summary="Whether a log-in is needed")
    async def auth_enabled() -> AuthState:
        return AuthState(enabled=bool(tokens))

    @router.post("/token", summary="Exchange a name and a token for a log-in of twelve hours")
    async def access_token(
        username: Annotated[str, Form(min_length=1, max_length=200)],
        password: Annotated[str, Form(min_length=1, max_length=1000, description="The token.")],
    ) -> LogIn:
        if not tokens:
            return LogIn(access_token=None, token_type=None)
        log_in = tokens.log_in(username, password)
        if log_in is None:
            await asyncio.sleep(_PAUSE_S)
            raise Problem(
                401, "Name and token do not fit.", "Check both; the token is no password."
            )
        return LogIn(access_token=log_in, token_type="bearer")

    @router.get("/token/valid", summary="Whether the log-in is valid, and whose it is")
    async def valid_token(request: Request) -> CurrentUser:
        person: Person = request.state.person
        return CurrentUser(username=person.name, name=person.name, roles=person.monai_roles)

    return router
