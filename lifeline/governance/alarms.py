"""What people do with alarms: acknowledging, and the three ways of ISA-18.2 to be quiet on purpose.

    shelve          an operator's act: timed or one-shot (until its alarm is over), with a reason, comes back by itself
    suppress        by design (season, pump off, upstream outage): until taken back
    out-of-service  maintenance under a work order: until taken back

All three are *holds* on (rule, point): they mark the alarm at hand and quiet the next episodes too. The condition
goes on being evaluated and every alarm is stored; it only opens no event while held. What still stands when the hold
ends joins an event with the engine's next tick. Nothing here opens a transaction: that is ``desk`` and ``queue``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, delete, insert, select, update

from lifeline.governance import fields
from lifeline.governance.actor import ENGINE
from lifeline.governance.alarm_state import alarm_state
from lifeline.governance.asking import ask_rows
from lifeline.governance.errors import FieldError, ForbiddenError, IllegalActionError
from lifeline.governance.fold import put_hold
from lifeline.governance.journal import SILENT, Change
from lifeline.governance.policy import Policy
from lifeline.governance.schema import alarm_log, alarms, holds
from lifeline.governance.statements import insert_into, resolve
from lifeline.governance.touched import touch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from lifeline.governance.actor import Actor
    from lifeline.governance.journal import Journal

Row = dict[str, Any]

SHELVE_MS_MAX: Final = 7 * 86_400_000
"""MaxTimeShelved (OPC UA Part 9, 5.8.10): who needs more than a week needs out-of-service and a work order."""
EXPIRE_ROWS_MAX: Final = 10_000
_EXPIRED: Final = (
    select(holds).where(holds.c.until <= bindparam("_now")).order_by(holds.c.until).limit(bindparam("_rows"))
)


@dataclass(frozen=True, slots=True)
class AlarmAct:
    """One act on an alarm: who may, which hold it sets or ends, what it must carry."""

    roles: tuple[str, ...]
    sets: str = ""
    ends: str = ""
    requires: tuple[str, ...] = ()
    allows: tuple[str, ...] = ()


_DESK: Final = ("operator", "dispatcher", "admin")
_LEAD: Final = ("dispatcher", "admin")

ACTS: Final[dict[str, AlarmAct]] = {
    "ack": AlarmAct(_DESK),
    "shelve": AlarmAct(_DESK, sets="shelved", requires=("note",), allows=("until", "once")),
    "unshelve": AlarmAct(_DESK, ends="shelved"),
    "suppress": AlarmAct(_LEAD, sets="suppressed", requires=("note",)),
    "unsuppress": AlarmAct(_LEAD, ends="suppressed"),
    "out-of-service": AlarmAct(_LEAD, sets="out-of-service", requires=("note",)),
    "in-service": AlarmAct(_LEAD, ends="out-of-service"),
}
"""Every act. Quieting by design or for maintenance is the lead's: an unauthorised suppression is an incident."""


def act(
    connection: Connection,
    alarm_id: str,
    action: str,
    *,
    actor: Actor,
    now_ms: int,
    journal: Journal = SILENT,
    policy: Policy | None = None,
    **given: object,
) -> Row:
    """Take ``action`` on an alarm (id or unique beginning of it); returns its row afterwards.

    Fields: ``note`` the reason, ``until`` (epoch ms) the end of a shelf, ``once``: it ends when the alarm does, and
    ``until`` is by default the longest that the policy allows. Doing it again changes nothing.

    Raises:
        UnknownIdError, IllegalActionError, ForbiddenError, FieldError: nothing was changed, the message says why.
    """
    rule = ACTS.get(action)
    if rule is None:
        raise IllegalActionError(f"there is no alarm action {action!r}; there are {', '.join(ACTS)}")
    if actor.role not in rule.roles:
        raise ForbiddenError(f"{action!r} is for {', '.join(rule.roles)}, not for {actor.role!r}")
    carried = _carried(action, rule, given)
    key = resolve(connection, alarms.c.alarm_id, alarm_id, "alarm")
    alarm = _row(connection, key)
    actor.check(alarm, f"alarm {key}")
    act_ = _Act(actor, action, carried, now_ms, journal)
    if action == "shelve":
        _check_shelf(alarm, carried, policy or Policy(), now_ms)
    if rule.sets:
        _hold(connection, alarm, rule.sets, actor.id, carried, now_ms)
    elif rule.ends:
        _release(connection, alarm["rule_id"], alarm["point"], rule.ends, act_)
        return _row(connection, key)
    elif not alarm["acked"]:
        alarm.update(acked=True, acked_at=now_ms, acked_by=actor.id)
        if alarm["realarm_s"] is not None:
            alarm["realarm_at"] = now_ms + alarm["realarm_s"] * 1000
    else:
        return alarm
    _save(connection, alarm, act_)
    return _row(connection, key)


@dataclass(frozen=True, slots=True)
class _Act:
    """Who does what, and who keeps a record of it."""

    actor: Actor
    action: str
    carried: Row
    at: int
    journal: Journal


