"""What is wrong with a file of the lake: pages by their checksums, the footer by what the pages hold; pure reading.

A page whose bits have changed decodes to other values more often than not, so each has a CRC-32 (files of older
versions have none). Nothing guards a Parquet footer, and readers skip row groups by its statistics: names of columns,
counts, smallest and largest values are held against the rows themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from pathlib import Path


def damage(path: Path, rows: int, columns: pa.Schema) -> str | None:
    """What is wrong with a file that should hold ``rows`` rows: every page is decoded; None when it is whole."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            if (told := _told(file.schema_arrow)) != _told(columns):
                return f"has other columns than the table: {told}"
            found = 0
            for group in range(file.num_row_groups):
                table = file.read_row_group(group)
                found += table.num_rows
                if wrong := _misdescribed(file.metadata.row_group(group), file.schema, table):
                    return f"row group {group}: the footer's {wrong} is not that of its rows"
    except (OSError, pa.ArrowException, ValueError, ArithmeticError) as error:
        return f"cannot be read: {error}"
    return None if found == rows else f"holds {found} rows, the table says {rows}"


def _told(columns: pa.Schema) -> str:
    """Names and types: whether a column may be null is not said by every version."""
    return ", ".join(f"{field.name} {field.type}" for field in columns)


def _misdescribed(footer: pq.RowGroupMetaData, schema: pq.ParquetSchema, table: pa.Table) -> str | None:
    """What the footer says wrongly of a row group."""
    if footer.num_rows != table.num_rows:
        return "number of rows"
    for index, name in enumerate(table.column_names):
        if footer.column(index).physical_type != schema.column(index).physical_type:
            return f"type of {name}"  # Arrow ends the whole process when such a column is asked for its statistics
        stats, column = footer.column(index).statistics, table.column(name)
        if stats is None:
            continue
        if stats.has_null_count and stats.null_count != column.null_count:
            return f"number of nulls of {name}"
        if not stats.has_min_max:
            continue
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        told = pc.min_max(column)
        if (stats.min, stats.max) != (told["min"].as_py(), told["max"].as_py()):
            return f"range of {name}"
    return None
