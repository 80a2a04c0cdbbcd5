"""Alarms that stand for too long are annunciated again (re-alarm time: OPC UA Part 9, 5.8.2 and B.1.5).

A rule's ``realarm_after`` runs from the raising, and anew from each acknowledgement and each repetition. Then the alarm
is unacknowledged again, and its event says so to everybody who listens. A row, not a clock in memory: a restart finds
it. While the alarm is held (shelved, suppressed, out of service) nobody is told; the time begins anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, select, update

from lifeline.governance.actor import ENGINE
from lifeline.governance.alarm_state import alarm_state
from lifeline.governance.asking import ask_rows, fetch
from lifeline.governance.effects import Effects
from lifeline.governance.schema import EVENTS, REPEATING, alarms, events
from lifeline.governance.store import store
from lifeline.governance.touched import touch

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from lifeline.governance.journal import Journal

Row = dict[str, Any]

ROWS_MAX: Final = 1000
"""In one tick; the rest follow in the next."""

_COLUMNS: Final = ("alarm_id", "rule_id", "device_id", "quantity", "event_id", "active", "acked", "state", "realarm_s")
_HOLDS: Final = ("shelved_until", "suppressed", "out_of_service")
_DUE: Final = (
    select(*(alarms.c[name] for name in (*_COLUMNS, *_HOLDS, "realarms")))
    .where(REPEATING, alarms.c.realarm_at <= bindparam("_now"))
    .order_by(alarms.c.realarm_at, alarms.c.alarm_id)
    .limit(bindparam("_rows"))
)


def due(connection: Connection, now_ms: int, rows_max: int = ROWS_MAX) -> list[Row]:
    """Standing alarms whose time has come, the longest overdue first."""
    return ask_rows(connection, _DUE, {"_now": now_ms, "_rows": rows_max})


def repeat(connection: Connection, now_ms: int, journal: Journal, timezone: str) -> int:
    """Annunciate again what is due; returns how many alarms that was."""
    rows = due(connection, now_ms)
    effects = Effects()
    effects.hold(fetch(connection, EVENTS, events.c.event_id, {row["event_id"] for row in rows} - {None}))
    told = 0
    for alarm in rows:
        values: Row = {"realarm_at": now_ms + alarm["realarm_s"] * 1000}
        if not any(alarm[name] for name in _HOLDS):
            before, alarm["acked"] = alarm["state"], False
            values |= {"acked": False, "realarms": alarm["realarms"] + 1, "state": alarm_state(alarm)}
            words = f"再次提示 / annunciated again ({values['realarms']}): {alarm['rule_id']} · {alarm['device_id']}"
            effects.say_of_alarm(alarm["alarm_id"], now_ms, "re-alarm", (before, values["state"]), words)
            event = effects.events.get(alarm["event_id"])
            if event is not None and event["is_open"]:
                effects.say(event, now_ms, ENGINE, "re-alarm", words)
            told += 1
        connection.execute(update(alarms).where(alarms.c.alarm_id == alarm["alarm_id"]).values(values))
    store(connection, effects, journal, timezone)
    touch(connection, alarms=[alarm["alarm_id"] for alarm in rows])
    return told
