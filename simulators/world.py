"""Values of any devices at any times: fleet, weather and the faults that act, behind one call.

A value depends on (fleet settings, faults scheduled, device, time) and nothing else: not on which ticks came before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simulators.effects import Effects
from simulators.kernels.signal import evaluate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simulators.fleet import Fleet


class World:
    """The fleet under its faults. Not thread-safe."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.effects = Effects(fleet.points_count, len(fleet))
        self._sizes = np.diff(fleet.device_ptr)

    def values(
        self, devices: NDArray[np.int32], t_ms: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Values of all points of each (device, true time) row.

        Returns ``ptr`` int64 [rows + 1] and ``scaled`` int64: row i's values, times 10 ** decimals of each model, are
        ``scaled[ptr[i]:ptr[i + 1]]`` in the order of the device's points.

        Raises:
            ValueError: a time outside of 2000 .. 2060.
        """
        ptr = np.zeros(len(devices) + 1, np.int64)
        np.cumsum(self._sizes[devices], out=ptr[1:])
        scaled = np.empty(int(ptr[-1]), np.int64)
        if len(devices) == 0:
            return ptr, scaled
        fleet, effects = self.fleet, self.effects
        first_minute, weather = fleet.weather.rows(int(t_ms.min()), int(t_ms.max()))
        evaluate(
            devices,
            t_ms,
            ptr,
            fleet.device_ptr,
            fleet.device_shift,
            fleet.device_zone_key,
            fleet.point_model,
            fleet.point_key,
            fleet.point_base,
            fleet.point_scale,
            fleet.point_set,
            fleet.point_reset,
            fleet.point_set2,
            fleet.model_table,
            weather,
            first_minute,
            effects.head,
            effects.next,
            effects.act,
            effects.times,
            effects.size,
            scaled,
        )
        return ptr, scaled

    def points(self, devices: NDArray[np.int32], ptr: NDArray[np.int64]) -> NDArray[np.int32]:
        """The points of the rows of ``values``, one entry a value."""
        within = np.arange(int(ptr[-1])) - np.repeat(ptr[:-1], np.diff(ptr))
        return (np.repeat(self.fleet.device_ptr[devices], np.diff(ptr)) + within).astype(np.int32)

    def decimal(self, points: NDArray[np.int32], scaled: NDArray[np.int64]) -> NDArray[np.float64]:
        """Scaled integers as floats: the very number that a JSON parser makes of the text on the wire."""
        power = self.fleet.model_table[:, 13]
        return scaled / power[self.fleet.point_model[points]]

    def value_of(self, point: int, t_ms: int) -> float:
        """One value of one point."""
        device = int(self.fleet.point_device[point])
        _, scaled = self.values(np.array([device], np.int32), np.array([t_ms], np.int64))
        at = point - int(self.fleet.device_ptr[device])
        return float(self.decimal(np.array([point], np.int32), scaled[at : at + 1])[0])
