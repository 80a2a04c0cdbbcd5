"""``lifeline sql`` and exports: DuckDB over the published catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Final

from lifeline.app.since import parse_time
from lifeline.app.site import load_site
from lifeline.app.written import written
from lifeline.core.errors import ConfigurationError, Problem
from lifeline.lake.query import open_catalog, run

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

EXPORTS: Final = {".csv": "csv", ".json": "json", ".parquet": "parquet"}


def run_sql(config: Path, query: str, output: str, out: BinaryIO) -> None:
    """Write the result of one SELECT.

    Raises:
        QueryError: the query is refused or wrong.
        ConfigurationError: nothing was published yet.
    """
    connection = open_catalog(load_site(config).data)
    try:
        out.write(run(connection, query, output))
        out.flush()
    finally:
        connection.close()


def rows_of(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, object]]:
    """A query of ours as dicts."""
    rows: list[dict[str, object]] = connection.sql(query).to_arrow_table().to_pylist()
    return rows


def export_view(config: Path, view: str, path: Path, since: str | None) -> int:
    """Write a view of the catalog, from ``since`` on, as CSV, JSON or Parquet; the number of rows.

    Raises:
        ConfigurationError: another file ending, nothing was published yet, or the file cannot be written.
    """
    output = EXPORTS.get(path.suffix)
    if output is None:
        remedy = f"end it in one of {', '.join(EXPORTS)}"
        raise ConfigurationError([Problem("command line", "OUT", f"{path} is none of ours", remedy)])
    site = load_site(config)
    since_ms = parse_time(since, zone=site.zone)
    where = "" if since_ms is None else f" WHERE raised_at >= epoch_ms({since_ms})"
    connection = open_catalog(site.data)
    try:
        counted = connection.execute(f"SELECT count(*) FROM {view}{where}").fetchone()  # noqa: S608 - our own view
        data = run(connection, f"SELECT * FROM {view}{where}", output)  # noqa: S608 - our own view
        written(path, "OUT", lambda: path.write_bytes(data))
    finally:
        connection.close()
    return int(counted[0]) if counted else 0
