"""What a rule remembers of its points: the state of its features, one row a slot.

State belongs to the rule: two rules with the same feature each keep their own, which costs a few bytes a point and
lets every kernel walk only the rule's own rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from rules import features
from rules.kernels import features as kernels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lifeline.core.batch import Readings
    from lifeline.core.registry import Registry
    from rules.features import Feature


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows to evaluate, in reading order. ``prev`` and ``dt`` (s) are NaN for a point's first reading."""

    readings: Readings
    row: NDArray[np.int32]
    """Index in ``readings``."""
    point: NDArray[np.int32]
    ts: NDArray[np.int64]
    value: NDArray[np.float64]
    prev: NDArray[np.float64]
    dt: NDArray[np.float64]


@dataclass
class Track:
    """One feature of one rule."""

    feature: Feature
    option: float
    state: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        """No points yet."""
        self.state = np.zeros((0, self.feature.width))

    @property
    def name(self) -> str:
        """Its name in a snapshot."""
        return "+".join(self.feature.outputs)

    def grow(self, slots: int) -> None:
        """Append empty state up to ``slots`` rows."""
        more = np.full((slots - len(self.state), self.feature.width), np.nan)
        self.state = np.concatenate([self.state, more])

    def compute(
        self, rows: Rows, places: NDArray[np.int32], slots: NDArray[np.int32]
    ) -> dict[str, NDArray[np.float64]]:
        """Advance over the rule's rows (``places`` in ``rows``); columns by name. Every row exactly once, in order."""
        out = np.empty((len(self.feature.outputs), len(places)))
        columns = (rows.ts[places], rows.value[places], rows.prev[places], rows.dt[places])
        self.feature.kernel(slots, *columns, self.option, self.state, out)
        return dict(zip(self.feature.outputs, out, strict=True))


@dataclass
class Sibling:
    """``device_<quantity>`` of one rule: the newest value of that quantity on the same device, one slot a device."""

    quantity: str
    slot_of_device: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    limit_ms: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    state: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))

    def grow(
        self, registry: Registry, start: int, wanting: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Take in new points from ``start`` on, of which ``wanting`` are the rule's; returns (points, lane slots)."""
        carriers = np.zeros(0, np.int32)
        if self.quantity in registry.quantities:
            code = registry.quantities.index(self.quantity)
            carriers = (np.flatnonzero(registry.point_quantity[start:] == code) + start).astype(np.int32)
        device = registry.point_device
        slots = np.full(len(registry.devices), -1, np.int32)
        slots[: len(self.slot_of_device)] = self.slot_of_device
        named = np.unique(np.concatenate([device[carriers], device[wanting]]))
        new = named[slots[named] < 0]
        slots[new] = np.arange(len(self.state), len(self.state) + len(new), dtype=np.int32)
        self.slot_of_device = slots
        self.state = np.concatenate([self.state, np.full((len(new), 2), np.nan)])
        self.limit_ms = np.concatenate([self.limit_ms, np.full(len(new), float(features.SIBLING_MS_UNKNOWN))])
        limits = registry.interval_ms[carriers] * features.SIBLING_INTERVALS
        self.limit_ms[slots[device[carriers]][limits > 0]] = limits[limits > 0]
        lane = np.concatenate([2 * slots[device[carriers]], 2 * slots[device[wanting]] + 1])
        return np.concatenate([carriers, wanting]), lane.astype(np.int32)

    def compute(self, rows: Rows, places: NDArray[np.int32], slots: NDArray[np.int32]) -> NDArray[np.float64]:
        """Advance over the lane's rows; one value for each row of the rule, in order."""
        out = np.empty(int(np.count_nonzero(slots % 2)))
        kernels.sibling(slots, rows.ts[places], rows.value[places], self.limit_ms, self.state, out)
        return out
