"""How alarm changes become rows: grouping, escalation, return to normal. Pure: rows in, rows out.

The changes of a batch are taken one by one in their order, over rows that were fetched before; so any split of the
same changes into batches gives the same rows, and a change seen before gives none at all:

    raised     known → nothing │ on hold → stored, quiet │ else joins the newest open event of (kind, place), or what
               people have told of the same utility nearby a short while before, or opens one
    cleared    known, active → cleared, its event counts down │ unknown → stored as raised and cleared
    reopened   known, cleared → stands again, its event counts up (late readings: it had not ended)
    withdrawn  known → cleared at its onset, its event counts down (late readings: it was none); raised again by still
               later ones, it stands again

What late readings have changed of a known alarm (value, times) is changed.

A worse alarm raises the event's level, takes over its title and may tighten its deadline. When the last standing
alarm of an event clears this is logged, and the event stays open: people close it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import orjson

from lifeline.core.alarm import RuleInfo
from lifeline.core.schema import LEVELS
from lifeline.governance import deadlines
from lifeline.governance.actor import ENGINE
from lifeline.governance.alarm_state import alarm_state
from lifeline.governance.blank import blank_event
from lifeline.governance.consequences import Explained
from lifeline.governance.effects import Effects
from lifeline.governance.emergency import EMERGENCY, mode_of
from lifeline.governance.nearby import distance_m
from lifeline.governance.policy import STAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lifeline.core.alarm import AlarmChange
    from lifeline.governance.places import Place
    from lifeline.governance.policy import Policy

Row = dict[str, Any]

REPORTED: Final = "report"
"""``place_kind`` of an event that people have told of, until telemetry confirms it."""
_RANK: Final = {level: rank for rank, level in enumerate(LEVELS)}


def event_id(kind: str, place: tuple[str, str], first_alarm_id: str) -> str:
    """Identity of an event: 20 hex digits of (kind, place, first alarm). The same in any run over the same log."""
    text = "\x1f".join((kind, *place, first_alarm_id))
    return blake2b(text.encode(), digest_size=10).hexdigest()


def group_key(kind: str, place: tuple[str, str]) -> str:
    """What alarms must share to share an event."""
    return "\x1f".join((kind, *place))


@dataclass(slots=True)
class Fold:
    """The rows in hand while changes are taken; mutated by ``take`` and ``adopt``, read from ``effects``."""

    rule: Callable[[AlarmChange | Row], RuleInfo]
    title: Callable[[RuleInfo, Place], str]
    places: Mapping[int, Place]
    alarms: dict[str, Row]
    """Known alarms among the changes, by id."""
    found: Sequence[Row]
    """Whole rows of the events of those alarms and of the open events of the groups concerned."""
    holds: Mapping[tuple[str, int], Sequence[Row]]
    timers: Mapping[tuple[str, str], Row]
    """Running timers of the events, by (event, stage)."""
    policy: Policy
    modes: Sequence[Row]
    """Emergencies that held at some time of the changes; their incidents are among ``found``."""
    stored_at: int
    reported: Sequence[str] = ()
    """Ids of open events that people have told of and telemetry knows nothing of yet, round places of the changes."""
    explained: Explained = field(default_factory=Explained)
    open_groups: dict[str, str] = field(default_factory=dict)
    """Newest open event of each group."""
    effects: Effects = field(default_factory=Effects)
    fresh: set[str] = field(default_factory=set)
    """Ids of the alarms that these effects insert: they need no update."""

    @property
    def events(self) -> dict[str, Row]:
        """Events in hand, by id."""
        return self.effects.events

    def __post_init__(self) -> None:
        """Find the newest open event of each group."""
        self.effects.hold(self.found)
        newest = sorted((row for row in self.events.values() if row["is_open"]), key=_age)
        self.open_groups.update((row["group_key"], row["event_id"]) for row in newest)

    def take(self, change: AlarmChange) -> None:
        """One change."""
        known = self.alarms.get(change.alarm_id)
        if known is None:
            if change.kind != "withdrawn":
                self._raise(change)
        elif change.kind == "raised" and change.revised:
            self._amend(known, change)
            if not known["active"] and known["cleared_at"] == change.raised_at:  # as a withdrawal leaves it
                self._reopen(change, ("报警成立", "it was one after all"))
        if change.kind in {"cleared", "withdrawn"} and change.alarm_id in self.alarms:
            self._clear(change)
        elif change.kind == "reopened":
            self._reopen(change, ("尚未恢复", "it had not cleared"))

    def adopt(self, alarm: Row, at: int) -> None:
        """A stored alarm whose hold has ended while it still stands: it joins an event now."""
        self.effects.adopted[alarm["alarm_id"]] = alarm
        self._join(alarm, self.rule(alarm), self.places[alarm["point"]], at)

    def _raise(self, change: AlarmChange) -> None:
        place = self.places[change.point]
        alarm: Row = {
            "alarm_id": change.alarm_id,
            "rule_id": change.rule_id,
            "rule_version": change.rule_version,
            "point": change.point,
            "raised_at": change.raised_at,
            "detected_at": change.detected_at,
            "cleared_at": None,
            "value": _number(change.value),
            "limit": _number(change.limit),
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
            "stored_at": self.stored_at,
            "realarm_s": None,
            "realarm_at": None,
            "realarms": 0,
            "cause_id": None,
        }
        rule = self.rule(change)
        if (realarm_s := int(rule.realarm_s)) > 0:
            alarm |= {"realarm_s": realarm_s, "realarm_at": change.detected_at + realarm_s * 1000}
        self.alarms[change.alarm_id] = alarm
        self.effects.new_alarms.append(alarm)
        self.fresh.add(change.alarm_id)
        quiet = self._quiet(alarm)
        if cause := self.explained.cause(rule.suppressed_by, rule.suppressed_at, place):
            alarm |= {"suppressed": True, "cause_id": cause}
        elif not rule.announce:
            alarm["suppressed"] = True
        elif not quiet:
            self._join(alarm, rule, place, change.detected_at)
            self.explained.heard(place, change.detected_at)
        alarm["state"] = alarm_state(alarm)
        if rule.suppressed_by or rule.folds_under:
            self.explained.dependents[alarm["alarm_id"]] = alarm
        self._begin_cause(alarm, place, change.detected_at)

    def _begin_cause(self, alarm: Row, place: Place, at: int) -> None:
        """What stands at the same place and is explained by this alarm is suppressed, or in a flood referred to it."""
        keys = self.explained.begin(alarm, place) if alarm["rule_id"] in self.explained.kinds else set()
        for other in list(self.explained.dependents.values()) if keys else ():
            if not other["active"] or other["alarm_id"] == alarm["alarm_id"]:
                continue
            rule, there = self.rule(other), self.explained.places.get(other["point"]) or self.places[other["point"]]
            if alarm["rule_id"] in rule.suppressed_by and there.key(rule.suppressed_at) in keys:
                if not other["suppressed"]:
                    self._explain(other, alarm["alarm_id"], at, suppressed=True)
            elif alarm["rule_id"] in rule.folds_under and there.key(rule.folds_at) in keys:
                self._refer(other, alarm, there, at)

    def _end_cause(self, alarm_id: str, at: int) -> None:
        """What it explained is explained by another, or people hear of it with the queue's next tick."""
        self.explained.end(alarm_id)
        for other in self.explained.dependents.values():
            if other["active"] and other["suppressed"] and other["cause_id"] == alarm_id:
                rule = self.rule(other)
                there = self.explained.places.get(other["point"]) or self.places[other["point"]]
                cause = self.explained.cause(rule.suppressed_by, rule.suppressed_at, there)
                by_hand = any(h["kind"] == "suppressed" for h in self.holds.get((other["rule_id"], other["point"]), ()))
                self._explain(other, cause, at, suppressed=cause is not None or by_hand)

    def _explain(self, alarm: Row, cause: str | None, at: int, *, suppressed: bool) -> None:
        before = alarm["state"]
        alarm |= {"suppressed": suppressed, "cause_id": cause}
        alarm["state"] = alarm_state(alarm)
        if alarm["alarm_id"] not in self.fresh:
            self.effects.marked[alarm["alarm_id"]] = alarm
        action = "suppress" if suppressed else "unsuppress"
        words = f"起因 / cause: {cause}" if cause else "起因已消除 / the cause has ended"
        self.effects.say_of_alarm(alarm["alarm_id"], at, action, (before, alarm["state"]), words)

    def _refer(self, alarm: Row, cause: Row, place: Place, at: int) -> None:
        """The cause came after its consequence: in a flood the consequence's event, if nobody has it yet, says so."""
        row = self.events.get(alarm["event_id"]) if alarm["event_id"] else None
        target = cause["event_id"]
        if row is None or target is None or row["event_id"] == target or not self.explained.floods(place, at):
            return
        if row["status"] == "new" and row["related_id"] is None:
            row["related_id"] = target
            self._log(row, at, "consequence", f"起因 / cause: {target} · {cause['rule_id']} · {cause['device_id']}")

    def _folds(self, alarm: Row, rule: RuleInfo, place: Place, at: int) -> Row | None:
        """In a flood the open event of the alarm that explains this one."""
        cause = self.explained.cause(rule.folds_under, rule.folds_at, place)
        row = self.events.get(self.explained.events.get(cause) or "") if cause else None
        if row is None or not row["is_open"] or not self.explained.floods(place, at):
            return None
        alarm["cause_id"] = cause
        self._log(row, at, "fold", f"并入起因 / folded beneath the cause: {alarm['rule_id']} · {alarm['device_id']}")
        return row

    def _quiet(self, alarm: Row) -> bool:
        """Put the holds of (rule, point) on the alarm; True when there is one in force."""
        quiet = False
        for hold in self.holds.get((alarm["rule_id"], alarm["point"]), ()):
            if hold["until"] is not None and hold["until"] <= alarm["detected_at"]:
                continue
            if hold["once"] and (alarm["rule_id"], alarm["point"]) in self.effects.unshelved:
                continue
            put_hold(alarm, hold["kind"], hold["until"])
            quiet = True
        return quiet

    def _join(self, alarm: Row, rule: RuleInfo, place: Place, at: int) -> None:
        if rule.folds_under and (cause := self._folds(alarm, rule, place, at)) is not None:
            self._grow(cause, alarm, at)
            self._reach(cause, place)
            alarm["event_id"] = cause["event_id"]
            return
        where = place.key(rule.place)
        key = group_key(rule.event, where)
        open_id = self.open_groups.get(key)
        mode = mode_of(self.modes, place._asdict(), at) if self.modes else None
        if open_id is None and mode is not None and alarm["level"] in orjson.loads(mode["settings"])["fold"]:
            incident = self.events.get(mode["incident_id"])
            open_id = mode["incident_id"] if incident is not None and incident["is_open"] else None
        near = self._told_of(rule, place, at) if open_id is None and self.reported else []
        if near:
            row = self._confirm(near[0], alarm, rule, place, at)
            for other in near[1:]:
                other["related_id"] = row["event_id"]
        elif open_id is None:
            row = self._open(alarm, rule, place, at, mode)
        else:
            row = self.events[open_id]
            self._grow(row, alarm, at)
            if row["kind"] != EMERGENCY and _RANK[alarm["level"]] < _RANK[row["level"]]:
                self._escalate(row, alarm, rule, place, at)
        self._reach(row, place)
        alarm["event_id"] = row["event_id"]

    def _reach(self, row: Row, place: Place) -> None:
        """What an alarm lies in, its event touches."""
        self.effects.reach(row, (place.area_code, place.utility), (place.district, place.township))

    def _open(self, alarm: Row, rule: RuleInfo, place: Place, at: int, mode: Row | None) -> Row:
        where = place.key(rule.place)
        row = blank_event() | {
            "event_id": event_id(rule.event, where, alarm["alarm_id"]),
            "level": alarm["level"],
            "utility": place.utility,
            "title": self.title(rule, place),
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
            "kind": rule.event,
            "category": rule.category,
            "rule_id": alarm["rule_id"],
            "place_kind": where[0],
            "place": where[1],
            "group_key": group_key(rule.event, where),
            "first_alarm_id": alarm["alarm_id"],
            "lsn": alarm["lsn"],
            "stored_at": self.stored_at,
        }
        if row["due_at"] is not None:
            row |= {"due_kind": "natural", "due_from": at}
        if mode is not None:
            row |= {"mode": EMERGENCY, "incident_id": mode["incident_id"]}
        self.effects.open(row)
        deadlines.settle(self.effects, None, row, self.policy, at)
        self.open_groups[row["group_key"]] = row["event_id"]
        self._log(row, at, "open", f"{alarm['rule_id']} · {alarm['device_id']}/{alarm['quantity']}", None)
        return row

    def _told_of(self, rule: RuleInfo, place: Place, at: int) -> list[Row]:
        """Events that people have told of here, of the same utility, a short while before; the nearest first."""
        if rule.category != "process" or place.lon is None or place.lat is None:
            return []
        within = self.policy.report.within.after(at, self.policy.working) - at
        found: list[tuple[float, str]] = []
        for one in self.reported:
            row = self.events[one]
            fits = row["is_open"] and row["place_kind"] == REPORTED and row["utility"] in {None, place.utility}
            if fits and abs(at - row["detected_at"]) <= within:
                apart = distance_m(place.lon, place.lat, row["lon"], row["lat"])
                if apart <= self.policy.report.radius_m:
                    found.append((apart, one))
        return [self.events[one] for _, one in sorted(found)]

    def _confirm(self, row: Row, alarm: Row, rule: RuleInfo, place: Place, at: int) -> Row:
        """Telemetry joins what people have told: from now on the event is of the alarm's kind and place."""
        where = place.key(rule.place)
        row |= {
            "utility": row["utility"] or place.utility,
            "asset_kind": row["asset_kind"] or place.asset_kind,
            "kind": rule.event,
            "category": rule.category,
            "rule_id": alarm["rule_id"],
            "place_kind": where[0],
            "place": where[1],
            "group_key": group_key(rule.event, where),
            "first_alarm_id": alarm["alarm_id"],
            "lsn": alarm["lsn"],
            "version": row["version"] + 1,
        }
        self.open_groups[row["group_key"]] = row["event_id"]
        note = f"遥测印证 / telemetry confirms: {alarm['rule_id']} · {alarm['device_id']}/{alarm['quantity']}"
        self._log(row, at, "confirm", note)
        self._grow(row, alarm, at)
        if _RANK[alarm["level"]] < _RANK[row["level"]]:
            self._escalate(row, alarm, rule, place, at)
        return row

    def _grow(self, row: Row, alarm: Row, at: int) -> None:
        row["alarm_count"] += 1
        row["active_count"] += 1
        row["raised_at"] = min(row["raised_at"], alarm["raised_at"])
        if row["normal_at"] is not None:
            row["normal_at"] = None
            self._log(row, at, "active-again", f"再次报警 / alarm again: {alarm['rule_id']} · {alarm['device_id']}")

    def _escalate(self, row: Row, alarm: Row, rule: RuleInfo, place: Place, at: int) -> None:
        note = f"升级 / escalated {row['level']} → {alarm['level']}: {alarm['rule_id']} · {alarm['device_id']}"
        before = dict(row)
        row["level"] = alarm["level"]
        row["title"] = self.title(rule, place)
        row["rule_id"] = alarm["rule_id"]
        row["version"] += 1
        due_at = _due_at(rule, at)
        if due_at is not None and (row["due_at"] is None or due_at < row["due_at"]):
            deadlines.set_due(row, due_at, "natural", at)
        deadlines.settle(self.effects, before, row, self.policy, at)
        running = [self._timer(row["event_id"], stage) for stage in STAGES]
        deadlines.tighten(self.effects, row, [timer for timer in running if timer], self.policy, at)
        self._log(row, at, "escalate", note)

    def _timer(self, event_id: str, stage: str) -> Row | None:
        key = event_id, stage
        return self.effects.timers[key] if key in self.effects.timers else self.timers.get(key)

    def _amend(self, alarm: Row, change: AlarmChange) -> None:
        """Another reading completed it than was said first."""
        if (alarm["detected_at"], alarm["value"]) != (change.detected_at, _number(change.value)):
            alarm.update(detected_at=change.detected_at, value=_number(change.value), detail=change.detail)
            self._changed(alarm)

    def _reopen(self, change: AlarmChange, told: tuple[str, str]) -> None:
        """Late readings show that it stands."""
        alarm = self.alarms[change.alarm_id]
        if alarm["active"]:
            return
        alarm["active"] = True
        alarm.update(cleared_at=None, clear_detected_at=None, clear_value=None, clear_lsn=None)
        alarm["state"] = alarm_state(alarm)
        self._changed(alarm)
        if change.rule_id in self.explained.kinds:
            self._begin_cause(alarm, self.places[change.point], change.detected_at)
        row = self.events.get(alarm["event_id"])
        if row is not None:
            row["active_count"] += 1
            row["normal_at"] = None
            self._log(row, change.detected_at, "active-again", f"迟到数据：{told[0]} / late readings: {told[1]}")

    def _changed(self, alarm: Row) -> None:
        if alarm["alarm_id"] not in self.fresh:
            self.effects.cleared[alarm["alarm_id"]] = alarm

    def _clear(self, change: AlarmChange) -> None:
        alarm = self.alarms[change.alarm_id]
        if not alarm["active"]:
            if change.revised and alarm["cleared_at"] != change.cleared_at:
                alarm["cleared_at"], alarm["clear_value"] = change.cleared_at, _number(change.value)
                self._changed(alarm)
            return
        before = alarm["state"]
        alarm["active"] = False
        alarm["cleared_at"] = change.cleared_at if change.cleared_at is not None else change.detected_at
        alarm["clear_detected_at"] = change.detected_at
        alarm["clear_value"] = _number(change.value)
        alarm["clear_lsn"] = change.lsn
        alarm["state"] = alarm_state(alarm)
        self._changed(alarm)
        if change.rule_id in self.explained.kinds:
            self._end_cause(alarm["alarm_id"], change.detected_at)
        if change.reason:
            told = "ended", (before, alarm["state"]), change.reason
            self.effects.say_of_alarm(alarm["alarm_id"], change.detected_at, *told)
        of = change.rule_id, change.point
        if alarm["shelved_until"] is not None and any(hold["once"] for hold in self.holds.get(of, ())):
            self.effects.unshelved.setdefault(of, change.detected_at)
        if alarm["event_id"] is None:
            return
        row = self.events[alarm["event_id"]]
        row["active_count"] -= 1
        if change.kind == "withdrawn":
            note = f"迟到数据：报警不成立 / late readings: it was none: {alarm['alarm_id']}"
            self._log(row, change.detected_at, "withdraw", note)
        if change.reason:
            self._log(row, change.detected_at, "alarm-ended", f"{change.reason}: {alarm['alarm_id']}")
        if row["active_count"] == 0:
            row["normal_at"] = change.detected_at
            self._log(row, change.detected_at, "return-to-normal", "全部报警已恢复 / all alarms have cleared")

    def _log(self, row: Row, at: int, action: str, note: str, before: str | None = "") -> None:
        self.effects.say(row, at, ENGINE, action, note, before=before)


def put_hold(alarm: Row, kind: str, until: int | None) -> None:
    """Set the bit of a hold on an alarm's row (its ``state`` is the caller's)."""
    if kind == "shelved":
        alarm["shelved_until"] = until
    elif kind == "suppressed":
        alarm["suppressed"] = True
    else:
        alarm["out_of_service"] = True


def _age(row: Row) -> tuple[int, str]:
    return row["detected_at"], row["event_id"]


def _due_at(rule: RuleInfo, at: int) -> int | None:
    return at + int(rule.respond_within_s * 1000) if rule.respond_within_s > 0 else None


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def unknown_rule(rule_id: str, version: int, level: str) -> RuleInfo:
    """What stands in for a rule that the engine no longer has: its alarms are kept, one event a device."""
    title = f"规则 {rule_id}", f"Rule {rule_id}"
    return RuleInfo(rule_id, version, *title, level, "process", rule_id, "device", "", "", "", 0.0)
