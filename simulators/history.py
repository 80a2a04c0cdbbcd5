"""The same fleet in virtual time: ticks of readings over any period, without a broker.

For rule developers and backtests. A tick holds what a collector would have got in it, flags included: ``LATE`` for
batches and wrong clocks, ``DUPLICATE`` for repeats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from lifeline.core.batch import Readings
from lifeline.core.limits import LATE_MS_MIN
from lifeline.core.schema import TIME, Flag
from simulators.generator import Generator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulators.dirt import DirtSettings
    from simulators.faults import FaultSettings
    from simulators.fleet import Fleet, FleetSettings
    from simulators.truth import Truth


class History:
    """Readings of a fleet in [start, end); iterate over ``ticks`` once."""

    def __init__(
        self,
        fleet: Fleet | FleetSettings,
        start_ms: int,
        end_ms: int,
        *,
        tick_ms: int = 60_000,
        faults: FaultSettings | None = None,
        dirt: DirtSettings | None = None,
    ) -> None:
        if end_ms <= start_ms or tick_ms < 1:
            raise ValueError("a history needs an end after its start, and ticks of at least 1 ms")
        self._generator = Generator(fleet, start_ms, faults, dirt)
        self._start_ms, self._end_ms, self._tick_ms = start_ms, end_ms, tick_ms

    @property
    def fleet(self) -> Fleet:
        """The fleet; ``fleet.points`` is its registry."""
        return self._generator.fleet

    @property
    def truth(self) -> Truth:
        """Labels, complete once the ticks are exhausted."""
        return self._generator.truth

    def ticks(self) -> Iterator[Readings]:
        """One batch a tick, empty ones too; ``received_at`` is the end of the tick."""
        fleet, world = self._generator.fleet, self._generator.world
        at = self._start_ms
        while at < self._end_ms:
            length = min(self._tick_ms, self._end_ms - at)
            tick = self._generator.tick(length)
            at += length
            objects, sizes = tick.objects, np.diff(tick.ptr)
            late_ms = np.maximum(LATE_MS_MIN, 2 * fleet.interval_ms[objects.device])
            flags = np.where(at - objects.ts > late_ms, int(Flag.LATE), 0)
            flags |= np.where(objects.repeat, int(Flag.DUPLICATE), 0)
            points = world.points(objects.device, tick.ptr)
            yield Readings(
                point=points,
                ts=np.repeat(objects.ts, sizes),
                received_at=np.full(len(points), at, np.int64),
                value=world.decimal(points, tick.scaled),
                seq=np.repeat(objects.seq, sizes),
                quality=np.zeros(len(points), np.uint8),
                flags=np.repeat(flags.astype(np.uint8), sizes),
            )


def long_table(fleet: Fleet, readings: Readings) -> pa.Table:
    """Readings as a long table (``ts, device_id, quantity, value, quality``): what ``rules backtest --data`` reads."""
    points = pa.array(readings.point)
    return pa.table(
        {
            "ts": pa.array(readings.ts).cast(TIME),
            "device_id": pa.array(fleet.ids).take(pa.array(fleet.point_device[readings.point])),
            "quantity": pa.array([m.quantity for m in fleet.models]).take(pa.array(fleet.point_model).take(points)),
            "value": pa.array(readings.value),
            "quality": pa.array(readings.quality),
        }
    )