def _carried(action: str, rule: AlarmAct, given: dict[str, object]) -> dict[str, Any]:
    carried = fields.parse(given)
    missing = [name for name in rule.requires if name not in carried]
    if missing:
        raise FieldError(f"{action!r} needs {', '.join(missing)}")
    extra = sorted(set(carried) - {"note", *rule.requires, *rule.allows})
    if extra:
        raise FieldError(f"{action!r} does not take {', '.join(extra)}")
    return carried


def _check_shelf(alarm: Row, carried: Row, policy: Policy, now_ms: int) -> None:
    """A shelf has an end: a time, or the end of the alarm, which must stand then."""
    longest = min(policy.shelved_until(alarm["level"], now_ms), now_ms + SHELVE_MS_MAX)
    once = carried.get("once", False)
    if "until" not in carried and not once:
        raise FieldError("'shelve' needs until (a time), or once (until the alarm returns to normal)")
    if once and not alarm["active"]:
        raise FieldError("once is for an alarm that stands, and this one is over: give until")
    until = carried.setdefault("until", longest)
    if not now_ms < until <= longest:
        hours = (longest - now_ms) / 3_600_000
        span = f"the next {hours / 24:g} days (epoch ms)" if hours >= 24 else f"the next {hours:g} h (epoch ms)"
        raise FieldError(f"until must lie in {span}, longer no {alarm['level']} alarm is shelved, not {until}")


def _row(connection: Connection, alarm_id: str) -> Row:
    return dict(connection.execute(select(alarms).where(alarms.c.alarm_id == alarm_id)).mappings().one())


def _hold(connection: Connection, alarm: Row, kind: str, actor: str, carried: Row, now_ms: int) -> None:
    values = {"until": carried.get("until"), "since": now_ms, "actor": actor, "reason": carried["note"]}
    values["once"] = carried.get("once", False)
    key = {"rule_id": alarm["rule_id"], "point": alarm["point"], "kind": kind}
    statement = insert_into(connection, holds).values(**key, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=values))
    put_hold(alarm, kind, carried.get("until"))


def _release(connection: Connection, rule_id: str, point: int, kind: str, act_: _Act) -> None:
    """End a hold and take its mark off every alarm of (rule, point) that carries it."""
    of = (holds.c.rule_id == rule_id) & (holds.c.point == point) & (holds.c.kind == kind)
    connection.execute(delete(holds).where(of))
    mark = {
        "shelved": alarms.c.shelved_until.is_not(None),
        "suppressed": alarms.c.suppressed.is_(True),
        "out-of-service": alarms.c.out_of_service.is_(True),
    }[kind]
    off = {"shelved": "shelved_until", "suppressed": "suppressed", "out-of-service": "out_of_service"}[kind]
    marked = select(alarms).where(alarms.c.rule_id == rule_id, alarms.c.point == point, mark)
    for found in connection.execute(marked).mappings().all():
        alarm = dict(found)
        alarm[off] = None if kind == "shelved" else False
        _save(connection, alarm, act_)


_BITS: Final = ("acked", "acked_at", "acked_by", "shelved_until", "suppressed", "out_of_service", "state", "realarm_at")


def _save(connection: Connection, alarm: Row, act_: _Act) -> None:
    before = alarm["state"]
    alarm["state"] = alarm_state(alarm)
    connection.execute(
        update(alarms).where(alarms.c.alarm_id == alarm["alarm_id"]).values({name: alarm[name] for name in _BITS})
    )
    note = act_.carried.get("note", "")
    entry = {
        "alarm_id": alarm["alarm_id"],
        "at": act_.at,
        "actor": act_.actor.id,
        "role": act_.actor.role,
        "action": act_.action,
        "from_state": before,
        "to_state": alarm["state"],
        "note": note,
    }
    connection.execute(insert(alarm_log), [entry])
    touch(connection, alarms=[alarm["alarm_id"]])
    carried = {name: value for name, value in act_.carried.items() if name != "note"}
    subject = ("alarm", alarm["alarm_id"], act_.action, alarm["state"], before)
    act_.journal.write(connection, [Change(act_.actor, act_.at, *subject, note, carried, alarm)])


def expired_holds(connection: Connection, now_ms: int, rows_max: int = EXPIRE_ROWS_MAX) -> list[Row]:
    """Holds whose end has come."""
    return ask_rows(connection, _EXPIRED, {"_now": now_ms, "_rows": rows_max})


def end_shelves(connection: Connection, over: Mapping[tuple[str, int], int], journal: Journal = SILENT) -> None:
    """End one-shot shelves: their alarms have returned to normal, by (rule, point) at a time."""
    for (rule_id, point), at in over.items():
        carried = {"note": "报警已恢复 / the alarm has returned to normal"}
        _release(connection, rule_id, point, "shelved", _Act(ENGINE, "unshelve", carried, at, journal))


def expire_holds(connection: Connection, now_ms: int, journal: Journal = SILENT) -> int:
    """End the holds whose end has come; returns how many."""
    due = expired_holds(connection, now_ms)
    for hold in due:
        unshelve = _Act(ENGINE, "unshelve", {}, now_ms, journal)
        _release(connection, hold["rule_id"], hold["point"], hold["kind"], unshelve)
    return len(due)
