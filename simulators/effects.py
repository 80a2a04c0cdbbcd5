"""What faults do to points and devices, as arrays that the kernels walk.

An effect acts on one point from ``start`` to ``end`` (true time, ms), rising linearly for ``rise`` and falling for
``fall`` ms. A silence acts on one device. Both hang on their point or device as linked lists: nothing is ever removed,
so that values of the past (late batches) come out the same at any later time.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Act(IntEnum):
    """How an effect changes a value v."""

    ADD = 0
    """v + size * ramp"""
    TIMES = 1
    """v * (1 + size * ramp)"""
    LEVEL = 2
    """v moved to ``size`` by the ramp"""
    SPIKE = 3
    """v + or - size, in ``rise`` of a thousand samples"""
    ACCUMULATE = 4
    """v + size (per hour) integrated over the ramp; stays after the end"""


@dataclass(frozen=True, slots=True)
class Effect:
    """One effect on one point."""

    point: int
    act: Act
    start: int
    end: int
    size: float
    rise: int = 0
    fall: int = 0


class Effects:
    """All effects and silences so far."""

    def __init__(self, points: int, devices: int) -> None:
        self.head: NDArray[np.int32] = np.full(points, -1, np.int32)
        self.next: NDArray[np.int32] = np.zeros(0, np.int32)
        self.act: NDArray[np.int8] = np.zeros(0, np.int8)
        self.times: NDArray[np.int64] = np.zeros((0, 4), np.int64)
        self.size: NDArray[np.float64] = np.zeros(0, np.float64)
        self._silent_head: NDArray[np.int32] = np.full(devices, -1, np.int32)
        self._silent: list[tuple[int, int, int]] = []

    def add(self, effects: Sequence[Effect]) -> None:
        """Hang effects on their points."""
        if not effects:
            return
        first = len(self.next)
        links = np.empty(len(effects), np.int32)
        for i, effect in enumerate(effects):
            links[i] = self.head[effect.point]
            self.head[effect.point] = first + i
        self.next = np.concatenate([self.next, links])
        self.act = np.concatenate([self.act, np.array([e.act for e in effects], np.int8)])
        times = np.array([(e.start, e.end, e.rise, e.fall) for e in effects], np.int64)
        self.times = np.concatenate([self.times, times])
        self.size = np.concatenate([self.size, np.array([e.size for e in effects], np.float64)])

    def silence(self, device: int, start: int, end: int) -> None:
        """The device reports nothing in [start, end)."""
        self._silent.append((start, end, int(self._silent_head[device])))
        self._silent_head[device] = len(self._silent) - 1

    def silent(self, devices: NDArray[np.int32], t_ms: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which (device, time) rows are not reported."""
        mask = np.zeros(len(devices), np.bool_)
        for row in np.flatnonzero(self._silent_head[devices] >= 0):
            at = int(self._silent_head[devices[row]])
            while at >= 0 and not mask[row]:
                start, end, following = self._silent[at]
                mask[row] = start <= t_ms[row] < end
                at = following
        return mask
