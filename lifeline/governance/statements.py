"""Statements that several doors share: reading by many keys, inserting once, paging by key."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, false, func, or_, select, true
from sqlalchemy.dialects import postgresql, sqlite

from lifeline.governance.errors import FieldError, UnknownIdError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import ColumnElement, Connection, Insert, Select, Table, Update
    from sqlalchemy.dialects.postgresql import Insert as PostgresInsert
    from sqlalchemy.dialects.sqlite import Insert as SqliteInsert

    from lifeline.core.principal import Grant

Row = dict[str, Any]

KEYS_MAX: Final = 4000
"""Keys in one IN list: SQLite takes 32,766 parameters (since 3.32), PostgreSQL 65,535."""
PAGE_ROWS_MAX: Final = 1000
ID_PREFIX_MIN: Final = 4


def insert_into(connection: Connection, table: Table) -> SqliteInsert | PostgresInsert:
    """An INSERT of the connection's dialect, which can say ON CONFLICT."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def execute_many(connection: Connection, statement: Insert | Update, rows: Sequence[Row]) -> None:
    """One statement over many rows that all have the same keys, all plain numbers, text, booleans and None.

    SQLAlchemy makes the text, the driver takes the rows: its conversion of each parameter would cost as much as the
    database does, and these values need none.
    """
    compiled = statement.compile(dialect=connection.dialect, column_keys=list(rows[0]))
    order = compiled.positiontup
    if order is None:  # a driver with named parameters
        connection.exec_driver_sql(str(compiled), list(rows))
        return
    pick = itemgetter(*order)
    connection.exec_driver_sql(str(compiled), [pick(row) for row in rows])


def fetch(connection: Connection, query: Select[Any], column: ColumnElement[Any], keys: Iterable[object]) -> list[Row]:
    """Rows of ``query`` whose ``column`` is among ``keys``, however many there are."""
    wanted = list(dict.fromkeys(keys))
    rows: list[Row] = []
    for start in range(0, len(wanted), KEYS_MAX):
        found = connection.execute(query.where(column.in_(wanted[start : start + KEYS_MAX])))
        rows += [dict(row) for row in found.mappings()]
    return rows


def resolve(connection: Connection, column: ColumnElement[str], given: str, what: str) -> str:
    """The one id that is ``given`` or begins with it.

    Raises:
        UnknownIdError: none or several do; the message names the nearest.
    """
    wanted = given.strip().lower()
    after = select(column).where(column >= wanted).order_by(column).limit(4)
    found = list(connection.scalars(after))
    fits = [one for one in found if one.startswith(wanted)]
    if found and found[0] == wanted:
        return wanted
    if len(fits) == 1 and len(wanted) >= ID_PREFIX_MIN:
        return fits[0]
    if fits:
        why = "fits several" if len(fits) > 1 else f"is too short (at least {ID_PREFIX_MIN} digits)"
        raise UnknownIdError(f"{what} {given!r} {why}: {', '.join(fits[:3])}{' …' if len(fits) > 3 else ''}")
    before = select(column).where(column < wanted).order_by(column.desc()).limit(2)
    near = sorted({*connection.scalars(before), *found[:2]})
    raise UnknownIdError(
        f"there is no {what} {given!r}; " + (f"nearest: {', '.join(near)}" if near else "there is none")
    )


def page(
    connection: Connection,
    query: Select[Any],
    order: tuple[ColumnElement[int], ColumnElement[str]],
    cursor: str | None,
    limit: int,
) -> tuple[list[Row], str | None]:
    """Up to ``limit`` rows, newest first by ``order`` (time, id), and the cursor of the next page or None.

    Paging goes by key, so rows that arrive meanwhile shift nothing.

    Raises:
        FieldError: a limit outside 1 to ``PAGE_ROWS_MAX``, or a cursor that is not one of ours.
    """
    if not 1 <= limit <= PAGE_ROWS_MAX:
        raise FieldError(f"limit must be 1 to {PAGE_ROWS_MAX}, not {limit}")
    time, key = order
    if cursor is not None:
        at, last = _read_cursor(cursor)
        query = query.where(or_(time < at, and_(time == at, key < last)))
    found = connection.execute(query.order_by(time.desc(), key.desc()).limit(limit + 1)).mappings()
    rows = [dict(row) for row in found]
    if len(rows) <= limit:
        return rows, None
    last_row = rows[limit - 1]
    return rows[:limit], f"{last_row[time.key or '']}-{last_row[key.key or '']}"


def _read_cursor(cursor: str) -> tuple[int, str]:
    at, dash, last = cursor.partition("-")
    if not dash or not (at.isascii() and at.isdigit()) or len(at) > 18 or not last.isalnum():
        raise FieldError(f"{cursor[:60]!r} is no cursor; pass the `next` of the page before, unchanged")
    return int(at), last


def within(area: ColumnElement[Any], utility: ColumnElement[Any], grants: Iterable[Grant]) -> ColumnElement[bool]:
    """Rows that lie in one of the grants: in its areas (or what lies below them) and of its utilities."""
    clauses: list[ColumnElement[bool]] = []
    for grant in grants:
        codes = [func.substr(area, 1, len(prefix)) == prefix for prefix in grant.prefixes]
        limits = [or_(*codes)] if codes else []
        if grant.utilities:
            limits.append(utility.in_(grant.utilities))
        clauses.append(and_(true(), *limits))
    return or_(false(), *clauses)


def one_of(
    column: ColumnElement[str], given: str | Sequence[str], known: Iterable[str], what: str
) -> ColumnElement[bool]:
    """``column`` is (one of) ``given``.

    Raises:
        FieldError: a value that is not ``known``.
    """
    values = [given] if isinstance(given, str) else list(given)
    legal = tuple(known)
    for value in values:
        if value not in legal:
            raise FieldError(f"there is no {what} {value!r}; there are {', '.join(legal)}")
    return column.in_(values)
