"""What is counted is what is durable."""

from __future__ import annotations

import sys
import threading

import numpy as np
import pyarrow as pa

from lifeline.core.batch import LogRecord, Readings
from lifeline.core.metrics import Metrics
from lifeline.core.schema import REJECTS, Flag
from lifeline.engine.tally import RATE_WINDOW_MS, Tally


def record(lsn: int, rows: int, flags: int = 0, reasons: tuple[tuple[str, int], ...] = ()) -> LogRecord:
    readings = Readings.empty(rows)
    readings.flags[:] = flags
    rejects = None
    if reasons:
        rejects = pa.RecordBatch.from_pylist(
            [
                dict(zip(REJECTS.names, (0, "broker", "topic", b"x", reason, "", count), strict=True))
                for reason, count in reasons
            ],
            schema=REJECTS,
        )
    return LogRecord(lsn, lsn * 1000, readings, rejects)


def test_readings_repeats_late_and_rejects() -> None:
    metrics = Metrics()
    tally = Tally(metrics, 10)
    tally.consume([record(11, 5), record(12, 3, int(Flag.LATE)), record(13, 2, int(Flag.DUPLICATE))])
    tally.consume([record(14, 0, 0, (("duplicate", 2), ("out_of_span", 3), ("out_of_span", 1)))])

    assert (tally.received, tally.late, tally.duplicates, tally.position) == (10, 3, 2, 14)
    assert tally.rejected == {"duplicate": 1, "out_of_span": 2}
    assert tally.rejected_readings == 4
    value = metrics.registry.get_sample_value
    assert value("lifeline_readings_received_total") == 10
    assert value("lifeline_readings_late_total") == 3
    assert value("lifeline_readings_rejected_total", {"reason": "out_of_span"}) == 2


def test_the_rate_is_that_of_the_last_seconds() -> None:
    tally = Tally(Metrics(), 0)
    tally.consume([record(n, 100) for n in range(1, 21)])

    assert tally.readings_per_s(20_000) == np.float64(6 * 100 * 1000 / RATE_WINDOW_MS)
    assert tally.readings_per_s(60_000) == 0


def test_the_rate_may_be_asked_for_while_records_come_in() -> None:
    tally = Tally(Metrics(), 0)
    records = [record(n, 1) for n in range(1, 3001)]
    rows = threading.Thread(target=lambda: [tally.consume([one]) for one in records])
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        rows.start()
        while rows.is_alive():
            tally.readings_per_s(0)
    finally:
        rows.join()
        sys.setswitchinterval(interval)

    assert tally.readings_per_s(0) == 3000 * 1000 / RATE_WINDOW_MS
