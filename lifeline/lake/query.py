"""``lifeline sql`` and the analysts' endpoint: one SELECT over the published views, while the engine writes.

The connection is in memory, with the views of ``catalog.sql`` in it: one consistent list of files, which stay on disk
for the grace period. It is then locked: no file outside the lake, no extension, no setting, no variable of the caller's
Python. Because a DuckDB that may read a directory may also COPY into it, what reaches it is limited too: exactly one
statement, of the kind SELECT, whose tables are our views or its own WITH, whose table functions are the harmless ones,
and which calls nothing that reads a file, a setting or the catalog. What is not known to be harmless is refused.
"""

from __future__ import annotations

import csv
import io
import json
import secrets
import threading
import unicodedata
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import duckdb
import orjson
import pyarrow as pa

from lifeline.core.errors import ConfigurationError, PeerError, Problem, UnavailableError
from lifeline.core.personal import masked_text, without_ids
from lifeline.lake.scope import HOUSEHOLD_PREFIX, pseudonym, scoped_views
from lifeline.lake.views import COLUMNS, if_moved

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from lifeline.core.principal import Grant

FORMATS: Final = ("table", "csv", "json", "parquet", "arrow", "columns")
"""``arrow``: an IPC stream; ``columns``: JSON with columns, types and rows as lists."""

TABLE_FUNCTIONS: Final = frozenset({"range", "generate_series", "unnest"})
"""Table functions a query may use; all others read files, settings or catalogs."""

DENIED_FUNCTIONS: Final = frozenset(
    {
        "checkpoint", "copy_database", "current_setting", "force_checkpoint", "getenv", "getvariable", "glob",
        "json_execute_serialized_sql", "nextval", "currval", "parquet_scan", "pragma_version", "query", "query_table",
        "set_config", "setseed", "shell", "sniff_csv", "which_secret", "write_log",
    }
)  # fmt: skip
"""Functions that reach outside the query: files, settings, environment, other SQL."""
DENIED_PREFIXES: Final = ("read_", "duckdb_", "pragma_", "pg_", "arrow_scan", "pandas_scan", "python_map", "iceberg_",
                          "delta_", "sqlite_", "postgres_", "mysql_", "http_", "st_read", "load_", "enable_",
                          "disable_", "_hide_")  # fmt: skip

REFUSED_REFERENCES: Final = frozenset({"COLUMN_DATA", "BOUND_TABLE_REF", "DELIM_GET"})
CATALOG_VIEWS: Final = frozenset({("information_schema", "columns"), ("information_schema", "tables")})
"""Parts of the catalog that name columns and types, but no definition, path or setting."""

WHOLE_BELOW: Final = 1 << 63
"""Whole numbers of JSON below this are read as they are by most programs; larger ones are text."""

TABLE_ROWS_MAX: Final = 10_000
"""Rows that ``table`` shows; the other formats give all."""


class QueryError(PeerError):
    """The query is refused or wrong; the message says why."""


def open_catalog(
    data_dir: Path,
    *,
    memory_limit: str = "1GB",
    threads: int = 2,
    grants: Sequence[Grant] | None = None,
    key: str | None = None,
) -> duckdb.DuckDBPyConnection:
    """A locked in-memory connection with the published views as of now.

    Args:
        data_dir: The site's data directory.
        memory_limit: DuckDB's; nothing is spilled to disk.
        threads: DuckDB's.
        grants: Only rows within these areas and utilities; None: all.
        key: Secret of the pseudonyms of households; None: nothing is masked.

    Raises:
        ConfigurationError: nothing was published in this directory.
        UnavailableError: the catalog was replaced or vanished again and again while it was being opened.
    """
    path = data_dir.resolve() / "catalog" / "catalog.sql"
    if not path.exists():
        raise ConfigurationError(
            [Problem(str(path), "site.data_dir", "no catalog was published here", "start the engine once")]
        )
    fault: Exception | None = None
    for _ in range(3):
        connection = duckdb.connect(config={"python_enable_replacements": False, "threads": threads})
        try:
            connection.execute("SET TimeZone = 'UTC'")
            text = path.read_text(encoding="utf-8")
            if grants is None and key is None:
                connection.execute(text)
            else:
                _open_scoped(connection, text, grants, key)
        except (duckdb.Error, OSError) as error:
            connection.close()
            fault = error
            continue
        _lock(connection, data_dir, memory_limit)
        return connection
    raise UnavailableError(f"{path}: cannot be opened: {fault}{if_moved(fault)}") from fault


