"""What emergencies ask of the queue's tick: to end, to begin where a trigger calls for one, and to dispatch at once.

Opens no transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
from sqlalchemy import select

from lifeline.governance import modes, switching
from lifeline.governance.actor import ENGINE
from lifeline.governance.acts import take_acts
from lifeline.governance.schema import events
from lifeline.governance.steps import Act

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from lifeline.governance.journal import Journal
    from lifeline.governance.policy import Policy

Row = dict[str, Any]

DIRECT_ROWS_MAX: Final = 200
"""Events that an emergency dispatches in one tick."""


def pending(connection: Connection, now_ms: int, policy: Policy) -> bool:
    """Whether an emergency is over, is called for by a trigger, or has events to be dispatched at once."""
    held = modes.running(connection)
    over = any(mode["until"] <= now_ms for mode in held)
    return over or bool(held and _direct(connection, held)) or bool(switching.triggered(connection, now_ms, policy))


def work(connection: Connection, now_ms: int, *, policy: Policy, journal: Journal) -> None:
    """End what is over, begin what a trigger calls for, dispatch high events without waiting for triage."""
    switching.end_due(connection, now_ms, policy=policy, journal=journal)
    for area, until, reason in switching.triggered(connection, now_ms, policy):
        switching.switch_on(connection, area, until, reason, ENGINE, now_ms, policy=policy, journal=journal)
    ids = _direct(connection, modes.running(connection))
    words = "应急状态直接派遣 / emergency: dispatched at once"
    acts = [Act(event_id, action, ENGINE, words) for event_id in ids for action in ("file", "dispatch")]
    take_acts(connection, acts, now_ms, policy=policy, journal=journal)


def _direct(connection: Connection, held: Sequence[Row]) -> list[str]:
    """New events of running emergencies that must not wait for triage."""
    found: list[str] = []
    for mode in held:
        levels = orjson.loads(mode["settings"])["direct"]
        wanted = events.c.incident_id == mode["incident_id"], events.c.status == "new", events.c.level.in_(levels)
        query = select(events.c.event_id).where(*wanted).order_by(events.c.detected_at).limit(DIRECT_ROWS_MAX)
        found += connection.scalars(query)
    return found[:DIRECT_ROWS_MAX]
