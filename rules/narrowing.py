"""Where a history can make a rule raise: what comes before judging it, so that the rest need not be judged.

By far the most points of a city have nothing to tell for months: no reading of theirs comes near a limit. All readings
are *looked at* once (``kernels/reach.py``): least and largest value and step, how long it stood still, how many there
were. From these ranges follow those of the columns of a rule (``rules/bounds.py``), and from them whether its ``raise``
can be true at a point at all (``rules/possible.py``). Where it cannot, the rule is not bound to the point: it would
have said nothing there. Everything else is judged as ever, by the same machine.

What late readings do is not foreseen: a device with a row out of order keeps all of its rules. Clock rules are bound
by what is known of silences (``rules/hearing.py``). Rows of which nothing is asked then need not be told at all
(``rules/thinned.py``), but for their number: what is counted in readings of all points is counted as ever
(``Journal.grow``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rules.kernels import order
from rules.machine_code import parts_of
from rules.possible import possible
from rules.ranges import Ranges
from rules.thinned import Thinning

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from rules.bound import BoundRule, Numbers
    from rules.reach import Reach


class Narrowing:
    """Binds the rules of one machine to the points at which they must be judged."""

    def __init__(self, reach: Reach, whole: Collection[str] = (), end: int | None = None) -> None:
        """``whole``: ids of rules that keep all of their points. ``end``: log time up to which silence is judged."""
        self._reach, self._whole = reach, frozenset(whole)
        self._hearing = reach.hearing(end)
        self._asked = np.zeros(len(reach.registry), np.bool_)
        """Points that some rule looks at, where it must or not."""
        self._wanted = np.zeros(len(reach.registry), np.bool_) if reach.odd is None else reach.odd.copy()
        """Points at which some rule must be judged, or that such a rule is told of."""
        self._raw = np.zeros(len(reach.registry), np.bool_)
        """Points at which some rule must be judged that sees every row as it came."""
        self._counts: dict[tuple[int, bool], tuple[NDArray[np.int32], int]] = {}
        """By the array of a rule's points, which is held so that no other takes its place, and by ``every``."""

    def kept(self, rule: BoundRule, points: NDArray[np.int32], numbers: Numbers) -> NDArray[np.intp]:
        """At which of a rule's points it must be judged, by place.

        Readings of the others count as judged. ``numbers``: the rule's parameters and numbers of the registry, by name.
        """
        if rule.spec.evaluate == "clock":
            return self._silent(rule, points, numbers)
        reach, kept = self._reach, self._left(rule, points, numbers)
        every = rule.spec.evaluate == "every"
        rule.evaluated += self._of_all(points, every=every) - self._count(points[kept], every=every)
        if every:  # what it sees is as it came: no past of it is asked for
            self._raw[points[kept]] = True
            return kept
        self._wanted[points[kept]] = True
        device = reach.registry.point_device[points[kept]]
        for quantity in rule.beside:
            carriers = reach.carriers(quantity)[device]
            self._wanted[carriers[carriers >= 0]] = True
        return kept

    def _of_all(self, points: NDArray[np.int32], *, every: bool) -> int:
        """``_count`` of a rule's points: many rules have the same ones, as the same array."""
        known = self._counts.get((id(points), every))
        if known is None:
            known = self._counts[id(points), every] = points, self._count(points, every=every)
            if not every:
                self._asked[points] = True
        return known[1]

    def _count(self, points: NDArray[np.int32], *, every: bool) -> int:
        """Readings that rules look at; of those over every row all that are no repeats."""
        count = int(order.taken(self._reach.count, points).sum())
        return count + int(self._reach.others[points].sum()) if every else count

    def parted(self, watched: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Of points that rules watch those whose readings are wanted, and those that are only counted."""
        all_ = watched | self._asked
        return all_ & self._wanted, all_ & ~self._wanted

    def steady(self) -> NDArray[np.int64] | None:
        """Devices that clock rules need not hear (``Hearing.steady``); None where they must hear all."""
        return None if self._hearing is None else self._hearing.steady()

    def thinning(self, wanted: NDArray[np.bool_], counted: NDArray[np.bool_]) -> Thinning | None:
        """What of the history must be told, when all rules are bound; None for all of it.

        ``wanted``: points whose readings are; those of ``counted`` points count, and no more.
        """
        if self._hearing is None:
            return None
        return Thinning(wanted | self._raw | self._hearing.heard()[self._reach.registry.point_device], counted)

    def _silent(self, rule: BoundRule, points: NDArray[np.int32], numbers: Numbers) -> NDArray[np.intp]:
        left = np.arange(len(points))
        if self._hearing is None:
            return left
        if rule.spec.id not in self._whole:
            left = self._hearing.possible(rule, points, numbers)
        self._hearing.ask(rule, points[left])
        return left

    def _left(self, rule: BoundRule, points: NDArray[np.int32], numbers: Numbers) -> NDArray[np.intp]:
        tree, odd = rule.tests[0].tree, self._reach.odd
        left = np.arange(len(points))
        if tree is None or rule.spec.id in self._whole or not len(points):
            return left
        theirs, sure = points, left[:0]
        if odd is not None:
            sure, left = np.flatnonzero(odd[points]), np.flatnonzero(~odd[points])
            theirs = points[left]
        for part, wanted in parts_of(tree, wanted=True):
            whole = len(left) == len(points)
            ranges = Ranges(self._reach, rule, theirs, numbers, None if whole else left)
            found = np.flatnonzero(np.broadcast_to(possible(part, ranges.of, wanted=wanted), len(left)))
            left, theirs = left[found], theirs[found]
            if not len(left):
                break
        left = left[(self._reach.count[theirs] > 0) | (self._reach.others[theirs] > 0)]
        return np.union1d(sure, left) if len(sure) else left
