"""Log records of the simulated city, for workloads that begin behind the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.streams import EPOCH_MS, STEP_MS
from lifeline.core.batch import LogRecord, Readings
from simulators.dirt import CLEAN
from simulators.faults import FaultSettings
from simulators.generator import Generator

if TYPE_CHECKING:
    from simulators.fleet import Fleet

QUIET = FaultSettings(0)


def fleet_records(
    fleet: Fleet, count: int, *, faults: FaultSettings = QUIET, lead: bool = False, start_ms: int = EPOCH_MS
) -> list[LogRecord]:
    """``count`` records of ``STEP_MS`` each, every device once in each, in the order of sending.

    ``lead``: only the first quantity of a device.
    """
    generator = Generator(fleet, start_ms, faults, CLEAN, "single")
    records = []
    for lsn in range(1, count + 1):
        tick = generator.tick(STEP_MS)
        objects, ptr = tick.objects, tick.ptr
        point = generator.world.points(objects.device, ptr)
        value = generator.world.decimal(point, tick.scaled)
        of = np.repeat(np.arange(len(objects)), np.diff(ptr))
        if lead:
            point, value, of = point[ptr[:-1]], value[ptr[:-1]], np.arange(len(objects))
        rows = len(point)
        readings = Readings(
            point=point,
            ts=objects.ts[of],
            received_at=np.full(rows, tick.end, np.int64),
            value=value,
            seq=objects.seq[of],
            quality=np.zeros(rows, np.uint8),
            flags=np.zeros(rows, np.uint8),
        )
        records.append(LogRecord(lsn, tick.end, readings))
    return records
