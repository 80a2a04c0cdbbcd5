"""The report made at an emergency's end: what happened in its span and area. Opens no transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, bindparam, func, select

from lifeline.governance import facets
from lifeline.governance.actor import ENGINE
from lifeline.governance.asking import fetch
from lifeline.governance.emergency import EMERGENCY
from lifeline.governance.schema import alarms, escalations, event_log, events

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

Row = dict[str, Any]

_LOG: Final = select(event_log.c.at, event_log.c.actor, event_log.c.action, event_log.c.event_id)
_TOLD: Final = select(escalations.c.at, escalations.c.name, escalations.c.event_id)
_BEFORE: Final = select(events.c.event_id).where(
    events.c.incident_id == bindparam("_incident"),
    events.c.detected_at < bindparam("_since"),
    events.c.kind != EMERGENCY,
)


def review(connection: Connection, mode: Row) -> Row:
    """What happened in an emergency: events, alarms, speed, lateness, people; all of the mode's own span and area.

    Events that were open at the switch went through it too: counted apart, and what was done for them meanwhile.
    """
    since, until = mode["since"], mode["ended_at"]
    inside = and_(
        facets.in_area(mode["area_code"]),
        events.c.detected_at >= since,
        events.c.detected_at < until,
        events.c.kind != EMERGENCY,
    )
    columns = ("event_id", "level", "status", "utility", "detected_at", "dispatched_at", "accepted_at", "overdue_at")
    rows = [
        dict(row) for row in connection.execute(select(*(events.c[name] for name in columns)).where(inside)).mappings()
    ]
    before = list(connection.scalars(_BEFORE, {"_incident": mode["incident_id"], "_since": since}))
    ids = [*(row["event_id"] for row in rows), *before]
    log = [entry for entry in fetch(connection, _LOG, event_log.c.event_id, ids) if since <= entry["at"] <= until]
    told = [step for step in fetch(connection, _TOLD, escalations.c.event_id, ids) if since <= step["at"] <= until]
    folded = select(func.count()).select_from(alarms).where(alarms.c.event_id == mode["incident_id"])
    return {
        "area_code": mode["area_code"],
        "since": since,
        "until": until,
        "hours": round((until - since) / 3_600_000, 2),
        "reason": mode["reason"],
        "switched_by": mode["actor"],
        "ended_by": mode["ended_by"],
        "end_reason": mode["end_reason"],
        "events": len(rows),
        "events_open_before": len(before),
        "by_level": _count(rows, "level"),
        "by_utility": _count(rows, "utility"),
        "by_status_at_end": _count(rows, "status"),
        "alarms_folded": connection.scalar(folded) or 0,
        "median_dispatch_s": _median(
            (r["dispatched_at"] - r["detected_at"]) / 1000 for r in rows if r["dispatched_at"]
        ),
        "median_accept_s": _median((r["accepted_at"] - r["detected_at"]) / 1000 for r in rows if r["accepted_at"]),
        "overdue": sum(row["overdue_at"] is not None for row in rows),
        "escalations": _count(told, "name"),
        "acts": _count(log, "action"),
        "people": sorted({entry["actor"] for entry in log} - {ENGINE.id}),
    }


def _count(rows: Iterable[Row], name: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in rows:
        counts[str(row[name])] = counts.get(str(row[name]), 0) + 1
    return dict(sorted(counts.items()))


def _median(values: Iterable[float]) -> float | None:
    found = sorted(values)
    return found[len(found) // 2] if found else None
