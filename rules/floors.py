"""How long a point must be silent at least before a clock rule can raise there.

The condition ``raise`` is cut at its outermost ANDs, and two kinds of what must all be so are looked at before anything
is computed of a point:

- ``silent_s > number`` and ``device_silent_s > number``, where parameters and the registry tell the number: a *floor*
  of the slot. A rule that speaks of silence also asks for more than the declared interval of the point.
- conditions of the census alone (``silent_devices``, ``silent_share``): one answer for the whole city.

Deaf time only shortens a silence, so what is too short as heard is too short as judged, and no alarm is missed. What is
not at rest is judged at every instant and not asked here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from rules import numeric
from rules.coded import Coded
from rules.expression import DENIED, Column, Compared, columns_of
from rules.kernels import silence as kernels
from rules.machine_code import parts_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from rules.bound import BoundRule
    from rules.expression import Boolean, Number

SILENCE: Final = frozenset({"silent_s", "device_silent_s"})
COUNTS: Final = frozenset({"silent_devices", "silent_share"})
"""Columns with one number for all points."""
_TURNED: Final = {"<": ">", "<=": ">="}


class Floors:
    """What one rule demands of silence, slot by slot. Made anew when its conditions change or it gets points."""

    def __init__(self, rule: BoundRule, interval_s: NDArray[np.float64]) -> None:
        """``interval_s`` of each point."""
        self._tests, self._slots = rule.tests, len(rule.points)
        tree = rule.tests[0].tree
        parts = [] if tree is None else list(parts_of(tree, wanted=True))
        self._counts = [_truth(*part) for part in parts if COUNTS >= columns_of(part[0]) != frozenset()]
        lows = {"silent_s": interval_s[rule.points], "device_silent_s": np.full(self._slots, -np.inf)}
        if not rule.overlaid:  # else parameters differ from instant to instant
            columns = {name: coded.table[coded.codes] for name, coded in rule.by_slot.items()}
            for name, beyond, number in _floors(parts):
                if columns_of(number) <= columns.keys():
                    lows[name] = np.maximum(lows[name], _lowest(number, columns, beyond=beyond))
        self._point, self._device = (Coded(lows[name]) for name in ("silent_s", "device_silent_s"))
        width = np.promote_types(self._point.codes.dtype, self._device.codes.dtype)  # one kernel for both
        self._point.codes = self._point.codes.astype(width, copy=False)
        self._device.codes = self._device.codes.astype(width, copy=False)

    def of(self, rule: BoundRule) -> bool:
        """Whether the rule still demands this."""
        return self._tests is rule.tests and self._slots == len(rule.points)

    def open(self, counts: Mapping[str, NDArray[np.float64]]) -> bool:
        """Whether the census lets any point raise, at one instant at least of those that it was taken at."""
        if not self._counts:
            return True
        with np.errstate(all="ignore"):
            return bool(np.any(np.logical_and.reduce([truth(counts) for truth in self._counts])))

    def passed(
        self,
        points: NDArray[np.int32],
        device: NDArray[np.int32],
        last: tuple[NDArray[np.int64], NDArray[np.int64]],
        instant: int,
    ) -> NDArray[np.bool_]:
        """Which slots are silent for longer, at an instant (epoch ms) up to which everything was heard.

        ``points`` are the rule's, ``device`` is that of each point of the registry, ``last`` when each point and each
        device was heard last.
        """
        out = np.empty(len(points), np.bool_)
        kernels.overdue(
            *(points, device, *last, self._point.codes, self._point.table),
            *(self._device.codes, self._device.table, instant, out),
        )
        return out

    def passed_by(self, point_s: NDArray[np.float64], device_s: NDArray[np.float64]) -> NDArray[np.bool_]:
        """The same for slots of which the longest silences are known, NaN for never heard."""
        point, device = (coded.table[coded.codes] for coded in (self._point, self._device))
        found: NDArray[np.bool_] = (point_s > point) & (device_s > device)
        return found

    @property
    def nbytes(self) -> int:
        """Memory."""
        return self._point.nbytes + self._device.nbytes


def _truth(tree: Boolean, wanted: bool) -> numeric.Mask:
    program = numeric.program_of(tree)
    return program.true if wanted else program.false


def _floors(parts: list[tuple[Boolean, bool]]) -> Iterator[tuple[str, bool, Number]]:
    """Which silence must be more than a number, or (False) as much at least, and the number."""
    for tree, wanted in parts:
        if isinstance(tree, Compared):
            word = tree.comparison if wanted else DENIED[tree.comparison]
            sides = (tree.left, tree.right) if word in {">", ">="} else (tree.right, tree.left)
            word = _TURNED.get(word, word)
            if word in {">", ">="} and isinstance(sides[0], Column) and sides[0].name in SILENCE:
                yield sides[0].name, word == ">", sides[1]


def _lowest(number: Number, columns: Mapping[str, NDArray[np.float64]], *, beyond: bool) -> NDArray[np.float64]:
    """What a silence must be more than; NULL lets nothing raise."""
    with np.errstate(all="ignore"):
        found = np.asarray(numeric.number_of(number)(columns), np.float64)
    return np.where(np.isnan(found), np.inf, found if beyond else np.nextafter(found, -np.inf))
