"""Alarms that another alarm explains: suppressed by design, or folded beneath it in a flood (ISA-18.2, IEC 62682).

A rule says in its file which rules' alarms explain its own, and at which place:

    suppressed_by   while one of them stands there, its alarms are stored and tell nobody; those that still stand a
                    settle time after the last one has ended join events then
    folds_under     in a flood (more than ten alarms of one utility and district within ten minutes) its alarms open no
                    event but join that of the alarm which names the cause; alarms of the minutes before the flood was
                    one, or before the cause came, are explained by it and stay in the events that they opened

An event all of whose standing alarms are explained is put aside, unless somebody has it (``aside``).

The alarm that names the cause is never suppressed by its consequences: ``rules check`` refuses a circle. All that is
needed of the database is in hand before (``look_up``); a batch in which no such rule has part asks nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, bindparam, or_, select

from lifeline.governance.alarm_state import alarm_state
from lifeline.governance.aside import tell
from lifeline.governance.asking import ask, fetch
from lifeline.governance.effects import Effects
from lifeline.governance.load import FLOOD_ALARMS, WINDOW_MS, scope
from lifeline.governance.schema import EVENTS, alarms, causes, events, holds
from lifeline.governance.states import EXPLAINED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sqlalchemy import Connection

    from lifeline.core.alarm import AlarmChange, RuleInfo
    from lifeline.governance.places import Place, PlaceLookup
    from lifeline.governance.policy import Policy

Row = dict[str, Any]
Key = tuple[str, str]
"""A place: kind and name."""

ROWS_MAX: Final = 20_000
URGENT: Final = "red"
"""What an ended cause leaves behind at this level waits for no settle time."""
STILL_STANDS: Final = "起因已消除，报警仍未恢复 / its cause has ended, it still stands"
COLUMNS: Final = (
    *("alarm_id", "rule_id", "rule_version", "level", "point", "device_id", "event_id", "active", "acked", "state"),
    *("shelved_until", "suppressed", "out_of_service", "cause_id"),
)
OF_CAUSE: Final = ("active", "rule_id", "raised_at", "cleared_at", "clear_detected_at")
_CAUSES: Final = select(causes)
_EVENT_OF: Final = select(alarms.c.alarm_id, alarms.c.event_id)
_STANDING: Final = (
    select(*(alarms.c[name] for name in COLUMNS))
    .where(alarms.c.active.is_(True))
    .order_by(alarms.c.alarm_id)
    .limit(ROWS_MAX)
)
_UNEXPLAINED: Final = _STANDING.where(alarms.c.cause_id.is_(None))
"""In a storm nearly all have folded beneath their cause."""
_BARE: Final = select(alarms.c.alarm_id, alarms.c.event_id).where(
    alarms.c.active.is_(True), alarms.c.cause_id.is_(None) | alarms.c.acked.is_(True)
)
_RECENT: Final = (
    select(alarms.c.utility, alarms.c.area_code, alarms.c.detected_at)
    .where(*scope(None, None), alarms.c.detected_at > bindparam("_after"), alarms.c.detected_at <= bindparam("_until"))
    .order_by(alarms.c.detected_at.desc())
    .limit(ROWS_MAX)
)


class Relations:
    """Which rules explain which, from a rule set."""

    def __init__(self, rules: Mapping[str, RuleInfo]) -> None:
        self.kinds: dict[str, set[str]] = {}
        """Of a rule that explains others: the kinds of place at which it is asked for."""
        self.dependents: dict[str, set[str]] = {}
        """The rules that it explains."""
        for rule in rules.values():
            for names, kind in ((rule.suppressed_by, rule.suppressed_at), (rule.folds_under, rule.folds_at)):
                for name in names:
                    self.kinds.setdefault(name, set()).add(kind)
                    self.dependents.setdefault(name, set()).add(rule.rule_id)


@dataclass(slots=True)
class Explained:
    """What is in hand for one batch; changed as its changes are taken."""

    kinds: Mapping[str, set[str]] = field(default_factory=dict)
    causes: dict[Key, dict[str, str]] = field(default_factory=dict)
    """Standing alarms that explain others, by place: rule by alarm id."""
    events: dict[str, str | None] = field(default_factory=dict)
    """The event of each."""
    dependents: dict[str, Row] = field(default_factory=dict)
    """Standing alarms that could be explained by the causes of this batch, or of a flood that it is part of."""
    places: Mapping[int, Place] = field(default_factory=dict)
    recent: dict[tuple[str | None, str | None], list[int]] = field(default_factory=dict)
    """Times of detection of alarms that people got, by utility and district."""
    new: list[Row] = field(default_factory=list)
    """Rows of ``causes`` to store."""
    gone: list[str] = field(default_factory=list)
    """Alarms that explain nothing any longer."""
    referred: set[tuple[str, Key]] = field(default_factory=set)
    """Causes in a flood and where: their earlier consequences refer to them, and none has opened an event since."""
    bare: dict[str, set[str]] = field(default_factory=dict)
    """Of events that consequences are in: alarms that stand for themselves, unexplained or acknowledged by somebody."""
    over: bool = False
    """A cause has ended, or an event that is put aside is over: it may lapse now."""
    settled_at: int | None = None
    """When the first of what causes that have ended leave behind is to be told, if it still stands."""

    def cause(self, names: Sequence[str], kind: str, place: Place) -> str | None:
        """The alarm of one of these rules that stands at the place."""
        there = self.causes.get(place.key(kind), {}) if names else {}
        return min((alarm_id for alarm_id, rule_id in there.items() if rule_id in names), default=None)

    def stands(self, alarm_id: str | None, kind: str, place: Place) -> bool:
        """Whether this alarm explains others at the place: one that has ended does so no longer."""
        return alarm_id in self.causes.get(place.key(kind), {})

    def settle(self, at: int) -> None:
        """Something that an ended cause leaves behind is to be told at this time."""
        self.settled_at = at if self.settled_at is None else min(at, self.settled_at)

    def begin(self, alarm: Row, place: Place) -> set[Key]:
        """An alarm that may explain others stands from now on; the places at which it does."""
        keys = {place.key(kind) for kind in self.kinds.get(alarm["rule_id"], ())}
        for kind, name in sorted(keys):
            self.causes.setdefault((kind, name), {})[alarm["alarm_id"]] = alarm["rule_id"]
            row = {"alarm_id": alarm["alarm_id"], "place_kind": kind, "place": name, "rule_id": alarm["rule_id"]}
            self.new.append(row)
        self.events[alarm["alarm_id"]] = alarm["event_id"]
        return keys

    def end(self, alarm_id: str) -> None:
        """It stands no longer."""
        for there in self.causes.values():
            there.pop(alarm_id, None)
        self.new = [row for row in self.new if row["alarm_id"] != alarm_id]
        self.gone.append(alarm_id)

    def weigh(self, alarm: Row) -> None:
        """Whether an alarm stands in its event for itself; asked whenever that has changed."""
        if (bare := self.bare.get(alarm["event_id"])) is not None:
            for_itself = alarm["active"] and (alarm["cause_id"] is None or alarm["acked"])
            (bare.add if for_itself else bare.discard)(alarm["alarm_id"])

    def heard(self, place: Place, at: int) -> None:
        """People got an alarm."""
        self.recent.setdefault((place.utility, place.district), []).append(at)

    def floods(self, place: Place, at: int) -> bool:
        """Whether ten alarms of the place's console came in the ten minutes up to now: one more is a flood."""
        times = self.recent.get((place.utility, place.district), ())
        return sum(at - WINDOW_MS < one <= at for one in times) >= FLOOD_ALARMS


