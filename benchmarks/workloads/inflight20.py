"""``inflight20``: one connection, QoS 1, never more than twenty messages in flight: Mosquitto's default window.

The rate is then 20 divided by the time from a message's arrival to its PUBACK, which holds a whole commit: decode,
write, fdatasync, acknowledge. It shows whether acknowledging waits for anything but the disk. The sender keeps the
window exactly; everything else is the whole engine of ``engine``. Baseline: what the disk alone would allow, twenty
rows written plainly and synced, over and over.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Final

from benchmarks.engine_run import Load, run_engine
from benchmarks.harness import Figure, Result

WINDOW: Final = 20
SENSORS_SCALE: Final = 0.1
LOAD: Final = Load("single", 1, window=WINDOW, rounds=3, warm_rounds=1)
TARGET_PER_S: Final = 10_000
ROW_BYTES: Final = 34


def run(scale: float) -> Result:
    """A tenth of the fleet reports three times."""
    result = Result("inflight20", scale)
    disk = (_disk_per_s() + _disk_per_s()) / 2
    found = run_engine(LOAD, SENSORS_SCALE * min(scale, 1.0))
    rate = found.messages / found.logged_s
    add = result.figures.__setitem__
    add("messages_per_s", Figure(rate, "messages/s", TARGET_PER_S))
    add("round_trip_ms", Figure(WINDOW / rate * 1e3, "ms", better="lower"))
    add("cpu_us", Figure(found.cpu_s / found.messages * 1e6, "µs/message", better="lower"))
    add("of_disk", Figure(rate / disk, "x"))
    add("lost", Figure(found.lost, "readings", 0, "lower"))
    result.peers["write + fdatasync of 20 rows"] = {"messages_per_s": Figure(disk, "messages/s").json()}
    result.hash = found.hash
    return result


def _disk_per_s() -> float:
    with tempfile.TemporaryDirectory(prefix="lifeline-bench-") as name:
        fd = os.open(Path(name) / "plain", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
        began, commits = time.perf_counter(), 0
        while time.perf_counter() < began + 1.0:
            os.write(fd, bytes(WINDOW * ROW_BYTES))
            os.fdatasync(fd)
            commits += 1
        os.close(fd)
    return commits * WINDOW / (time.perf_counter() - began)
