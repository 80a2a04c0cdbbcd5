"""What the rule machine holds: rules bound to points, plans, journal, silence, and all state by a stable name."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lifeline.core.registry import Registry, RegistrySource
from rules import vocabulary
from rules.bound import BoundRule
from rules.census import Census
from rules.columns import Columns
from rules.groups import BoundGroups
from rules.instants import Instants
from rules.journal import COUNTERS, Journal
from rules.kernels.journal import JOURNALLED, ORDERED, UNWATCHED
from rules.localtime import LocalClock
from rules.overrides import Insides, Overlay
from rules.plan import Plan
from rules.revision import POINTS, Checkpoint, Past
from rules.rule_set import digest
from rules.silence import Silence
from rules.stirring import Stirring
from rules.sweep import Sweep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lifeline.core.alarm import RuleInfo
    from lifeline.core.batch import Readings
    from lifeline.core.override import ParameterSpan
    from rules.memory import Track
    from rules.narrowing import Narrowing
    from rules.rule_set import RuleSet
    from rules.sparse import Sparse
    from rules.spec import RuleSpec
    from rules.thinned import Thinning


class Held:
    """Rules over the points of a registry, with what they remember. Judging is ``rules/evaluate.py``."""

    def __init__(
        self,
        rules: RuleSet,
        registry: Registry | RegistrySource,
        timezone: str,
        *,
        train_to: int | None = None,
        within: int | None = None,
        history: bool = False,
        narrowing: Narrowing | None = None,
    ) -> None:
        """``within``: how many readings late a reading may be (``rules.journal``); default: two of every point.

        ``history``: nobody goes on from this machine's checkpoints, so that fewer are kept. It says the same.
        ``narrowing``: of a history that was looked at; what it says of that history is the same, and of no other.
        """
        self.rules = rules
        self._digests = {rule.id: digest(rule.meaning) for rule in rules.rules}
        self._within, self._history, self._narrowing = within, history, narrowing
        self.thinning: Thinning | None = None
        """What of the history must be told; None for all of it."""
        self._until = math.inf if train_to is None else float(train_to)
        self.timezone = timezone
        self._train_to = train_to
        self._source = registry
        self._clock = LocalClock(timezone, {name: one for rule in rules.rules for name, one in rule.calendars})
        self._columns = Columns(self._clock)
        self._spans: tuple[ParameterSpan, ...] = ()
        self._inside = Insides(self._current)
        self._reset()

    def _reset(self) -> None:
        """As if nothing was ever seen."""
        bound = [self._bind(spec, k) for k, spec in enumerate(self.rules.rules)]
        for rule in bound:
            rule.clock = self._clock
            rule.until = self._until if rule.spec.learn == "training" else math.inf
        self._bound = bound
        self._reading = Plan([r for r in bound if r.spec.evaluate == "reading"])
        self._every = Plan([r for r in bound if r.spec.evaluate == "every"])
        self._stirring = Stirring(self._every.rules, self._columns)
        self._sweeps = {plan: Sweep(plan, self._clock) for plan in (self._reading, self._every)}
        self._timed = Plan([r for r in bound if r.spec.evaluate == "clock"], selects=False)
        self._grouped = Plan([r for r in bound if r.spec.evaluate == "group"], placed=True)
        self._silence = Silence(self._timed.rules, self._clock)
        self._journal = Journal(self._within, seldom=self._history)
        self._instants = Instants()
        self._acked: dict[tuple[int, int], int] = {}
        self._lsn, self._at = 0, 0
        self._touched = False
        self._past = Past(Checkpoint(0, {}, self._header()), Checkpoint(0, {}, self._header()))
        self._grow(self._current())
        self.override(self._spans)
        for sweep in self._sweeps.values():
            sweep.prepare()

    def _bind(self, rule: RuleSpec, order: int) -> BoundRule:
        if rule.evaluate == "group":
            return BoundGroups(rule, order, self._clock, self._train_to)
        return BoundRule(rule, order)

    def info(self) -> dict[str, RuleInfo]:
        """What the queue and the screens must know, by rule id."""
        return self.rules.info()

    def override(self, spans: Sequence[ParameterSpan]) -> None:
        """All parameters that hold for a while, in place of those given before; a later one wins over an earlier.

        For replay and backtest to agree, nothing may change about what was received up to ``log_time``.
        """
        self._spans = tuple(spans)
        for rule in self._bound:
            rule.overlay(Overlay(rule.spec, self._spans, self._inside))

    @property
    def log_time(self) -> int:
        """Everything that was received up to here (epoch ms) has been judged."""
        return self._at

    @property
    def latching(self) -> tuple[str, ...]:
        """Ids of rules whose alarms stand until they are acknowledged."""
        return tuple(rule.id for rule in self.rules.rules if rule.latch)

    def latched(self) -> list[tuple[str, int, int]]:
        """Alarms whose condition is over and that only wait to be acknowledged: (rule id, point, onset)."""
        latching = [rule for rule in self._bound if rule.spec.latch]
        return [
            (rule.spec.id, rule.point_of(slot), rule.state.onset_of(slot))
            for rule in latching
            for slot in rule.state.latched.tolist()
        ]

    @property
    def counters(self) -> dict[str, int]:
        """Rows that were not evaluated as they came.

        ``repeats``, ``bad`` quality, ``null``, ``stale`` (same time as one before), ``placed`` (late, and judged in
        their place) and ``too_late`` (beyond the bound: judged by rules over every row only; where it is the newest of
        its own point and late only beside others of its device, as it comes).
        """
        return {name: int(n) for name, n in zip(COUNTERS, self._journal.counts, strict=True)}

    @property
    def active(self) -> dict[str, int]:
        """How many alarms are up, by rule."""
        return {rule.spec.id: len(rule.state.up) for rule in self._bound}

    @property
    def points(self) -> dict[str, int]:
        """How many points each rule looks at; 0 is worth a warning."""
        return {rule.spec.id: len(rule.points) + rule.spared for rule in self._bound}

    def learning(self) -> dict[str, dict[str, int]]:
        """Groups that are not judged yet, by rule, with the frames seen: their normal period is not over."""
        groups = {rule.spec.id: rule.learning() for rule in self._bound if isinstance(rule, BoundGroups)}
        return {rule: found for rule, found in groups.items() if found}

    @property
    def evaluated(self) -> dict[str, int]:
        """How many rows each rule has judged since it was made or restored."""
        return {rule.spec.id: rule.evaluated for rule in self._bound}

    def unknown_quantities(self) -> dict[str, list[str]]:
        """Rules that name ``device_<quantity>`` for a quantity that no device has, and those quantities."""
        known = set(self._current().quantities)
        wanted = {
            r.spec.id: [n.removeprefix(vocabulary.SIBLING) for n in r.names if vocabulary.is_sibling(n)]
            for r in self._bound
        }
        return {rule: missing for rule, names in wanted.items() if (missing := [n for n in names if n not in known])}

    @property
    def state_bytes(self) -> int:
        """Memory of all state and plans."""
        return sum(self.memory.values())

    @property
    def memory(self) -> dict[str, int]:
        """The same by what holds it."""
        points = {id(rule.points): rule.points.nbytes for rule in self._bound}
        marks = sum(sweep.nbytes for sweep in self._sweeps.values())
        return {
            "checkpoints": self._past.nbytes,
            "journal": self._journal.nbytes + self._instants.nbytes,
            "features": sum(track.nbytes for rule in self._bound for track in rule.tracks),
            "alarms": sum(rule.state.nbytes for rule in self._bound),
            "plans": sum(plan.nbytes for plan in self._plans) + marks + sum(points.values()) + self._stirring.nbytes,
            "silence": self._silence.nbytes,
        }

    def _current(self) -> Registry:
        return self._source if isinstance(self._source, Registry) else self._source.current()

    def _follow_registry(self, rows: Readings) -> None:
        registry = self._current()
        known = len(self._journal.newest)
        if len(registry) > known:
            self._grow(registry)
        if len(rows) and int(rows.point.max()) >= len(registry):
            raise AssertionError(f"point {int(rows.point.max())} is not in the registry of {len(registry)} points")

    def _grow(self, registry: Registry) -> None:
        start, more = len(self._journal.newest), len(registry) - len(self._journal.newest)
        if more or not start:
            census = Census(registry, start)
            for plan in self._plans:
                keep = self._narrowing.kept if self._narrowing is not None and plan is not self._grouped else None
                plan.grow(registry, census, self._journal.newest, self._journal.last, keep)
        lists = {id(rule.points): rule.points for rule in self._bound}  # many rules look at the same points
        same: dict[bytes, NDArray[np.int32]] = {}
        one_of = {number: same.setdefault(points.tobytes(), points) for number, points in lists.items()}
        for rule in self._bound:
            rule.points = one_of[id(rule.points)]
        self._stirring.grow(len(registry))
        compared = self._grouped.watched(registry)
        self._instants.grow(compared)
        judged, counted = self._reading.watched(registry), None
        if self._narrowing is not None:
            judged, left = self._narrowing.parted(judged)
            counted = left & ~compared
            self.thinning = self._narrowing.thinning(judged | compared, counted)
        wanted = np.where(compared, ORDERED, UNWATCHED)
        wanted = np.where(judged, JOURNALLED, wanted).astype(np.uint8)
        self._journal.grow(wanted, self._reading.units(registry), self._reading.pairs(registry), counted)
        self._silence.grow(registry, self._narrowing.steady() if self._narrowing is not None else None)
        state = self._state() | self._alarms()
        for one in (self._past.older, self._past.newer):
            one.grow(state)
        self._look_back_to(self._past.older)

    def _look_back_to(self, older: Checkpoint) -> None:
        self._journal.look_back_to(older.at, older.arrays["newest"])

    @property
    def _plans(self) -> tuple[Plan, ...]:
        return self._reading, self._every, self._timed, self._grouped

    def _model_state(self) -> dict[str, NDArray[Any]]:
        """State of the judges of groups, by names that tell the rule, group, judge and members."""
        state: dict[str, NDArray[Any]] = {}
        for rule in self._bound:
            if isinstance(rule, BoundGroups):
                state |= rule.model_arrays
        return state

    def _load_models(self, arrays: dict[str, NDArray[Any]]) -> None:
        rules = {rule.spec.id: rule for rule in self._bound if isinstance(rule, BoundGroups)}
        found: dict[tuple[str, int, int, int], dict[str, NDArray[Any]]] = {}
        for path, array in arrays.items():
            _, rule, *numbers, name = path.split("/")
            group, judge, members = (int(number) for number in numbers)
            found.setdefault((rule, group, judge, members), {})[name] = array
        for (rule, group, judge, members), own in found.items():
            rules[rule].load_model(group, judge, members, own)

    def _state(self) -> dict[str, NDArray[Any]]:
        """What readings change with each, by a stable name: alarms and what changes seldom (``turns``) are apart."""
        journal = self._journal
        state: dict[str, NDArray[Any]] = {"newest": journal.newest, "last": journal.last, "counts": journal.counts}
        state |= {"silence/point": self._silence.last_point, "silence/device": self._silence.last_device}
        state["silence/gateway"], state["silence/deaf"] = self._silence.last_gateway, self._silence.deafness.state
        for rule in self._bound:
            state |= rule.arrays
        return state

    def _alarms(self) -> dict[str, Sparse]:
        """A copy of every alarm state by a stable name."""
        return {name: column for rule in self._bound for name, column in rule.alarm_arrays.items()}

    def _derived(self) -> frozenset[str]:
        """State that other state tells, so that no snapshot holds it (older ones do)."""
        shared = {f"{name}+prior" for rule in self._bound for name in rule.sharing}
        return frozenset(shared.union({"newest_unit"}, *(rule.sibling_arrays for rule in self._bound)))

    def _points(self) -> dict[str, NDArray[np.int32]]:
        """Which points each rule looks at: it never changes but by growing."""
        return {f"{POINTS}{rule.spec.id}": rule.points for rule in self._bound}

    def _turning(self) -> list[tuple[str, Track]]:
        """Features of which a part changes seldom, by the names of their state."""
        return [(name, track) for rule in self._bound for name, track in rule.turning.items()]

    def _header(self) -> dict[str, Any]:
        silence = self._silence
        return {
            "rules": dict(self._digests),
            "timezone": self.timezone,
            "lsn": self._lsn,
            "at": self._at,
            "instant": silence.instant,
            "now": silence.now,
        }
