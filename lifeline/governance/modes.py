"""Normal and emergency (平急): a mode for each area, switched by a person or a rule, with a reason and an end.

    switch on ──► incident opens; open events of the area take the mode: deadlines tighten, everything is logged
    meanwhile     new events belong to the incident; low alarms go into it, high ones are dispatched at once;
                  routing, limits and readers are the emergency's
    switch off, or ``until`` is reached ──► events go back, a review is written; people close the incident

What holds at a moment is read from rows with a beginning and an end, never from a flag: alarms that are replayed meet
the mode of their own time. Opens no transaction.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
from sqlalchemy import and_, bindparam, func, or_, select, update

from lifeline.core.override import ParameterSpan
from lifeline.governance import deadlines, facets
from lifeline.governance.actor import ENGINE, Actor
from lifeline.governance.asking import ask_rows, fetch
from lifeline.governance.blank import blank_event
from lifeline.governance.effects import Effects
from lifeline.governance.emergency import EMERGENCY, mode_of
from lifeline.governance.errors import ConflictError, FieldError, ForbiddenError, UnknownIdError
from lifeline.governance.fields import text
from lifeline.governance.journal import Change
from lifeline.governance.mode_review import review
from lifeline.governance.reference import around
from lifeline.governance.schema import EVENTS, OPEN, TIMERS, areas, events, modes, timers
from lifeline.governance.statements import PAGE_ROWS_MAX
from lifeline.governance.store import store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from lifeline.governance.journal import Journal
    from lifeline.governance.policy import Policy

Row = dict[str, Any]

SWITCHERS: Final = ("dispatcher", "admin")
RUNNING: Final = modes.c.ended_at.is_(None)
SWITCH_EVENTS_MAX: Final = 10_000
"""Open events of an area that take its mode at once; a city in a storm has a third of that."""
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
    rows = [_unpacked(dict(row)) for row in connection.execute(query.limit(limit + 1)).mappings()]
    return (rows, None) if len(rows) <= limit else (rows[:limit], str(rows[limit - 1]["entry"]))


def get_mode(connection: Connection, entry: int) -> Row:
    """One emergency by its number. Raises UnknownIdError."""
    found = connection.execute(select(modes).where(modes.c.entry == entry)).mappings().first()
    if found is None:
        raise UnknownIdError(f"there is no emergency {entry}")
    return _unpacked(dict(found))


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


def switch_on(
    connection: Connection,
    area: str,
    until: int,
    reason: str,
    actor: Actor,
    now_ms: int,
    *,
    policy: Policy,
    journal: Journal,
) -> Row:
    """Put an area into emergency mode until a time (epoch ms); returns the mode's row.

    Raises:
        ForbiddenError, FieldError, ConflictError: nothing was changed.
    """
    _may_switch(connection, actor, area)
    reason = _reason(reason)
    longest = now_ms + round(policy.emergency.hours_max * 3_600_000)
    if not now_ms < until <= longest:
        raise FieldError(f"until must lie in the next {policy.emergency.hours_max:g} h (epoch ms), not at {until}")
    if connection.scalar(select(modes.c.entry).where(RUNNING, modes.c.area_code == area)) is not None:
        raise ConflictError(f"area {area} is in emergency mode already; end it first, or let it run")
    emergency = policy.emergency
    held = {
        "factor": emergency.factor,
        "direct": sorted(emergency.direct),
        "fold": sorted(emergency.fold),
        "readers": sorted(emergency.readers),
        "overrides": emergency.overrides,
    }
    effects = Effects()
    incident = _incident(connection, area, reason, now_ms)
    row: Row = {
        "area_code": area,
        "mode": EMERGENCY,
        "since": now_ms,
        "until": until,
        "ended_at": None,
        "reason": reason,
        "actor": actor.id,
        "role": actor.role,
        "ended_by": None,
        "end_reason": None,
        "settings": orjson.dumps(held).decode(),
        "incident_id": incident["event_id"],
        "review": None,
        "rules_since": None,
        "rules_until": None,
    }
    connection.execute(modes.insert().values(row))
    row["entry"] = connection.scalar(select(func.max(modes.c.entry)).where(modes.c.area_code == area))
    effects.open(incident)
    deadlines.settle(effects, None, incident, policy, now_ms)
    effects.say(incident, now_ms, actor, "open", reason, before=None, carried={"until": until})
    _move(connection, effects, row, EMERGENCY, actor, now_ms, policy)
    effects.changes.append(_change(actor, now_ms, "emergency", row, reason))
    store(connection, effects, journal, policy.timezone)
    return _unpacked(row)


def switch_off(
    connection: Connection, area: str, reason: str, actor: Actor, now_ms: int, *, policy: Policy, journal: Journal
) -> Row:
    """End the emergency of an area; returns the mode's row with its ``review``.

    Raises:
        ForbiddenError, FieldError, UnknownIdError: nothing was changed.
    """
    if actor is not ENGINE:
        _may_switch(connection, actor, area)
    reason = _reason(reason)
    query = select(modes).where(RUNNING, modes.c.area_code == area)
    found = connection.execute(query).mappings().first()
    if found is None:
        raise UnknownIdError(f"area {area} is not in emergency mode")
    row = dict(found) | {"ended_at": now_ms, "ended_by": actor.id, "end_reason": reason}
    effects = Effects()
    _move(connection, effects, row, "normal", actor, now_ms, policy)
    if row["incident_id"] is not None:
        effects.hold(fetch(connection, EVENTS, events.c.event_id, [row["incident_id"]]))
        incident = effects.events[row["incident_id"]]
        effects.say(incident, now_ms, actor, "emergency-ended", reason)
    effects.changes.append(_change(actor, now_ms, "normal", row, reason))
    store(connection, effects, journal, policy.timezone)
    row["review"] = orjson.dumps(review(connection, row)).decode()
    values = {name: row[name] for name in ("ended_at", "ended_by", "end_reason", "review")}
    connection.execute(update(modes).where(modes.c.entry == row["entry"]).values(values))
    return _unpacked(row)


def end_due(connection: Connection, now_ms: int, *, policy: Policy, journal: Journal) -> list[str]:
    """End emergencies whose time is over; returns their areas."""
    due = [row for row in running(connection) if row["until"] <= now_ms]
    for row in due:
        words = "到期自动恢复常态 / its time is over"
        switch_off(connection, row["area_code"], words, ENGINE, now_ms, policy=policy, journal=journal)
    return [row["area_code"] for row in due]


def triggered(connection: Connection, now_ms: int, policy: Policy) -> list[tuple[str, int, str]]:
    """(district, until, reason) where the policy's triggers call for an emergency that is not there yet."""
    found: dict[str, tuple[str, int, str]] = {}
    held = {row["area_code"] for row in running(connection)}
    for trigger in policy.emergency.trigger:
        span = trigger.within.after(now_ms, policy.working) - now_ms
        query = (
            select(events.c.district, func.count())
            .where(OPEN, events.c.detected_at > now_ms - span, events.c.level == trigger.level)
            .where(events.c.district.is_not(None), events.c.incident_id.is_(None), events.c.source == "telemetry")
            .group_by(events.c.district)
            .having(func.count() >= trigger.events)
        )
        for district, count in connection.execute(query):
            zh = f"规则触发：{trigger.within.number:g} {trigger.within.unit} 内 {count} 起 {trigger.level} 事件"
            reason = f"{zh} / by rule: {count} {trigger.level} events"
            if district not in held:
                hours = min(trigger.hours, policy.emergency.hours_max)
                found.setdefault(district, (district, now_ms + round(hours * 3_600_000), reason))
    return list(found.values())


