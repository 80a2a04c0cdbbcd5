"""``lifeline sql`` and the analysts' endpoint: one SELECT over the published views, while the engine writes.

The connection is in memory, with the views of ``catalog.sql`` in it: one consistent list of files, which stay on disk
for the grace period. It is then locked: no file outside the lake, no extension, no setting, no variable of the caller's
Python. What reaches it is limited too (``selects``).
"""

from __future__ import annotations

import json
import secrets
import threading
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from lifeline.core.errors import ConfigurationError, Problem, UnavailableError
from lifeline.core.personal import masked_text, without_ids
from lifeline.lake.answers import FORMATS, answer
from lifeline.lake.scope import HOUSEHOLD_PREFIX, pseudonym, scoped_views
from lifeline.lake.selects import QueryError, check
from lifeline.lake.views import if_moved

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lifeline.core.principal import Grant


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
    return answer(table, output)


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
