"""``lake``: rows a second into the lake, and bytes a reading once it is merged; the simulated fleet, and random noise.

Ours: the lake follower fed with log records of one report of every point, each record flushed (sorted, encoded, zstd,
fsync, Delta commit, catalog), small files merged as they come, one file in the end. Baseline: the same rows by
``pyarrow.parquet.write_table`` with zstd, one file a record in the order of arrival, fsynced: what a collector without
a lake does. The fleet shows what is to be expected; noise, where no two values, times or orders repeat, shows what the
encodings cost where they cannot help: 8 bytes of it are the value itself.

The hash is over every row as an analyst's DuckDB reads them.
"""

from __future__ import annotations

import os
import tempfile
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.harness import Figure, Result, cpu_us, figure, measure, planted, progress, rates
from benchmarks.records import fleet_records
from benchmarks.site import stored
from benchmarks.streams import EPOCH_MS, Stream, sensors_at
from lifeline.core.batch import LogRecord, Readings
from lifeline.lake.catalog import Catalog
from lifeline.lake.writer import LakeFollower

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.harness import Cost

SEED: Final = 20260115
RECORDS: Final = 12
"""One more than a merge takes, so that there is one on the way."""
BYTES_TARGET: Final = 3.0


def run(scale: float) -> Result:
    """The fleet, then noise."""
    result = Result("lake", scale)
    digest = blake2b(digest_size=16)
    fleet = Stream(sensors_at(scale), 1).fleet
    for name, records in (
        ("fleet", fleet_records(fleet, RECORDS)),
        ("noise", _noise(len(fleet.points), RECORDS)),
    ):
        progress(f"{name}: {sum(len(record.readings) for record in records):,} rows")
        with tempfile.TemporaryDirectory(prefix="lifeline-bench-") as folder:
            digest.update(_one(result, name, records, Path(folder)).encode())
    result.hash = digest.hexdigest()
    return result


def _one(result: Result, name: str, records: Sequence[LogRecord], folder: Path) -> str:
    """One stream in and merged; its digest."""
    add = result.figures.__setitem__
    rows = len(records[0].readings)
    total = sum(len(record.readings) for record in records)
    catalog = Catalog(folder / "var", grace_ms=0)
    lake = LakeFollower(folder / "var", catalog, compact=False, grace_ms=0)
    plain = _Plain(folder / "plain")
    ours: list[Cost] = []
    baseline: list[Cost] = []
    for record in records:
        ours.append(measure(planted("lake", partial(_flush, lake, record))))
        baseline.append(measure(partial(plain.write, record)))
    fresh = _bytes(lake, folder)
    merging = measure(lambda: lake.compact_all(final=True))
    lake.close()
    add(f"{name}_rows_per_s", rates(ours[1:], rows, "rows/s"))
    add(f"{name}_cpu_us", cpu_us(ours[1:], rows, "µs/row"))
    add(f"{name}_plain_of_cpu", figure((b.cpu_s / a.cpu_s for a, b in zip(ours, baseline, strict=True)), "x"))
    add(f"{name}_merge_rows_per_s", Figure(total / merging.wall_s, "rows/s"))
    add(f"{name}_merge_cpu_us", Figure(merging.cpu_s / total * 1e6, "µs/row", better="lower"))
    add(f"{name}_bytes_fresh", Figure(fresh / total, "bytes/reading", better="lower"))
    merged = _bytes(lake, folder) / total
    add(f"{name}_bytes_merged", Figure(merged, "bytes/reading", BYTES_TARGET if name == "fleet" else None, "lower"))
    add(f"{name}_files", Figure(len(lake.readings.absolute()), "files", better="lower"))
    add(f"{name}_plain_of_bytes", Figure(plain.bytes / total / merged, "x"))
    result.peers.setdefault("pyarrow write_table, zstd, as it comes", {}).update(
        {
            f"{name}_rows_per_s": rates(baseline[1:], rows, "rows/s").json(),
            f"{name}_cpu_us": cpu_us(baseline[1:], rows, "µs/row").json(),
            f"{name}_bytes": Figure(plain.bytes / total, "bytes/reading", better="lower").json(),
        }
    )
    found = stored(folder / "var", 0)
    assert found.rows == total, f"{total - found.rows} of {total} rows are not in the lake"
    return found.hexdigest()


def _flush(lake: LakeFollower, record: LogRecord) -> None:
    lake.consume([record])
    lake.flush()


def _bytes(lake: LakeFollower, folder: Path) -> int:
    return sum((folder / path).stat().st_size for path in lake.readings.absolute())


class _Plain:
    """Files as they come."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.bytes = 0
        folder.mkdir()

    def write(self, record: LogRecord) -> None:
        """One file, fsynced."""
        path = self._folder / f"{record.lsn:06d}.parquet"
        with path.open("wb") as file:
            pq.write_table(pa.Table.from_batches([record.readings.to_arrow()]), file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        self.bytes += path.stat().st_size


def _noise(points: int, count: int) -> list[LogRecord]:
    """Every point once a record in random order, at random times within the minute, all bits of the value random."""
    random = np.random.default_rng(SEED)
    records = []
    for lsn in range(1, count + 1):
        now = EPOCH_MS + lsn * 60_000
        readings = Readings(
            point=random.permutation(points).astype(np.int32),
            ts=now - random.integers(0, 60_000, points),
            received_at=np.full(points, now, np.int64),
            value=random.random(points),
            seq=random.integers(0, 1 << 32, points, np.uint32),
            quality=np.zeros(points, np.uint8),
            flags=np.zeros(points, np.uint8),
        )
        records.append(LogRecord(lsn, now, readings))
    return records
