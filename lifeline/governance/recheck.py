"""The check by telemetry before an event is closed: what its alarms and its points say, kept as evidence.

    passed    no alarm of it stands, and every point has reported since the work was fed back
    standing  alarms of it still stand
    silent    no alarm stands, but some points have not reported since: nobody can know

An alarm clears when the rule's own condition to clear has held on newer readings: ``clear_lsn`` names the log record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import bindparam, select

from lifeline.governance.schema import alarms

if TYPE_CHECKING:
    from sqlalchemy import Connection

Row = dict[str, Any]

EVIDENCE_ALARMS_MAX: Final = 50
"""Alarms whose evidence is kept with the event: standing ones first, then the newest."""


class LastReading(NamedTuple):
    """The newest reading of a point; times in epoch ms, ``value`` None for a null."""

    ts: int
    received_at: int
    value: float | None
    quality: int


LastReadings = Callable[[Sequence[int]], Mapping[int, LastReading]]
"""The newest readings of points; those that never reported are missing."""


def recheck(connection: Connection, row: Row, last_readings: LastReadings | None, now_ms: int) -> Row:
    """Evidence about a telemetry event, with ``verdict`` and ``why``; ``readings`` is None where no values are."""
    found = connection.execute(_EVIDENCE, {"_event_id": row["event_id"]})
    of = [dict(zip(_SHOWN, alarm, strict=True)) for alarm in found]
    points = sorted({alarm["point"] for alarm in of})
    known = last_readings(points) if last_readings is not None else None
    since = row["resolved_at"] or 0
    silent = [] if known is None else [p for p in points if p not in known or known[p].received_at <= since]
    verdict, why = "passed", "no alarm stands"
    if row["active_count"]:
        verdict, why = "standing", f"{row['active_count']} of {row['alarm_count']} alarms still stand"
    elif silent:
        names = ", ".join(f"{a['device_id']}/{a['quantity']}" for a in of if a["point"] in silent[:3])
        verdict, why = "silent", f"no reading since the feedback from {len(silent)} of {len(points)} points ({names})"
    readings = None if known is None else {str(point): reading._asdict() for point, reading in known.items()}
    return {"at": now_ms, "verdict": verdict, "why": why, "since": since, "alarms": of, "readings": readings}


_SHOWN: Final = (
    *("alarm_id", "rule_id", "rule_version", "point", "device_id", "quantity", "active", "detected_at", "limit"),
    *("cleared_at", "clear_detected_at", "clear_value", "clear_lsn"),
)
_EVIDENCE: Final = (
    select(*(alarms.c[name] for name in _SHOWN))
    .where(alarms.c.event_id == bindparam("_event_id"))
    .order_by(alarms.c.active.desc(), alarms.c.detected_at.desc())
    .limit(EVIDENCE_ALARMS_MAX)
)
