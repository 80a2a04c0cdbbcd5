"""``device_<quantity>`` of rules over single readings: the newest value of another quantity of the same device.

Nothing is remembered for it. What was newest of each point is known where readings are taken in (``rules/journal.py``),
and it is told there beside those that want it. Rules over groups take readings in another order and remember it
themselves (``rules/siblings.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rules import vocabulary
from rules.siblings import carriers_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lifeline.core.registry import Registry
    from rules.bound import BoundRule


class Pairs(NamedTuple):
    """Points that want a quantity of their device, rising, and the points that carry it, one each."""

    points: NDArray[np.int32]
    carriers: NDArray[np.int32]
    limit_ms: NDArray[np.int64]
    """A value that is older is not told."""


class Beside:
    """One quantity, for all rules of a plan that name it."""

    def __init__(self, quantity: str, rules: Sequence[BoundRule]) -> None:
        self.quantity = quantity
        self.rules = [rule for rule in rules if quantity in rule.beside]
        self.points = np.zeros(0, np.int32)
        """Those that want it and have a device that carries it, rising."""

    def grow(self, registry: Registry) -> None:
        """Take in new points; older ones may be new to it as well: a device got the other half of a comparison."""
        self.points = self.pairs(registry).points

    def pairs(self, registry: Registry) -> Pairs:
        """Who wants it of whom."""
        carriers, device = carriers_of(registry, self.quantity), registry.point_device
        of = np.full(registry.device_count, -1, np.int32)
        of[device[carriers]] = carriers
        points = self.wanting(len(registry))
        beside = of[device[points]]
        points, beside = points[beside >= 0], beside[beside >= 0]
        limit_ms = registry.interval_ms[beside].astype(np.int64) * vocabulary.SIBLING_INTERVALS
        return Pairs(points, beside, np.where(limit_ms > 0, limit_ms, vocabulary.SIBLING_MS_UNKNOWN))

    def wanting(self, registry: int) -> NDArray[np.int32]:
        """The points of all rules that name it, rising, of a registry of so many points."""
        lists = {rule.points.ctypes.data: rule.points for rule in self.rules if len(rule.points)}
        if len(lists) == 1:
            return next(iter(lists.values()))
        wanted = np.zeros(registry, np.bool_)
        for points in lists.values():
            wanted[points] = True
        return np.flatnonzero(wanted).astype(np.int32)

    @property
    def nbytes(self) -> int:
        """Memory."""
        return self.points.nbytes
