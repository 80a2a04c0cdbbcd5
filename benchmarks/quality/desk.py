"""Alarms folded into events as the queue folds them, with an operator who does the least: acknowledges and closes.

The queue's own ``fold`` decides which event an alarm joins and at which level that event stands; only the rows lie in
memory instead of a database. The operator acknowledges each alarm when it comes (so nothing stays latched that is
over), and closes an event when all its alarms have been clear for ``CLOSE_MS``. Without closing, all that ever happens
in a zone would be one event. What another alarm explains is suppressed by design and joins no event while it is, nor in
its rule's settle time after that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from lifeline.governance import aside, fold, joining
from lifeline.governance.alarm_state import alarm_state
from lifeline.governance.consequences import STILL_STANDS, Explained, Relations, told_at
from lifeline.governance.hand import Hand, Row, group_key
from lifeline.governance.places import Place, PlaceLookup
from lifeline.governance.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lifeline.core.alarm import AlarmChange
    from lifeline.core.registry import Registry
    from rules.evaluate import RuleMachine

CLOSE_MS: Final = 3_600_000


class _Places(dict[int, Place]):
    """Places by point, looked up when asked for."""

    def __init__(self, lookup: PlaceLookup) -> None:
        super().__init__()
        self._lookup = lookup

    def __missing__(self, point: int) -> Place:
        self.update(self._lookup.of([point]))
        return self[point]


@dataclass
class Desk:
    """Takes changes in order; ``alarms`` and ``events`` are the queue's rows by id."""

    machine: RuleMachine
    registry: Registry
    alarms: dict[str, Row] = field(default_factory=dict)
    events: dict[str, Row] = field(init=False)

    def __post_init__(self) -> None:
        """An empty queue."""
        lookup = PlaceLookup(lambda: self.registry)
        self._rules = self.machine.info()
        self._hand = Hand(
            rule=lambda change: self._rules[change["rule_id"] if isinstance(change, dict) else change.rule_id],
            title=lookup.title,
            places=_Places(lookup),
            alarms=self.alarms,
            found=(),
            holds={},
            timers={},
            policy=Policy(),
            modes=(),
            stored_at=0,
            explained=Explained(kinds=Relations(self._rules).kinds),
        )
        self.events = self._hand.events

    def take(self, changes: Iterable[AlarmChange]) -> None:
        """Changes of one record."""
        for change in changes:
            self.until(change.detected_at)
            if change.kind == "raised":
                self._close_old(change)
            fold.take(self._hand, change)
            if change.kind == "raised":
                over = self.machine.acknowledge(
                    change.rule_id, change.point, change.raised_at, change.detected_at, change.lsn
                )
                if over is not None:
                    fold.take(self._hand, over)
            elif change.rule_id in self._hand.explained.kinds:
                self._unexplained(change.detected_at)
        explained = self._hand.explained
        explained.new.clear()
        explained.gone.clear()

    def until(self, at: int) -> None:
        """Time goes on: what ended causes have left behind is told when its settle time is over, as a tick does it."""
        explained = self._hand.explained
        if explained.settled_at is None or at < explained.settled_at:
            return
        explained.settled_at = None
        left: list[tuple[int, str, Row]] = []
        for key, alarm in explained.dependents.items():
            cause = self.alarms.get(alarm["cause_id"] or "")
            if alarm["active"] and alarm["suppressed"] and cause is not None and not cause["active"]:
                rule = self._hand.rule(alarm)
                was_one = cause["cleared_at"] != cause["raised_at"]
                due = told_at(rule, alarm["level"], cause["clear_detected_at"], was_one=was_one)
                left.append((due, key, alarm))
        for due, _, alarm in sorted(left, key=lambda one: one[:2]):
            if due > at:
                explained.settle(due)
                continue
            alarm |= {"suppressed": False, "cause_id": None}
            alarm["state"] = alarm_state(alarm)
            explained.weigh(alarm)
            if alarm["event_id"] is not None:  # it was told before its cause came
                event = self.events[alarm["event_id"]]
                aside.tell(self._hand.effects, event, STILL_STANDS, self._hand.policy, due)
            else:
                joining.join(self._hand, alarm, self._hand.rule(alarm), self._hand.places[alarm["point"]], due)

    def held(self) -> set[str]:
        """Alarms that stand and tell nobody, because another explains them."""
        return {
            key for key, alarm in self._hand.explained.dependents.items() if alarm["active"] and alarm["suppressed"]
        }

    def _unexplained(self, at: int) -> None:
        """A cause has ended: what stands and has no event joins one; what is over can be explained no longer."""
        explained = self._hand.explained
        standing = {key: alarm for key, alarm in explained.dependents.items() if alarm["active"]}
        explained.dependents.clear()
        explained.dependents.update(standing)
        for alarm in standing.values():
            if not alarm["suppressed"] and alarm["event_id"] is None:
                joining.join(self._hand, alarm, self._hand.rule(alarm), self._hand.places[alarm["point"]], at)

    def _close_old(self, change: AlarmChange) -> None:
        """The event that this alarm would join, if it is long over."""
        rule = self._rules[change.rule_id]
        key = group_key(rule.event, self._hand.places[change.point].key(rule.place))
        row = self.events.get(self._hand.open_groups.get(key, ""))
        over = row is not None and row["active_count"] == 0 and row["normal_at"] + CLOSE_MS <= change.detected_at
        if over:
            del self._hand.open_groups[key]
