"""Switching an area between normal and emergency (平急): by a person or a rule, with a reason and an end.

    switch on ──► incident opens; open events of the area take the mode: deadlines tighten, everything is logged
    meanwhile     new events belong to the incident; low alarms go into it, high ones are dispatched at once;
                  routing, limits and readers are the emergency's
    switch off, or ``until`` is reached ──► events go back, a review is written; people close the incident

Opens no transaction.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import orjson
from sqlalchemy import func, select, update

from lifeline.governance import deadlines, facets
from lifeline.governance.actor import ENGINE, Actor
from lifeline.governance.asking import fetch
from lifeline.governance.blank import blank_event
from lifeline.governance.effects import Effects
from lifeline.governance.emergency import EMERGENCY
from lifeline.governance.errors import ConflictError, FieldError, ForbiddenError, UnknownIdError
from lifeline.governance.fields import text
from lifeline.governance.journal import Change
from lifeline.governance.mode_review import review
from lifeline.governance.modes import RUNNING, running, unpacked
from lifeline.governance.reference import around
from lifeline.governance.schema import EVENTS, OPEN, TIMERS, areas, events, modes, timers
from lifeline.governance.store import store

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from lifeline.governance.journal import Journal
    from lifeline.governance.policy import Policy

Row = dict[str, Any]

SWITCHERS: Final = ("dispatcher", "admin")
SWITCH_EVENTS_MAX: Final = 10_000
"""Open events of an area that take its mode at once; a city in a storm has a third of that."""


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
    return unpacked(row)


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
    return unpacked(row)


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