def look_up(
    connection: Connection,
    relations: Relations,
    lookup: PlaceLookup,
    joining: Sequence[tuple[RuleInfo, int]],
    changes: Sequence[AlarmChange],
    rule: Callable[[Row], RuleInfo],
    now_ms: int,
) -> Explained:
    """Everything that the changes of a batch need; nothing is asked where no rule of it has part in this."""
    causing = [(change.rule_id, change.point) for change in changes if change.rule_id in relations.kinds]
    depending = [(one, point) for one, point in joining if one.suppressed_by or one.folds_under]
    if not causing and not depending:
        return Explained()
    places = dict(lookup.of([point for _, point in (*causing, *depending)]))
    keys = {places[point].key(kind) for name, point in causing for kind in relations.kinds[name]}
    for one, point in depending:
        keys |= {places[point].key(kind) for kind in (one.suppressed_at, one.folds_at) if kind}
    found = Explained(kinds=relations.kinds)
    for row in fetch(connection, _CAUSES, causes.c.place, {name for _, name in keys}):
        found.causes.setdefault((row["place_kind"], row["place"]), {})[row["alarm_id"]] = row["rule_id"]
    ids = [alarm_id for there in found.causes.values() for alarm_id in there]
    known = fetch(connection, _EVENT_OF, alarms.c.alarm_id, ids)
    found.events = {row["alarm_id"]: row["event_id"] for row in known}
    times = [change.detected_at for change in changes] or [now_ms]
    found.recent = _recent(connection, lookup, min(times) - WINDOW_MS, max(times))
    flooding = {
        name
        for one, point in depending
        if len(found.recent.get((places[point].utility, places[point].district), ())) + len(joining) >= FLOOD_ALARMS
        for name in one.folds_under
    }
    explained = {one for name, _ in causing for one in relations.dependents[name]}
    folding = {one for name in flooding for one in relations.dependents.get(name, ())} - explained
    standing = fetch(connection, _STANDING, alarms.c.rule_id, sorted(explained))
    standing += fetch(connection, _UNEXPLAINED, alarms.c.rule_id, sorted(folding))
    places |= lookup.of(alarm["point"] for alarm in standing)
    for alarm in standing:
        one, place = rule(alarm), places[alarm["point"]]
        if keys & {place.key(kind) for kind in (one.suppressed_at, one.folds_at) if kind}:
            found.dependents[alarm["alarm_id"]] = alarm
    found.places = places
    return found


