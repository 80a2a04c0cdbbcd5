"""The result of a query as bytes: a table to read, CSV, JSON, Parquet, Arrow."""

from __future__ import annotations

import csv
import io
import unicodedata
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import orjson
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMATS: Final = ("table", "csv", "json", "parquet", "arrow", "columns")
"""``arrow``: an IPC stream; ``columns``: JSON with columns, types and rows as lists."""

WHOLE_BELOW: Final = 1 << 63
"""Whole numbers of JSON below this are read as they are by most programs; larger ones are text."""

TABLE_ROWS_MAX: Final = 10_000
"""Rows that ``table`` shows; the other formats give all."""


def answer(table: pa.Table, output: str) -> bytes:
    """A table in one of FORMATS: text is UTF-8; in csv, what a spreadsheet would take for a formula begins with "'"."""
    if output == "parquet":
        import pyarrow.parquet as pq  # 15 ms of every other query

        buffer = io.BytesIO()
        pq.write_table(_without_spans(table), buffer, compression="zstd")
        return buffer.getvalue()
    if output == "arrow":
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return bytes(sink.getvalue())
    if output == "columns":
        lists = [[_json_value(value) for value in row] for row in _rows(table)]
        types = [str(kind) for kind in table.schema.types]
        body = {"columns": table.column_names, "types": types, "rows": lists}
        return orjson.dumps(body, default=_json_value)
    if output == "json":
        rows = [{k: _json_value(v) for k, v in row.items()} for row in table.to_pylist()]
        return orjson.dumps(rows, default=_json_value, option=orjson.OPT_INDENT_2) + b"\n"
    return (_csv(table) if output == "csv" else _text(table)).encode()


def _rows(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.to_pylist() for column in table.columns), strict=True)


def _instant(value: datetime) -> str:
    if value.tzinfo is None:
        return value.isoformat(timespec="milliseconds")
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _json_value(value: Any) -> Any:
    """A value as JSON has it; what it lacks is text. Sums and decimals are numbers where nothing is lost."""
    if isinstance(value, datetime):
        return _instant(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, Decimal):
        whole = value == value.to_integral_value()
        number = int(value) if whole and abs(value) < WHOLE_BELOW else float(value)
        return number if Decimal(repr(number)) == value else str(value)
    if isinstance(value, pa.MonthDayNano):
        return _interval(*value)
    return value if isinstance(value, (bool, int, float, str, list, dict, date, type(None))) else str(value)


def _interval(months: int, days: int, nanoseconds: int) -> str:
    """A span of time as DuckDB writes it: ``1 year 2 months 3 days 04:05:06.789``."""
    years, months = int(months / 12), months - 12 * int(months / 12)
    named = ((years, "year"), (months, "month"), (days, "day"))
    words = [f"{count} {unit}{'s' * (abs(count) != 1)}" for count, unit in named if count]
    if nanoseconds or not words:
        seconds, fraction = divmod(abs(nanoseconds) // 1000, 1_000_000)
        text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        tail = f".{fraction:06}".rstrip("0") if fraction else ""
        words.append(f"{'-' * (nanoseconds < 0)}{text}{tail}")
    return " ".join(words)


def _without_spans(table: pa.Table) -> pa.Table:
    """Spans of time as text: Parquet has no type that everybody writes and reads for them."""
    for number, field in enumerate(table.schema):
        if field.type == pa.month_day_nano_interval():
            told = [None if value is None else _interval(*value) for value in table.column(number).to_pylist()]
            table = table.set_column(number, field.name, pa.array(told, pa.string()))
    return table


def _plain(value: Any) -> str:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, (list, dict)):
        return orjson.dumps(value, default=_json_value).decode()
    value = _json_value(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, date) else str(value)


def _csv(table: pa.Table) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(table.column_names)
    for batch in table.to_batches(1 << 14):
        for row in _rows(pa.Table.from_batches([batch])):
            writer.writerow([_no_formula(value) for value in row])
    return buffer.getvalue()


def _no_formula(value: Any) -> str:
    text = _plain(value)
    dangerous = isinstance(value, (str, bytes)) and text[:1] in set("=+-@\t\r")
    return "'" + text if dangerous else text


def _text(table: pa.Table) -> str:
    shown = table.slice(0, TABLE_ROWS_MAX)
    cells = [table.column_names, *([_printable(value) for value in row] for row in _rows(shown))]
    widths = [max(_width(row[i]) for row in cells) for i in range(table.num_columns)]
    right = [pa.types.is_integer(t) or pa.types.is_floating(t) or pa.types.is_decimal(t) for t in table.schema.types]
    lines = ["  ".join(_padded(c, w, right=r) for c, w, r in zip(row, widths, right, strict=True)) for row in cells]
    lines.insert(1, "  ".join("─" * width for width in widths))
    cut = f", the first {TABLE_ROWS_MAX} shown" if shown.num_rows < table.num_rows else ""
    return "\n".join(
        [*(line.rstrip() for line in lines), f"({table.num_rows} row{'s' * (table.num_rows != 1)}{cut})", ""]
    )


def _padded(text: str, width: int, *, right: bool) -> str:
    blanks = " " * (width - _width(text))
    return blanks + text if right else text + blanks


def _printable(value: Any) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in _plain(value))


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
