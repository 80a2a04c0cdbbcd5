"""Causes and consequences while a batch is taken: what a cause that comes or goes does to the alarms it explains.

Which rules explain which, and what of that is in hand, is in ``consequences``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lifeline.governance import aside, consequences
from lifeline.governance.alarm_state import alarm_state
from lifeline.governance.load import WINDOW_MS
from lifeline.governance.states import EXPLAINED, LAPSED

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
                _put_aside(hand, other, alarm, at)
        elif alarm["rule_id"] in rule.folds_under and there.key(rule.folds_at) in keys:
            _refer(hand, other, alarm, there, at)


def stands_again(hand: Hand, alarm: Row, at: int) -> None:
    """Late readings: an alarm had not ended. Whether its cause stands a look at what causes left behind will say."""
    hand.explained.weigh(alarm)
    row = hand.events.get(alarm["event_id"])
    if row is not None and row["status"] == LAPSED:
        words = "迟到数据：尚未恢复 / late readings: it had not cleared"
        aside.put(hand.effects, row, None, words, hand.policy, at)
    if alarm["cause_id"] is not None:
        hand.explained.settle(at)
    elif row is not None:
        aside.tell(hand.effects, row, "再次报警 / alarm again", hand.policy, at)


def refer_earlier(hand: Hand, cause: str, key: Key, at: int) -> None:
    """A flood is known for one: events that this cause's consequences at a place opened before refer to it."""
    explained = hand.explained
    if (cause, key) in explained.referred:
        return
    explained.referred.add((cause, key))
    named = {"alarm_id": cause, "rule_id": explained.causes[key][cause], "event_id": explained.events[cause]}
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
    hand.explained.over = True
    for other in hand.explained.dependents.values():
        if other["active"] and other["cause_id"] == alarm_id and (other["suppressed"] or _apart(hand, other, alarm_id)):
            rule = hand.rule(other)
            there = hand.explained.places.get(other["point"]) or hand.places[other["point"]]
            by = (rule.suppressed_by, rule.suppressed_at) if other["suppressed"] else (rule.folds_under, rule.folds_at)
            cause = hand.explained.cause(*by, there)
            waits = other["suppressed"] or hand.events[other["event_id"]]["status"] == EXPLAINED
            told_at = consequences.told_at(rule, other["level"], at, was_one=was_one) if waits else at
            if cause is None and told_at > at:
                hand.explained.settle(told_at)
                continue
            by_hand = any(h["kind"] == "suppressed" for h in hand.holds.get((other["rule_id"], other["point"]), ()))
            suppressed = other["suppressed"] and cause is not None
            _explain(hand, other, cause, at, suppressed=suppressed or by_hand)


def _explain(hand: Hand, alarm: Row, cause: str | None, at: int, *, suppressed: bool) -> None:
    before = alarm["state"]
    alarm |= {"suppressed": suppressed, "cause_id": cause}
    alarm["state"] = alarm_state(alarm)
    if alarm["alarm_id"] not in hand.fresh:
        hand.effects.marked[alarm["alarm_id"]] = alarm
    action = "suppress" if suppressed else "explain" if cause else "unsuppress" if before == "suppressed" else "tell"
    words = f"起因 / cause: {cause}" if cause else "起因已消除 / the cause has ended"
    hand.effects.say_of_alarm(alarm["alarm_id"], at, action, (before, alarm["state"]), words)
    hand.explained.weigh(alarm)
    if cause is not None:
        return
    hand.explained.referred.clear()
    if (row := hand.events.get(alarm["event_id"])) is not None:
        aside.tell(hand.effects, row, consequences.STILL_STANDS, hand.policy, at)


def _apart(hand: Hand, alarm: Row, cause: str) -> bool:
    """Whether an explained alarm has an event of its own: what has folded stays in its cause's."""
    return alarm["event_id"] is not None and alarm["event_id"] != hand.explained.events.get(cause)


def _put_aside(hand: Hand, alarm: Row, cause: Row, at: int) -> bool:
    """The event of an alarm that is explained now, if nobody has it and nothing else in it stands for itself.

    What an event is named after must be a consequence of the cause, too, whose case nobody has closed.
    """
    row = hand.events.get(alarm["event_id"])
    if row is None or row["status"] != "new" or row["event_id"] == cause["event_id"]:
        return False
    case = hand.events.get(cause["event_id"])
    if case is not None and not case["is_open"]:
        return False
    if hand.explained.bare.get(row["event_id"], {""}) or row["source"] != "telemetry" or row["reports"]:
        return False
    if row["rule_id"] != alarm["rule_id"] and cause["rule_id"] not in _explaining(hand, row):
        return False
    words = f"起因 / cause: {cause['event_id'] or cause['alarm_id']} · {cause['rule_id']}"
    aside.put(hand.effects, row, cause["event_id"], words, hand.policy, at)
    return True


def _explaining(hand: Hand, row: Row) -> set[str]:
    """Rules that explain the alarm which an event is named after."""
    rule = hand.rule({"rule_id": row["rule_id"], "rule_version": 0, "level": row["level"]})
    return {*rule.suppressed_by, *rule.folds_under}


def _refer(hand: Hand, alarm: Row, cause: Row, place: Place, at: int) -> None:
    """In a flood a consequence of the last minutes that came first is explained, if nobody has its event yet.

    ``cause``: ``alarm_id``, ``rule_id`` and ``event_id`` of the alarm that does. What stood long before it has another
    one. It stays in its event, which is put aside, or, where others stand in it, names the cause.
    """
    row = hand.events.get(alarm["event_id"]) if alarm["event_id"] else None
    target = cause["event_id"]
    if row is None or target is None or row["event_id"] == target or not hand.explained.floods(place, at):
        return
    recent = row["detected_at"] > hand.events[target]["detected_at"] - WINDOW_MS
    if not recent or row["status"] != "new" or alarm["cause_id"] is not None or alarm["acked"]:
        return
    _explain(hand, alarm, cause["alarm_id"], at, suppressed=alarm["suppressed"])
    if not _put_aside(hand, alarm, cause, at) and row["related_id"] is None:
        row["related_id"] = target
        hand.log(row, at, "consequence", f"起因 / cause: {target} · {cause['rule_id']}")