def published_files(data_dir: Path) -> dict[str, list[str]]:
    """The Parquet files behind each published view as of now; they stay on disk for the grace period.

    Raises:
        ConfigurationError: nothing was published in this directory.
        UnavailableError: the list cannot be read.
    """
    path = data_dir.resolve() / "catalog" / "manifest.json"
    try:
        listed = json.loads(path.read_bytes())["files"]
    except FileNotFoundError as error:
        raise ConfigurationError(
            [Problem(str(path), "site.data_dir", "no catalog was published here", "start the engine once")]
        ) from error
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UnavailableError(f"{path}: cannot be read: {error}") from error
    return {str(name): [str(file) for file in files] for name, files in listed.items()}


def _open_scoped(
    connection: duckdb.DuckDBPyConnection, text: str, grants: Sequence[Grant] | None, key: str | None
) -> None:
    """The full views in a schema that queries cannot name, and over them the views of one reader."""
    connection.execute("CREATE SCHEMA source")
    connection.execute("SET schema = 'source'")
    connection.execute(text)
    connection.execute("SET schema = 'main'")
    found = connection.execute(
        "SELECT table_name, list(column_name ORDER BY column_index) FROM duckdb_columns() "
        "WHERE schema_name = 'source' GROUP BY table_name"
    ).fetchall()
    hide = "" if key is None else _hiding(connection, key)
    for statement in scoped_views(dict(found), grants, key, hide=hide):
        connection.execute(statement)


def _hiding(connection: duckdb.DuckDBPyConnection, key: str) -> str:
    """A function that masks texts as the API does, ids of household devices too; its name, which nobody can guess.

    A caller of it could ask for the pseudonym of an id that he knows: so it may not be called by name either.
    """
    home = f"SELECT DISTINCT device_id FROM source.points WHERE kind LIKE '{HOUSEHOLD_PREFIX}%'"  # noqa: S608 - ours
    households = frozenset(connection.sql(home).to_arrow_table()["device_id"].to_pylist())

    def of_id(device: str) -> str:
        return pseudonym(key, device)

    def hidden(texts: Any) -> pa.Array:
        shown = (None if one is None else masked_text(without_ids(one, households, of_id)) for one in texts.to_pylist())
        return pa.array(shown, pa.string())

    name = f"_hide_{secrets.token_hex(16)}"
    register: Any = connection.create_function  # its stubs know no function of whole arrays
    register(name, hidden, ["VARCHAR"], "VARCHAR", type="arrow")
    return name


def _lock(connection: duckdb.DuckDBPyConnection, data_dir: Path, memory_limit: str) -> None:
    root = data_dir.resolve()
    allowed = [f"{root / folder}/" for folder in ("lake", "catalog/tables", "catalog/parts")]
    listed = ", ".join("'" + path.replace("'", "''") + "'" for path in allowed)
    for setting in (
        f"SET memory_limit = '{memory_limit}'",
        "SET temp_directory = ''",
        f"SET allowed_directories = [{listed}]",
        "SET enable_external_access = false",
        "SET autoinstall_known_extensions = false",
        "SET autoload_known_extensions = false",
        "SET lock_configuration = true",
    ):
        connection.execute(setting)


