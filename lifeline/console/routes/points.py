"""``/points``, ``/live``, ``/areas``: registry, readings and last values."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from lifeline.console.answers import Answers, Code, Cursor, Limit, Who, Word, json_answer, time_ms
from lifeline.console.limits import LIVE_ROWS_MAX, READING_ROWS_MAX
from lifeline.console.models import AreaPage, LivePage, PointPage, Readings
from lifeline.console.problem import OUTSIDE, ProblemError

router = APIRouter(prefix="/api/v1", tags=["readings"])

ARROW = "application/vnd.apache.arrow.stream"
Device = Annotated[str, Path(min_length=1, max_length=128)]
Quantity = Annotated[str, Path(min_length=1, max_length=64)]


@router.get("/points", response_model=PointPage)
async def list_points(
    who: Who,
    parts: Answers,
    device: Word = None,
    quantity: Word = None,
    utility: Word = None,
    kind: Word = None,
    area: Code = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Response:
    """Points within the caller's areas and utilities. ``device``: what ids begin with."""
    filters = {"device": device, "quantity": quantity, "utility": utility, "kind": kind, "area": area}
    rows, following = await run_in_threadpool(
        parts.lake.list_points, who.principal.scope(), masked=not who.unmasked, cursor=cursor, limit=limit, **filters
    )
    return json_answer({"points": rows, "next": following})


@router.get("/points/{device}/{quantity}/readings", response_model=Readings)
async def readings(
    who: Who,
    parts: Answers,
    device: Device,
    quantity: Quantity,
    start: Annotated[str | None, Query(alias="from", max_length=40, description="epoch ms or ISO 8601")] = None,
    end: Annotated[str | None, Query(alias="to", max_length=40, description="exclusive")] = None,
    max_points: Annotated[int, Query(ge=2, le=READING_ROWS_MAX)] = 2_000,
) -> Response:
    """Readings of one point; more than ``max_points`` become minimum and maximum of equal stretches of time."""
    body = await run_in_threadpool(
        parts.lake.readings,
        device,
        quantity,
        time_ms(start, "from"),
        time_ms(end, "to"),
        max_points,
        masked=not who.unmasked,
    )
    if not who.principal.sees(body.pop("area_code"), body.pop("utility")):
        raise ProblemError(
            "not-found", f"there is no point {device}/{quantity} within your areas and utilities", denied=OUTSIDE
        )
    return json_answer(body)


@router.get(
    "/live",
    response_model=LivePage,
    responses={200: {"content": {ARROW: {"schema": {"type": "string", "format": "binary"}}}}},
)
async def live(
    request: Request,
    who: Who,
    parts: Answers,
    device: Word = None,
    quantity: Word = None,
    utility: Word = None,
    kind: Word = None,
    area: Code = None,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=LIVE_ROWS_MAX)] = 1_000,
) -> Response:
    """Last values. ``Accept: application/vnd.apache.arrow.stream`` gives all of them at once as an Arrow stream."""
    within, masked = who.principal.scope(), not who.unmasked
    if ARROW in request.headers.get("accept", ""):
        data = await run_in_threadpool(parts.lake.live_arrow, within, masked=masked)
        return Response(data, media_type=ARROW)
    filters: dict[str, Any] = {"device": device, "quantity": quantity, "utility": utility, "kind": kind, "area": area}
    body = await run_in_threadpool(parts.lake.live, within, masked=masked, cursor=cursor, limit=limit, **filters)
    return json_answer(body)


@router.get("/areas", response_model=AreaPage, tags=["areas"])
async def list_areas(
    who: Who,  # noqa: ARG001 - everybody who may read sees the map's names
    parts: Answers,
    level: Word = None,
    parent: Code = None,
    cursor: Cursor = None,
    limit: Limit = 1000,
) -> Response:
    """Areas by code."""
    rows, following = await run_in_threadpool(
        parts.lake.list_areas, level=level, parent=parent, cursor=cursor, limit=limit
    )
    return json_answer({"areas": rows, "next": following})
