"""Row groups of the lake's readings: what their footers say, and their columns in the log's types.

A column of one value is not decoded.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lifeline.core.batch import Readings
from lifeline.core.schema import LOG_READINGS, TIME

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Column = NDArray[Any]

KINDS: Final = {field.name: np.dtype(field.type.to_pandas_dtype()) for field in LOG_READINGS}
NEVER: Final = np.iinfo(np.int64).min
ALWAYS: Final = np.iinfo(np.int64).max
SHARED_ROWS: Final = 1 << 20
"""Zeros that all columns of nothing else share."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A row group, and what its footer says of it."""

    file: pq.ParquetFile
    group: int
    rows: int
    first: int
    last: int
    """Times of receipt, epoch ms."""
    low: int
    high: int
    """Points."""
    same: dict[str, int]
    """Columns of one value, and the value."""
    within: tuple[int, int] | None
    """Times of receipt asked for (the second is not), if not all of it is."""

    def columns(self, *names: str) -> list[Column]:
        """Some columns in the log's types, read-only, of the rows asked for; values that are missing are NaN or 0."""
        wanted = [name for name in names if name not in self.same]
        if self.within is not None and "received_at" not in wanted:
            wanted.append("received_at")
        read = self.file.read_row_group(self.group, columns=wanted, use_threads=False) if wanted else {}
        found = {name: _plain(read[name], name) for name in wanted}
        if self.within is not None:
            received, (low, high) = found["received_at"], self.within
            keep = (received >= low) & (received < high)
            found = {name: column[keep] for name, column in found.items()}
        rows = len(found["received_at"]) if self.within is not None else self.rows
        return [found[name] if name in found else constant(name, self.same[name], rows) for name in names]

    def span(self) -> tuple[int, int] | None:
        """First and last time of receipt of the rows asked for."""
        if self.within is None:
            return self.first, self.last
        (received,) = self.columns("received_at")
        return (int(received.min()), int(received.max())) if len(received) else None


def pieces(path: str, from_ms: int, to_ms: int) -> Iterator[Piece]:
    """The row groups of a file in which something was received in this time."""
    file = pq.ParquetFile(path, memory_map=True)
    meta = file.metadata
    place = {meta.schema.column(k).name: k for k in range(meta.num_columns)}
    for group in range(meta.num_row_groups):
        footer = meta.row_group(group)
        ends = {name: _ends(file, footer.column(place[name]), group) for name in KINDS if name != "value"}
        first, last = ends["received_at"] or (NEVER, ALWAYS)
        if not footer.num_rows or last < from_ms or first >= to_ms:
            continue
        same = {name: both[0] for name, both in ends.items() if both is not None and both[0] == both[1]}
        low, high = ends["point"] or (NEVER, ALWAYS)
        within = None if from_ms <= first and last < to_ms else (from_ms, to_ms)
        yield Piece(file, group, footer.num_rows, first, last, low, high, same, within)


def _ends(file: pq.ParquetFile, column: pq.ColumnChunkMetaData, group: int) -> tuple[int, int] | None:
    """The least and the largest of a column as its footer has them, where nothing is missing."""
    told, name = column.statistics, column.path_in_schema
    if told is not None and told.has_min_max and told.null_count == 0:
        kind = file.schema_arrow.field(name).type
        if not pa.types.is_timestamp(kind) or kind == TIME:
            return int(told.min_raw), int(told.max_raw)
    if name != "received_at":
        return None
    received = _plain(file.read_row_group(group, columns=[name], use_threads=False)[name], name)
    return (int(received.min()), int(received.max())) if len(received) else None


def _plain(column: pa.ChunkedArray, name: str) -> Column:
    """A column of a file in the log's type; values that are missing are NaN, other things 0."""
    array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if pa.types.is_timestamp(array.type):
        array = array.cast(TIME).cast(pa.int64())
    if array.null_count:
        array = array.fill_null(np.nan if name == "value" else 0)
    found: Column = array.to_numpy(zero_copy_only=False).astype(KINDS[name], copy=False)
    return found


def constant(name: str, value: int, rows: int) -> Column:
    """A column of one value; zeros are shared."""
    if not value and rows <= SHARED_ROWS:
        return _zeros(name, SHARED_ROWS)[:rows]
    return np.full(rows, np.int64(value).astype(KINDS[name]))


@cache
def _zeros(name: str, rows: int) -> Column:
    made = np.zeros(rows, KINDS[name])
    made.flags.writeable = False
    return made


def joined(parts: Sequence[Readings]) -> Readings:
    """One after the other; zeros stay shared."""
    if len(parts) == 1:
        return parts[0]
    rows = sum(map(len, parts))
    made = {}
    for name in KINDS:
        columns = [getattr(part, name) for part in parts]
        empty = rows <= SHARED_ROWS and all(column.base is _zeros(name, SHARED_ROWS) for column in columns)
        made[name] = constant(name, 0, rows) if empty else np.concatenate(columns)
    return sealed(Readings(**made))


def sealed(rows: Readings) -> Readings:
    """Read-only, as what comes from a file: compiled code is made for the one or for the other."""
    for name in KINDS:
        getattr(rows, name).flags.writeable = False
    return rows
