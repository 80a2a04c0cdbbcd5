"""What waits for the queue's next tick, oldest first. Opens no transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, select

from lifeline.governance.asking import ask_rows
from lifeline.governance.schema import WAITING, alarms, timers

if TYPE_CHECKING:
    from sqlalchemy import Connection

Row = dict[str, Any]

_DUE: Final = (
    select(timers)
    .where(timers.c.at <= bindparam("_now"))
    .order_by(timers.c.at, timers.c.event_id, timers.c.stage)
    .limit(bindparam("_rows"))
)
_WITHOUT_EVENT: Final = (
    select(alarms).where(WAITING).order_by(alarms.c.detected_at, alarms.c.alarm_id).limit(bindparam("_rows"))
)


def due_timers(connection: Connection, now_ms: int, rows_max: int) -> list[Row]:
    """Timers whose next step has come, oldest first."""
    return ask_rows(connection, _DUE, {"_now": now_ms, "_rows": rows_max})


def without_event(connection: Connection, rows_max: int) -> list[Row]:
    """Standing alarms without an event and without a hold, oldest first."""
    return ask_rows(connection, _WITHOUT_EVENT, {"_rows": rows_max})