def _move(
    connection: Connection, effects: Effects, mode: Row, to: str, actor: Actor, now_ms: int, policy: Policy
) -> None:
    """Open events of the area into the mode, or out of it."""
    query = select(events).where(OPEN, facets.in_area(mode["area_code"]), events.c.mode != to)
    if to == "normal":
        query = query.where(events.c.incident_id == mode["incident_id"])
    found = [dict(row) for row in connection.execute(query.limit(SWITCH_EVENTS_MAX)).mappings()]
    effects.hold(found)
    ids = [row["event_id"] for row in found]
    running_timers: dict[str, list[Row]] = {}
    for timer in fetch(connection, TIMERS, timers.c.event_id, ids):
        running_timers.setdefault(timer["event_id"], []).append(timer)
    for event_id in ids:
        row = effects.events[event_id]
        row["mode"] = to
        row["version"] += 1
        if to == EMERGENCY:
            row["incident_id"] = mode["incident_id"]
            deadlines.tighten(effects, row, running_timers.get(event_id, []), policy, now_ms)
        elif event_id == mode["incident_id"]:
            deadlines.settle(effects, None, row, policy, now_ms)
        effects.say(row, now_ms, actor, "mode", f"{mode['area_code']}: {to}", carried={"mode": to})


def _incident(connection: Connection, area: str, reason: str, now_ms: int) -> Row:
    district, township = around(connection, area)
    place = connection.execute(select(areas.c.name, areas.c.lon, areas.c.lat).where(areas.c.area_code == area)).first()
    name = place[0] if place else area
    event_id = blake2b(f"{EMERGENCY}\x1f{area}\x1f{now_ms}".encode(), digest_size=10).hexdigest()
    return blank_event() | {
        "event_id": event_id,
        "incident_id": event_id,
        "level": "red",
        "title": f"应急状态 / Emergency · {name} · {reason[:80]}",
        "area_code": area,
        "district": district,
        "township": township,
        "raised_at": now_ms,
        "detected_at": now_ms,
        "mode": EMERGENCY,
        "kind": EMERGENCY,
        "place_kind": "area",
        "place": area,
        "group_key": f"{EMERGENCY}\x1f{area}\x1f{now_ms}",
        "source": "superior",
        "lon": place[1] if place else None,
        "lat": place[2] if place else None,
        "stored_at": now_ms,
    }


def _may_switch(connection: Connection, actor: Actor, area: str) -> None:
    if actor.role not in {*SWITCHERS, ENGINE.role}:
        raise ForbiddenError(f"switching the mode is for {', '.join(SWITCHERS)}, not for {actor.role!r}")
    if not area.isalnum() or len(area) > 32:
        raise FieldError(f"{area[:40]!r} is no area code: letters and digits only")
    actor.check({"area_code": area, "utility": None}, f"area {area}")
    if actor is ENGINE:  # events lie there: whether the registry lists the area must not stop the queue
        return
    known = select(areas.c.area_code)
    if (
        connection.scalar(known.limit(1)) is not None
        and connection.scalar(known.where(areas.c.area_code == area)) is None
    ):
        raise FieldError(f"the registry knows no area {area}")


def _reason(given: str) -> str:
    try:
        return text(given, 1000)
    except ValueError as error:
        raise FieldError(f"reason {error}") from None


def _change(actor: Actor, at: int, to: str, row: Row, reason: str) -> Change:
    before = "normal" if to == EMERGENCY else EMERGENCY
    carried = {"area_code": row["area_code"], "until": row["until"]}
    if to == EMERGENCY:
        carried["settings"] = orjson.loads(row["settings"])
    return Change(actor, at, "mode", row["area_code"], "mode", to, before, reason, carried, row)


def _unpacked(row: Row) -> Row:
    return row | {name: orjson.loads(row[name]) if row[name] else None for name in ("settings", "review")}
