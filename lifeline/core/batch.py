"""Readings as columns: what a collector gives, what the log holds, what a follower reads."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from lifeline.core.schema import LOG_READINGS, Flag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Readings:
    """Equal-length columns of readings in arrival order; row i is one value of one point.

    ``point`` int32 index into the registry; ``ts`` and ``received_at`` int64 epoch ms; ``value`` float64 in the
    point's unit, NaN for null; ``seq`` uint32; ``quality`` and ``flags`` uint8 (see ``schema``).
    """

    point: NDArray[np.int32]
    ts: NDArray[np.int64]
    received_at: NDArray[np.int64]
    value: NDArray[np.float64]
    seq: NDArray[np.uint32]
    quality: NDArray[np.uint8]
    flags: NDArray[np.uint8]

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.point)

    @classmethod
    def empty(cls, rows: int = 0) -> Readings:
        """Columns of ``rows`` zeros."""
        return cls(*(np.zeros(rows, field.type.to_pandas_dtype()) for field in LOG_READINGS))

    @classmethod
    def concat(cls, parts: Sequence[Readings]) -> Readings:
        """One batch of all parts in order."""
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return cls.empty()
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)))

    @classmethod
    def from_arrow(cls, batch: pa.RecordBatch) -> Readings:
        """Zero-copy views of a record batch in the ``LOG_READINGS`` schema (read-only arrays)."""
        return cls(*(batch.column(i).to_numpy(zero_copy_only=True) for i in range(batch.num_columns)))

    def to_arrow(self) -> pa.RecordBatch:
        """The same columns as a record batch, without a copy."""
        return pa.record_batch([pa.array(getattr(self, f.name)) for f in LOG_READINGS], schema=LOG_READINGS)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp] | slice) -> Readings:
        """The chosen rows, by mask, index or slice."""
        return Readings(*(getattr(self, f.name)[rows] for f in fields(self)))

    @property
    def unique_rows(self) -> int:
        """How many rows are not flagged as duplicates."""
        return len(self) - int(np.count_nonzero(self.flags & np.uint8(Flag.DUPLICATE)))

    def unique(self) -> Readings:
        """Without the rows flagged as duplicates; the batch itself when there are none."""
        repeated = (self.flags & np.uint8(Flag.DUPLICATE)) != 0
        return self.take(~repeated) if repeated.any() else self


@dataclass(frozen=True, slots=True)
class IngestBatch:
    """What a collector hands to the log: readings and rejects that are acknowledged together."""

    received_at: int
    """When the bytes were read, epoch ms; rows carry the same or an earlier time."""
    readings: Readings
    rejects: pa.RecordBatch | None = None
    """In the ``REJECTS`` schema."""


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One committed record. ``lsn`` counts records from 1 without a gap; a clock record has no rows and no rejects."""

    lsn: int
    received_at: int
    """The log's clock, epoch ms; never decreases from record to record."""
    readings: Readings
    rejects: pa.RecordBatch | None = None


TOGETHER_ROWS: Final = 1 << 13
"""A record of so many rows gains nothing from company."""


def together(
    records: Iterable[LogRecord], key: Callable[[LogRecord], object] = lambda _: None
) -> Iterator[tuple[Readings, LogRecord]]:
    """Neighbours of one ``key``, while they are small, as the readings of all and the last of them; in order.

    For whoever pays by the record as well as by the row: a broker's window of twenty messages makes hundreds a second.
    """
    kept: list[LogRecord] = []
    rows = 0
    for record in records:
        more = len(record.readings)
        if kept and (rows + more > TOGETHER_ROWS or key(record) != key(kept[0])):
            yield Readings.concat([one.readings for one in kept]), kept[-1]
            kept, rows = [], 0
        kept.append(record)
        rows += more
    if kept:
        yield Readings.concat([one.readings for one in kept]), kept[-1]
