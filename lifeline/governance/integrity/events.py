"""Each event against its log, alarms, escalations, places, reports, timers and the audit; the sums of all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from lifeline.governance.actor import ENGINE
from lifeline.governance.deadlines import RUNNING_STAGES
from lifeline.governance.hand import REPORTED, event_id, group_key
from lifeline.governance.integrity.acts import audited, check_acts, check_engine, said
from lifeline.governance.integrity.retell import UntrueError, retell
from lifeline.governance.integrity.streams import DamageError, Groups, Row, hold, stream
from lifeline.governance.reach import FACETS
from lifeline.governance.schema import (
    MEASURES,
    alarms,
    escalations,
    event_areas,
    event_log,
    events,
    kpi_days,
    kpi_times,
    reports,
    tallies,
    timers,
)
from lifeline.governance.settings import FURTHER, read_setting
from lifeline.governance.sums import Sums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

_ONCE_ANYBODYS: Final = frozenset({"file", "dispatch", "open", "emergency-ended", "mode"})
"""What a person at the shell did with ``--role system`` before that was refused: such a log is old, not damaged."""


def check_events(connection: Connection) -> None:
    """All of them, and the sums. Raises DamageError."""
    of = lambda row: str(row["event_id"])  # noqa: E731
    logged = Groups(stream(connection, event_log, event_log.c.event_id, event_log.c.entry), of)
    joined = Groups(stream(connection, alarms, alarms.c.event_id, where=alarms.c.event_id.is_not(None)), of)
    late = Groups(stream(connection, escalations, escalations.c.event_id, escalations.c.entry), of)
    reached = Groups(stream(connection, event_areas, *event_areas.primary_key.columns), of)
    told = Groups(stream(connection, reports, reports.c.event_id, reports.c.report_id), of)
    running = Groups(stream(connection, timers, *timers.primary_key.columns), of)
    acts = audited(connection, "event")
    sums = Sums(read_setting(connection, "timezone") or "UTC")
    for row in stream(connection, events, events.c.event_id):
        key = row["event_id"]
        lines = [line | {"fields": orjson.loads(line["fields"])} for line in logged.of(key)]
        check_engine(f"event_log of {key}", lines, anybody=_ONCE_ANYBODYS)
        mine, steps = joined.of(key), late.of(key)
        hold(f"events {key}", row, _by_log(key, lines) | _by_alarms(row, mine, lines) | _by_itself(row, lines))
        _check_escalations(key, lines, steps)
        _check_reach(row, reached.of(key))
        _check_timers(row, running.of(key))
        if len(told.of(key)) != row["reports"]:
            raise DamageError(f"events {key}: reports is {row['reports']}, and there are others")
        check_acts(f"event_log of {key}", [said(line) for line in lines if line["role"] != ENGINE.role], acts.of(key))
        sums.add(row, 1)
    for rest in (logged, joined, late, reached, told, running):
        rest.drain()
    if read_setting(connection, FURTHER):
        _check_sums(connection, sums)


def _by_log(key: str, lines: Sequence[Row]) -> Row:
    if not lines:
        raise DamageError(f"events {key}: its log is empty")
    try:
        return retell(lines)
    except UntrueError as error:
        raise DamageError(f"event_log of {key}: {error}") from None


def _by_alarms(row: Row, mine: Sequence[Row], lines: Sequence[Row]) -> Row:
    """What its alarms say of an event."""
    expected: Row = {"alarm_count": len(mine), "active_count": sum(bool(one["active"]) for one in mine)}
    first = next((one for one in mine if one["alarm_id"] == row["first_alarm_id"]), None)
    if row["first_alarm_id"] is not None:
        if first is None:
            raise DamageError(f"events {row['event_id']}: first_alarm_id is none of its alarms")
        expected["lsn"] = first["lsn"]
        if row["rule_id"] not in {one["rule_id"] for one in mine}:
            raise DamageError(f"events {row['event_id']}: rule_id is that of none of its alarms")
    if row["source"] == "telemetry":
        if first is None:
            raise DamageError(f"events {row['event_id']}: telemetry opened it, and there is no first alarm")
        expected |= {name: first[name] for name in ("utility", "area_code")}
        expected["raised_at"] = min(one["raised_at"] for one in mine)
        where = (row["place_kind"], row["place"])
        expected["event_id"] = event_id(row["kind"], where, row["first_alarm_id"])
        expected["group_key"] = group_key(row["kind"], where)
        if not any(line["action"] in {"grade", "escalate"} for line in lines):
            expected["level"] = first["level"]
    return expected


def _by_itself(row: Row, lines: Sequence[Row]) -> Row:
    """What an event's columns say of each other."""
    expected: Row = {}
    if row["place_kind"] == REPORTED:
        expected["group_key"] = f"report\x1f{row['place']}"
    if row["recheck"] is not None:
        expected["verified"] = orjson.loads(row["recheck"])["verdict"] == "passed"
    elif row["verified"] is not None:
        raise DamageError(f"events {row['event_id']}: verified without evidence")
    if row["routing"] is not None and lines[-1]["action"] != "return" and row["owner"] is not None:
        expected["owner"] = orjson.loads(row["routing"])["unit"]
    if (row["due_at"] is None) != (row["due_kind"] is None) or (row["due_at"] is None) != (row["due_from"] is None):
        raise DamageError(f"events {row['event_id']}: due_at, due_kind and due_from are not of one deadline")
    return expected


