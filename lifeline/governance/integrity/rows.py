"""Rows against each other, streamed in the order of their keys; nothing is held but one event and what belongs to it.

    events ⋈ event_log, alarms, escalations, event_areas, reports, timers, audit      by event
    alarms ⋈ alarm_log, audit                                                          by alarm
    kpi_days, kpi_times, tallies = the sums of the events                              once, at the end

Of the audit, whose hashes ``audit_verify`` checks, the acts of people are compared with both logs: entry by entry from
the newest back, for logs may be older than the audit.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import orjson
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from lifeline.core.alarm import alarm_id
from lifeline.core.errors import CorruptionError
from lifeline.governance.actor import ENGINE
from lifeline.governance.alarm_state import alarm_state
from lifeline.governance.audit import TEXT_CHARS_MAX
from lifeline.governance.deadlines import RUNNING_STAGES
from lifeline.governance.hand import REPORTED, event_id, group_key
from lifeline.governance.integrity.cells import checks_of
from lifeline.governance.integrity.retell import UntrueError, retell
from lifeline.governance.reach import FACETS
from lifeline.governance.schema import (
    MEASURES,
    alarm_log,
    alarms,
    audit,
    escalations,
    event_areas,
    event_log,
    events,
    kpi_days,
    kpi_times,
    metadata,
    reports,
    tallies,
    timers,
)
from lifeline.governance.settings import FURTHER, read_setting
from lifeline.governance.sums import Sums

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import ColumnElement, Connection, Table

Row = dict[str, Any]

ROWS: Final = 2000
"""Of one stream that are fetched at a time."""
_OPEN: Final = "integrity: open streams"
"""Of a connection, until the rows are checked: a cursor of a server must not outlive them."""
_ONCE_ANYBODYS: Final = frozenset({"file", "dispatch", "open", "emergency-ended", "mode"})
"""What a person at the shell did with ``--role system`` before that was refused: such a log is old, not damaged."""
_SEPARATELY: Final = frozenset({"audit", "audit_nodes", "kpi_days", "kpi_times", "tallies"})


class _DamageError(Exception):
    """What is wrong, with its place."""


def check_rows(connection: Connection, place: str) -> None:
    """Raises CorruptionError: the first row that cannot be what was written, by table, key and column."""
    try:
        with _any_text(connection):
            _check_events(connection)
            _check_alarms(connection)
            done = {"events", "alarms", "event_log", "alarm_log", "escalations", "event_areas", "reports", "timers"}
            for table in metadata.sorted_tables:
                if table.name not in done | _SEPARATELY:
                    for _ in _stream(connection, table, *table.primary_key.columns):
                        pass
    except _DamageError as error:
        raise CorruptionError(f"{place}: {error}") from None
    except (UnicodeError, OverflowError, ValueError, KeyError, TypeError, DBAPIError) as error:
        raise CorruptionError(f"{place}: a row cannot be read: {error!r:.200}") from None
    finally:
        for found in connection.info.pop(_OPEN, ()):
            found.close()


@contextmanager
def _any_text(connection: Connection) -> Iterator[None]:
    """SQLite's driver ends a query at a text that is not UTF-8; here it gives what can be shown and found."""
    if connection.dialect.name != "sqlite":
        yield
        return
    driver: Any = connection.connection.driver_connection
    before, driver.text_factory = driver.text_factory, lambda raw: raw.decode("utf-8", "surrogateescape")
    try:
        yield
    finally:
        driver.text_factory = before


def _stream(connection: Connection, table: Table, *order: ColumnElement[Any], where: Any = None) -> Iterator[Row]:
    """Rows as the driver gives them; each value is looked at by itself on its way."""
    query = select(table).order_by(*order)
    if where is not None:
        query = query.where(where)
    text = str(query.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True}))
    names = [column.name for column in table.columns]
    checks = checks_of(table)
    keys = [names.index(column.name) for column in table.primary_key.columns]
    found = connection.exec_driver_sql(text, execution_options={"yield_per": ROWS})
    connection.info.setdefault(_OPEN, []).append(found)
    for values in found:
        for name, value, check in zip(names, values, checks, strict=True):
            if (problem := check(value)) is not None:
                key = ", ".join(ascii(values[one])[:40] for one in keys)
                raise _DamageError(f"{table.name} {key}: {name} {problem}")
        yield dict(zip(names, values, strict=True))
    found.close()


class _Groups:
    """Rows of a stream by key, asked for in rising order of keys; what nobody asks for belongs to nothing."""

    def __init__(self, rows: Iterator[Row], key: Callable[[Row], str]) -> None:
        self._rows, self._key = rows, key
        self._next = next(rows, None)

    def of(self, key: str) -> list[Row]:
        """The rows of a key."""
        found: list[Row] = []
        while self._next is not None and self._key(self._next) <= key:
            if self._key(self._next) == key:
                found.append(self._next)
            self._next = next(self._rows, None)
        return found

    def drain(self) -> None:
        """Look at the rest."""
        for _ in self._rows:
            pass


# --- events ----------------------------------------------------------------------------------------------------------


