"""How alarm changes become rows: grouping, escalation, return to normal. Pure: rows in, rows out.

The changes of a batch are taken one by one in their order, over rows that were fetched before; so any split of the
same changes into batches gives the same rows, and a change seen before gives none at all:

    raised     known → nothing │ on hold → stored, quiet │ else joins the newest open event of (kind, place), or what
               people have told of the same utility nearby a short while before, or opens one; ended because its rule
               was gone, which is back → stands again
    cleared    known, active → cleared, its event counts down │ unknown → stored as raised and cleared
    reopened   known, cleared → stands again, its event counts up (late readings: it had not ended)
    withdrawn  known → cleared at its onset, its event counts down (late readings: it was none); raised again by still
               later ones, it stands again

What late readings have changed of a known alarm (value, times) is changed.

A worse alarm raises the event's level, takes over its title and may tighten its deadline. When the last standing
alarm of an event clears this is logged, and the event stays open: people close it, unless it is put aside (``lapses``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from lifeline.core.alarm import RULE_BACK
from lifeline.governance import joining, reasons
from lifeline.governance.alarm_state import alarm_state
from lifeline.governance.hand import number
from lifeline.governance.states import EXPLAINED

if TYPE_CHECKING:
    from lifeline.core.alarm import AlarmChange
    from lifeline.governance.hand import Hand

Row = dict[str, Any]

_LATE: Final = ("迟到数据", "late readings")


def take(hand: Hand, change: AlarmChange) -> None:
    """One change."""
    known = hand.alarms.get(change.alarm_id)
    if known is None:
        if change.kind != "withdrawn":
            _raise(hand, change)
    elif change.kind == "raised" and change.revised:
        _amend(hand, known, change)
        if not known["active"] and known["cleared_at"] == change.raised_at:  # as a withdrawal leaves it
            _reopen(hand, change, f"{_LATE[0]}：报警成立 / {_LATE[1]}: it was one after all")
    elif (
        change.kind == "raised"
        and not known["active"]
        and hand.ended.get(change.alarm_id) == known["clear_detected_at"]
    ):
        _resume(hand, known, change)
    if change.kind in {"cleared", "withdrawn"} and change.alarm_id in hand.alarms:
        _clear(hand, change)
    elif change.kind == "reopened":
        _reopen(hand, change, f"{_LATE[0]}：尚未恢复 / {_LATE[1]}: it had not cleared")


def adopt(hand: Hand, alarm: Row, at: int) -> None:
    """A stored alarm whose hold has ended while it still stands: it joins an event now."""
    hand.effects.adopted[alarm["alarm_id"]] = alarm
    joining.join(hand, alarm, hand.rule(alarm), hand.places[alarm["point"]], at)


def _raise(hand: Hand, change: AlarmChange) -> None:
    place = hand.places[change.point]
    alarm: Row = {
        "alarm_id": change.alarm_id,
        "rule_id": change.rule_id,
        "rule_version": change.rule_version,
        "point": change.point,
        "raised_at": change.raised_at,
        "detected_at": change.detected_at,
        "cleared_at": None,
        "value": number(change.value),
        "limit": number(change.limit),
        "level": change.level,
        "event_id": None,
        "device_id": place.device_id,
        "quantity": place.quantity,
        "utility": place.utility,
        "area_code": place.area_code,
        "lsn": change.lsn,
        "detail": change.detail,
        "active": True,
        "acked": False,
        "acked_at": None,
        "acked_by": None,
        "shelved_until": None,
        "suppressed": False,
        "out_of_service": False,
        "clear_detected_at": None,
        "clear_value": None,
        "clear_lsn": None,
        "stored_at": hand.stored_at,
        "realarm_s": None,
        "realarm_at": None,
        "realarms": 0,
        "cause_id": None,
    }
    rule = hand.rule(change)
    if (realarm_s := int(rule.realarm_s)) > 0:
        alarm |= {"realarm_s": realarm_s, "realarm_at": change.detected_at + realarm_s * 1000}
    hand.alarms[change.alarm_id] = alarm
    hand.effects.new_alarms.append(alarm)
    hand.fresh.add(change.alarm_id)
    quiet = _quiet(hand, alarm)
    if cause := hand.explained.cause(rule.suppressed_by, rule.suppressed_at, place):
        alarm |= {"suppressed": True, "cause_id": cause}
    elif not rule.announce:
        alarm["suppressed"] = True
    elif not quiet:
        joining.join(hand, alarm, rule, place, change.detected_at)
        hand.explained.heard(place, change.detected_at)
    alarm["state"] = alarm_state(alarm)
    if rule.suppressed_by or rule.folds_under:
        hand.explained.dependents[alarm["alarm_id"]] = alarm
    reasons.begin(hand, alarm, place, change.detected_at)


def _quiet(hand: Hand, alarm: Row) -> bool:
    """Put the holds of (rule, point) on the alarm; True when there is one in force."""
    quiet = False
    for hold in hand.holds.get((alarm["rule_id"], alarm["point"]), ()):
        if hold["until"] is not None and hold["until"] <= alarm["detected_at"]:
            continue
        if hold["once"] and (alarm["rule_id"], alarm["point"]) in hand.effects.unshelved:
            continue
        put_hold(alarm, hold["kind"], hold["until"])
        quiet = True
    return quiet


def _amend(hand: Hand, alarm: Row, change: AlarmChange) -> None:
    """Another reading completed it than was said first."""
    if (alarm["detected_at"], alarm["value"]) != (change.detected_at, number(change.value)):
        alarm.update(detected_at=change.detected_at, value=number(change.value), detail=change.detail)
        hand.changed(alarm)


def _resume(hand: Hand, alarm: Row, change: AlarmChange) -> None:
    """No reading had ended it but its rule, which is back in force (a file that was empty for a moment, say)."""
    before, at = alarm["state"], alarm["clear_detected_at"]
    _reopen(hand, replace(change, detected_at=at), RULE_BACK)
    hand.effects.say_of_alarm(alarm["alarm_id"], at, "resumed", (before, alarm["state"]), RULE_BACK)


def _reopen(hand: Hand, change: AlarmChange, why: str) -> None:
    """It stands, whatever was said of its end."""
    alarm = hand.alarms[change.alarm_id]
    if alarm["active"]:
        return
    alarm["active"] = True
    alarm.update(cleared_at=None, clear_detected_at=None, clear_value=None, clear_lsn=None)
    alarm["state"] = alarm_state(alarm)
    hand.changed(alarm)
    if change.rule_id in hand.explained.kinds:
        reasons.begin(hand, alarm, hand.places[change.point], change.detected_at)
    hand.explained.referred.clear()
    row = hand.events.get(alarm["event_id"])
    if row is not None:
        row["active_count"] += 1
        row["normal_at"] = None
        hand.log(row, change.detected_at, "active-again", why)
    reasons.stands_again(hand, alarm, change.detected_at)


def _clear(hand: Hand, change: AlarmChange) -> None:
    alarm = hand.alarms[change.alarm_id]
    if not alarm["active"]:
        if change.revised and alarm["cleared_at"] != change.cleared_at:
            alarm["cleared_at"], alarm["clear_value"] = change.cleared_at, number(change.value)
            hand.changed(alarm)
        return
    before = alarm["state"]
    alarm["active"] = False
    alarm["cleared_at"] = change.cleared_at if change.cleared_at is not None else change.detected_at
    alarm["clear_detected_at"] = change.detected_at
    alarm["clear_value"] = number(change.value)
    alarm["clear_lsn"] = change.lsn
    alarm["state"] = alarm_state(alarm)
    hand.changed(alarm)
    hand.explained.weigh(alarm)
    if change.rule_id in hand.explained.kinds:
        reasons.end(hand, alarm["alarm_id"], change.detected_at, was_one=alarm["cleared_at"] != change.raised_at)
    if change.reason:
        told = "ended", (before, alarm["state"]), change.reason
        hand.effects.say_of_alarm(alarm["alarm_id"], change.detected_at, *told)
    of = change.rule_id, change.point
    if alarm["shelved_until"] is not None and any(hold["once"] for hold in hand.holds.get(of, ())):
        hand.effects.unshelved.setdefault(of, change.detected_at)
    if alarm["event_id"] is None:
        return
    row = hand.events[alarm["event_id"]]
    row["active_count"] -= 1
    if change.kind == "withdrawn":
        note = f"迟到数据：报警不成立 / late readings: it was none: {alarm['alarm_id']}"
        hand.log(row, change.detected_at, "withdraw", note)
    if change.reason:
        hand.log(row, change.detected_at, "alarm-ended", f"{change.reason}: {alarm['alarm_id']}")
    if row["active_count"] == 0:
        row["normal_at"] = change.detected_at
        hand.explained.over |= row["status"] == EXPLAINED
        hand.log(row, change.detected_at, "return-to-normal", "全部报警已恢复 / all alarms have cleared")


def put_hold(alarm: Row, kind: str, until: int | None) -> None:
    """Set the bit of a hold on an alarm's row (its ``state`` is the caller's)."""
    if kind == "shelved":
        alarm["shelved_until"] = until
    elif kind == "suppressed":
        alarm["suppressed"] = True
    else:
        alarm["out_of_service"] = True
