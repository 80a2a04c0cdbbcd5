"""Why an alarm was raised, in the words of the rule that raised it: what the alarm carries with it for good.

A rule file changes and readings grow old; the alarm keeps the condition, the parameters of its point, the window that
satisfied it, and the readings of that window with their positions in the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from lifeline.core.alarm import AlarmChange, alarm_id
from rules import vocabulary
from rules.groups import BoundGroups, GroupChange
from rules.journal import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lifeline.core.alarm import ChangeKind
    from lifeline.core.registry import Registry
    from rules.bound import BoundRule
    from rules.journal import Journal

READINGS_MAX: Final = 16
"""Newest readings of the window that an alarm carries."""
OTHERS_MAX: Final = 8
"""Other members of its group whose readings the alarm of a group carries."""
LOOKED_AT_MAX: Final = 64
"""Members that are looked at for that, the first of the group: each costs a walk through what is remembered of it."""
OTHERS_READINGS: Final = 4
"""Of each of them the newest of the window."""

Other = tuple[str, str, "list[Evidence]"]
"""Device, quantity and readings of another member."""


def tell(
    rule: BoundRule,
    slot: int,
    span: tuple[int, int],
    at: int,
    readings: Iterable[Evidence],
    others: Iterable[Other] = (),
) -> str:
    """The alarm's ``detail``, as JSON.

    ``raise clear active`` (text), ``params`` (of this point), ``raise_after`` ([samples, seconds]), ``from to`` (the
    window, epoch ms of event time; of log time for rules over silence), ``readings`` ([log position, epoch ms, value],
    oldest first, the newest 16; of a group's alarm those of the member that carries it, a frame or ``window_s`` back;
    of rules over every row the one that completed it; none for rules over silence). ``others``, of a group's alarm:
    members beside it that told something in the window (``device_id quantity readings``), at most 8 of the first 64
    with their newest 4 readings; those whose value alone is a hit come first, then those that spoke last. ``at``: when
    what completed it was received; parameters that were in force only for a while then (an emergency's) are in
    ``params`` and, with whose they are, in ``overrides``.
    """
    spec = rule.spec
    told: dict[str, Any] = {
        "raise": spec.raise_,
        "clear": spec.clear,
        "active": spec.active,
        "params": rule.params_of(slot, at),
        "raise_after": [spec.raise_after.samples, spec.raise_after.seconds],
        "from": span[0],
        "to": span[1],
        "readings": [[one.lsn, one.ts, one.value] for one in readings],
    }
    if found := [
        {"device_id": device, "quantity": quantity, "readings": [[one.lsn, one.ts, one.value] for one in theirs]}
        for device, quantity, theirs in others
    ]:
        told["others"] = found
    if overrides := rule.holding(slot, at):
        told["overrides"] = overrides
    return orjson.dumps(told).decode()


def change_of(
    registry: Registry,
    journal: Journal,
    rule: BoundRule,
    change: Any,
    lsn: int,
    ts: int,
    detected_at: int,
    value: float,
    kind: ChangeKind | None = None,
) -> AlarmChange:
    """What the queue is told of a change (``slot raised onset``) that log record ``lsn`` completed.

    ``ts`` (event time) and ``detected_at`` (log time) are those of the reading; ``kind`` when late readings made it.
    """
    point = change.point if isinstance(change, GroupChange) else rule.point_of(change.slot)
    device = registry.device_of(point)
    quantity = registry.quantities[registry.point_quantity[point]]
    raised = change.raised if kind is None else kind == "raised"
    detail = ""
    if raised:
        span, last = (change.onset, ts), Evidence(lsn, ts, value)
        own = _readings(journal, rule, point, span, detected_at, last)
        others = _others(registry, journal, rule, change.slot, point, span, detected_at)
        detail = tell(rule, change.slot, span, detected_at, own, others)
    ended = {"withdrawn": change.onset, "reopened": None}.get(kind or "", None if raised else ts)
    return AlarmChange(
        kind=kind or ("raised" if raised else "cleared"),
        alarm_id=alarm_id(rule.spec.id, rule.spec.version, device, quantity, change.onset),
        rule_id=rule.spec.id,
        rule_version=rule.spec.version,
        point=point,
        raised_at=change.onset,
        detected_at=detected_at,
        value=value,
        limit=rule.limit(change.slot, detected_at, ts),
        level=rule.spec.level,
        lsn=lsn,
        revised=kind is not None,
        detail=detail,
        cleared_at=ended,  # what was withdrawn never was: it ends as it began
    )


def _readings(
    journal: Journal, rule: BoundRule, point: int, span: tuple[int, int], at: int, last: Evidence
) -> list[Evidence]:
    """What an alarm of this window tells; ``last`` completed it."""
    if rule.spec.evaluate == "every":  # the journal holds no bad ones
        return [last]
    if rule.spec.evaluate == "clock":
        return []
    return journal.evidence(point, span[0] - _back_ms(rule), span[1], at, READINGS_MAX)


def _others(
    registry: Registry, journal: Journal, rule: BoundRule, slot: int, carrier: int, span: tuple[int, int], at: int
) -> list[Other]:
    """What other members of an alarm's group told in its window. It depends on the log alone, not on how it was cut."""
    if not isinstance(rule, BoundGroups):
        return []
    found = []
    for place in rule.places_of(slot)[:LOOKED_AT_MAX]:
        point = int(rule.points[place])
        if point == carrier:
            continue
        theirs = journal.evidence(point, span[0] - _back_ms(rule), span[1], at, OTHERS_READINGS)
        if theirs:
            hit = rule.hit_by_value(place, [one.value for one in theirs], at)
            found.append((not hit, -theirs[-1].ts, point, theirs))
    return [
        (registry.device_of(point), registry.quantities[registry.point_quantity[point]], theirs)
        for _, _, point, theirs in sorted(found, key=lambda one: one[:3])[:OTHERS_MAX]
    ]


def _back_ms(rule: BoundRule) -> int:
    """How far before the onset the readings behind an alarm begin: a frame, or the time for which a hit counts."""
    if rule.spec.evaluate != "group":
        return 0
    frame_s, window_s = (vocabulary.GROUP_OPTIONS[name].default for name in ("frame_s", "window_s"))
    params = rule.spec.params
    return round(1000 * max(params.get("frame_s", frame_s), params.get("window_s", window_s)))
