"""Statements that several doors share: writing many rows at once, finding an id, paging by key."""

from __future__ import annotations

from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, Literal

from sqlalchemy import and_, bindparam, false, func, or_, select, true
from sqlalchemy.dialects import postgresql, sqlite

from lifeline.governance.errors import FieldError, UnknownIdError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Column, ColumnElement, Connection, Dialect, Select, Table
    from sqlalchemy.dialects.postgresql import Insert as PostgresInsert
    from sqlalchemy.dialects.sqlite import Insert as SqliteInsert

    from lifeline.core.principal import Grant

Row = dict[str, Any]

PAGE_ROWS_MAX: Final = 1000
ID_PREFIX_MIN: Final = 4


def insert_into(connection: Connection, table: Table) -> SqliteInsert | PostgresInsert:
    """An INSERT of the connection's dialect, which can say ON CONFLICT."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def insert_rows(connection: Connection, table: Table, rows: Sequence[Row], known: Literal["", "keep"] = "") -> None:
    """Rows that all have the same keys; ``known="keep"``: those whose key is there already change nothing."""
    if rows:
        _execute(connection, ("insert", table, tuple(rows[0]), known), rows)


def upsert_rows(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Rows that all have the same keys; those that are there already become these."""
    if rows:
        _execute(connection, ("upsert", table, tuple(rows[0]), ""), rows)


def add_up(connection: Connection, table: Table, rows: Sequence[Row], counters: Sequence[str]) -> None:
    """Add ``counters`` of each row to those of the row with its key, which is made when it is not there."""
    if rows:
        _execute(connection, ("add", table, tuple(rows[0]), ",".join(counters)), rows)


def raise_to(connection: Connection, table: Table, row: Row, column: str) -> None:
    """Make the row, or raise ``column`` of the row with its key to this one's where that is higher."""
    _execute(connection, ("raise", table, tuple(row), column), [row])


def update_changed(connection: Connection, table: Table, key: Column[Any], changed: Iterable[tuple[Row, Row]]) -> None:
    """Write the columns in which ``after`` differs from ``before``; rows with the same columns share a statement.

    Naming a column costs the upkeep of its indices even where its value stays: so only what changed is named.
    """
    groups: dict[tuple[str, ...], list[Row]] = {}
    for before, after in changed:
        names = tuple(name for name, value in after.items() if before[name] != value)
        groups.setdefault(names, []).append({"_key": after[key.name], **{name: after[name] for name in names}})
    for names, rows in groups.items():
        if names:
            _execute(connection, ("update", table, names, key.name), rows)


def delete_keys(connection: Connection, table: Table, names: tuple[str, ...], keys: Sequence[tuple[Any, ...]]) -> None:
    """Rows whose ``names`` are one of ``keys``."""
    if keys:
        rows = [{f"_{name}": value for name, value in zip(names, key, strict=True)} for key in keys]
        _execute(connection, ("delete", table, names, ""), rows)


_Shape = tuple[str, "Table", tuple[str, ...], str]
"""(verb, table, columns, what the verb wants to know): what a statement's text depends on."""


def _execute(connection: Connection, shape: _Shape, rows: Sequence[Row]) -> None:
    """One statement over many rows, all plain numbers, text, booleans and None.

    SQLAlchemy makes the text, once a shape; the driver takes the rows: its conversion of each parameter would cost as
    much as the database does, and these values need none.
    """
    text, order = _compiled(connection.dialect, shape)
    if order is None:  # a driver with named parameters
        connection.exec_driver_sql(text, list(rows))
        return
    if len(order) == 1:
        connection.exec_driver_sql(text, [(row[order[0]],) for row in rows])
        return
    pick = itemgetter(*order)
    connection.exec_driver_sql(text, [pick(row) for row in rows])


@lru_cache(maxsize=512)
def _compiled(dialect: Dialect, shape: _Shape) -> tuple[str, tuple[str, ...] | None]:
    """The statement's text and the order of its parameters (None: by name)."""
    verb, table, names, detail = shape
    build = postgresql.insert if dialect.name == "postgresql" else sqlite.insert
    statement: Any
    if verb == "update":
        statement = table.update().where(table.c[detail] == bindparam("_key"))
    elif verb == "delete":
        statement = table.delete().where(*(table.c[name] == bindparam(f"_{name}") for name in names))
        names = ()
    elif verb == "insert":
        statement = build(table).on_conflict_do_nothing() if detail else table.insert()
    elif verb == "raise":
        insertion = build(table)
        statement = insertion.on_conflict_do_update(
            index_elements=[column.name for column in table.primary_key],
            set_={detail: insertion.excluded[detail]},
            where=table.c[detail] < insertion.excluded[detail],
        )
    else:
        insertion = build(table)
        keys = [column.name for column in table.primary_key]
        counters = detail.split(",")
        values = {
            name: table.c[name] + insertion.excluded[name] if name in counters else insertion.excluded[name]
            for name in names
            if name not in keys and (verb == "upsert" or name in counters)
        }
        statement = insertion.on_conflict_do_update(index_elements=keys, set_=values)
    compiled = statement.compile(dialect=dialect, column_keys=list(names) or None)
    order = compiled.positiontup
    return str(compiled), None if order is None else tuple(order)


def resolve(connection: Connection, column: ColumnElement[str], given: str, what: str) -> str:
    """The one id that is ``given`` or begins with it.

    Raises:
        UnknownIdError: none or several do; the message names the nearest.
    """
    wanted = given.strip().lower()
    found: list[str] = list(connection.scalars(_from_id(column), {"_id": wanted}))
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


@lru_cache(maxsize=8)
def _from_id(column: ColumnElement[str]) -> Select[Any]:
    """The next ids from one on."""
    return select(column).where(column >= bindparam("_id")).order_by(column).limit(4)


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
        at, last = read_cursor(cursor)
        query = query.where(or_(time < at, and_(time == at, key < last)))
    found = connection.execute(query.order_by(time.desc(), key.desc()).limit(limit + 1)).mappings()
    rows = [dict(row) for row in found]
    if len(rows) <= limit:
        return rows, None
    last_row = rows[limit - 1]
    return rows[:limit], f"{last_row[time.key or '']}-{last_row[key.key or '']}"


def read_cursor(cursor: str) -> tuple[int, str]:
    """(time, id) of the last row of the page before. Raises FieldError."""
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
