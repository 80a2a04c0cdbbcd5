"""The same fleet in virtual time: ticks of readings over any period, without a broker.

For rule developers and backtests. A tick holds what a collector would have got in it, flags included: ``LATE`` for
batches and wrong clocks, ``DUPLICATE`` for repeats. Readings are received at the end of the tick; with ``exact`` each
is received when it is due (its repeat with the tick after), in that order: then a tick's length decides nothing, and
long ones are fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lifeline.core.batch import Readings
from lifeline.core.limits import LATE_MS_MIN
from lifeline.core.schema import Flag
from simulators.generator import Generator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulators.dirt import DirtSettings
    from simulators.faults import FaultSettings
    from simulators.fleet import Fleet, FleetSettings
    from simulators.generator import Tick
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
        exact: bool = False,
    ) -> None:
        if end_ms <= start_ms or tick_ms < 1:
            raise ValueError("a history needs an end after its start, and ticks of at least 1 ms")
        self._generator = Generator(fleet, start_ms, faults, dirt)
        self._start_ms, self._end_ms, self._tick_ms = start_ms, end_ms, tick_ms
        self._exact = exact

    @property
    def fleet(self) -> Fleet:
        """The fleet; ``fleet.points`` is its registry."""
        return self._generator.fleet

    @property
    def truth(self) -> Truth:
        """Labels, complete once the ticks are exhausted."""
        return self._generator.truth

    def ticks(self) -> Iterator[Readings]:
        """One batch a tick, empty ones too, in the order of ``received_at``."""
        at = self._start_ms
        while at < self._end_ms:
            length = min(self._tick_ms, self._end_ms - at)
            yield self._readings(self._generator.tick(length))
            at += length

    def _readings(self, tick: Tick) -> Readings:
        fleet, world = self._generator.fleet, self._generator.world
        objects, sizes = tick.objects, np.diff(tick.ptr)
        received = np.full(len(objects), tick.end, np.int64)
        if self._exact:
            received = np.where(objects.repeat, tick.start, objects.due)
        late_ms = np.maximum(LATE_MS_MIN, 2 * fleet.interval_ms[objects.device])
        flags = np.where(received - objects.ts > late_ms, int(Flag.LATE), 0)
        flags |= np.where(objects.repeat, int(Flag.DUPLICATE), 0)
        points = world.points(objects.device, tick.ptr)
        readings = Readings(
            point=points,
            ts=np.repeat(objects.ts, sizes),
            received_at=np.repeat(received, sizes),
            value=world.decimal(points, tick.scaled),
            seq=np.repeat(objects.seq, sizes),
            quality=np.zeros(len(points), np.uint8),
            flags=np.repeat(flags.astype(np.uint8), sizes),
        )
        return readings.take(np.argsort(readings.received_at, kind="stable")) if self._exact else readings
