"""Rules over every row as it comes: only points at which something stirs are gone through.

What such a rule asks, a row tells itself: how old it is, how good. Hardly any is as it should not be. So the condition
is asked first, of the rows of the rule's points and with the columns that it names; a point stirs at which it holds
once, or where the rule is not at rest, and of the others nothing can change. The naive twin is the pass over all rows
(``rules/sweep.py``), which also takes the rules whose parameters differ from point to point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from lifeline.core.schema import Flag
from rules import machine_code
from rules.bits import packed
from rules.kernels import order
from rules.own_rows import OwnRows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from lifeline.core.batch import Readings
    from rules.bound import BoundRule
    from rules.columns import Columns

TOLD: Final = frozenset({"age_s", "late", "quality", "value"})
"""Columns that a row tells itself."""


class _Watched(NamedTuple):
    """What a rule was looked at as, until its condition or its points change."""

    tests: object
    points: NDArray[np.int32]
    screen: machine_code.Code | None
    bits: NDArray[np.uint64]


class Stirring:
    """Finds the rows that rules over every row must be asked about."""

    def __init__(self, rules: list[BoundRule], columns: Columns) -> None:
        self._rules, self._columns = rules, columns
        self._points = 0
        self._watched: dict[int, _Watched] = {}

    def grow(self, points: int) -> None:
        """Take in the points of a registry, of which there are so many."""
        self._points = points
        self._watched.clear()

    def knows(self) -> bool:
        """Whether all the rules ask for nothing but what rows tell."""
        return all(self._of(rule).screen is not None and not rule.overlaid for rule in self._rules)

    def rows(self, readings: Readings) -> Iterator[tuple[BoundRule, OwnRows]]:
        """Of each rule all rows, but repeats, of the points that stir."""
        for rule in self._rules:
            if not len(rule.points):
                continue
            screen, bits = self._of(rule).screen, self._of(rule).bits
            assert screen is not None
            row = np.empty(len(readings), np.int32)
            row = row[: order.pick(readings.point, bits, row)]
            repeated = (order.taken(readings.flags, row) & np.uint8(Flag.DUPLICATE)) != 0
            row = row[~repeated] if repeated.any() else row
            rule.evaluated += len(row)
            own = OwnRows(readings, row, row[:0])
            raised = screen.satisfied(self._columns.beside(rule, own, {}), len(row))
            some = readings.point[row[raised]]
            if not rule.state.rests:
                some = np.concatenate([some, rule.points[rule.state.restless]])
            if len(some):
                stirs = np.zeros(self._points, np.bool_)
                stirs[some] = True
                point = own.column("point")
                places = np.flatnonzero(stirs[point])
                slots = np.searchsorted(rule.points, point[places]).astype(np.int32)
                yield rule, OwnRows(readings, row[places], slots)

    def _of(self, rule: BoundRule) -> _Watched:
        known = self._watched.get(rule.order)
        if known is None or known.tests is not rule.tests or known.points is not rule.points:
            watched = np.zeros(self._points, np.bool_)
            watched[rule.points] = True
            known = self._watched[rule.order] = _Watched(rule.tests, rule.points, _screen(rule), packed(watched))
        return known

    @property
    def nbytes(self) -> int:
        """Memory."""
        return sum(known.bits.nbytes for known in self._watched.values())


def _screen(rule: BoundRule) -> machine_code.Code | None:
    """What holds wherever the rule raises and asks rows alone; None where there is no such thing."""
    tree = rule.tests[0].tree
    found = None if tree is None else machine_code.screen_of(tree, machine_code.CLOCK | set(dict(rule.spec.calendars)))
    return found if found is not None and TOLD.issuperset(found.columns) else None
