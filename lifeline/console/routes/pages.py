"""The console's page and its two documents. Who has no session is sent to ``/login``."""

from __future__ import annotations

import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from lifeline.console.answers import Who, json_answer, shown_event, state_of
from lifeline.console.limits import PAGE_EVENTS_MAX
from lifeline.console.page import POLICY, render
from lifeline.console.problem import ProblemError

router = APIRouter(include_in_schema=False)


@router.get("/")
async def page(request: Request) -> Response:
    """The console."""
    state = state_of(request)
    try:
        who = await state.gate.caller(request)
    except ProblemError as problem:
        if problem.kind != "unauthenticated":
            raise
        return RedirectResponse("/login", 303)
    nonce = secrets.token_urlsafe(18)
    csrf = "" if who.cookie is None else state.parts.accounts.csrf_of(who.cookie)
    text = render(state.settings.site, state.settings.timezone, nonce, name=who.principal.name, csrf=csrf)
    policy = {"Content-Security-Policy": POLICY.format(nonce=nonce)}
    return Response(text, media_type="text/html; charset=utf-8", headers=policy)


@router.get("/status.json")
async def status_json(request: Request, who: Who) -> Response:  # noqa: ARG001 - any reader
    """What the engine says of itself."""
    return json_answer(await run_in_threadpool(state_of(request).news))


@router.get("/events.json")
async def events_json(
    request: Request, who: Who, limit: Annotated[int, Query(ge=1, le=PAGE_EVENTS_MAX)] = PAGE_EVENTS_MAX
) -> Response:
    """The newest events that the caller may see."""
    rows: list[dict[str, Any]] = await run_in_threadpool(state_of(request).newest_events, who.principal.scope())
    return json_answer({"events": [shown_event(who, row) for row in rows[:limit]]})
