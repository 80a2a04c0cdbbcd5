"""What each point of a history reached, and each device: the same for all rules (``rules/narrowing.py``)."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from rules.hearing import Hearing
from rules.kernels import reach as kernel
from rules.possible import Range
from rules.siblings import carriers_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lifeline.core.batch import Readings
    from lifeline.core.registry import Registry


class Reach:
    """The ranges of what each point told, by readings in the order of receipt. It is the same for all rules."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._records = np.empty((len(registry), kernel.WIDTH))
        self._devices = np.empty((registry.device_count, kernel.WIDTH), np.int64)
        kernel.clear(self._records, self._records.view(np.int64), self._devices)
        self._heard = kernel.NEVER
        self.ordered = True
        """Whether all came in the order of receipt."""
        self.others = np.zeros(len(registry), np.int32)
        """Rows of each point that rules over single readings are not asked about, without repeats."""
        self._carriers: dict[str, NDArray[np.int32]] = {}

    def look(self, readings: Readings) -> None:
        """Take in a batch; all come before anything is asked."""
        records = self._records
        if len(readings) and int(readings.point.max()) >= len(records):
            raise AssertionError(f"point {int(readings.point.max())} is not in the registry of {len(records)} points")
        falls = kernel.look(
            *(readings.point, readings.ts, readings.received_at, readings.value, readings.quality, readings.flags),
            *(self.registry.point_device, records, records.view(np.int64), records.view(np.int32)),
            *(records.view(np.int16), self._devices, self.others),
        )
        if len(readings):
            self.ordered &= not falls and int(readings.received_at[0]) >= self._heard
            self._heard = int(readings.received_at[-1])

    def hearing(self, end: int | None) -> Hearing | None:
        """Life signs up to log time ``end``, or to the last; None for a history in another order."""
        return Hearing(self.registry, self._devices, max(self._heard, end or 0)) if self.ordered else None

    @cached_property
    def odd(self) -> NDArray[np.bool_] | None:
        """Points of devices of which nothing is foreseen; None where there are none."""
        odd = self._devices[:, kernel.ODD] != 0
        return odd[self.registry.point_device] if odd.any() else None

    def column(self, number: int) -> NDArray[np.float64]:
        """A column of the records, one entry a point."""
        if number not in self._columns:
            self._columns[number] = np.ascontiguousarray(self._records[:, number])
        return self._columns[number]

    @cached_property
    def _columns(self) -> dict[int, NDArray[np.float64]]:
        return {}

    @cached_property
    def count(self) -> NDArray[np.int32]:
        """Readings of each point."""
        return np.ascontiguousarray(self._records.view(np.int32)[:, kernel.COUNT])

    @cached_property
    def longest(self) -> NDArray[np.float64]:
        """How often in a row each value stood still, at most."""
        found = self._records.view(np.int16)[:, kernel.LONGEST]
        return np.where(found == kernel.MANY, np.inf, found)

    @cached_property
    def span_s(self) -> NDArray[np.float64]:
        """From the first reading of each point to its last."""
        times = self._records.view(np.int64)
        return np.where(self.count > 0, times[:, kernel.NEWEST] - times[:, kernel.FIRST], 0) / 1000.0

    @cached_property
    def age_s(self) -> Range:
        """Of the rows of each device, from time to receipt; bad ones too."""
        told = self._devices[:, kernel.HEARD_LAST] != kernel.NEVER
        low, high = (np.where(told, self._devices[:, end], 0) / 1000.0 for end in (kernel.YOUNGEST, kernel.OLDEST))
        return Range(low, high)

    def carriers(self, quantity: str) -> NDArray[np.int32]:
        """The point of each device that carries a quantity; -1 for none."""
        if quantity not in self._carriers:
            carriers = carriers_of(self.registry, quantity)
            of = np.full(self.registry.device_count, -1, np.int32)
            of[self.registry.point_device[carriers]] = carriers
            self._carriers[quantity] = of
        return self._carriers[quantity]
