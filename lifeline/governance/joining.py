"""Which event an alarm joins: the newest open one of its kind and place, an incident, what people have told of.

    cause known, flood ──► the event of the cause (``folds_under``)
    open event of (kind, place) ──► it grows; a worse alarm raises level and title, tightens the deadline
    emergency, low level ──► the incident
    people have told of it nearby ──► telemetry confirms it
    none of these ──► a new event

Pure: rows in hand, rows changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from lifeline.core.schema import LEVELS
from lifeline.governance import aside, deadlines, reasons
from lifeline.governance.blank import blank_event
from lifeline.governance.emergency import EMERGENCY, mode_of
from lifeline.governance.hand import REPORTED, event_id, group_key
from lifeline.governance.nearby import distance_m
from lifeline.governance.policy import STAGES

if TYPE_CHECKING:
    from lifeline.core.alarm import RuleInfo
    from lifeline.governance.hand import Hand
    from lifeline.governance.places import Place

Row = dict[str, Any]

_RANK: Final = {level: rank for rank, level in enumerate(LEVELS)}


def join(hand: Hand, alarm: Row, rule: RuleInfo, place: Place, at: int) -> None:
    """Put an alarm into the event that it belongs to, or open one."""
    if rule.folds_under and (cause := _folds(hand, alarm, rule, place, at)) is not None:
        _grow(hand, cause, alarm, at)
        _reach(hand, cause, place)
        alarm["event_id"] = cause["event_id"]
        return
    where = place.key(rule.place)
    key = group_key(rule.event, where)
    open_id = hand.open_groups.get(key)
    mode = mode_of(hand.modes, place._asdict(), at) if hand.modes else None
    if open_id is None and mode is not None and alarm["level"] in orjson.loads(mode["settings"])["fold"]:
        incident = hand.events.get(mode["incident_id"])
        open_id = mode["incident_id"] if incident is not None and incident["is_open"] else None
    near = _told_of(hand, rule, place, at) if open_id is None and hand.reported else []
    if near:
        row = _confirm(hand, near[0], alarm, rule, place, at)
        for other in near[1:]:
            other["related_id"] = row["event_id"]
    elif open_id is None:
        row = _open(hand, alarm, rule, place, at, mode)
    else:
        row = hand.events[open_id]
        aside.tell(hand.effects, row, f"不由该起因引起 / not explained by it: {alarm['rule_id']}", hand.policy, at)
        _grow(hand, row, alarm, at)
        if row["kind"] != EMERGENCY and _RANK[alarm["level"]] < _RANK[row["level"]]:
            _escalate(hand, row, alarm, rule, place, at)
    _reach(hand, row, place)
    alarm["event_id"] = row["event_id"]
    hand.explained.weigh(alarm)


def _folds(hand: Hand, alarm: Row, rule: RuleInfo, place: Place, at: int) -> Row | None:
    """In a flood the open event of the alarm that explains this one."""
    cause = hand.explained.cause(rule.folds_under, rule.folds_at, place)
    if cause is None:
        return None
    row, key = hand.events.get(hand.explained.events.get(cause) or ""), place.key(rule.folds_at)
    if row is None or not row["is_open"] or not hand.explained.floods(place, at):
        hand.explained.referred.discard((cause, key))  # this one, too, is to be told of it once it is a flood
        return None
    reasons.refer_earlier(hand, cause, key, at)
    alarm["cause_id"] = cause
    hand.log(row, at, "fold", f"并入起因 / folded beneath the cause: {alarm['rule_id']} · {alarm['device_id']}")
    return row


def _reach(hand: Hand, row: Row, place: Place) -> None:
    """What an alarm lies in, its event touches."""
    hand.effects.reach(row, (place.area_code, place.utility), (place.district, place.township))


def _open(hand: Hand, alarm: Row, rule: RuleInfo, place: Place, at: int, mode: Row | None) -> Row:
    where = place.key(rule.place)
    row = blank_event() | {
        "event_id": event_id(rule.event, where, alarm["alarm_id"]),
        "level": alarm["level"],
        "utility": place.utility,
        "title": hand.title(rule, place),
        "area_code": place.area_code,
        "district": place.district,
        "township": place.township,
        "lon": place.lon,
        "lat": place.lat,
        "asset_kind": place.asset_kind,
        "raised_at": alarm["raised_at"],
        "detected_at": at,
        "due_at": _due_at(rule, at),
        "alarm_count": 1,
        "active_count": 1,
        **_first(rule, alarm, where),
        "stored_at": hand.stored_at,
    }
    if row["due_at"] is not None:
        row |= {"due_kind": "natural", "due_from": at}
    if mode is not None:
        row |= {"mode": EMERGENCY, "incident_id": mode["incident_id"]}
    hand.effects.open(row)
    deadlines.settle(hand.effects, None, row, hand.policy, at)
    hand.open_groups[row["group_key"]] = row["event_id"]
    hand.explained.bare[row["event_id"]] = set()
    hand.log(row, at, "open", f"{alarm['rule_id']} · {alarm['device_id']}/{alarm['quantity']}", None)
    return row


def _first(rule: RuleInfo, alarm: Row, where: tuple[str, str]) -> Row:
    """What an event has from the alarm that makes it telemetry's."""
    return {
        "kind": rule.event,
        "category": rule.category,
        "rule_id": alarm["rule_id"],
        "place_kind": where[0],
        "place": where[1],
        "group_key": group_key(rule.event, where),
        "first_alarm_id": alarm["alarm_id"],
        "lsn": alarm["lsn"],
    }