def _check_escalations(key: str, lines: Sequence[Row], steps: Sequence[Row]) -> None:
    told = [
        (line["at"], *(line["fields"][name] for name in ("stage", "round", "due_at", "step", "centre")))
        for line in lines
        if line["action"] in {"remind", "overdue"}
    ]
    kept = [tuple(step[name] for name in ("at", "stage", "round", "due_at", "name", "centre")) for step in steps]
    if told != kept:
        raise DamageError(f"escalations of {key}: are not those of its log")


def _check_reach(row: Row, reached: Sequence[Row]) -> None:
    for one in reached:
        hold(f"event_areas {row['event_id']}", one, {name: row[name] for name in FACETS})
    pairs = {f"{one['district'] or ''}/{one['township'] or ''}" for one in reached}
    if set((row["also_in"] or "").split()) != pairs:
        raise DamageError(f"events {row['event_id']}: also_in is not what its event_areas say")


def _check_timers(row: Row, running: Sequence[Row]) -> None:
    for timer in running:
        if timer["stage"] not in RUNNING_STAGES.get(row["status"], ()):
            raise DamageError(f"timers {row['event_id']}: {timer['stage']!r} does not run while it is {row['status']}")
        if timer["stage"] == "handle":
            hold(f"timers {row['event_id']}", timer, {"due_at": row["due_at"]})


def _check_sums(connection: Connection, sums: Sums) -> None:
    """Counters against the events; rows that are back at zero may stay."""
    days = {key: tuple(cell[name] for name in MEASURES) for key, cell in sums.days.items()}
    for table, wanted in ((kpi_days, days), (kpi_times, dict(sums.times)), (tallies, dict(sums.tallies))):
        key = [column.name for column in table.primary_key.columns]
        rest = [column.name for column in table.columns if column.name not in key]
        counted = {one: value for one, value in wanted.items() if any(value if isinstance(value, tuple) else (value,))}
        for row in stream(connection, table, *table.primary_key.columns):
            values = tuple(row[name] for name in rest)
            one = tuple(row[name] for name in key)
            expected: Any = counted.pop(one, None)
            if not isinstance(expected, tuple):
                expected = (expected or 0,) if len(rest) == 1 else (0,) * len(rest)
            if values != expected:
                raise DamageError(f"{table.name} {one}: {values}, the events say {expected}")
        if counted:
            raise DamageError(f"{table.name} {next(iter(counted))}: is missing")
