"""``device_<quantity>`` of rules over groups, which take what is received at one instant by event time.

So what was newest as readings came (``rules/beside.py``) is not what they go by, and each remembers its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rules import vocabulary
from rules.coded import Coded
from rules.kernels import features as kernels
from rules.kernels import order

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lifeline.core.registry import Registry


class Sibling:
    """``device_<quantity>`` of one rule over groups: the newest value of that quantity on the same device.

    A slot for each device that has both a point that carries the quantity and one that wants it.
    """

    def __init__(self, quantity: str) -> None:
        self.quantity = quantity
        self.state = np.zeros((0, 2))
        self._device = np.zeros(0, np.int32)
        self._limit_ms = Coded()
        self.points = np.zeros(0, np.int32)
        """Those that carry or want it, rising; the code of each (``kernels.sibling``) is in ``_codes``."""
        self._codes = np.zeros(0, np.int32)

    def grow(
        self,
        registry: Registry,
        wanting: NDArray[np.int32],
        newest: NDArray[np.int64],
        last: NDArray[np.float64],
    ) -> None:
        """Take in new points; ``wanting`` are all of the rule's.

        What was newest of carriers before is in ``newest`` and ``last``, by point. Older points may be new to
        it as well: a device got the other half of a comparison.
        """
        carriers, device = carriers_of(registry, self.quantity), registry.point_device
        slots = self._slots(registry)
        carried = np.zeros(len(slots), bool)
        carried[device[carriers]] = True
        wanted = np.zeros(len(slots), bool)
        wanted[device[wanting]] = True
        new = np.flatnonzero(carried & wanted & (slots < 0)).astype(np.int32)
        first = len(self._device)
        slots[new] = np.arange(first, first + len(new), dtype=np.int32)
        self._device = np.concatenate([self._device, new])
        self.state = np.concatenate([self.state, np.full((len(new), 2), np.nan)])
        limit_ms = np.full(len(self.state), float(vocabulary.SIBLING_MS_UNKNOWN))
        of = slots[device[carriers]]
        limits = registry.interval_ms[carriers] * vocabulary.SIBLING_INTERVALS
        limit_ms[of[(limits > 0) & (of >= 0)]] = limits[(limits > 0) & (of >= 0)]
        self._limit_ms = Coded(limit_ms)
        self.recall(registry, newest, last, first)
        coded = np.zeros(len(registry), np.int32)
        for some, bit in ((carriers, kernels.CARRIES), (wanting, kernels.WANTS)):
            of = slots[device[some]]
            coded[some[of >= 0]] |= (of[of >= 0] << 2) | bit
        self.points = np.flatnonzero(coded).astype(np.int32)
        self._codes = coded[self.points]

    def recall(self, registry: Registry, newest: NDArray[np.int64], last: NDArray[np.float64], first: int = 0) -> None:
        """Know the newest reading of each carrier, by point, for the slots from ``first`` on."""
        carriers = carriers_of(registry, self.quantity)
        carriers = carriers[carriers < len(newest)]
        carriers = carriers[newest[carriers] != order.NEVER]
        of = self._slots(registry)[registry.point_device[carriers]]
        carriers, of = carriers[of >= first], of[of >= first]
        self.state[of, 0], self.state[of, 1] = newest[carriers], last[carriers]

    def _slots(self, registry: Registry) -> NDArray[np.int32]:
        """The slot of each device, -1 for none."""
        slots = np.full(registry.device_count, -1, np.int32)
        slots[self._device] = np.arange(len(self._device), dtype=np.int32)
        return slots

    def compute(
        self, slots: NDArray[np.int32], ts: NDArray[np.int64], value: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Advance over the rows of ``points`` (slots are places there), in the order of reading.

        NaN where it is not known, and at rows that do not want it.
        """
        codes, found = self._codes[slots], np.empty(len(slots))
        kernels.sibling(codes, ts, value, self._limit_ms[codes >> 2], self.state, found)
        return found

    @property
    def nbytes(self) -> int:
        """Memory."""
        return self.state.nbytes + self._device.nbytes + self._limit_ms.nbytes + self.points.nbytes + self._codes.nbytes


def carriers_of(registry: Registry, quantity: str) -> NDArray[np.int32]:
    """The points of a quantity."""
    if quantity not in registry.quantities:
        return np.zeros(0, np.int32)
    return np.flatnonzero(registry.point_quantity == registry.quantities.index(quantity)).astype(np.int32)
