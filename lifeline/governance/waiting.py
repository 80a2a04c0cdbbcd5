"""What waits for the queue's next tick, oldest first. Opens no transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
from sqlalchemy import select

from lifeline.governance.schema import WAITING, alarms, events, timers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

Row = dict[str, Any]

DIRECT_ROWS_MAX: Final = 200
"""Events that an emergency dispatches in one tick."""


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
    query = select(timers).where(timers.c.at <= now_ms).order_by(timers.c.at, timers.c.event_id, timers.c.stage)
    return [dict(row) for row in connection.execute(query.limit(rows_max)).mappings()]


def without_event(connection: Connection, rows_max: int) -> list[Row]:
    """Standing alarms without an event and without a hold, oldest first."""
    query = select(alarms).where(WAITING).order_by(alarms.c.detected_at, alarms.c.alarm_id).limit(rows_max)
    return [dict(row) for row in connection.execute(query).mappings()]
