"""A rule set bound to a registry: which rules look at which points.

The *band* of a point tells which rules look at it (``rules/bands.py``); what a rule keeps of its points is in
``rules/bound.py``. A registry only appends points: nothing that exists moves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rules.bands import Bands, Ranks
from rules.beside import Beside
from rules.chosen import Arranged
from rules.laid import Laid, Set
from rules.siblings import carriers_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lifeline.core.registry import Registry
    from rules.beside import Pairs
    from rules.bound import BoundRule, Keep
    from rules.census import Census
    from rules.memory import Rows
    from rules.siblings import Sibling


class Plan:
    """Rules of one kind of evaluation over all points.

    Lanes are the rules in order, then the siblings of each, then what is told beside points.
    """

    def __init__(self, rules: list[BoundRule], *, selects: bool = True, placed: bool = False) -> None:
        """``selects``: whether it is ever asked which rules look at a row; ``placed``: rows in the order of reading."""
        self.rules = rules
        self._lanes: list[NDArray[np.int32]] = []
        """The points that each looks at, rising."""
        self._selects = selects
        self._placed = placed
        self._siblings = [(r, sibling) for r, rule in enumerate(rules) for sibling in rule.siblings]
        quantities = sorted({q for rule in rules if not rule.siblings for q in rule.beside})
        self.beside = [Beside(quantity, rules) for quantity in quantities]
        self.told: dict[int, list[int]] = {}
        """Of each band, where in ``Rows.beside`` each of these is told of its points, -1 for nowhere."""
        self.bands = Bands()
        self._layout = np.zeros(0, np.int64)
        self._ranks: dict[int, Ranks] = {}
        """By the first lane of each set."""
        self.sets: list[Set] = []
        self.sets_of: dict[int, list[int]] = {}
        """By band."""
        self._set_of: dict[int, Set] = {}
        """By lane."""
        self._moved: list[tuple[int, Sibling, Set]] = []
        """Siblings with points, by the number of their rule, and their sets."""

    def grow(
        self,
        registry: Registry,
        census: Census,
        newest: NDArray[np.int64],
        last: NDArray[np.float64],
        keep: Keep | None = None,
    ) -> None:
        """Take in the points of the census, which is of this registry; time and value of what was newest at others."""
        start = census.start
        census.ask(where for rule in self.rules for where in rule.wheres)
        for rule in self.rules:
            rule.grow(census, keep)
        for r, sibling in self._siblings:
            known = sibling.points
            sibling.grow(registry, self.rules[r].points, newest, last)
            start = start if _only_longer(known, sibling.points, census.start) else 0
        for one in self.beside:
            known = one.points
            one.grow(registry)
            start = start if _only_longer(known, one.points, census.start) else 0
        if not self._selects:
            return
        lanes: list[BoundRule | Sibling | Beside] = [*self.rules, *(s for _, s in self._siblings), *self.beside]
        self._lanes = [one.points for one in lanes]
        lists = [points[np.searchsorted(points, start) :] for points in self._lanes]
        self.bands.grow(lists, start, len(registry))
        self._arrange(len(registry), anew=start < census.start)

    def _arrange(self, registry: int, *, anew: bool) -> None:
        """Sets of lanes by the bands that they have; bands of large sets shall lie together."""
        has = np.zeros((len(self.bands.lanes), len(self._lanes)), bool)
        for band, lanes in enumerate(self.bands.lanes):
            has[band, list(lanes)] = True
        sharing: dict[bytes, list[int]] = {}
        for lane in range(has.shape[1]):
            if has[:, lane].any():
                sharing.setdefault(has[:, lane].tobytes(), []).append(lane)
        together = sorted(sharing.values(), key=lambda lanes: -len(self._lanes[lanes[0]]))
        keys = [~has[1:, lanes[0]] for lanes in reversed(together)]
        self._layout = 1 + (np.lexsort(keys) if keys else np.arange(len(has) - 1))
        kept = {} if anew else self._ranks
        self._ranks = {lanes[0]: kept.get(lanes[0], Ranks()) for lanes in together}
        for lane, ranks in self._ranks.items():
            ranks.grow(self._lanes[lane], registry)
        self.sets = [
            Set(lanes, [band for band in self._layout.tolist() if has[band, lanes[0]]], self._ranks[lanes[0]])
            for lanes in together
        ]
        self.sets_of = {
            band: [k for k, one in enumerate(self.sets) if band in one.bands] for band in self._layout.tolist()
        }
        self._set_of = {lane: one for one in self.sets for lane in one.lanes}
        numbered = enumerate(self._siblings, len(self.rules))
        self._moved = [(r, one, self._set_of[lane]) for lane, (r, one) in numbered if lane in self._set_of]
        told = has[:, has.shape[1] - len(self.beside) :]
        place = np.where(told, np.cumsum(told, axis=1) - 1, -1)
        self.told = {band: place[band].tolist() for band in self._layout.tolist()}

    def looks_at(self, rows: Rows) -> bool:
        """Whether there are rows, and points that rules look at."""
        return bool(self.sets and len(rows.point))

    def lay(self, rows: Rows) -> Laid | None:
        """Rows by band with what is asked of them, None where no rule looks at any. Moves the siblings on."""
        if not self.looks_at(rows):
            return None
        arranged = Arranged(rows, self.bands, self._layout)
        beside = {one.quantity: k for k, one in enumerate(self.beside)}
        laid = Laid(arranged, self.rules, self._set_of, beside, self.told, placed=self._placed)
        for r, sibling, one in self._moved:
            laid.move(r, sibling, one)
        return laid

    def recall(self, registry: Registry, kept: set[str], newest: NDArray[np.int64], last: NDArray[np.float64]) -> None:
        """Let siblings of the rules with these ids know what was newest of every point."""
        for r, sibling in self._siblings:
            if self.rules[r].spec.id in kept:
                sibling.recall(registry, newest, last)

    def watched(self, registry: Registry) -> NDArray[np.bool_]:
        """Which points any rule looks at, or may have to as another point's sibling."""
        found = self.bands.of != 0 if len(self.bands.of) else np.zeros(len(registry), bool)
        for quantity in {q for rule in self.rules for q in rule.beside}:
            found[carriers_of(registry, quantity)] = True
        return found

    def units(self, registry: Registry) -> NDArray[np.int32]:
        """For each point the first of those that must be judged in one order with it: the compared ones of a device."""
        unit = np.arange(len(registry), dtype=np.int32)
        coupled = np.zeros(len(registry), bool)
        for one in self.beside:
            coupled[carriers_of(registry, one.quantity)] = coupled[one.wanting(len(registry))] = True
        points = np.flatnonzero(coupled).astype(np.int32)
        device, first = registry.point_device[points], np.zeros(registry.device_count, np.int32)
        first[device[::-1]] = points[::-1]  # the last to be written stays: the first point
        unit[points] = first[device]
        return unit

    def pairs(self, registry: Registry) -> list[Pairs]:
        """Who wants what of whom, in the order of ``beside``."""
        return [one.pairs(registry) for one in self.beside]

    def states_of(
        self, points: NDArray[np.int32]
    ) -> list[tuple[BoundRule, dict[str, NDArray[Any]], NDArray[np.int32]]]:
        """What readings change of some points: each rule, its arrays by name, and the slots concerned."""
        bands = self.bands.of[points]
        found: dict[int, tuple[BoundRule, dict[str, NDArray[Any]], NDArray[np.int32]]] = {}
        for one in self.sets:
            own = points[np.isin(bands, one.bands)]
            if not len(own):
                continue
            slots = one.ranks.of(own)
            for lane in one.lanes:
                if lane < len(self.rules):
                    found[lane] = self.rules[lane], self.rules[lane].slot_arrays, slots
        return [found[lane] for lane in sorted(found)]

    @property
    def nbytes(self) -> int:
        """Memory of the plan and of what its rules keep of their points."""
        own = self.bands.nbytes + sum(ranks.nbytes for ranks in self._ranks.values())
        return own + sum(rule.nbytes for rule in self.rules) + sum(one.nbytes for one in self.beside)


def _only_longer(before: NDArray[np.int32], after: NDArray[np.int32], start: int) -> bool:
    """Whether rising points are as they were, and all that came are from ``start`` on.

    Else a device got the other half of a comparison, and its points are of other bands now.
    """
    return len(before) == int(np.searchsorted(after, start))
