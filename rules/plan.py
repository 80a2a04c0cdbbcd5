"""A rule set bound to a registry: which rules look at which points, with which parameters, and where state lies.

For each rule the points of its ``where`` get *slots* 0, 1, 2, … in point order; alarm state and overridden parameters
are arrays over slots. Going the other way, the *band* of a point tells which rules look at it (``rules/bands.py``). A
registry only appends points, so growth only appends slots: nothing that exists moves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from rules import conditions, features, instances, spec
from rules.alarms import COLUMNS, AlarmState
from rules.bands import Bands, Ranks
from rules.chosen import Arranged
from rules.coded import Coded
from rules.laid import Laid, Set
from rules.memory import Sibling, Track
from rules.overrides import Overlay

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lifeline.core.registry import Registry
    from rules.census import Census
    from rules.instances import Instance
    from rules.localtime import LocalClock
    from rules.memory import Rows
    from rules.sparse import Sparse
    from rules.spec import RuleSpec


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
    siblings: list[Sibling] = field(default_factory=list)
    evaluated: int = 0
    """Rows judged so far."""
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
        columns = dict.fromkeys((*features.COLUMNS[rule.evaluate], *made, *own), features.FLOAT)
        texts = [rule.raise_, rule.clear]
        if rule.active != spec.ALWAYS:
            texts.append(rule.active_text)
        if rule.evaluate == "group":  # its raise and clear are about frames: see ``groups``
            columns = dict.fromkeys((*features.COLUMNS["reading"], *made, *own), features.FLOAT)
            texts = [rule.hit or "false"]
        parsed = [conditions.accepted(rule.compiled(text), columns, (features.SIBLING,)) for text in texts]
        self._parsed = parsed
        self._varying = {name for override in rule.overrides for name in override.params}
        used = self._fix()
        found = instances.wanted(self.names, made)
        sources = {instance.on for instance in found}
        self.tracks = _tracks(found, used | sources)
        self.wants_local = any(track.instance.feature.local for track in self.tracks)
        self.wants_limit = any(track.instance.feature.limit for track in self.tracks)
        needed = used | sources
        needed |= {name for column in needed for name in features.NEEDS.get(column, ())}
        self.by_slot = {name: Coded() for name in sorted(self._varying | (needed & set(features.REGISTRY)))}
        beside = sorted(n for n in used | sources if features.is_sibling(n) and n not in made)
        self.siblings = [Sibling(n.removeprefix(features.SIBLING)) for n in beside]

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

    def grow(self, census: Census) -> NDArray[np.int32]:
        """Take in new points; returns those that are the rule's."""
        new = np.flatnonzero(census.mask(self.spec.where)).astype(np.int32)
        self.grow_points(census, new)
        self.state.grow(len(self.points))
        return new + np.int32(census.start)

    def grow_points(self, census: Census, new: NDArray[np.int32]) -> None:
        """Slots for the rows ``new`` of the census: parameters, numbers of the registry and memory."""
        for name in self.by_slot:
            if name in features.REGISTRY:
                values = census.floats(name)[new]
            else:
                values = np.full(len(new), self.spec.params[name])
                for override in self.spec.overrides:
                    if name in override.params:
                        values[census.mask(override.where)[new]] = override.params[name]
            self.by_slot[name].append(values)
        self.points = np.concatenate([self.points, new + np.int32(census.start)])
        for track in self.tracks:
            track.grow(len(self.points))

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
        return {f"sibling/{self.spec.id}/{s.quantity}": s.state for s in self.siblings}

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