def _check_events(connection: Connection) -> None:
    of = lambda row: str(row["event_id"])  # noqa: E731
    logged = _Groups(_stream(connection, event_log, event_log.c.event_id, event_log.c.entry), of)
    joined = _Groups(_stream(connection, alarms, alarms.c.event_id, where=alarms.c.event_id.is_not(None)), of)
    late = _Groups(_stream(connection, escalations, escalations.c.event_id, escalations.c.entry), of)
    reached = _Groups(_stream(connection, event_areas, *event_areas.primary_key.columns), of)
    told = _Groups(_stream(connection, reports, reports.c.event_id, reports.c.report_id), of)
    running = _Groups(_stream(connection, timers, *timers.primary_key.columns), of)
    acts = _audited(connection, "event")
    sums = Sums(read_setting(connection, "timezone") or "UTC")
    for row in _stream(connection, events, events.c.event_id):
        key = row["event_id"]
        lines = [line | {"fields": orjson.loads(line["fields"])} for line in logged.of(key)]
        _check_engine(f"event_log of {key}", lines, anybody=_ONCE_ANYBODYS)
        mine, steps = joined.of(key), late.of(key)
        _hold(f"events {key}", row, _by_log(key, lines) | _by_alarms(row, mine, lines) | _by_itself(row, lines))
        _check_escalations(key, lines, steps)
        _check_reach(row, reached.of(key))
        _check_timers(row, running.of(key))
        if len(told.of(key)) != row["reports"]:
            raise _DamageError(f"events {key}: reports is {row['reports']}, and there are others")
        _check_acts(f"event_log of {key}", [_said(line) for line in lines if line["role"] != ENGINE.role], acts.of(key))
        sums.add(row, 1)
    for rest in (logged, joined, late, reached, told, running):
        rest.drain()
    if read_setting(connection, FURTHER):
        _check_sums(connection, sums)


def _hold(where: str, row: Row, expected: Row) -> None:
    for name, value in expected.items():
        if row[name] != value:
            raise _DamageError(
                f"{where}: {name} is {ascii(row[name])[:60]}, its log and alarms say {ascii(value)[:60]}"
            )


def _by_log(key: str, lines: Sequence[Row]) -> Row:
    if not lines:
        raise _DamageError(f"events {key}: its log is empty")
    try:
        return retell(lines)
    except UntrueError as error:
        raise _DamageError(f"event_log of {key}: {error}") from None


def _by_alarms(row: Row, mine: Sequence[Row], lines: Sequence[Row]) -> Row:
    """What its alarms say of an event."""
    expected: Row = {"alarm_count": len(mine), "active_count": sum(bool(one["active"]) for one in mine)}
    first = next((one for one in mine if one["alarm_id"] == row["first_alarm_id"]), None)
    if row["first_alarm_id"] is not None:
        if first is None:
            raise _DamageError(f"events {row['event_id']}: first_alarm_id is none of its alarms")
        expected["lsn"] = first["lsn"]
        if row["rule_id"] not in {one["rule_id"] for one in mine}:
            raise _DamageError(f"events {row['event_id']}: rule_id is that of none of its alarms")
    if row["source"] == "telemetry":
        if first is None:
            raise _DamageError(f"events {row['event_id']}: telemetry opened it, and there is no first alarm")
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
        raise _DamageError(f"events {row['event_id']}: verified without evidence")
    if row["routing"] is not None and lines[-1]["action"] != "return" and row["owner"] is not None:
        expected["owner"] = orjson.loads(row["routing"])["unit"]
    if (row["due_at"] is None) != (row["due_kind"] is None) or (row["due_at"] is None) != (row["due_from"] is None):
        raise _DamageError(f"events {row['event_id']}: due_at, due_kind and due_from are not of one deadline")
    return expected


def _check_escalations(key: str, lines: Sequence[Row], steps: Sequence[Row]) -> None:
    said = [
        (line["at"], *(line["fields"][name] for name in ("stage", "round", "due_at", "step", "centre")))
        for line in lines
        if line["action"] in {"remind", "overdue"}
    ]
    kept = [tuple(step[name] for name in ("at", "stage", "round", "due_at", "name", "centre")) for step in steps]
    if said != kept:
        raise _DamageError(f"escalations of {key}: are not those of its log")


def _check_reach(row: Row, reached: Sequence[Row]) -> None:
    for one in reached:
        _hold(f"event_areas {row['event_id']}", one, {name: row[name] for name in FACETS})
    pairs = {f"{one['district'] or ''}/{one['township'] or ''}" for one in reached}
    if set((row["also_in"] or "").split()) != pairs:
        raise _DamageError(f"events {row['event_id']}: also_in is not what its event_areas say")


def _check_timers(row: Row, running: Sequence[Row]) -> None:
    for timer in running:
        if timer["stage"] not in RUNNING_STAGES.get(row["status"], ()):
            raise _DamageError(f"timers {row['event_id']}: {timer['stage']!r} does not run while it is {row['status']}")
        if timer["stage"] == "handle":
            _hold(f"timers {row['event_id']}", timer, {"due_at": row["due_at"]})


