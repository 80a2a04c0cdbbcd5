"""Who reports when: each device at ``phase + k * interval``, so that a period's reports are slices of sorted phases.

Devices of equal interval form a class, sorted by phase. In shape ``gateway`` all devices of a gateway share their
phase (the gateway polls them): they leave together and fill a pack. Noise loggers report from 03:00 to 04:00 local.
A batch meter uploads once a day, at 11:00 or 16:00 local time, the 96 quarter-hours of the day before; when one
interval is forced on the fleet it reports like all others.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from simulators.fleet import KIND_INDEX
from simulators.kernels.noise import derive, uniform_array
from simulators.signals.weather import DAY_MS, LOCAL_OFFSET_MS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from simulators.dirt import Dirt
    from simulators.fleet import Fleet

Shape = Literal["single", "gateway"]
_HOUR_MS: Final = 3_600_000
_QUARTER_MS: Final = 900_000
_BATCH: Final = 96
_COUNTED_FROM_MS: Final = 1_577_836_800_000
"""2020-01-01: reports are numbered from then."""


@dataclass(frozen=True, slots=True)
class Objects:
    """Reports as columns, in the order in which they are sent.

    ``t`` is the true time (epoch ms) that decides the value, ``ts`` what the device's clock says, ``due`` when it is
    sent, ``repeat`` True for what has been sent before.
    """

    device: NDArray[np.int32]
    t: NDArray[np.int64]
    ts: NDArray[np.int64]
    seq: NDArray[np.uint32]
    due: NDArray[np.int64]
    repeat: NDArray[np.bool_]

    def __len__(self) -> int:
        """Number of objects."""
        return len(self.device)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Objects:
        """The chosen rows."""
        return Objects(*(getattr(self, f.name)[rows] for f in fields(self)))

    @classmethod
    def concat(cls, parts: Sequence[Objects]) -> Objects:
        """All parts in order (at least one)."""
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)))

    @classmethod
    def empty(cls) -> Objects:
        """No objects."""
        times = np.zeros(0, np.int64)
        return cls(np.zeros(0, np.int32), times, times, np.zeros(0, np.uint32), times, np.zeros(0, np.bool_))


@dataclass(frozen=True, slots=True)
class _Class:
    interval_ms: int
    devices: NDArray[np.int32]
    phase: NDArray[np.int64]
    is_batch: bool


class Schedule:
    """All reports of a fleet, by period. ``tick`` remembers repeats for the next call and nothing else."""

    def __init__(self, fleet: Fleet, dirt: Dirt, shape: Shape) -> None:
        self._fleet = fleet
        self._dirt = dirt
        self._repeats = Objects.empty()
        seed = fleet.settings.seed
        index = np.arange(len(fleet), dtype=np.int64)
        turn = fleet.device_gateway.astype(np.int64) if shape == "gateway" else index
        draw = uniform_array(derive(seed, "phase"), turn)
        own_intervals = fleet.settings.interval_s is None
        interval = fleet.interval_ms.copy()
        batch = np.zeros(len(fleet), np.bool_)
        if own_intervals:
            batch = fleet.device_kind == KIND_INDEX["water", "batch-meter"]
            interval[batch] = DAY_MS
        self.phase: NDArray[np.int64] = (draw * interval).astype(np.int64)
        if own_intervals:
            at_night = fleet.device_kind == KIND_INDEX["water", "noise-logger"]
            self.phase[at_night] = ((19 + draw[at_night]) * _HOUR_MS).astype(np.int64)
            upload = np.where(uniform_array(derive(seed, "upload"), turn) < 0.5, 3, 8)  # 11:00 or 16:00 local
            self.phase[batch] = ((upload + draw / 3)[batch] * _HOUR_MS).astype(np.int64)
        self._classes = [
            self._class(np.flatnonzero((interval == ms) & (batch == is_batch)), int(ms), is_batch=is_batch)
            for is_batch in (False, True)
            for ms in np.unique(interval[batch == is_batch])
        ]

    def _class(self, devices: NDArray[np.intp], interval_ms: int, *, is_batch: bool) -> _Class:
        order = devices[np.argsort(self.phase[devices], kind="stable")]
        return _Class(interval_ms, order.astype(np.int32), self.phase[order], is_batch)

    def tick(self, start: int, end: int) -> Objects:
        """Objects due in [start, end) (epoch ms), then the repeats of the call before.

        They are ordered by device (so by gateway too), then time.
        """
        parts = [part for c in self._classes for part in self._due(c, start, end)]
        parts = [part for part in parts if len(part)]
        fresh = self._sorted(Objects.concat(parts)) if parts else Objects.empty()
        fresh = fresh.take(~self._dirt.lost(fresh.device, fresh.t))
        result = Objects.concat([fresh, self._repeats])
        again = fresh.take(self._dirt.repeated(fresh.device, fresh.t))
        self._repeats = Objects(again.device, again.t, again.ts, again.seq, again.due, np.ones(len(again), np.bool_))
        return result

    @staticmethod
    def _sorted(objects: Objects) -> Objects:
        # One key of device and time: neighbours in memory stay neighbours, and gateways are runs of devices.
        key = (objects.device.astype(np.int64) << 40) | (objects.t - objects.t.min())
        return objects.take(np.argsort(key))

    def _due(self, c: _Class, start: int, end: int) -> list[Objects]:
        """Of the first and the last turn a slice each, of the turns between them everybody."""
        first, last = start // c.interval_ms, (end - 1) // c.interval_ms
        parts = [self._turns(c, first, first, start, end)]
        if last > first:
            parts += [self._turns(c, first + 1, last - 1, start, end), self._turns(c, last, last, start, end)]
        return parts

    def _turns(self, c: _Class, first: int, last: int, start: int, end: int) -> Objects:
        """Those of one turn (first = last) that are due in [start, end), or all of several whole turns."""
        turns = np.arange(first, last + 1)
        low, high = 0, len(c.devices)
        if first == last:
            low, high = np.searchsorted(c.phase, [start - first * c.interval_ms, end - first * c.interval_ms])
        devices = np.tile(c.devices[low:high], len(turns))
        turn = np.repeat(turns, high - low)
        due = turn * c.interval_ms + np.tile(c.phase[low:high], len(turns))
        if c.is_batch:
            return self._batches(devices, due)
        # counted from 2020: seconds since 1970 would make seq needlessly long
        count = turn - _COUNTED_FROM_MS // c.interval_ms
        return self._objects(devices, due, due, np.maximum(count, 0))

    def _batches(self, devices: NDArray[np.int32], due: NDArray[np.int64]) -> Objects:
        midnight = (due + LOCAL_OFFSET_MS) // DAY_MS * DAY_MS - LOCAL_OFFSET_MS
        t = ((midnight - DAY_MS)[:, None] + np.arange(_BATCH) * _QUARTER_MS).ravel()
        count = (t - _COUNTED_FROM_MS) // _QUARTER_MS
        return self._objects(np.repeat(devices, _BATCH), t, np.repeat(due, _BATCH), np.maximum(count, 0))

    def _objects(
        self, devices: NDArray[np.int32], t: NDArray[np.int64], due: NDArray[np.int64], count: NDArray[np.int64]
    ) -> Objects:
        ts = t + self._dirt.skew_ms[devices]
        return Objects(devices, t, ts, self._dirt.seq(devices, count), due, np.zeros(len(devices), np.bool_))
