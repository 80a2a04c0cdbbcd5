"""``/events``: the queue."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from lifeline.console.answers import (
    Answers,
    Code,
    Cursor,
    IdempotencyKey,
    Limit,
    Time,
    Who,
    Word,
    Words,
    json_answer,
    shown_event,
    time_ms,
)
from lifeline.console.models import Act, EscalationPage, Event, EventDetail, EventPage
from lifeline.console.problem import OUTSIDE, ProblemError

router = APIRouter(prefix="/api/v1", tags=["events"])

EventId = Annotated[str, Path(min_length=4, max_length=20, pattern=r"^[0-9a-f]+$", description="or its beginning")]
Action = Annotated[str, Path(min_length=1, max_length=32, pattern=r"^[a-z-]+$")]


@router.get("/events", response_model=EventPage)
async def list_events(
    who: Who,
    parts: Answers,
    level: Words = None,
    status: Words = None,
    area: Code = None,
    utility: Word = None,
    since: Time = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Response:
    """Events within the caller's areas and utilities, newest detection first. ``status=open``: all that are open."""
    filters: dict[str, Any] = {
        "level": level,
        "status": "open" if status == ["open"] else status,
        "area": area,
        "utility": utility,
        "since": time_ms(since, "since"),
        "cursor": cursor,
        "limit": limit,
    }
    rows, following = await run_in_threadpool(
        parts.queue.list_events, who.principal.scope(), masked=not who.unmasked, **filters
    )
    return json_answer({"events": [shown_event(who, row) for row in rows], "next": following})


@router.get("/escalations", response_model=EscalationPage)
async def list_escalations(
    who: Who,
    parts: Answers,
    after: Annotated[int, Query(ge=0, le=2_000_000_000, description="`next`, or the last `entry` you have")] = 0,
    centre: Code = None,
    limit: Limit = 100,
) -> Response:
    """The supervision feed (督办): reminders and overdue steps in order, each once. ``centre``: told to this one's."""
    rows, following = await run_in_threadpool(
        parts.queue.list_escalations,
        who.principal,
        masked=not who.unmasked,
        after=after,
        centre=centre,
        limit=limit,
    )
    return json_answer({"escalations": rows, "next": following})


@router.get("/events/{event_id}", response_model=EventDetail)
async def get_event(who: Who, parts: Answers, event_id: EventId) -> Response:
    """One event with alarms, log and what the caller may do now. ETag: its version."""
    row = await run_in_threadpool(parts.queue.get_event, event_id, masked=not who.unmasked)
    if not parts.queue.sees(who.principal, row):
        raise unknown(event_id)
    row["actions"] = parts.queue.actions(who.principal, row)
    return json_answer(shown_event(who, row), headers={"ETag": f'"{row["version"]}"'})


@router.get("/events/{event_id}/proposal")
async def proposal(who: Who, parts: Answers, event_id: EventId) -> Response:
    """To which unit this event should go, and why; dispatching is an action that may name another."""
    row = await run_in_threadpool(parts.queue.get_event, event_id, masked=True)
    if not parts.queue.sees(who.principal, row):
        raise unknown(event_id)
    return json_answer(await run_in_threadpool(parts.queue.proposal, row))


@router.post("/events/{event_id}/actions/{action}", response_model=Event)
async def act(
    who: Who,
    parts: Answers,
    event_id: EventId,
    action: Action,
    body: Act | None = None,
    if_match: Annotated[
        str | None, Header(max_length=64, description='the ETag you saw, such as "3": refuse when it has moved on')
    ] = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Take an action of the transition table (docs/governance.md); the event afterwards."""
    given = (body or Act()).model_dump(exclude_none=True)
    row = await run_in_threadpool(
        parts.queue.act, who.principal, event_id, action, given, version_of(if_match), idempotency_key
    )
    return json_answer(shown_event(who, row), headers={"ETag": f'"{row["version"]}"'})


def version_of(if_match: str | None) -> int | None:
    """The version in an If-Match header; ``*`` and none are any.

    Raises:
        ProblemError: not one of our ETags.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    text = if_match.strip().removeprefix("W/").strip('"')
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise ProblemError("changed", "If-Match is none of our ETags")
    return int(text)


def unknown(event_id: str) -> ProblemError:
    """What is not the caller's to see, in the words for what is not there."""
    return ProblemError("not-found", f"there is no event {event_id!r} within your areas and utilities", denied=OUTSIDE)
