"""The console's web application: page, API, stream, health; put together here, each part in its own module.

    Guard (name, rate, body) ─► route ─► Gate (who, may they) ─► port, in a worker thread ─► JSON

Errors of every route are RFC 9457 problem+json (``problem``). Nothing here touches a file or a database: sources come
as ports (``ports``).
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from lifeline.console.access import Gate
from lifeline.console.answers import PROBLEMS, Who, json_answer
from lifeline.console.feed import Feed
from lifeline.console.guard import Guard
from lifeline.console.limits import ADDRESS, CREDENTIAL, QUERY, SIGN_IN_ADDRESS, SIGN_IN_NAME, Buckets
from lifeline.console.parts import Parts, Settings
from lifeline.console.problem import ProblemError
from lifeline.console.refusals import Refusals
from lifeline.console.routes import (
    accounts,
    alarms,
    commands,
    emergencies,
    events,
    health,
    pages,
    points,
    query,
    reports,
    session,
    stream,
)
from lifeline.console.routes import (
    settings as settings_routes,
)
from lifeline.console.sources import Cached, judged, wall_clock
from lifeline.console.state import State
from lifeline.core.errors import LifelineError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from lifeline.console.oidc import Oidc
    from lifeline.core.ports import Clock

ROUTES: Final = (
    *(events, alarms, emergencies, commands, settings_routes, points, query, reports, stream),
    *(accounts, health, session, pages),
)
STATUS_TTL_MS: Final = 250

DESCRIPTION: Final = """\
The governance queue, readings and last values of a city's gas, water and heat networks.

Times are epoch milliseconds UTC. Lists are pages: pass `next` as `cursor`. Errors are RFC 9457 problem+json.
Credentials: `Authorization: Bearer lft_…`, or a browser's session with `X-CSRF-Token` on every act.
"""


def create_app(parts: Parts, settings: Settings | None = None, *, clock: Clock = wall_clock) -> FastAPI:
    """The application over its ports. ``clock``: now, epoch milliseconds."""
    settings = settings or Settings()
    app = FastAPI(
        title="Lifeline",
        version="1",
        description=DESCRIPTION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        responses=PROBLEMS,
        redirect_slashes=False,
    )
    app.state.lifeline = State(
        parts=parts,
        settings=settings,
        gate=Gate(parts.accounts, Buckets(CREDENTIAL, time.monotonic), secure=settings.secure),
        feed=Feed(parts.queue),
        news=Cached(lambda: judged(parts.status, clock()), STATUS_TTL_MS, clock),
        queries=Buckets(QUERY, time.monotonic),
        refused=Refusals(parts.audit, time.monotonic),
        sign_in_addresses=Buckets(SIGN_IN_ADDRESS, time.monotonic),
        sign_in_names=Buckets(SIGN_IN_NAME, time.monotonic),
        clock=clock,
        oidc=_oidc(settings),
    )
    for module in ROUTES:
        app.include_router(module.router)

    @app.get("/api/openapi.json", include_in_schema=False)
    async def description(who: Who) -> Response:  # noqa: ARG001 - anybody with an account
        return json_answer(openapi(app))

    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(LifelineError, _unavailable)
    app.add_exception_handler(OSError, _unavailable)
    app.add_middleware(Guard, hosts=settings.hosts, secure=settings.secure, take=Buckets(ADDRESS, time.monotonic).take)
    return app


def _oidc(settings: Settings) -> Oidc | None:
    if settings.provider is None:
        return None
    from lifeline.console.oidc import Oidc  # Authlib: only where there is a provider

    return Oidc(settings.provider)


def openapi(app: FastAPI) -> dict[str, Any]:
    """The API's description (OpenAPI 3.1), made from the routes once."""
    if app.openapi_schema is None:
        document = FastAPI.openapi(app)
        document["components"].setdefault("securitySchemes", {}).update(
            bearer={"type": "http", "scheme": "bearer", "description": "a token of `lifeline token create`"}
        )
        document["security"] = [{"bearer": []}]
        app.openapi_schema = document
    return app.openapi_schema


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    answer = error.response()
    who = getattr(request.state, "principal", None)
    if who is None or not (error.status == 403 or error.denied):
        return answer
    refused: Refusals = request.app.state.lifeline.refused
    note = partial(refused.note, who, request.method, request.url.path, error)
    if error.status == 403:
        await run_in_threadpool(note)
    else:  # what is not the caller's must take no longer than what is not there
        answer.background = BackgroundTask(note)
    return answer


async def _not_understood(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    wrong = [{"where": [str(part) for part in one["loc"]], "what": one["msg"]} for one in error.errors()]
    first = wrong[0]
    detail = f"{'.'.join(first['where'])}: {first['what']}"
    return ProblemError("invalid", detail, errors=wrong[:20]).response()


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = {404: "not-found", 405: "method", 413: "too-large"}.get(error.status_code, "invalid")
    return ProblemError(kind, str(error.detail), status=error.status_code, headers=error.headers).response()


async def _unavailable(_request: Request, error: Exception) -> Response:
    return ProblemError("unavailable", str(error), headers={"Retry-After": "2"}).response()
