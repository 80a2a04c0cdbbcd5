"""A rule set bound to a registry: which rules look at which points.

The *band* of a point tells which rules look at it (``rules/bands.py``); what a rule keeps of its points is in
``rules/bound.py``. A registry only appends points: nothing that exists moves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rules.bands import Bands, Ranks
from rules.chosen import Arranged
from rules.laid import Laid, Set

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lifeline.core.registry import Registry
    from rules.bound import BoundRule
    from rules.census import Census
    from rules.memory import Rows, Sibling


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
