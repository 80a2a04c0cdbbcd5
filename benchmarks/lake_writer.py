"""An engine's lake side in a process of its own: what analysts read while it is being written.

    python -m benchmarks.lake_writer SENSORS RECORDS FOLDER     ◄── lines on stdin / JSON lines on stdout
                ──► {"ready": true, "rows"}     RECORDS records are in the lake and, as they came, in plain/
    "write"     ──► {"writing": true}           one more record a second (at most RECORDS), merges as they fall due
    "stop"      ──► {"rows", "merges"}          of the whole lake; everything flushed, nothing being written

The plain files are the baseline: one Parquet file a record, in the order of arrival, zstd; and ``points.parquet``.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.records import fleet_records
from benchmarks.sender import say
from benchmarks.streams import Stream
from lifeline.core.schema import TIME
from lifeline.lake.catalog import Catalog
from lifeline.lake.writer import LakeFollower

if TYPE_CHECKING:
    from lifeline.core.batch import LogRecord

PERIOD_S: Final = 1.0
TICK_S: Final = 0.1


class Writer:
    """A lake, its catalog, and what is to be written."""

    def __init__(self, sensors: int, count: int, folder: Path) -> None:
        fleet = Stream(sensors, 1).fleet
        records = fleet_records(fleet, 2 * count)
        self._coming = records[count:]
        catalog = Catalog(folder / "var")
        catalog.publish_table("points", fleet.points)
        catalog.publish_table("areas", fleet.areas)
        self._lake = LakeFollower(folder / "var", catalog)
        self.rows = 0
        plain = folder / "plain"
        plain.mkdir()
        pq.write_table(fleet.points, folder / "points.parquet", compression="zstd")
        for record in records[:count]:
            self._take(record)
            self._lake.flush()
            pq.write_table(plain_table(record), plain / f"{record.lsn:06d}.parquet", compression="zstd")
        self._lake.compact_all()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def _take(self, record: LogRecord) -> None:
        self._lake.consume([record])
        self.rows += len(record.readings)

    def start(self) -> None:
        """Begin to write more."""
        self._thread.start()

    def _write(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(TICK_S):
            if self._coming and time.monotonic() >= due:
                self._take(self._coming.pop(0))
                due += PERIOD_S
            self._lake.tick(time.time_ns() // 1_000_000)

    def stop(self) -> int:
        """Write no more; how many merges there were."""
        self._stop.set()
        self._thread.join()
        self._lake.close()
        return self._lake.merges


def plain_table(record: LogRecord) -> pa.Table:
    """A record's rows as they came, with times as times."""
    rows = pa.Table.from_batches([record.readings.to_arrow()])
    for name in ("ts", "received_at"):
        rows = rows.set_column(rows.schema.get_field_index(name), name, rows[name].cast(TIME))
    return rows


def main() -> None:
    """See the module's head."""
    parser = argparse.ArgumentParser()
    parser.add_argument("sensors", type=int)
    parser.add_argument("records", type=int)
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    writer = Writer(asked.sensors, asked.records, asked.folder)
    say(ready=True, rows=writer.rows)
    for line in sys.stdin:
        if line.strip() == "write":
            writer.start()
            say(writing=True)
        elif line.strip() == "stop":
            merges = writer.stop()
            say(rows=writer.rows, merges=merges)


if __name__ == "__main__":
    main()
