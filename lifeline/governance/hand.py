"""The rows in hand while a batch of changes is taken: fetched before (``gathering``), written after (``store``)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from lifeline.core.alarm import RuleInfo
from lifeline.governance.actor import ENGINE
from lifeline.governance.consequences import Explained
from lifeline.governance.effects import Effects

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lifeline.core.alarm import AlarmChange
    from lifeline.governance.places import Place
    from lifeline.governance.policy import Policy

Row = dict[str, Any]

REPORTED: Final = "report"
"""``place_kind`` of an event that people have told of, until telemetry confirms it."""


def event_id(kind: str, place: tuple[str, str], first_alarm_id: str) -> str:
    """Identity of an event: 20 hex digits of (kind, place, first alarm). The same in any run over the same log."""
    text = "\x1f".join((kind, *place, first_alarm_id))
    return blake2b(text.encode(), digest_size=10).hexdigest()


def group_key(kind: str, place: tuple[str, str]) -> str:
    """What alarms must share to share an event."""
    return "\x1f".join((kind, *place))


@dataclass(slots=True)
class Hand:
    """Changed in place by ``fold``, ``joining`` and ``reasons``; what comes of it is in ``effects``."""

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
    ended: Mapping[str, int] = field(default_factory=dict)
    """When alarms among the changes, raised again, were ended by their rule's going (the last time, by alarm)."""
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

    def log(self, row: Row, at: int, action: str, note: str, before: str | None = "") -> None:
        """A line of an event's log, by the engine."""
        self.effects.say(row, at, ENGINE, action, note, before=before)

    def changed(self, alarm: Row) -> None:
        """A stored alarm is otherwise as it was not said to be."""
        if alarm["alarm_id"] not in self.fresh:
            self.effects.cleared[alarm["alarm_id"]] = alarm


def _age(row: Row) -> tuple[int, str]:
    return row["detected_at"], row["event_id"]


def number(value: float) -> float | None:
    """A number for a column: NaN is none."""
    return None if math.isnan(value) else float(value)


def unknown_rule(rule_id: str, version: int, level: str) -> RuleInfo:
    """What stands in for a rule that the engine no longer has: its alarms are kept, one event a device."""
    title = f"规则 {rule_id}", f"Rule {rule_id}"
    return RuleInfo(rule_id, version, *title, level, "process", rule_id, "device", "", "", "", 0.0)
