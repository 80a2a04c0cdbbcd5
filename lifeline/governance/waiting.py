"""What waits for the queue's next tick, oldest first. Opens no transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
from sqlalchemy import bindparam, select

from lifeline.governance.asking import ask_rows
from lifeline.governance.schema import WAITING, alarms, events, timers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

Row = dict[str, Any]

DIRECT_ROWS_MAX: Final = 200
"""Events that an emergency dispatches in one tick."""
_DUE: Final = (
    select(timers)
    .where(timers.c.at <= bindparam("_now"))
    .order_by(timers.c.at, timers.c.event_id, timers.c.stage)
    .limit(bindparam("_rows"))
)
_WITHOUT_EVENT: Final = (
    select(alarms).where(WAITING).order_by(alarms.c.detected_at, alarms.c.alarm_id).limit(bindparam("_rows"))
)


def direct(connection: Connection, held: Sequence[Row]) -> list[str]:
    """New events of running emergencies that must not wait for triage."""
    found: list[str] = []
    for mode in held:
        levels = orjson.loads(mode["settings"])["direct"]
        wanted = events.c.incident_id == mode["incident_id"], events.c.status == "new", events.c.level.in_(levels)
        query = select(events.c.event_id).where(*wanted).order_by(events.c.detected_at).limit(DIRECT_ROWS_MAX)
        found += connection.scalars(query)
    return found[:DIRECT_ROWS_MAX]


def due_timers(connection: Connection, now_ms: int, rows_max: int) -> list[Row]:
    """Timers whose next step has come, oldest first."""
    return ask_rows(connection, _DUE, {"_now": now_ms, "_rows": rows_max})


def without_event(connection: Connection, rows_max: int) -> list[Row]:
    """Standing alarms without an event and without a hold, oldest first."""
    return ask_rows(connection, _WITHOUT_EVENT, {"_rows": rows_max})