def bare(connection: Connection, event_ids: Iterable[str]) -> dict[str, set[str]]:
    """``Explained.bare`` of stored events."""
    found: dict[str, set[str]] = {event_id: set() for event_id in event_ids}
    for row in fetch(connection, _BARE, alarms.c.event_id, found):
        found[row["event_id"]].add(row["alarm_id"])
    return found


def _recent(
    connection: Connection, lookup: PlaceLookup, after: int, until: int
) -> dict[tuple[str | None, str | None], list[int]]:
    found: dict[tuple[str | None, str | None], list[int]] = {}
    for utility, area, at in ask(connection, _RECENT, {"_after": after, "_until": until}):
        found.setdefault((utility, lookup.district(area)), []).append(at)
    return found


def told_at(rule: RuleInfo, level: str, ended_at: int, *, was_one: bool) -> int:
    """When people hear of what a cause that ended at a time of the log leaves behind.

    Of a red alarm at once, and at once where there was no cause after all (``was_one``): late readings took it back.
    """
    return ended_at + round(rule.settle_s * 1000) * (was_one and level != URGENT)


def orphans(connection: Connection, rules: Mapping[str, RuleInfo]) -> list[tuple[int, Row]]:
    """Standing alarms explained by one that stands no longer, or that their rule names no longer.

    Those that are suppressed, and those whose events are put aside; what has folded stays where it is.

    Returns each with the time (epoch ms) at which people are to hear of it, the first to come first.
    """
    cause = alarms.alias("cause")
    held = and_(*(holds.c.rule_id == alarms.c.rule_id, holds.c.point == alarms.c.point, holds.c.kind == "suppressed"))
    query = select(*(alarms.c[name] for name in COLUMNS), *(cause.c[name].label(f"of_{name}") for name in OF_CAUSE))
    query = query.join(cause, cause.c.alarm_id == alarms.c.cause_id).outerjoin(holds, held)
    query = query.outerjoin(events, events.c.event_id == alarms.c.event_id)
    aside = and_(events.c.status == EXPLAINED, events.c.event_id.is_distinct_from(cause.c.event_id))
    query = query.where(alarms.c.active.is_(True), or_(alarms.c.suppressed.is_(True), aside), holds.c.kind.is_(None))
    found: list[tuple[int, Row]] = []
    for mapping in connection.execute(query.order_by(alarms.c.alarm_id).limit(ROWS_MAX)).mappings():
        row = dict(mapping)
        rule = rules.get(row["rule_id"])
        by = {name: row.pop(f"of_{name}") for name in OF_CAUSE}
        names = () if rule is None else rule.suppressed_by if row["suppressed"] else rule.folds_under
        if rule is None or by["rule_id"] not in names:
            found.append((0, row))
        elif not by["active"]:
            was_one = by["cleared_at"] != by["raised_at"]  # a withdrawal leaves it cleared at its onset
            found.append((told_at(rule, row["level"], int(by["clear_detected_at"]), was_one=was_one), row))
    return sorted(found, key=lambda one: (one[0], one[1]["alarm_id"]))


def release(connection: Connection, rows: Sequence[tuple[int, Row]], policy: Policy, now_ms: int) -> Effects:
    """These alarms are not explained any longer: what they opened is told again, others join with the next look."""
    effects = Effects()
    effects.hold(fetch(connection, EVENTS, events.c.event_id, {row["event_id"] for _, row in rows} - {None}))
    for at, row in rows:
        before = row["state"]
        row |= {"suppressed": False, "cause_id": None}
        row["state"] = alarm_state(row)
        effects.marked[row["alarm_id"]] = row
        words = STILL_STANDS if at else "规则不再如此说 / the rules do not say so any longer"
        action = "unsuppress" if before == "suppressed" else "tell"
        effects.say_of_alarm(row["alarm_id"], at or now_ms, action, (before, row["state"]), words)
        if row["event_id"] is not None:
            tell(effects, effects.events[row["event_id"]], words, policy, now_ms)
    return effects
