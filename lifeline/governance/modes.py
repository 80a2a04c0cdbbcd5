"""Normal and emergency (平急): which mode holds where and when; what rules and readers make of it.

What holds at a moment is read from rows with a beginning and an end, never from a flag: alarms that are replayed meet
the mode of their own time. Who switches, and what that does, is in ``switching``. Opens no transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
from sqlalchemy import and_, bindparam, or_, select, update

from lifeline.core.override import ParameterSpan
from lifeline.governance.actor import ENGINE
from lifeline.governance.asking import ask_rows, fetch
from lifeline.governance.effects import Effects
from lifeline.governance.emergency import EMERGENCY, mode_of
from lifeline.governance.errors import FieldError, UnknownIdError
from lifeline.governance.schema import EVENTS, events, modes
from lifeline.governance.statements import PAGE_ROWS_MAX
from lifeline.governance.store import store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from lifeline.governance.journal import Journal
    from lifeline.governance.policy import Policy

Row = dict[str, Any]

RUNNING: Final = modes.c.ended_at.is_(None)
SPANS_MAX: Final = 1_000
"""Newest emergencies whose rule parameters the rules know; a replay goes back hours, a backtest months."""
_RUNNING: Final = select(modes).where(RUNNING).order_by(modes.c.entry)
_BETWEEN: Final = (
    select(modes)
    .where(modes.c.since <= bindparam("_until"), or_(RUNNING, modes.c.ended_at > bindparam("_since")))
    .order_by(modes.c.entry)
)


def running(connection: Connection) -> list[Row]:
    """Emergencies that hold now, oldest first."""
    return ask_rows(connection, _RUNNING)


def list_modes(
    connection: Connection,
    *,
    area: str | None = None,
    running: bool | None = None,
    cursor: str | None = None,
    limit: int = 100,
) -> tuple[list[Row], str | None]:
    """A page of emergencies past and present, newest first, with their review, and the cursor of the next.

    Raises:
        FieldError: a limit or cursor that cannot be.
    """
    if not 1 <= limit <= PAGE_ROWS_MAX:
        raise FieldError(f"limit must be 1 to {PAGE_ROWS_MAX}, not {limit}")
    query = select(modes).order_by(modes.c.entry.desc())
    if area:
        query = query.where(modes.c.area_code == area)
    if running is not None:
        query = query.where(RUNNING if running else modes.c.ended_at.is_not(None))
    if cursor is not None:
        if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 10):
            raise FieldError(f"{cursor[:60]!r} is no cursor; pass the `next` of the page before, unchanged")
        query = query.where(modes.c.entry < int(cursor))
    rows = [unpacked(dict(row)) for row in connection.execute(query.limit(limit + 1)).mappings()]
    return (rows, None) if len(rows) <= limit else (rows[:limit], str(rows[limit - 1]["entry"]))


def get_mode(connection: Connection, entry: int) -> Row:
    """One emergency by its number. Raises UnknownIdError."""
    found = connection.execute(select(modes).where(modes.c.entry == entry)).mappings().first()
    if found is None:
        raise UnknownIdError(f"there is no emergency {entry}")
    return unpacked(dict(found))


def between(connection: Connection, since: int, until: int) -> list[Row]:
    """Emergencies that held at some time of a span: for alarms that are taken after their time."""
    return ask_rows(connection, _BETWEEN, {"_since": since, "_until": until})


def mode_at(connection: Connection, row: Mapping[str, Any], at: int) -> tuple[str, str | None]:
    """(mode, incident) for an event at a moment."""
    mode = mode_of(between(connection, at, at), row, at)
    return (EMERGENCY, mode["incident_id"]) if mode else ("normal", None)


class Readers(NamedTuple):
    """Who may read events of an area because of an emergency, whatever areas they are of."""

    area_code: str
    roles: frozenset[str]
    entry: int
    reason: str


def readers(connection: Connection, now_ms: int) -> list[Readers]:
    """Of every emergency that holds now."""
    return [
        Readers(row["area_code"], frozenset(orjson.loads(row["settings"])["readers"]), row["entry"], row["reason"])
        for row in running(connection)
        if row["since"] <= now_ms
    ]


def spans(connection: Connection) -> list[ParameterSpan]:
    """For which readings emergencies set rule parameters; of two areas the smaller one comes later, and wins."""
    query = select(modes).where(modes.c.rules_since < modes.c.rules_until).order_by(modes.c.entry.desc())
    rows = [dict(row) for row in connection.execute(query.limit(SPANS_MAX)).mappings()]
    rows.sort(key=lambda row: (len(row["area_code"].rstrip("0")), row["entry"]))
    return [
        ParameterSpan(f"emergency {row['entry']}", row["area_code"], row["rules_since"], row["rules_until"], given)
        for row in rows
        if (given := orjson.loads(row["settings"])["overrides"])
    ]


def unsettled(connection: Connection, log_time: int) -> list[Row]:
    """Emergencies of which the rules must be told that they have begun, or have ended before their time."""
    begun = and_(RUNNING, modes.c.rules_since.is_(None), modes.c.until > log_time + 1)
    ended = and_(modes.c.ended_at < modes.c.rules_until, modes.c.rules_until > log_time + 1)
    query = select(modes).where(or_(begun, ended)).order_by(modes.c.entry)
    rows = [dict(row) for row in connection.execute(query).mappings()]
    return [row for row in rows if orjson.loads(row["settings"])["overrides"]]


def settle_spans(connection: Connection, log_time: int, now_ms: int, *, policy: Policy, journal: Journal) -> None:
    """Give ``unsettled`` emergencies their log time: after all that was judged, and not before they were switched.

    The automatic end is known from the beginning; one that is ended earlier ends with the next reading.
    """
    effects = Effects()
    for row in unsettled(connection, log_time):
        begins = row["rules_since"] is None
        if begins:
            values = {"rules_since": max(log_time + 1, row["since"]), "rules_until": row["until"]}
        else:
            values = {"rules_until": min(max(log_time + 1, row["ended_at"]), row["rules_until"])}
            if values["rules_until"] == row["rules_until"]:
                continue
        connection.execute(update(modes).where(modes.c.entry == row["entry"]).values(values))
        effects.hold(fetch(connection, EVENTS, events.c.event_id, [row["incident_id"]]))
        given = orjson.loads(row["settings"])["overrides"]
        words = _in_words(given) if begins else "规则参数恢复 / rule parameters as before"
        action = "rules-overridden" if begins else "rules-restored"
        if row["incident_id"] in effects.events:
            effects.say(effects.events[row["incident_id"]], now_ms, ENGINE, action, words, carried=values)
    store(connection, effects, journal, policy.timezone)


def _in_words(given: Mapping[str, Mapping[str, float]]) -> str:
    """``规则参数生效 / rule parameters in force: gas.ch4.high limit = 20``."""
    parts = [f"{rule} {name} = {value:g}" for rule, params in given.items() for name, value in params.items()]
    return f"规则参数生效 / rule parameters in force: {', '.join(parts)}"[:1000]


def unpacked(row: Row) -> Row:
    """The row with its JSON read."""
    return row | {name: orjson.loads(row[name]) if row[name] else None for name in ("settings", "review")}
