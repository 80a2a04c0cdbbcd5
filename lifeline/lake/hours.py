"""Completeness of one hour as arrays and as a file.

    expected = floor(elapsed / interval), elapsed = the part of the hour that is past by the log's clock, and after the
               point's first reading was received; 0 for a point without a known interval
    missing  = max(expected - received, 0)

A point enters the files with the hour in which its first reading was received. What it sends for earlier hours (a
gateway that empties its memory) is received without being expected: nobody knows whether it should have been there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lifeline.core.errors import CorruptionError
from lifeline.core.schema import TIME
from lifeline.lake.kernels.counts import HOUR_MS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

COMPLETENESS = pa.schema(
    [
        pa.field("point", pa.int32()),
        pa.field("hour", TIME),
        pa.field("expected", pa.int32()),
        pa.field("received", pa.int32()),
        pa.field("duplicates", pa.int32()),
        pa.field("late", pa.int32()),
        pa.field("missing", pa.int32()),
    ]
)


@dataclass(slots=True)
class Sparse:
    """Counts of (hour, point) pairs: ``keys`` (n, 2) int64 sorted without repeats, ``counts`` (n, 3) int32."""

    keys: NDArray[np.int64]
    counts: NDArray[np.int32]

    @classmethod
    def empty(cls) -> Sparse:
        """No pair."""
        return cls(np.zeros((0, 2), np.int64), np.zeros((0, 3), np.int32))

    @classmethod
    def of_rows(
        cls, hour: NDArray[np.int64], point: NDArray[np.int32], repeat: NDArray[np.bool_], late: NDArray[np.bool_]
    ) -> Sparse:
        """Count single readings."""
        ones = np.stack([~repeat, repeat, late & ~repeat], axis=1).astype(np.int32)
        return cls._summed(np.stack([hour, point.astype(np.int64)], axis=1), ones)

    @classmethod
    def sum(cls, parts: Sequence[Sparse]) -> Sparse:
        """The sum of all parts."""
        return cls._summed(np.concatenate([p.keys for p in parts]), np.concatenate([p.counts for p in parts]))

    def dense(self, hour: int, points: int) -> NDArray[np.int32]:
        """Counts of one hour, (points, 3)."""
        counts = np.zeros((points, 3), np.int32)
        rows = slice(*np.searchsorted(self.keys[:, 0], [hour, hour + 1]))
        counts[self.keys[rows, 1]] = self.counts[rows]
        return counts

    def without(self, hours: NDArray[np.int64]) -> Sparse:
        """All but these hours."""
        keep = ~np.isin(self.keys[:, 0], hours)
        return Sparse(self.keys[keep], self.counts[keep])

    def __len__(self) -> int:
        """Pairs."""
        return len(self.keys)

    @classmethod
    def _summed(cls, keys: NDArray[np.int64], counts: NDArray[np.int32]) -> Sparse:
        if not len(keys):
            return cls.empty()
        order = np.lexsort((keys[:, 1], keys[:, 0]))
        keys, counts = keys[order], counts[order]
        new = np.flatnonzero(np.concatenate([[True], (keys[1:] != keys[:-1]).any(axis=1)]))
        return cls(keys[new], np.add.reduceat(counts, new, axis=0, dtype=np.int32))


def expected_readings(
    hour: int, first_at: NDArray[np.int64], interval_ms: NDArray[np.int64], log_time_ms: int
) -> NDArray[np.int64]:
    """Readings that each point should have sent within an hour (number since 1970), int64."""
    end = min((hour + 1) * HOUR_MS, log_time_ms)
    elapsed = np.maximum(end - np.maximum(hour * HOUR_MS, first_at), 0)
    known = (first_at > 0) & (interval_ms > 0)
    return np.where(known, elapsed // np.maximum(interval_ms, 1), 0)


def hour_table(
    hour: int,
    counts: NDArray[np.int32],
    first_at: NDArray[np.int64],
    interval_ms: NDArray[np.int64],
    log_time_ms: int,
) -> pa.Table:
    """Rows of all points that were expected or seen in an hour; ``counts`` is (points, 3)."""
    expected = expected_readings(hour, first_at, interval_ms, log_time_ms)
    began = (first_at > 0) & (first_at < (hour + 1) * HOUR_MS)
    point = np.flatnonzero(began | counts.any(axis=1)).astype(np.int32)
    received = counts[point, 0]
    expected = expected[point].astype(np.int32)
    columns = [
        pa.array(point),
        pa.array(np.full(len(point), hour * HOUR_MS)).cast(TIME),
        pa.array(expected),
        pa.array(received),
        pa.array(counts[point, 1]),
        pa.array(counts[point, 2]),
        pa.array(np.maximum(expected - received, 0)),
    ]
    return pa.table(columns, schema=COMPLETENESS)


def write_hour(path: Path, table: pa.Table) -> None:
    """Write an hour's file (not yet durable)."""
    pq.write_table(table, path, compression="zstd", column_encoding={"point": "DELTA_BINARY_PACKED"},
                   use_dictionary=["hour", "expected", "received", "duplicates", "late", "missing"])  # fmt: skip


def read_hour(path: Path, points: int) -> NDArray[np.int32]:
    """Counts (points, 3) of an hour's file.

    Raises:
        CorruptionError: the file is missing or damaged.
    """
    try:
        table = pq.read_table(path, columns=["point", "received", "duplicates", "late"])
    except (OSError, pa.ArrowException) as error:
        raise CorruptionError(
            f"{path}: cannot be read: {error}; remove {path.parent} if the log still holds everything"
        ) from error
    point = table["point"].to_numpy()
    counts = np.zeros((points, 3), np.int32)
    if int(point.max(initial=-1)) >= points:
        raise CorruptionError(f"{path}: names point {int(point.max())}, the registry has {points} points")
    for column, name in enumerate(("received", "duplicates", "late")):
        counts[point, column] = table[name].to_numpy()
    return counts