def check(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    """The one SELECT that ``sql`` consists of.

    Raises:
        QueryError: it is something else; the message says what is allowed.
    """
    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        raise QueryError(str(error)) from error
    if len(statements) != 1:
        raise QueryError(f"exactly one statement is allowed, these are {len(statements)}")
    if statements[0].type != duckdb.StatementType.SELECT:
        kind = str(statements[0].type).rsplit(".", 1)[-1]
        raise QueryError(f"only SELECT is allowed (the catalog is read only), this is {kind}")
    tree = connection.execute("SELECT json_serialize_sql(?)", [statements[0].query]).fetchall()
    parsed = json.loads(tree[0][0])
    if parsed.get("error"):
        raise QueryError(f"only a plain SELECT is allowed: {parsed.get('error_message', 'cannot be analysed')}")
    named = frozenset(COLUMNS) | _own_names(parsed)
    for node in _nodes(parsed):
        _check_node(node, named)
    return str(statements[0].query)


def _own_names(tree: Any) -> frozenset[str]:
    """Names that the query gives to parts of itself (WITH)."""
    names: set[str] = set()
    for node in _nodes(tree):
        entries = (node.get("cte_map") or {}).get("map") or [] if isinstance(node.get("cte_map"), dict) else []
        names.update(str(entry.get("key", "")).lower() for entry in entries if isinstance(entry, dict))
        if node.get("type") in {"RECURSIVE_CTE_NODE", "CTE_NODE"}:
            names.add(str(node.get("cte_name") or node.get("ctename") or "").lower())
    return frozenset(names)


def _check_node(node: dict[str, Any], named: frozenset[str]) -> None:
    kind = node.get("type")
    if kind in REFUSED_REFERENCES or (kind == "SHOW_REF" and not _describes(node, named)):
        raise QueryError(f"only our views can be described: {', '.join(COLUMNS)}")
    if kind == "TABLE_FUNCTION":
        name = str(node.get("function", {}).get("function_name", "")).lower()
        if name not in TABLE_FUNCTIONS:
            raise QueryError(f"{name}() is not allowed; the views are {', '.join(COLUMNS)}")
    if kind == "BASE_TABLE":
        name, schema, catalog = (str(node.get(part) or "") for part in ("table_name", "schema_name", "catalog_name"))
        ours = name.lower() in named and schema.lower() in {"", "main"}
        if catalog or not (ours or (schema.lower(), name.lower()) in CATALOG_VIEWS):
            shown = ".".join(part for part in (catalog, schema, name) if part)
            raise QueryError(f"{shown!r} is not a view; the views are {', '.join(COLUMNS)}")
    function = str(node.get("function_name") or "").lower()
    if function in DENIED_FUNCTIONS or function.startswith(DENIED_PREFIXES):
        raise QueryError(f"{function}() is not allowed")


def _describes(node: dict[str, Any], named: frozenset[str]) -> bool:
    """Whether a DESCRIBE or SUMMARIZE is of a query (checked by itself) or of one of our views."""
    name = str(node.get("table_name") or "").strip('"').lower()
    return (not name and node.get("query") is not None) or name in named


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    waiting = [tree]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield item
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)


def run(
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    output: str = "table",
    *,
    rows_max: int | None = None,
    timeout_s: float | None = None,
) -> bytes:
    """The result of one SELECT as bytes: text (UTF-8) for table, csv and json, a file for parquet.

    Args:
        connection: From ``open_catalog``.
        sql: The query.
        output: One of FORMATS. In csv, texts that a spreadsheet would take for a formula begin with an apostrophe.
        rows_max: Refuse larger results.
        timeout_s: Interrupt the query after so long.

    Raises:
        QueryError: the query is refused, wrong, too slow or too large.
        ValueError: no such format.
    """
    if output not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, not {output!r}")
    table = fetch(connection, sql, rows_max=rows_max, timeout_s=timeout_s)
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


def fetch(
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    *,
    rows_max: int | None = None,
    timeout_s: float | None = None,
) -> pa.Table:
    """The result of one SELECT as an Arrow table; arguments and errors as in ``run``.

    Each column has a name of its own: a second ``a`` is ``a_1``, as DuckDB calls it where it makes a table of a result.
    """
    query = check(connection, sql)
    timer = threading.Timer(timeout_s, connection.interrupt) if timeout_s is not None else None
    if timer is not None:
        timer.start()
    try:
        batches, rows = [], 0
        with connection.sql(query).to_arrow_reader(1 << 16) as reader:
            for batch in reader:
                rows += batch.num_rows
                if rows_max is not None and rows > rows_max:
                    raise QueryError(f"the result has more than {rows_max} rows; aggregate, or add LIMIT")
                batches.append(batch)
            table = pa.Table.from_batches(batches, reader.schema)
            return table.rename_columns(_unique(table.column_names))
    except duckdb.InterruptException as error:
        raise QueryError(f"the query took more than {timeout_s} s and was stopped") from error
    except (duckdb.Error, pa.ArrowException) as error:
        if timer is not None and "INTERRUPT" in str(error):
            raise QueryError(f"the query took more than {timeout_s} s and was stopped") from error
        raise QueryError(str(error)) from error
    finally:
        if timer is not None:
            timer.cancel()


def _unique(names: Sequence[str]) -> list[str]:
    taken: set[str] = set()
    told = []
    for name in names:
        free, number = name, 0
        while free in taken or (number and free in names):
            number += 1
            free = f"{name}_{number}"
        taken.add(free)
        told.append(free)
    return told


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
    return "\n".join([*(line.rstrip() for line in lines), f"({table.num_rows} rows{cut})", ""])


def _padded(text: str, width: int, *, right: bool) -> str:
    blanks = " " * (width - _width(text))
    return blanks + text if right else text + blanks


def _printable(value: Any) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in _plain(value))


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
