"""Events as people meet them: listing and showing. Nothing here opens a transaction: that is ``desk``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
from sqlalchemy import bindparam, func, select

from lifeline.governance import facets, lapses, reach, statements
from lifeline.governance.alarm_state import is_historic
from lifeline.governance.asking import fetch
from lifeline.governance.errors import FieldError
from lifeline.governance.reference import grid_staff, nearest_cameras
from lifeline.governance.schema import EVENTS, alarm_log, alarms, escalations, event_log, events, tallies
from lifeline.governance.statements import resolve
from lifeline.governance.states import legal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection

    from lifeline.core.principal import Grant

Row = dict[str, Any]

_ONE_EVENT: Final = EVENTS.where(events.c.event_id == bindparam("_event_id"))
SHOWN_ALARMS_MAX: Final = 1000
SHOWN_LOG_MAX: Final = 1000
"""Of one event; ``alarm_count`` tells the whole, ``list_alarms(event_id=…)`` pages through it."""
_ALARMS_OF: Final = (
    select(alarms)
    .where(alarms.c.event_id == bindparam("_event_id"))
    .order_by(alarms.c.detected_at, alarms.c.alarm_id)
    .limit(SHOWN_ALARMS_MAX)
)
_LOG_OF: Final = (
    select(event_log)
    .where(event_log.c.event_id == bindparam("_event_id"))
    .order_by(event_log.c.entry.desc())
    .limit(SHOWN_LOG_MAX)
)


def list_events(
    connection: Connection,
    *,
    level: str | Sequence[str] | None = None,
    status: str | Sequence[str] | None = None,
    area: str | None = None,
    utility: str | None = None,
    since: int | None = None,
    within: Iterable[Grant] | None = None,
    cursor: str | None = None,
    limit: int = 100,
) -> tuple[list[Row], str | None]:
    """A page of events, newest detection first, and the cursor of the next page (None at the end).

    ``status`` is one or several states, or ``open`` for all that are; ``area`` takes in everything below it; ``since``
    epoch ms of detection; ``within`` the grants of whoever looks (None: everything). An event is listed for every area
    and utility that it touches (``reach``): one such place must lie within filter and grants.

    Raises:
        FieldError: a filter, limit or cursor that cannot be.
    """
    wanted = facets.read_filter(level, status, utility, area, since)
    return facets.find(connection, wanted, within, cursor, limit)


def get_event(connection: Connection, event_id: str) -> Row:
    """One event by its id or the unique beginning of it, with what belongs to it.

    ``alarms``, ``log``, ``actions`` (legal now), ``cameras`` nearby, grid ``staff``; ``places``: every (area, utility)
    that it touches; ``explains``: how many events are put aside beneath it; as ``unpacked`` otherwise.

    Raises:
        UnknownIdError: none or several fit; the nearest are named.
    """
    key = resolve(connection, events.c.event_id, event_id, "event")
    row = _row(connection, key)
    of = {"_event_id": key}
    row["alarms"] = [dict(alarm) for alarm in connection.execute(_ALARMS_OF, of).mappings()]
    row["log"] = [_entry(dict(entry)) for entry in connection.execute(_LOG_OF, of).mappings()][::-1]
    row["actions"] = list(legal(row["status"]))
    row["places"] = reach.places(connection, [row])[key]
    row["explains"] = len(lapses.beneath(connection, row))
    row["cameras"] = nearest_cameras(connection, row["lon"], row["lat"])
    row["staff"] = grid_staff(connection, row)
    return unpacked(row)


def unpacked(row: Row) -> Row:
    """The row with ``routing`` (why this unit) and ``recheck`` (evidence of the check) as objects."""
    return row | {name: orjson.loads(row[name]) for name in ("routing", "recheck") if isinstance(row[name], str)}


def get_alarm(connection: Connection, alarm_id: str) -> Row:
    """One alarm by its id or the unique beginning of it, with its ``log``. Raises UnknownIdError."""
    key = resolve(connection, alarms.c.alarm_id, alarm_id, "alarm")
    row = dict(connection.execute(select(alarms).where(alarms.c.alarm_id == key)).mappings().one())
    log = select(alarm_log).where(alarm_log.c.alarm_id == key).order_by(alarm_log.c.entry).limit(SHOWN_LOG_MAX)
    row["log"] = [dict(entry) for entry in connection.execute(log).mappings()]
    row["historic"] = is_historic(row)
    return row


def _row(connection: Connection, event_id: str) -> Row:
    return dict(connection.execute(_ONE_EVENT, {"_event_id": event_id}).mappings().one())


def _entry(entry: Row) -> Row:
    return entry | {"fields": orjson.loads(entry["fields"])}


def newest_change(connection: Connection) -> int:
    """The number of the newest entry of the event log, 0 for an empty one."""
    return int(connection.scalar(select(func.max(event_log.c.entry))) or 0)


def changes(connection: Connection, after: int, limit: int) -> list[Row]:
    """Up to ``limit`` entries of the event log after number ``after``, in order, each with its ``event`` of now.

    ``places``: every (area, utility) that the event touches.
    """
    query = select(event_log).where(event_log.c.entry > after).order_by(event_log.c.entry).limit(limit)
    log = [_entry(dict(entry)) for entry in connection.execute(query).mappings()]
    ids = (entry["event_id"] for entry in log)
    rows = {row["event_id"]: row for row in fetch(connection, EVENTS, events.c.event_id, ids)}
    touched = reach.places(connection, list(rows.values()))
    return [entry | {"event": rows[entry["event_id"]], "places": touched[entry["event_id"]]} for entry in log]


def list_escalations(
    connection: Connection, after: int, centre: str | None, limit: int
) -> tuple[list[Row], int | None]:
    """Reminders and overdue steps after number ``after``, in order. Raises FieldError for a limit that cannot be."""
    if not 1 <= limit <= statements.PAGE_ROWS_MAX:
        raise FieldError(f"limit must be 1 to {statements.PAGE_ROWS_MAX}, not {limit}")
    query = select(escalations).where(escalations.c.entry > after)
    if centre is not None:
        query = query.where(escalations.c.centre == centre)
    rows = [dict(row) for row in connection.execute(query.order_by(escalations.c.entry).limit(limit)).mappings()]
    return rows, rows[-1]["entry"] if len(rows) == limit else None


def with_places(connection: Connection, event_ids: Iterable[str]) -> dict[str, Row]:
    """Events by id, each with the ``places`` (area, utility) that it touches."""
    rows = [unpacked(row) for row in fetch(connection, EVENTS, events.c.event_id, event_ids)]
    places = reach.places(connection, rows)
    return {row["event_id"]: row | {"places": places[row["event_id"]]} for row in rows}


def open_counts(connection: Connection) -> dict[tuple[str, str], int]:
    """Open events by (level, status); only those there are."""
    found = connection.execute(select(tallies.c.key, tallies.c.n).where(tallies.c.scope == "state", tallies.c.n > 0))
    return {(key.partition(" ")[0], key.partition(" ")[2]): n for key, n in found}
