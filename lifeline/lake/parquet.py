"""Readings and rejects as Parquet files of the lake: types, encodings, statistics.

The table's types are Delta's, and Delta has no unsigned integers: ``quality`` and ``flags`` are stored as int8 and
``seq`` as int64; the views cast them back. The partition column ``day`` is in the path only (Delta's rule).

Encodings were chosen by measurement on simulated-like rows (values rounded to 0.01, event times jittered):
DELTA_BINARY_PACKED for times, point and seq (point: 0.01 B a row, by dictionary 4.2); values by dictionary where
they repeat (1.7 B instead of 4.4 B), else BYTE_STREAM_SPLIT; ``received_at`` by dictionary in a fresh file,
where a few dozen receive times are shared by all rows. zstd level 3 gains 1 % over level 1.

A fresh file lives until its first merge: its values are written as they are and not compressed, quality and flags
without a dictionary, and what is compressed is by snappy, in half the time of zstd. Of 0.076 µs a row with values by
snappy and dictionaries (7.0 B) there are 0.054 left (11.7 B), and the merge reads a row in 0.027 in place of 0.040.
Columns that are never null say so in the file: levels that are all the same cost a tenth of the writing. (The table's
own columns stay nullable, as in its first versions.)
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lifeline.core.schema import REJECTS, TIME
from lifeline.lake.arrange import Arrangement

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from lifeline.core.batch import Readings

ROW_GROUP_ROWS = 1 << 18
"""A looked-up point costs the decoding of one row group a file: 262,144 rows are some 20 ms."""

SAMPLE_ROWS = 8192
"""Of a row group: enough to see whether it has some hundred receive times or thousands. To sort all of them took as
long as to write a column."""

READINGS_FILE = pa.schema(
    [
        pa.field("ts", TIME, nullable=False),
        pa.field("received_at", TIME, nullable=False),
        pa.field("point", pa.int32(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("quality", pa.int8(), nullable=False),
        pa.field("flags", pa.int8(), nullable=False),
        pa.field("seq", pa.int64(), nullable=False),
    ]
)
"""Columns of a readings file, sorted by (point, ts)."""

READINGS_TABLE = pa.schema([pa.field("day", pa.date32()), *(pa.field(f.name, f.type) for f in READINGS_FILE)])
"""``day`` is the UTC day of *receiving*: late or wrong event times can never open a storm of partitions."""
REJECTS_FILE = pa.schema([pa.field(f.name, f.type) for f in REJECTS])
REJECTS_TABLE = pa.schema([pa.field("day", pa.date32()), *REJECTS_FILE])

_DELTA = "DELTA_BINARY_PACKED"

FRESH_COMPRESSION = dict.fromkeys(("received_at", "quality", "flags"), "snappy") | dict.fromkeys(
    ("ts", "point", "value", "seq"), "none"
)
"""Snappy takes nothing off packed differences, and for half of the values' bytes as long as all the rest."""
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What the table's log and the compaction must know of a file."""

    rows: int
    bytes: int
    stats: str
    """Delta's statistics, JSON."""


def day_name(day: int) -> str:
    """ISO date of a day number since 1970."""
    return datetime.fromtimestamp(day * 86_400, UTC).date().isoformat()


def split_days(received_at: NDArray[np.int64]) -> list[tuple[int, NDArray[np.intp] | slice]]:
    """Rows of each UTC day of receiving: (day number, rows)."""
    if len(received_at) == 0:
        return []
    first, last = int(received_at.min()) // _DAY_MS, int(received_at.max()) // _DAY_MS
    if first == last:
        return [(first, slice(None))]
    day = received_at // _DAY_MS
    return [(int(d), np.flatnonzero(day == d)) for d in np.unique(day)]


def sorted_table(*parts: Readings) -> pa.Table:
    """Readings, of one part after the other, in file order and file types; NaN becomes null.

    Column by column, so that they are never held a third time.
    """
    return arranged_table(lambda name: [getattr(part, name) for part in parts])


