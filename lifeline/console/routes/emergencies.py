"""``/emergencies``: areas in emergency mode (平急), and the review when one is over."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Response
from starlette.concurrency import run_in_threadpool

from lifeline.console.answers import Answers, Code, Cursor, IdempotencyKey, Limit, Who, json_answer
from lifeline.console.models_admin import Emergency, EmergencyEnd, EmergencyPage, EmergencyStart

router = APIRouter(prefix="/api/v1", tags=["emergencies"])

EmergencyId = Annotated[int, Path(ge=1, le=2_000_000_000)]


@router.get("/emergencies", response_model=EmergencyPage)
async def list_emergencies(
    who: Who,
    parts: Answers,
    state: Literal["running", "ended"] | None = None,
    area: Code = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Response:
    """Emergencies that touch the caller's areas, newest first. ``area``: of exactly this one."""
    running = None if state is None else state == "running"
    rows, following = await run_in_threadpool(
        parts.emergencies.list_emergencies, who.principal, running=running, cursor=cursor, limit=limit, area=area
    )
    return json_answer({"emergencies": rows, "next": following})


@router.post("/emergencies", response_model=Emergency, status_code=201)
async def start_emergency(
    who: Who, parts: Answers, body: EmergencyStart, idempotency_key: IdempotencyKey = None
) -> Response:
    """Put an area into emergency mode, with a reason and an end (docs/governance.md says what changes meanwhile)."""
    given = body.model_dump(exclude_none=True)
    row = await run_in_threadpool(parts.emergencies.start_emergency, who.principal, given, idempotency_key)
    return json_answer(row, 201, {"Location": f"/api/v1/emergencies/{row['emergency_id']}"})


@router.get("/emergencies/{emergency_id}", response_model=Emergency)
async def get_emergency(who: Who, parts: Answers, emergency_id: EmergencyId) -> Response:
    """One emergency; once it is over with its review: events, alarms, speed, lateness, escalations, people."""
    return json_answer(await run_in_threadpool(parts.emergencies.get_emergency, who.principal, emergency_id))


@router.post("/emergencies/{emergency_id}/end", response_model=Emergency)
async def end_emergency(who: Who, parts: Answers, emergency_id: EmergencyId, body: EmergencyEnd) -> Response:
    """End it before its time; the answer has the review."""
    row = await run_in_threadpool(parts.emergencies.end_emergency, who.principal, emergency_id, body.reason)
    return json_answer(row)
