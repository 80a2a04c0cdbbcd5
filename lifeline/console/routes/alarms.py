"""``/alarms``: one rule at one point; acknowledging and the three ways of ISA-18.2 to be quiet on purpose."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from lifeline.console.answers import (
    Answers,
    Code,
    Cursor,
    Limit,
    Time,
    Who,
    Word,
    Words,
    json_answer,
    time_ms,
)
from lifeline.console.models import Alarm, AlarmAct, AlarmDetail, AlarmPage
from lifeline.console.problem import OUTSIDE, ProblemError

router = APIRouter(prefix="/api/v1", tags=["alarms"])

AlarmId = Annotated[str, Path(min_length=4, max_length=24, pattern=r"^[0-9a-f]+$", description="or its beginning")]
Action = Annotated[str, Path(min_length=1, max_length=32, pattern=r"^[a-z-]+$")]


@router.get("/alarms", response_model=AlarmPage)
async def list_alarms(
    who: Who,
    parts: Answers,
    state: Words = None,
    rule: Word = None,
    level: Words = None,
    area: Code = None,
    utility: Word = None,
    event_id: Word = None,
    since: Time = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Response:
    """Alarms within the caller's areas and utilities, newest first. ``state=active``: the condition stands."""
    filters: dict[str, Any] = {
        "state": state,
        "rule_id": rule,
        "level": level,
        "area": area,
        "utility": utility,
        "event_id": event_id,
        "since": time_ms(since, "since"),
        "cursor": cursor,
        "limit": limit,
    }
    rows, following = await run_in_threadpool(
        parts.queue.list_alarms, who.principal.scope(), masked=not who.unmasked, **filters
    )
    return json_answer({"alarms": rows, "next": following})


@router.get("/alarms/{alarm_id}", response_model=AlarmDetail)
async def get_alarm(who: Who, parts: Answers, alarm_id: AlarmId) -> Response:
    """One alarm with its log."""
    row = await run_in_threadpool(parts.queue.get_alarm, alarm_id, masked=not who.unmasked)
    if not who.principal.sees(row["area_code"], row["utility"]):
        raise ProblemError(
            "not-found", f"there is no alarm {alarm_id!r} within your areas and utilities", denied=OUTSIDE
        )
    return json_answer(row)


@router.post("/alarms/{alarm_id}/actions/{action}", response_model=Alarm)
async def act(
    who: Who,
    parts: Answers,
    alarm_id: AlarmId,
    action: Action,
    body: AlarmAct | None = None,
) -> Response:
    """ack, shelve, unshelve, suppress, unsuppress, out-of-service, in-service. Repeating one changes nothing."""
    given = (body or AlarmAct()).model_dump(exclude_none=True)
    row = await run_in_threadpool(parts.queue.act_alarm, who.principal, alarm_id, action, given)
    return json_answer(row)
