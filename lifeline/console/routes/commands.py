"""``/devices/{device}/commands``, ``/commands``: asking devices to look more closely, and what they answered."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response
from starlette.concurrency import run_in_threadpool

from lifeline.console.answers import Answers, Cursor, IdempotencyKey, Limit, Who, Word, json_answer
from lifeline.console.models_admin import Command, CommandOrder, CommandPage

router = APIRouter(prefix="/api/v1", tags=["commands"])

Device = Annotated[str, Path(min_length=1, max_length=128)]
CommandId = Annotated[str, Path(min_length=20, max_length=20, pattern=r"^[0-9a-f]+$")]


@router.post("/devices/{device}/commands", response_model=Command, status_code=201)
async def order(
    who: Who, parts: Answers, device: Device, body: CommandOrder, idempotency_key: IdempotencyKey = None
) -> Response:
    """Ask a device to sample faster, or a valve to inspect itself. Sent over MQTT, good for ten minutes, audited."""
    given = body.model_dump(exclude_none=True)
    row = await run_in_threadpool(
        parts.commands.order, who.principal, device, given, idempotency_key, masked=not who.unmasked
    )
    return json_answer(row, 201, {"Location": f"/api/v1/commands/{row['command_id']}"})


@router.get("/commands", response_model=CommandPage)
async def list_commands(
    who: Who,
    parts: Answers,
    device: Word = None,
    event_id: Word = None,
    status: Word = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Response:
    """Commands to devices within the caller's areas and utilities, newest first, with their replies."""
    filters = {"device": device, "event_id": event_id, "status": status, "cursor": cursor, "limit": limit}
    rows, following = await run_in_threadpool(
        parts.commands.list_commands, who.principal, masked=not who.unmasked, **filters
    )
    return json_answer({"commands": rows, "next": following})


@router.get("/commands/{command_id}", response_model=Command)
async def get_command(who: Who, parts: Answers, command_id: CommandId) -> Response:
    """One command: queued, sent, done, refused or expired, and the reply."""
    row = await run_in_threadpool(parts.commands.get_command, who.principal, command_id, masked=not who.unmasked)
    return json_answer(row)
