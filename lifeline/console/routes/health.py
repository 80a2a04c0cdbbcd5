"""``/healthz``, ``/readyz``, ``/metrics``: without credentials, for load balancers and Prometheus."""

from __future__ import annotations

import ipaddress

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from lifeline.console.answers import json_answer, state_of
from lifeline.console.problem import ProblemError
from lifeline.core.errors import LifelineError

router = APIRouter(include_in_schema=False)


@router.get("/healthz")
async def healthz() -> Response:
    """The process answers."""
    return json_answer({"alive": True})


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """The engine is ready, or why not."""
    now = await run_in_threadpool(state_of(request).news)
    ready = now["ready"]
    body = {"ready": ready, "reason": None if ready else now.get("reason") or "the engine gives no reason"}
    return json_answer(body, 200 if ready else 503)


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """The engine's Prometheus text; to this machine only, unless ``[metrics] allow_remote``."""
    state = state_of(request)
    if not state.settings.remote_metrics and not _is_loopback(request):
        raise ProblemError("forbidden", "metrics are for this machine only; [metrics] allow_remote = true opens them")
    try:
        text = await run_in_threadpool(state.parts.metrics)
    except (LifelineError, OSError) as error:
        raise ProblemError("unavailable", f"the engine's metrics cannot be read: {error}") from error
    if text is None:
        raise ProblemError("unavailable", "the engine's metrics cannot be read: the engine does not answer")
    return Response(text + state.refused.metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _is_loopback(request: Request) -> bool:
    try:
        return request.client is None or ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
