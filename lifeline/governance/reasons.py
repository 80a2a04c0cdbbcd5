"""Causes and consequences while a batch is taken: what a cause that comes or goes does to the alarms it explains.

Which rules explain which, and what of that is in hand, is in ``consequences``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lifeline.governance import consequences
from lifeline.governance.alarm_state import alarm_state
from lifeline.governance.load import WINDOW_MS

if TYPE_CHECKING:
    from lifeline.governance.consequences import Key
    from lifeline.governance.hand import Hand
    from lifeline.governance.places import Place

Row = dict[str, Any]


def begin(hand: Hand, alarm: Row, place: Place, at: int) -> None:
    """What stands at the same place and is explained by this alarm is suppressed, or in a flood referred to it."""
    keys = hand.explained.begin(alarm, place) if alarm["rule_id"] in hand.explained.kinds else set()
    for other in list(hand.explained.dependents.values()) if keys else ():
        if not other["active"] or other["alarm_id"] == alarm["alarm_id"]:
            continue
        rule, there = hand.rule(other), hand.explained.places.get(other["point"]) or hand.places[other["point"]]
        if alarm["rule_id"] in rule.suppressed_by and there.key(rule.suppressed_at) in keys:
            by = other["cause_id"]
            if not other["suppressed"] or (by and not hand.explained.stands(by, rule.suppressed_at, there)):
                _explain(hand, other, alarm["alarm_id"], at, suppressed=True)
        elif alarm["rule_id"] in rule.folds_under and there.key(rule.folds_at) in keys:
            _refer(hand, other, alarm, there, at)


def refer_earlier(hand: Hand, cause: str, key: Key, at: int) -> None:
    """A flood is known for one: events that this cause's consequences at a place opened before refer to it."""
    explained = hand.explained
    if (cause, key) in explained.referred:
        return
    explained.referred.add((cause, key))
    named = {"rule_id": explained.causes[key][cause], "event_id": explained.events[cause]}
    for other in explained.dependents.values():
        if other["active"] and other["cause_id"] is None:
            rule, there = hand.rule(other), explained.places.get(other["point"]) or hand.places[other["point"]]
            if named["rule_id"] in rule.folds_under and there.key(rule.folds_at) == key:
                _refer(hand, other, named, there, at)


def end(hand: Hand, alarm_id: str, at: int, *, was_one: bool = True) -> None:
    """What it explained is explained by another, or people hear of it with a tick of the queue.

    Until its settle time is over it stays as it is, with ``cause_id`` of what has ended: no timer, no row of its own.
    Not ``was_one``: late readings have taken the cause back.
    """
    hand.explained.end(alarm_id)
    for other in hand.explained.dependents.values():
        if other["active"] and other["suppressed"] and other["cause_id"] == alarm_id:
            rule = hand.rule(other)
            there = hand.explained.places.get(other["point"]) or hand.places[other["point"]]
            cause = hand.explained.cause(rule.suppressed_by, rule.suppressed_at, there)
            told_at = consequences.told_at(rule, other["level"], at, was_one=was_one)
            if cause is None and told_at > at:
                hand.explained.settle(told_at)
                continue
            by_hand = any(h["kind"] == "suppressed" for h in hand.holds.get((other["rule_id"], other["point"]), ()))
            _explain(hand, other, cause, at, suppressed=cause is not None or by_hand)


def _explain(hand: Hand, alarm: Row, cause: str | None, at: int, *, suppressed: bool) -> None:
    before = alarm["state"]
    alarm |= {"suppressed": suppressed, "cause_id": cause}
    alarm["state"] = alarm_state(alarm)
    if alarm["alarm_id"] not in hand.fresh:
        hand.effects.marked[alarm["alarm_id"]] = alarm
    action = "suppress" if suppressed else "unsuppress"
    words = f"起因 / cause: {cause}" if cause else "起因已消除 / the cause has ended"
    hand.effects.say_of_alarm(alarm["alarm_id"], at, action, (before, alarm["state"]), words)


def _refer(hand: Hand, alarm: Row, cause: Row, place: Place, at: int) -> None:
    """In a flood the event of a consequence of the last minutes that came first, if nobody has it yet, names its cause.

    ``cause``: ``rule_id`` and ``event_id`` of the alarm that does. What stood long before it has another one.
    """
    row = hand.events.get(alarm["event_id"]) if alarm["event_id"] else None
    target = cause["event_id"]
    if row is None or target is None or row["event_id"] == target or not hand.explained.floods(place, at):
        return
    recent = row["detected_at"] > hand.events[target]["detected_at"] - WINDOW_MS
    if recent and row["status"] == "new" and row["related_id"] is None:
        row["related_id"] = target
        hand.log(row, at, "consequence", f"起因 / cause: {target} · {cause['rule_id']}")
