"""``log``: what durability costs. Nothing counts before its fdatasync has returned.

Ours: ``LocalLog`` on a real disk. Baselines in the same folder, in turns: for single rows one ``write`` and one
``fdatasync`` a row on an open file; for large batches the same bytes in plain writes, one ``fdatasync`` each. These
are what the disk allows to a program that keeps no checksum, no index, no schema, and cannot be read back.

Three shapes: one row after the other (latency), one row after the other but not waiting (group commit), batches of a
whole city's reports.
"""

from __future__ import annotations

import os
import tempfile
import threading
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from benchmarks.harness import Result, cpu_us, figure, interleaved, measure, ordered_hash, planted, rates
from lifeline.core.batch import IngestBatch, Readings
from lifeline.log import LocalLog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lifeline.core.batch import LogRecord

SEED: Final = 20260115
NOW_MS: Final = 1_768_438_800_000
PAIRS: Final = 5
SINGLES: Final = 200
GROUPED: Final = 20_000
BATCHES: Final = 12
BATCH_ROWS: Final = 219_300
ROW_BYTES: Final = 34


def run(scale: float) -> Result:
    """Singles, grouped singles, large batches."""
    result = Result("log", scale)
    add = result.figures.__setitem__
    singles = [_batch(1, i) for i in range(max(20, round(SINGLES * min(scale, 1.0))))]
    grouped = [_batch(1, i) for i in range(max(200, round(GROUPED * min(scale, 1.0))))]
    large = [_batch(max(100, round(BATCH_ROWS * scale)), i) for i in range(BATCHES)]
    with tempfile.TemporaryDirectory(prefix="lifeline-bench-") as name:
        folder = Path(name)
        with closing(LocalLog(folder / "singles", clock=_clock, clock_record_ms=0)) as log, _Plain(folder) as plain:
            pairs = interleaved(
                "log", lambda: _one_by_one(log, singles), lambda: plain.write(bytes(ROW_BYTES), len(singles)), PAIRS
            )
            add("single_commits_per_s", rates(pairs.ours, len(singles), "commits/s"))
            add("single_of_plain", figure(pairs.ratios(len(singles), len(singles), "wall_s"), "x"))
            add("single_cpu_us", cpu_us(pairs.ours, len(singles), "µs/commit"))
            peers = {"single_commits_per_s": rates(pairs.baseline, len(singles), "commits/s").json()}
            work = planted("log", lambda: _all_at_once(log, grouped))
            costs = [measure(work) for _ in range(3)]
            add("grouped_rows_per_s", rates(costs, len(grouped), "rows/s"))
        rows = sum(len(batch.readings) for batch in large)
        body = rows * ROW_BYTES
        with closing(LocalLog(folder / "large", clock=_clock, clock_record_ms=0)) as log, _Plain(folder) as plain:
            whole = bytes(body // len(large))
            pairs = interleaved("log", lambda: _all_at_once(log, large), lambda: plain.write(whole, len(large)), PAIRS)
            add("large_mb_per_s", rates(pairs.ours, body / 1e6, "MB/s"))
            add("large_of_plain", figure(pairs.ratios(body, body, "wall_s"), "x"))
            add("large_cpu_us", cpu_us(pairs.ours, rows, "µs/reading"))
            peers["large_mb_per_s"] = rates(pairs.baseline, body / 1e6, "MB/s").json()
            result.hash = _read_back(log, large)
    result.peers["write + fdatasync"] = peers
    return result


def _clock() -> int:
    return NOW_MS


def _batch(rows: int, number: int) -> IngestBatch:
    random = np.random.default_rng([SEED, rows, number])
    readings = Readings(
        point=random.integers(0, 600_000, rows, np.int32),
        ts=NOW_MS - random.integers(0, 5_000, rows),
        received_at=np.full(rows, NOW_MS, np.int64),
        value=random.normal(20.0, 3.0, rows).round(2),
        seq=np.full(rows, number, np.uint32),
        quality=np.zeros(rows, np.uint8),
        flags=np.zeros(rows, np.uint8),
    )
    return IngestBatch(NOW_MS, readings)


def _one_by_one(log: LocalLog, batches: Sequence[IngestBatch]) -> None:
    """Each waits for its commit."""
    done = threading.Semaphore(0)
    for batch in batches:
        log.append(batch, lambda error: _release(done, error))
        done.acquire()


def _all_at_once(log: LocalLog, batches: Sequence[IngestBatch]) -> None:
    """Append as fast as the log takes them; wait for the last commit."""
    done = threading.Semaphore(0)
    for batch in batches:
        log.append(batch, lambda error: _release(done, error))
    for _ in batches:
        done.acquire()


def _release(done: threading.Semaphore, error: BaseException | None) -> None:
    assert error is None, f"the disk refuses: {error}"
    done.release()


class _Plain:
    """An open file, appended to and synced."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "plain"

    def __enter__(self) -> Self:
        self._fd = os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_TRUNC, 0o644)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
        self._path.unlink()

    def write(self, data: bytes, times: int) -> None:
        """Append and sync so many times."""
        for _ in range(times):
            os.write(self._fd, data)
            os.fdatasync(self._fd)


def _read_back(log: LocalLog, batches: Sequence[IngestBatch]) -> str:
    """Digest of the first ``batches`` as read from the disk; they must be what was written."""
    records: list[LogRecord] = []
    while len(records) < len(batches):
        found = log.read(len(records))
        assert found, "committed records are missing"
        records += found
    for record, batch in zip(records, batches, strict=False):
        for f in fields(Readings):
            assert np.array_equal(getattr(record.readings, f.name), getattr(batch.readings, f.name)), f.name
    rows = Readings.concat([record.readings for record in records[: len(batches)]])
    return ordered_hash(getattr(rows, f.name) for f in fields(rows))