class Plan:
    """Rules of one kind of evaluation over all points.

    Lanes are the rules in order, then the siblings of each.
    """

    def __init__(self, rules: list[BoundRule], *, selects: bool = True, placed: bool = False) -> None:
        """``selects``: whether it is ever asked which rules look at a row; ``placed``: rows in the order of reading."""
        self.rules = rules
        self._selects = selects
        self._placed = placed
        self._siblings = [(r, sibling) for r, rule in enumerate(rules) for sibling in rule.siblings]
        self._bands = Bands()
        self._layout = np.zeros(0, np.int64)
        self._ranks: dict[int, Ranks] = {}
        """By the first lane of each set."""
        self.sets: list[Set] = []
        self.sets_of: dict[int, list[int]] = {}
        """By band."""
        self._set_of: dict[int, Set] = {}
        """By lane."""
        self._beside: list[tuple[int, Sibling, Set]] = []
        """Siblings with points, by the number of their rule, and their sets."""

    def grow(self, registry: Registry, census: Census, newest: NDArray[np.int64], last: NDArray[np.float64]) -> None:
        """Take in the points of the census, which is of this registry; time and value of what was newest at others."""
        start = census.start
        for rule in self.rules:
            rule.grow(census)
        for r, sibling in self._siblings:
            known = len(sibling.points)
            sibling.grow(registry, self.rules[r].points, newest, last)
            if known != np.searchsorted(sibling.points, census.start):
                start = 0  # a device got the other half of a comparison: its points are of other bands now
        if not self._selects:
            return
        lists = [self._points(lane) for lane in range(len(self.rules) + len(self._siblings))]
        self._bands.grow([points[np.searchsorted(points, start) :] for points in lists], start, len(registry))
        self._arrange(len(registry), anew=start < census.start)

    def _points(self, lane: int) -> NDArray[np.int32]:
        """The points that a lane looks at, rising."""
        rules = len(self.rules)
        return self.rules[lane].points if lane < rules else self._siblings[lane - rules][1].points

    def _arrange(self, registry: int, *, anew: bool) -> None:
        """Sets of lanes by the bands that they have; bands of large sets shall lie together."""
        has = np.zeros((len(self._bands.lanes), len(self.rules) + len(self._siblings)), bool)
        for band, lanes in enumerate(self._bands.lanes):
            has[band, list(lanes)] = True
        sharing: dict[bytes, list[int]] = {}
        for lane in range(has.shape[1]):
            if has[:, lane].any():
                sharing.setdefault(has[:, lane].tobytes(), []).append(lane)
        together = sorted(sharing.values(), key=lambda lanes: -len(self._points(lanes[0])))
        keys = [~has[1:, lanes[0]] for lanes in reversed(together)]
        self._layout = 1 + (np.lexsort(keys) if keys else np.arange(len(has) - 1))
        kept = {} if anew else self._ranks
        self._ranks = {lanes[0]: kept.get(lanes[0], Ranks()) for lanes in together}
        for lane, ranks in self._ranks.items():
            ranks.grow(self._points(lane), registry)
        self.sets = [
            Set(lanes, [band for band in self._layout.tolist() if has[band, lanes[0]]], self._ranks[lanes[0]])
            for lanes in together
        ]
        self.sets_of = {
            band: [k for k, one in enumerate(self.sets) if band in one.bands] for band in self._layout.tolist()
        }
        self._set_of = {lane: one for one in self.sets for lane in one.lanes}
        numbered = enumerate(self._siblings, len(self.rules))
        self._beside = [(r, one, self._set_of[lane]) for lane, (r, one) in numbered if lane in self._set_of]

    def lay(self, rows: Rows) -> Laid | None:
        """Rows by band with what is asked of them, None where no rule looks at any. Moves the siblings on."""
        if not self.sets or not len(rows.point):
            return None
        arranged = Arranged(rows, self._bands, self._layout)
        laid = Laid(arranged, self.rules, self._set_of, placed=self._placed)
        for r, sibling, one in self._beside:
            laid.move(r, sibling, one)
        return laid

    def recall(self, registry: Registry, kept: set[str], newest: NDArray[np.int64], last: NDArray[np.float64]) -> None:
        """Let siblings of the rules with these ids know what was newest of every point."""
        for r, sibling in self._siblings:
            if self.rules[r].spec.id in kept:
                sibling.recall(registry, newest, last)

    def watched(self, registry: Registry) -> NDArray[np.bool_]:
        """Which points any rule looks at, or may have to as another point's sibling."""
        found = self._bands.of != 0 if len(self._bands.of) else np.zeros(len(registry), bool)
        for _, sibling in self._siblings:
            found[sibling.carriers(registry)] = True
        return found

    def units(self, registry: Registry) -> NDArray[np.int32]:
        """For each point the first of those that must be judged in one order with it: the compared ones of a device."""
        unit = np.arange(len(registry), dtype=np.int32)
        coupled = np.zeros(len(registry), bool)
        for r, sibling in self._siblings:
            coupled[sibling.carriers(registry)] = coupled[self.rules[r].points] = True
        device = registry.point_device
        first = np.full(len(registry.devices), len(registry), np.int32)
        np.minimum.at(first, device[coupled], unit[coupled])
        unit[coupled] = first[device[coupled]]
        return unit

    def states_of(
        self, points: NDArray[np.int32]
    ) -> list[tuple[BoundRule | None, dict[str, NDArray[Any]], NDArray[np.int32]]]:
        """What readings change of some points: arrays by name with the slots concerned, and the rule.

        The rule is None for what one remembers of whole devices.
        """
        bands = self._bands.of[points]
        found: dict[int, tuple[BoundRule | None, dict[str, NDArray[Any]], NDArray[np.int32]]] = {}
        for one in self.sets:
            own = points[np.isin(bands, one.bands)]
            if not len(own):
                continue
            slots = one.ranks.of(own)
            for lane in one.lanes:
                if lane < len(self.rules):
                    found[lane] = self.rules[lane], self.rules[lane].slot_arrays, slots
                else:
                    r, sibling = self._siblings[lane - len(self.rules)]
                    name = f"sibling/{self.rules[r].spec.id}/{sibling.quantity}"
                    found[lane] = None, {name: sibling.state}, sibling.devices(slots)
        return [found[lane] for lane in sorted(found)]

    @property
    def nbytes(self) -> int:
        """Memory of the plan and of what its rules keep of their points."""
        own = self._bands.nbytes + sum(ranks.nbytes for ranks in self._ranks.values())
        return own + sum(rule.nbytes for rule in self.rules)
