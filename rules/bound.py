"""One rule over its points: compiled conditions, parameters, what its features remember, and alarm state.

For each rule the points of its ``where`` get *slots* 0, 1, 2, … in point order; alarm state and overridden parameters
are arrays over slots. A registry only appends points, so growth only appends slots: nothing that exists moves.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from rules import conditions, instances, spec, vocabulary
from rules.alarms import COLUMNS, AlarmState
from rules.coded import Coded
from rules.memory import Track
from rules.overrides import Overlay
from rules.siblings import Sibling

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rules.census import Census
    from rules.instances import Instance
    from rules.localtime import LocalClock
    from rules.sparse import Sparse
    from rules.spec import RuleSpec

Numbers = Callable[[str], NDArray[np.float64]]
"""A rule's parameters and numbers of the registry at some points, by name."""
Keep = Callable[["BoundRule", NDArray[np.int32], Numbers], NDArray[np.intp]]
"""Which of a rule's points it is bound to, by place (``rules/narrowing.py``)."""
SIBLING: Final = "sibling/"
"""How the names of what rules remember of whole devices begin."""


@dataclass
class BoundRule:
    """One rule over its points: compiled conditions, parameters, feature memory and alarm state."""

    spec: RuleSpec
    order: int
    """Place of the rule in the set: decides ties between changes of one reading."""
    points: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    state: AlarmState = field(default_factory=AlarmState)
    by_slot: dict[str, Coded] = field(default_factory=dict)
    """Columns with one entry a slot: parameters that overrides change, and numbers of the registry."""
    tracks: list[Track] = field(default_factory=list)
    beside: tuple[str, ...] = field(init=False)
    """Other quantities of a point's device that it asks for."""
    siblings: list[Sibling] = field(init=False)
    """What it remembers of them, as a rule over groups."""
    evaluated: int = 0
    """Rows judged so far."""
    spared: int = 0
    """How many more points satisfy ``where``, at which it need not be judged (``rules/narrowing.py``)."""
    tests: list[conditions.Test] = field(init=False)
    """``raise``, ``clear``, and ``active`` unless that is always."""
    names: tuple[str, ...] = field(init=False)
    """Columns that the tests need."""
    wants_local: bool = field(init=False)
    """Whether a feature wants the site's wall clock; ``wants_limit`` likewise."""
    wants_limit: bool = field(init=False)
    clock: LocalClock | None = None
    """For what calendars change."""
    until: float = math.inf
    """Features learn what is normal from readings before this (epoch ms)."""

    def __post_init__(self) -> None:
        """Compile the conditions and see what they need."""
        rule = self.spec
        self._overlay = Overlay(rule, (), lambda _: np.zeros(0, bool))
        made = instances.by_column((*instances.default_instances(rule.params).values(), *rule.features))
        if rule.evaluate not in {"reading", "group"}:
            made = {}
        own = (*dict(rule.calendars), *rule.params)
        columns = dict.fromkeys((*vocabulary.COLUMNS[rule.evaluate], *made, *own), vocabulary.FLOAT)
        texts = [rule.raise_, rule.clear]
        if rule.active != spec.ALWAYS:
            texts.append(rule.active_text)
        if rule.evaluate == "group":  # its raise and clear are about frames: see ``groups``
            columns = dict.fromkeys((*vocabulary.COLUMNS["reading"], *made, *own), vocabulary.FLOAT)
            texts = [rule.hit or "false"]
        parsed = [conditions.accepted(rule.compiled(text), columns, (vocabulary.SIBLING,)) for text in texts]
        self._parsed = parsed
        self._varying = {name for override in rule.overrides for name in override.params}
        used = self._fix()
        found = instances.wanted(self.names, made)
        sources = {instance.on for instance in found}
        self.tracks = _tracks(found, used | sources)
        self.wants_local = any(track.instance.feature.local for track in self.tracks)
        self.wants_limit = any(track.instance.feature.limit for track in self.tracks)
        needed = used | sources
        needed |= {name for column in needed for name in vocabulary.NEEDS.get(column, ())}
        self.by_slot = {name: Coded() for name in sorted(self._varying | (needed & set(vocabulary.REGISTRY)))}
        asked = sorted(n for n in used | sources if vocabulary.is_sibling(n) and n not in made)
        self.beside = tuple(name.removeprefix(vocabulary.SIBLING) for name in asked)
        self.siblings = [Sibling(quantity) for quantity in self.beside] if rule.evaluate == "group" else []

    def _fix(self) -> frozenset[str]:
        """Put in the parameters that never differ; the columns that are left to find."""
        fixed = {name: value for name, value in self.spec.params.items() if name not in self._varying}
        self.tests = [conditions.Test.of(condition, fixed) for condition in self._parsed]
        used = frozenset().union(*(condition.names for condition in self._parsed)) - set(fixed)
        self.names = tuple(sorted(used))
        return used

    def overlay(self, made: Overlay) -> None:
        """Parameters that differ for a while, in place of those before."""
        self._overlay = made
        for name in sorted(made.names - self._varying):
            self._varying.add(name)
            self.by_slot[name] = Coded(np.full(len(self.points), self.spec.params[name]))
        self._fix()

    def grow(self, census: Census, keep: Keep | None = None) -> NDArray[np.int32]:
        """Take in new points; returns those that are the rule's: only those that ``keep`` keeps."""
        new = census.points(self.spec.where)
        if keep is not None:
            all_ = new
            kept = keep(self, census.points_at(all_), lambda name: self._numbers(name, census, all_))
            new = all_[kept]
            self.spared += len(all_) - len(new)
        known = len(self.points)
        self.grow_points(census, new)
        self.state.grow(len(self.points))
        return self.points[known:]

    def grow_points(self, census: Census, new: NDArray[np.int32]) -> None:
        """Slots for the rows ``new`` of the census: parameters, numbers of the registry and memory."""
        for name in self.by_slot:
            self.by_slot[name].append(self._numbers(name, census, new))
        points = census.points_at(new)
        self.points = np.concatenate([self.points, points]) if len(self.points) else points
        for track in self.tracks:
            track.grow(len(self.points))

    def _numbers(self, name: str, census: Census, new: NDArray[np.int32]) -> NDArray[np.float64]:
        """One of ``by_slot`` for rows of the census."""
        if name in vocabulary.REGISTRY:
            return census.numbers(name, new)
        values = np.full(len(new), self.spec.params[name])
        for override in self.spec.overrides:
            if name in override.params:
                values[census.at(override.where, new)] = override.params[name]
        return values

    @property
    def wheres(self) -> tuple[str, ...]:
        """All that it asks the census."""
        others = (*(override.where for override in self.spec.overrides), *(where for _, where in self.spec.terms))
        return self.spec.where, *others

    def point_of(self, slot: int) -> int:
        """The point that carries the alarm of a slot."""
        return int(self.points[slot])

    def slot_of(self, point: int, onset: int) -> int | None:  # noqa: ARG002 - a group's alarm is known by both
        """The slot whose alarm of this onset the point carries."""
        slot = int(np.searchsorted(self.points, point))
        return slot if slot < len(self.points) and self.points[slot] == point else None

    def member_of(self, slot: int) -> int:
        """The place in ``points`` whose parameters are those of an alarm's slot."""
        return slot

    @property
    def overlaid(self) -> bool:
        """Whether some parameter differs for a while."""
        return bool(self._overlay.names)

    def column(self, name: str, slots: NDArray[np.int32], at: NDArray[np.int64]) -> NDArray[np.float64]:
        """A column of ``by_slot`` for rows: what holds at these slots, for what was received at these times (ms).

        No times are needed unless the rule is ``overlaid``.
        """
        if not self.overlaid:
            return self.by_slot[name][slots]
        return self._overlay.put(name, self.by_slot[name][slots], self.points[slots], at)

    def params_of(self, slot: int, at: int) -> dict[str, float]:
        """The parameters at a slot and a time of receipt, overrides taken in."""
        slots, times = np.array([self.member_of(slot)], np.int32), np.array([at], np.int64)
        found = {
            name: float(self.column(name, slots, times)[0]) if name in self.by_slot else value
            for name, value in self.spec.params.items()
        }
        return {name: value for name, value in found.items() if not math.isnan(value)}

    def holding(self, slot: int, at: int) -> list[dict[str, Any]]:
        """What of these parameters holds for a while only, and why."""
        return self._overlay.holding(int(self.points[self.member_of(slot)]), at)

    def limit(self, slot: int, at: int, ts: int) -> float:
        """The parameter named ``limit`` at a slot, a time of receipt and an event time, NaN when the rule has none."""
        slots, times = np.array([self.member_of(slot)], np.int32), np.array([at], np.int64)
        for column, name in reversed(dict(self.spec.seasons).get("limit", ())):
            value = float(self.column(name, slots, times)[0])
            if self.clock is not None and not math.isnan(value) and self.clock.column(column, np.array([ts]))[0]:
                return value
        if "limit" not in self.by_slot:
            return self.spec.params.get("limit", float("nan"))
        return float(self.column("limit", slots, times)[0])

    def limits(self, slots: NDArray[np.int32], at: NDArray[np.int64]) -> NDArray[np.float64]:
        """The same for rows."""
        if "limit" in self.by_slot:
            return self.column("limit", slots, at)
        return np.full(len(slots), self.spec.params.get("limit", float("nan")))

    def masks(
        self, columns: Mapping[str, NDArray[np.float64]], rows: int
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which rows satisfy ``raise``, and which ``clear``. Out of its season a rule never raises, always clears."""
        return self.raises(columns, rows), self.clears(columns, rows)

    def raises(self, columns: Mapping[str, NDArray[np.float64]], rows: int) -> NDArray[np.bool_]:
        """Which rows satisfy ``raise``."""
        found = self.tests[0].satisfied(columns, rows)
        return found & self.tests[2].satisfied(columns, rows) if len(self.tests) > 2 and found.any() else found

    def clears(self, columns: Mapping[str, NDArray[np.float64]], rows: int) -> NDArray[np.bool_]:
        """Which rows satisfy ``clear``."""
        found = self.tests[1].satisfied(columns, rows)
        return found | ~self.tests[2].satisfied(columns, rows) if len(self.tests) > 2 else found

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """What readings change with each, by a stable name; alarm states are apart."""
        return self.slot_arrays | self.sibling_arrays

    @property
    def sibling_arrays(self) -> dict[str, NDArray[Any]]:
        """What it remembers of whole devices, by a stable name."""
        return {f"{SIBLING}{self.spec.id}/{s.quantity}": s.state for s in self.siblings}

    @property
    def slot_arrays(self) -> dict[str, NDArray[Any]]:
        """What readings change with each, one entry a slot; ``turns`` of the tracks tell what changes seldom."""
        return {
            f"feature/{self.spec.id}/{track.name}{part}": array
            for track in self.tracks
            for part, array in track.arrays.items()
        }

    @property
    def turning(self) -> dict[str, Track]:
        """Tracks of which a part changes seldom, by the names of their state."""
        return {f"feature/{self.spec.id}/{track.name}": track for track in self.tracks if track.seldom}

    @property
    def sharing(self) -> list[str]:
        """Names of the state of tracks that need no ``prior`` of their own."""
        return [f"feature/{self.spec.id}/{track.name}" for track in self.tracks if not track.leads]

    def fit(self, arrays: dict[str, Any]) -> None:
        """Bring what a snapshot of before holds of its features to the form in which they are held."""
        for track in self.tracks:
            for part in ("", "+prior"):
                name = f"feature/{self.spec.id}/{track.name}{part}"
                if name in arrays:
                    arrays[name] = track.fitting(name, arrays[name])

    def rewind(self, slots: NDArray[np.int32]) -> None:
        """Take what changes seldom back to the older checkpoint, at some slots."""
        for track in self.turning.values():
            track.turns.rewind(slots, track.state)

    @property
    def alarm_arrays(self) -> dict[str, Sparse]:
        """A copy of its alarm states by a stable name."""
        return {f"{self.alarms}{name}": column for name, column in self.state.columns().items()}

    @property
    def alarms(self) -> str:
        """How the names of its alarm states begin."""
        return f"alarm/{self.spec.id}/"

    def alarms_of(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        """Its alarm states among all arrays, by column."""
        return {name: arrays[f"{self.alarms}{name}"] for name in COLUMNS}

    @property
    def nbytes(self) -> int:
        """Memory of parameters and siblings; features, alarms and points are apart."""
        own: list[Any] = [*self.siblings, *self.by_slot.values()]
        return sum(one.nbytes for one in own)


def _tracks(wanted: list[Instance], asked: frozenset[str]) -> list[Track]:
    """The features of a rule that asks for these columns."""
    first = {instance.on: instance for instance in reversed(wanted)}
    steps = {instance.on for instance in wanted if instance.feature.steps}
    return [
        Track(one, asked.intersection(one.outputs), leads=first[one.on] is one, steps=one.on in steps) for one in wanted
    ]