def arranged_table(column: Callable[[str], list[NDArray[Any]]]) -> pa.Table:
    """Rows in file order and file types.

    Args:
        column: Of a name of ``Readings``, its parts; in the log's types or in the file's, NaN for null.
    """
    points = column("point")
    if not any(map(len, points)):
        return READINGS_FILE.empty_table()
    arranged = Arrangement(points, column("ts"))
    value = arranged(column("value"))
    null = np.isnan(value)
    return pa.table(
        [
            pa.array(arranged(column("ts"))).cast(TIME),
            pa.array(arranged(column("received_at"))).cast(TIME),
            pa.array(arranged(points)),
            pa.array(value, mask=null) if null.any() else pa.array(value),
            pa.array(arranged(column("quality")).view(np.int8)),
            pa.array(arranged(column("flags")).view(np.int8)),
            pa.array(arranged(column("seq")).astype(np.int64, copy=False)),
        ],
        schema=READINGS_FILE,
    )


def repeats_itself(column: NDArray[np.generic]) -> bool:
    """Whether a dictionary pays: in the first row group, a value occurs three times or more on average."""
    group = column[:ROW_GROUP_ROWS]
    return len(np.unique(group)) * 3 <= len(group)


def readings_writer(path: Path, first: pa.Table, *, fresh: bool = False) -> pq.ParquetWriter:
    """A writer for readings whose encodings suit the table ``first`` (the first rows of the file).

    ``fresh``: the file is to be merged soon, and written in a hurry.
    """
    encoding = {"ts": _DELTA, "point": _DELTA, "seq": _DELTA}
    dictionary = ["quality", "flags"]
    if fresh:
        encoding |= dict.fromkeys(("value", *dictionary), "PLAIN")
        dictionary = []
    elif repeats_itself(first["value"].drop_null().to_numpy()):
        dictionary.append("value")
    else:
        encoding["value"] = "BYTE_STREAM_SPLIT"
    received_at = first["received_at"].slice(0, ROW_GROUP_ROWS).cast(pa.int64()).to_numpy()
    if len(np.unique(received_at[:: 1 + len(received_at) // SAMPLE_ROWS])) <= 256:
        dictionary.append("received_at")
    else:
        encoding["received_at"] = _DELTA
    return pq.ParquetWriter(
        path,
        READINGS_FILE,
        compression=FRESH_COMPRESSION if fresh else "zstd",
        compression_level=None if fresh else 1,
        use_dictionary=dictionary,
        column_encoding=encoding,
        dictionary_pagesize_limit=4 << 20,
        write_statistics=True,
        write_page_checksum=True,
        sorting_columns=[pq.SortingColumn(2), pq.SortingColumn(0)],
    )


def write_readings(path: Path, table: pa.Table) -> FileFacts:
    """Write a sorted table as one fresh file (not yet durable)."""
    with readings_writer(path, table, fresh=True) as writer:
        writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
    return FileFacts(table.num_rows, path.stat().st_size, readings_stats(path))


def rejects_writer(path: Path) -> pq.ParquetWriter:
    """A writer for rejects."""
    return pq.ParquetWriter(path, REJECTS_FILE, compression="zstd", compression_level=3, write_page_checksum=True)


def write_rejects(path: Path, table: pa.Table) -> FileFacts:
    """Write rejects as one file (not yet durable)."""
    with rejects_writer(path) as writer:
        writer.write_table(table.cast(REJECTS_FILE))
    return FileFacts(table.num_rows, path.stat().st_size, json.dumps({"numRecords": table.num_rows}))


def readings_stats(path: Path) -> str:
    """Delta's statistics of a file, from its own footer."""
    footer = pq.read_metadata(path)
    low: dict[str, object] = {}
    high: dict[str, object] = {}
    nulls: dict[str, int] = {}
    for group in range(footer.num_row_groups):
        for index in range(footer.num_columns):
            column = footer.row_group(group).column(index)
            name, stats = column.path_in_schema, column.statistics
            if stats is None or not stats.has_min_max:
                continue
            nulls[name] = nulls.get(name, 0) + stats.null_count
            low[name] = stats.min if name not in low else min(low[name], stats.min)
            high[name] = stats.max if name not in high else max(high[name], stats.max)
    facts = {
        "numRecords": footer.num_rows,
        "minValues": {k: _plain(v) for k, v in low.items()},
        "maxValues": {k: _plain(v) for k, v in high.items()},
        "nullCount": nulls,
    }
    return json.dumps(facts)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"
    return value