def _check_sums(connection: Connection, sums: Sums) -> None:
    """Counters against the events; rows that are back at zero may stay."""
    days = {key: tuple(cell[name] for name in MEASURES) for key, cell in sums.days.items()}
    for table, wanted in ((kpi_days, days), (kpi_times, dict(sums.times)), (tallies, dict(sums.tallies))):
        key = [column.name for column in table.primary_key.columns]
        rest = [column.name for column in table.columns if column.name not in key]
        counted = {one: value for one, value in wanted.items() if any(value if isinstance(value, tuple) else (value,))}
        for row in _stream(connection, table, *table.primary_key.columns):
            values = tuple(row[name] for name in rest)
            one = tuple(row[name] for name in key)
            expected: Any = counted.pop(one, None)
            if not isinstance(expected, tuple):
                expected = (expected or 0,) if len(rest) == 1 else (0,) * len(rest)
            if values != expected:
                raise _DamageError(f"{table.name} {one}: {values}, the events say {expected}")
        if counted:
            raise _DamageError(f"{table.name} {next(iter(counted))}: is missing")


# --- alarms ----------------------------------------------------------------------------------------------------------


def _check_alarms(connection: Connection) -> None:
    logged = _Groups(
        _stream(connection, alarm_log, alarm_log.c.alarm_id, alarm_log.c.entry), lambda row: str(row["alarm_id"])
    )
    acts = _audited(connection, "alarm")
    for row in _stream(connection, alarms, alarms.c.alarm_id):
        key = row["alarm_id"]
        lines = logged.of(key)
        _check_engine(f"alarm_log of {key}", lines)
        identity = row["rule_id"], row["rule_version"], row["device_id"], row["quantity"], row["raised_at"]
        expected: Row = {"state": alarm_state(row)}
        if row["device_id"] != f"point-{row['point']}":  # as ``places`` calls one that no registry knows
            expected["alarm_id"] = alarm_id(*identity)
        over = ("cleared_at", "clear_detected_at", "clear_lsn")
        if row["active"]:
            expected |= dict.fromkeys((*over, "clear_value"))
        elif any(row[name] is None for name in over):
            raise _DamageError(f"alarms {key}: it is over, and does not say since when")
        if row["acked"] and not _acknowledged(row, lines):
            raise _DamageError(f"alarms {key}: nobody has acknowledged it so")
        if row["realarm_s"] is None:
            expected["realarm_at"] = None
        expected["realarms"] = sum(line["action"] == "re-alarm" for line in lines)
        _hold(f"alarms {key}", row, expected)
        _check_acts(f"alarm_log of {key}", [_said(line) for line in lines if line["role"] != ENGINE.role], acts.of(key))
    logged.drain()


def _acknowledged(row: Row, lines: Sequence[Row]) -> bool:
    who = row["acked_at"], row["acked_by"]
    return any(line["action"] == "ack" and (line["at"], line["actor"]) == who for line in lines)


# --- audit -----------------------------------------------------------------------------------------------------------


def _audited(connection: Connection, subject: str) -> _Groups:
    """Acts of people on events or alarms that were carried out, in order."""
    begins = f"{subject}/"
    of = (func.substr(audit.c.object, 1, len(begins)) == begins) & (audit.c.kind == "data") & (audit.c.result == "done")
    rows = _stream(connection, audit, audit.c.object, audit.c.entry, where=of)
    return _Groups(rows, lambda row: str(row["object"]).removeprefix(begins))


def _said(line: Row) -> tuple[Any, ...]:
    """What a line of a log and the audit's entry of the same act both say."""
    before, after = ("from_status", "to_status") if "from_status" in line else ("from_state", "to_state")
    return line["actor"], line["role"], line["action"], line["note"][: TEXT_CHARS_MAX - 1], line[before], line[after]


def _check_engine(where: str, lines: Sequence[Row], *, anybody: frozenset[str] = frozenset()) -> None:
    """``anybody``: actions in which another name may stand, unless it is the engine's with one character changed."""
    for line in lines:
        if line["role"] == ENGINE.role and line["actor"] != ENGINE.id:
            if line["action"] in anybody and not _is_one_character_off(line["actor"], ENGINE.id):
                continue
            raise _DamageError(
                f"{where}: {ascii(line['actor'])[:60]} is not the {line['role']!r} of entry {line['entry']}"
            )


def _is_one_character_off(one: str, other: str) -> bool:
    return len(one) == len(other) and sum(a != b for a, b in zip(one, other, strict=True)) == 1


def _check_acts(where: str, said: Sequence[tuple[Any, ...]], entries: Sequence[Row]) -> None:
    kept = []
    for entry in entries:
        fields = orjson.loads(entry["fields"])
        note = entry["reason"][: TEXT_CHARS_MAX - 1]
        kept.append((entry["actor"], entry["role"], entry["action"], note, fields.get("from"), fields.get("to")))
    if kept and list(said[-len(kept) :]) != kept:
        raise _DamageError(f"{where}: is not what the audit says that people did")
