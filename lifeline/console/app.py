"""The console's web application: one page and its JSON, health and metrics. Read only.

Routes: ``/`` ``/status.json`` ``/events.json`` ``/healthz`` ``/readyz`` ``/metrics``. Errors are RFC 9457 problem+json.

Rules of this file: sources come as callables and run in worker threads; every answer is bounded; a request whose Host
is not ours is refused (a foreign page that points its own name at 127.0.0.1 must not read the queue).
"""

from __future__ import annotations

import ipaddress
import secrets
from typing import TYPE_CHECKING, Any, Final

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from lifeline.console.page import POLICY, render
from lifeline.console.sources import Cached, judged, wall_clock
from lifeline.core.errors import LifelineError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from lifeline.core.ports import Clock

EVENTS_MAX: Final = 100
"""Events that one answer holds; the command line and SQL give more."""

EVENTS_TTL_MS: Final = 1_000
STATUS_TTL_MS: Final = 250

LOCAL_HOSTS: Final = ("127.0.0.1", "localhost", "::1")

HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def create_app(
    status: Callable[[], dict[str, Any]],
    events: Callable[..., dict[str, Any]],
    metrics: Callable[[], bytes | None],
    *,
    site: str = "Lifeline",
    timezone: str = "UTC",
    hosts: Sequence[str] | None = LOCAL_HOSTS,
    clock: Clock = wall_clock,
) -> Starlette:
    """The application.

    Args:
        status: The engine's status (``sources.StatusFile``); may raise ``UnavailableError``.
        events: ``events(limit=n)`` gives ``{"events": [rows of the events view, newest first], ...}``; times are
            datetimes or epoch milliseconds.
        metrics: The engine's Prometheus text, None while the engine does not answer.
        site: Shown in the head of the page.
        timezone: IANA zone in which the page shows times.
        hosts: Host names under which we may be asked; None allows any (behind a proxy, or opened on purpose).
        clock: Now, epoch milliseconds.
    """
    news = Cached(lambda: judged(status, clock()), STATUS_TTL_MS, clock)
    newest = Cached(lambda: events(limit=EVENTS_MAX), EVENTS_TTL_MS, clock)

    async def page(_request: Request) -> Response:
        nonce = secrets.token_urlsafe(18)
        policy = {"Content-Security-Policy": POLICY.format(nonce=nonce)}
        return Response(render(site, timezone, nonce), media_type="text/html; charset=utf-8", headers=policy)

    async def status_json(_request: Request) -> Response:
        return _json(await run_in_threadpool(news))

    async def events_json(request: Request) -> Response:
        limit = _limit(request.query_params.get("limit"))
        try:
            found = await run_in_threadpool(newest)
        except (LifelineError, OSError) as error:
            return _problem(503, "The queue cannot be read", str(error))
        return _json({"events": list(found["events"])[:limit]})

    async def healthz(_request: Request) -> Response:
        return _json({"alive": True})

    async def readyz(_request: Request) -> Response:
        now = await run_in_threadpool(news)
        ready = now["ready"]
        body = {"ready": ready, "reason": None if ready else now.get("reason") or "the engine gives no reason"}
        return _json(body, 200 if ready else 503)

    async def metrics_text(_request: Request) -> Response:
        try:
            text = await run_in_threadpool(metrics)
        except (LifelineError, OSError) as error:
            return _problem(503, "The engine's metrics cannot be read", str(error))
        if text is None:
            return _problem(503, "The engine's metrics cannot be read", "the engine does not answer")
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    routes = {
        "/": page,
        "/status.json": status_json,
        "/events.json": events_json,
        "/healthz": healthz,
        "/readyz": readyz,
        "/metrics": metrics_text,
    }
    app = Starlette(
        routes=[Route(path, endpoint, methods=["GET"]) for path, endpoint in routes.items()],
        exception_handlers={HTTPException: _http_error, Exception: _our_error},
    )
    app.add_middleware(_Guard, hosts=None if hosts is None else frozenset(host.lower() for host in hosts))
    return app


class _Guard:
    """Refuses foreign Hosts and puts the safe headers on every answer that has none of its own."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str] | None) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name.lower() for name, _ in message["headers"]}
                extra = [
                    (k.lower().encode(), v.encode()) for k, v in HEADERS.items() if k.lower().encode() not in there
                ]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
        if self._hosts is not None and _host_name(host) not in self._hosts:
            refusal = _problem(421, "Not our name", "open the console under the address it listens on")
            await refusal(scope, receive, guarded)
            return
        await self._app(scope, receive, guarded)


def _host_name(host: str) -> str:
    """The name or address in a Host header, without port and brackets, in lower case."""
    name = host.rpartition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.lower()


def _limit(text: str | None) -> int:
    """How many events were asked for, 1 to ``EVENTS_MAX``."""
    if text is None:
        return EVENTS_MAX
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= EVENTS_MAX):
        raise HTTPException(400, f"limit is a number from 1 to {EVENTS_MAX}")
    return int(text)


def _json(body: Mapping[str, Any], status: int = 200, media_type: str = "application/json") -> Response:
    options = orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC | orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
    return Response(orjson.dumps(body, default=str, option=options), status, media_type=media_type)


def _problem(status: int, title: str, detail: str) -> Response:
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return _json(body, status, "application/problem+json")


async def _http_error(_request: Request, error: Exception) -> Response:
    code = error.status_code if isinstance(error, HTTPException) else 500
    detail = error.detail if isinstance(error, HTTPException) else ""
    response = _problem(code, "Request refused", str(detail))
    if isinstance(error, HTTPException) and error.headers:
        response.headers.update(error.headers)
    return response


async def _our_error(_request: Request, _error: Exception) -> Response:
    """A bug of ours: the log has the traceback, the viewer does not."""
    return _problem(500, "The console failed", "the reason is in the console's log")