def _told_of(hand: Hand, rule: RuleInfo, place: Place, at: int) -> list[Row]:
    """Events that people have told of here, of the same utility, a short while before; the nearest first."""
    if rule.category != "process" or place.lon is None or place.lat is None:
        return []
    within = hand.policy.report.within.after(at, hand.policy.working) - at
    found: list[tuple[float, str]] = []
    for one in hand.reported:
        row = hand.events[one]
        fits = row["is_open"] and row["place_kind"] == REPORTED and row["utility"] in {None, place.utility}
        if fits and abs(at - row["detected_at"]) <= within:
            apart = distance_m(place.lon, place.lat, row["lon"], row["lat"])
            if apart <= hand.policy.report.radius_m:
                found.append((apart, one))
    return [hand.events[one] for _, one in sorted(found)]


def _confirm(hand: Hand, row: Row, alarm: Row, rule: RuleInfo, place: Place, at: int) -> Row:
    """Telemetry joins what people have told: from now on the event is of the alarm's kind and place."""
    where = place.key(rule.place)
    row |= {
        "utility": row["utility"] or place.utility,
        "asset_kind": row["asset_kind"] or place.asset_kind,
        **_first(rule, alarm, where),
        "version": row["version"] + 1,
    }
    hand.open_groups[row["group_key"]] = row["event_id"]
    note = f"遥测印证 / telemetry confirms: {alarm['rule_id']} · {alarm['device_id']}/{alarm['quantity']}"
    hand.log(row, at, "confirm", note)
    _grow(hand, row, alarm, at)
    if _RANK[alarm["level"]] < _RANK[row["level"]]:
        _escalate(hand, row, alarm, rule, place, at)
    return row


def _grow(hand: Hand, row: Row, alarm: Row, at: int) -> None:
    row["alarm_count"] += 1
    row["active_count"] += 1
    row["raised_at"] = min(row["raised_at"], alarm["raised_at"])
    if row["normal_at"] is not None:
        row["normal_at"] = None
        hand.log(row, at, "active-again", f"再次报警 / alarm again: {alarm['rule_id']} · {alarm['device_id']}")


def _escalate(hand: Hand, row: Row, alarm: Row, rule: RuleInfo, place: Place, at: int) -> None:
    note = f"升级 / escalated {row['level']} → {alarm['level']}: {alarm['rule_id']} · {alarm['device_id']}"
    before = dict(row)
    row["level"] = alarm["level"]
    row["title"] = hand.title(rule, place)
    row["rule_id"] = alarm["rule_id"]
    row["version"] += 1
    due_at = _due_at(rule, at)
    if due_at is not None and (row["due_at"] is None or due_at < row["due_at"]):
        deadlines.set_due(row, due_at, "natural", at)
    deadlines.settle(hand.effects, before, row, hand.policy, at)
    running = [_timer(hand, row["event_id"], stage) for stage in STAGES]
    deadlines.tighten(hand.effects, row, [timer for timer in running if timer], hand.policy, at)
    hand.log(row, at, "escalate", note)


def _timer(hand: Hand, event_id: str, stage: str) -> Row | None:
    key = event_id, stage
    return hand.effects.timers[key] if key in hand.effects.timers else hand.timers.get(key)


def _due_at(rule: RuleInfo, at: int) -> int | None:
    return at + int(rule.respond_within_s * 1000) if rule.respond_within_s > 0 else None
