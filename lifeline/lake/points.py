"""The published points: as Parquet for everybody, and once more as a registry keeps them, to be mapped into memory.

Whoever judges a history asks for the device of every point, and for a dozen columns of few values. To decode them is
0.13 s for 624,800 points, as much as judging three million readings; half of it are names, of which hardly any is ever
told. In the second file a column is the number of each point's value, as narrow as it can be, and the values: 14 MB, of
which nothing is decoded.

    magic, CRC-32 of what follows, size of the Parquet file; one batch as an Arrow stream

It is derived and can be missed: nothing is fsynced here, so one that is cut off or not of this Parquet file is as good
as none, and the Parquet file is read. Columns that rules seldom ask for are only there.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lifeline.core.registry import NEEDED, compacted, plain_schema
from lifeline.core.schema import POINTS

if TYPE_CHECKING:
    from pathlib import Path

DICTIONARY_BYTES: Final = 8 << 20
"""Of a column's dictionary in Parquet: ids of 219,300 devices are 3 MB."""
HEADER: Final = struct.Struct("<8sIxxxxQ")
"""A multiple of eight bytes, as Arrow's buffers are aligned."""
MAGIC: Final = b"LLPOINT1"
COLUMNS: Final = (
    *("device_id", "quantity", "unit", "utility", "kind", "span_low", "span_high", "interval_s"),
    *("zone", "gateway", "group"),
)
"""What the standard rules ask of all points."""


def mapped_path(points: Path) -> Path:
    """Of a published Parquet file. In a folder of its own: what queries may read has no such files."""
    return points.parent.parent / "mapped" / f"{points.stem}.arrow"


def write_points(table: pa.Table, path: Path) -> None:
    """Points as a Parquet file and the one to be mapped; texts and what repeats may be dictionaries.

    In Parquet numbers that rise and places that differ do without a dictionary, ids do not: of 624,800 points 7.5 MB
    instead of 9.8, and who takes texts as dictionaries reads them in half the time.

    Raises:
        OSError: the disk refuses.
    """
    pq.write_table(
        table,
        path,
        compression="zstd",
        use_dictionary=[name for name in table.column_names if name not in {"point", "lon", "lat"}],
        column_encoding={"point": "DELTA_BINARY_PACKED"},
        dictionary_pagesize_limit=DICTIONARY_BYTES,
        store_schema=False,  # it would tell readers which columns came as dictionaries
    )
    _write_mapped(table, path)


def _write_mapped(table: pa.Table, points: Path) -> None:
    """None where row i is not point i, or a name is missing."""
    numbered = np.array_equal(table["point"].to_numpy(), np.arange(table.num_rows, dtype=np.int32))
    if not numbered or any(table[name].null_count for name in NEEDED):
        return
    kinds = {field.name: field.type for field in plain_schema(table.schema)}
    names = [name for name in COLUMNS if kinds.get(name) == POINTS.field(name).type]
    columns = {name: compacted(table[name].combine_chunks(), name) for name in names}
    coded = pa.table(columns, pa.schema([POINTS.field(n).with_type(c.type) for n, c in columns.items()]))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, coded.schema) as stream:
        stream.write_table(coded)
    body = sink.getvalue()
    with mapped_path(points).open("wb") as file:
        file.write(HEADER.pack(MAGIC, zlib.crc32(body), points.stat().st_size))
        file.write(body)


def read_mapped(points: Path, rows: int) -> pa.Table | None:
    """Columns of ``POINTS`` of a published Parquet file of so many rows, as dictionaries; None where there are none."""
    try:
        with pa.memory_map(str(mapped_path(points))) as file:
            whole = file.read_buffer()
        magic, checksum, size = HEADER.unpack_from(whole)
        body = whole.slice(HEADER.size)
        if magic != MAGIC or size != points.stat().st_size or zlib.crc32(body) != checksum:
            return None
        table = pa.ipc.open_stream(body).read_all()
    except (OSError, pa.ArrowException, struct.error):
        return None
    return table if table.num_rows == rows else None
