"""Asking the database by constant queries: SQLAlchemy puts the text together once, the driver does the rest.

Putting a query of sixty columns together costs more than running it, and SQLAlchemy's own cache must walk the whole
query to find it again. So what is asked for every alarm and every act is a constant of its module, known here by its
identity; its parameters are plain numbers and text, and so is what it finds, but for truth values.

A query that is put together anew for each call does not belong here: it would push the constants out.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from sqlalchemy import Boolean, bindparam

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import ColumnElement, CompoundSelect, Connection, CursorResult, Dialect, Select

Row = dict[str, Any]

SIZES: Final = (1, 4, 16, 64, 256, 1024, 4000)
"""Keys in one question; a list that is between two of them is filled with its last key. SQLite takes 32,766 parameters
(since 3.32), PostgreSQL 65,535."""
KEYS_MAX: Final = SIZES[-1]
QUERIES_MAX: Final = 512
"""Constant queries, times sizes, times dialects in one process: a third of that."""
_NONE: Final[Mapping[str, Any]] = {}


_Query: TypeAlias = "Select[Any] | CompoundSelect[Any]"


class _Text(NamedTuple):
    """What a query is to the driver."""

    sql: str
    order: tuple[str, ...] | None
    """Of the parameters; None: they go by name."""
    given: Mapping[str, Any]
    """Parameters whose values stand in the query itself."""
    names: tuple[str, ...]
    truths: tuple[str, ...]
    """Columns that hold truth values where the database has only numbers for them."""


def ask(connection: Connection, query: _Query, given: Mapping[str, Any] = _NONE) -> list[Any]:
    """Rows of a constant query whose named parameters are ``given``, as the driver gives them: truth may be 0 and 1."""
    return list(_run(connection, _text(connection.dialect, query), given))


def ask_one(connection: Connection, query: Select[Any], given: Mapping[str, Any] = _NONE) -> Any:
    """The first value of the first row, None when there is none."""
    found = _run(connection, _text(connection.dialect, query), given).fetchone()
    return None if found is None else found[0]


def ask_rows(connection: Connection, query: Select[Any], given: Mapping[str, Any] = _NONE) -> list[Row]:
    """Whole rows by column, truth values as such."""
    text = _text(connection.dialect, query)
    return _named(text, _run(connection, text, given))


def fetch(connection: Connection, query: Select[Any], column: ColumnElement[Any], keys: Iterable[object]) -> list[Row]:
    """Rows of a constant query whose ``column`` is among ``keys``, however many there are."""
    wanted = list(dict.fromkeys(keys))
    rows: list[Row] = []
    for start in range(0, len(wanted), KEYS_MAX):
        some = wanted[start : start + KEYS_MAX]
        size = next(size for size in SIZES if size >= len(some))
        some += [some[-1]] * (size - len(some))
        text = _text(connection.dialect, _among(query, column, size))
        rows += _named(text, _run(connection, text, dict(zip(_key_names(size), some, strict=True))))
    return rows


def _run(connection: Connection, text: _Text, given: Mapping[str, Any]) -> CursorResult[Any]:
    values = {**text.given, **given}
    if text.order is None:
        return connection.exec_driver_sql(text.sql, values)
    return connection.exec_driver_sql(text.sql, tuple([values[name] for name in text.order]))


def _named(text: _Text, found: Iterable[Sequence[Any]]) -> list[Row]:
    rows = [dict(zip(text.names, row, strict=True)) for row in found]
    for name in text.truths:
        for row in rows:
            if row[name] is not None:
                row[name] = bool(row[name])
    return rows


@lru_cache(maxsize=QUERIES_MAX)
def _text(dialect: Dialect, query: _Query) -> _Text:
    compiled = query.compile(dialect=dialect)
    asked = {name for name, one in compiled.binds.items() if one.required}
    whole = compiled.construct_expanded_state(dict.fromkeys(asked))  # lists that stand in the query, spelt out
    order = whole.positiontup
    columns = query.selected_columns
    truths = () if dialect.supports_native_boolean else [c.key for c in columns if isinstance(c.type, Boolean)]
    names = tuple(str(column.key) for column in columns)
    given = {name: value for name, value in whole.parameters.items() if name not in asked}
    return _Text(whole.statement, None if order is None else tuple(order), given, names, tuple(map(str, truths)))


@lru_cache(maxsize=QUERIES_MAX)
def _among(query: Select[Any], column: ColumnElement[Any], size: int) -> Select[Any]:
    return query.where(column.in_([bindparam(name, type_=column.type) for name in _key_names(size)]))


@lru_cache(maxsize=len(SIZES))
def _key_names(size: int) -> tuple[str, ...]:
    return tuple(f"_key{number}" for number in range(size))
