"""Rows as they lie in the tables, streamed in the order of their keys; each value is looked at on its way."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select

from lifeline.governance.integrity.cells import checks_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import ColumnElement, Connection, Table

Row = dict[str, Any]

ROWS: Final = 2000
"""Of one stream that are fetched at a time."""
OPEN: Final = "integrity: open streams"
"""Of a connection, until the rows are checked: a cursor of a server must not outlive them."""


class DamageError(Exception):
    """What is wrong, with its place."""


@contextmanager
def any_text(connection: Connection) -> Iterator[None]:
    """SQLite's driver ends a query at a text that is not UTF-8; here it gives what can be shown and found."""
    if connection.dialect.name != "sqlite":
        yield
        return
    driver: Any = connection.connection.driver_connection
    before, driver.text_factory = driver.text_factory, lambda raw: raw.decode("utf-8", "surrogateescape")
    try:
        yield
    finally:
        driver.text_factory = before


def stream(connection: Connection, table: Table, *order: ColumnElement[Any], where: Any = None) -> Iterator[Row]:
    """Rows as the driver gives them; each value is looked at by itself on its way."""
    query = select(table).order_by(*order)
    if where is not None:
        query = query.where(where)
    text = str(query.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True}))
    names = [column.name for column in table.columns]
    checks = checks_of(table)
    keys = [names.index(column.name) for column in table.primary_key.columns]
    found = connection.exec_driver_sql(text, execution_options={"yield_per": ROWS})
    connection.info.setdefault(OPEN, []).append(found)
    for values in found:
        for name, value, check in zip(names, values, checks, strict=True):
            if (problem := check(value)) is not None:
                key = ", ".join(ascii(values[one])[:40] for one in keys)
                raise DamageError(f"{table.name} {key}: {name} {problem}")
        yield dict(zip(names, values, strict=True))
    found.close()


class Groups:
    """Rows of a stream by key, asked for in rising order of keys; what nobody asks for belongs to nothing."""

    def __init__(self, rows: Iterator[Row], key: Callable[[Row], str]) -> None:
        self._rows, self._key = rows, key
        self._next = next(rows, None)

    def of(self, key: str) -> list[Row]:
        """The rows of a key."""
        found: list[Row] = []
        while self._next is not None and self._key(self._next) <= key:
            if self._key(self._next) == key:
                found.append(self._next)
            self._next = next(self._rows, None)
        return found

    def drain(self) -> None:
        """Look at the rest."""
        for _ in self._rows:
            pass


def hold(where: str, row: Row, expected: Row) -> None:
    """The columns are as expected. Raises DamageError."""
    for name, value in expected.items():
        if row[name] != value:
            raise DamageError(f"{where}: {name} is {ascii(row[name])[:60]}, its log and alarms say {ascii(value)[:60]}")
