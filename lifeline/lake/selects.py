"""Which SQL may be asked: one SELECT over the published views, and nothing that reaches outside of it.

A DuckDB that may read a directory may also COPY into it. So what reaches it is exactly one statement, of the kind
SELECT, whose tables are our views or its own WITH, whose table functions are the harmless ones, and which calls nothing
that reads a file, a setting or the catalog. What is not known to be harmless is refused.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import duckdb

from lifeline.core.errors import PeerError
from lifeline.lake.views import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator

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


class QueryError(PeerError):
    """The query is refused or wrong; the message says why."""


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
