"""The queue as Arrow tables, for the catalog that analysts open: the contract's columns first, the useful rest behind.

A publisher takes everything once (``whole``), then what was changed since its mark (``changed``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from sqlalchemy import BigInteger, Boolean, Float, Integer, select

from lifeline.core.schema import TIME
from lifeline.governance import touched
from lifeline.governance.asking import fetch
from lifeline.governance.errors import FieldError
from lifeline.governance.schema import alarms, event_log, events

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Column, Connection, Select, Table

    from lifeline.governance.touched import Mark

_SOURCES: Final[dict[str, Table]] = {"alarms": alarms, "events": events, "event_log": event_log}
_INTERNAL: Final = frozenset({"group_key"})
_NOT_TIMES: Final = frozenset({"lsn", "clear_lsn"})
"""The only 64-bit integers that are not epoch milliseconds."""
BATCH_ROWS: Final = 50_000


@dataclass(frozen=True, slots=True)
class Changes:
    """Rows that were changed, as they are now, by view; all of one moment."""

    tables: dict[str, pa.Table]
    end: Mark
    complete: bool
    """False: there is more; ask again with ``end``."""


def changed(connection: Connection, mark: Mark) -> Changes | None:
    """What was changed after a mark, None when the mark is not of this database's history: begin anew."""
    trace = touched.after(connection, mark)
    if trace is None:
        return None
    log = select(*_columns(event_log)).where(event_log.c.entry > mark.log, event_log.c.entry <= trace.end.log)
    tables = {
        "events": _of_keys(connection, events, events.c.event_id, trace.events),
        "alarms": _of_keys(connection, alarms, alarms.c.alarm_id, trace.alarms),
        "event_log": pa.Table.from_batches(_batches(connection, event_log, log, BATCH_ROWS), schema_of("event_log")),
    }
    return Changes(tables, trace.end, trace.complete)


def whole(connection: Connection, rows: int, orders: Mapping[str, str]) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Every row of every view, ``rows`` at a time, in the order of a column of each; all of one moment."""
    for name, order in orders.items():
        table = _SOURCES[name]
        query = select(*_columns(table)).order_by(table.c[order], *table.primary_key.columns)
        for batch in _batches(connection, table, query, rows):
            yield name, batch


def _of_keys(connection: Connection, table: Table, key: Column[Any], keys: Sequence[str]) -> pa.Table:
    schema = schema_of(table.name)
    rows = fetch(connection, _query(table.name), key, keys)
    return pa.table({one.name: pa.array([row[one.name] for row in rows], one.type) for one in schema}, schema=schema)


@cache
def _query(name: str) -> Select[Any]:
    return select(*_columns(_SOURCES[name]))


def snapshot_tables(connection: Connection, names: Iterable[str] = tuple(_SOURCES)) -> dict[str, pa.Table]:
    """The named views as Arrow tables, all of one moment (one transaction); times are ``timestamp[ms, UTC]``.

    Raises:
        FieldError: a name that is not a view of the queue.
    """
    wanted = list(names)
    unknown = [name for name in wanted if name not in _SOURCES]
    if unknown:
        raise FieldError(f"there is no view {unknown[0]!r} here; there are {', '.join(_SOURCES)}")
    return {name: _arrow(connection, _SOURCES[name]) for name in wanted}


def schema_of(name: str) -> pa.Schema:
    """The Arrow schema of a view, for publishing it empty."""
    return pa.schema([pa.field(column.name, _type(column)) for column in _columns(_SOURCES[name])])


def _columns(table: Table) -> list[Column[Any]]:
    return [column for column in table.columns if column.name not in _INTERNAL]


def _arrow(connection: Connection, table: Table) -> pa.Table:
    query = select(*_columns(table)).order_by(*table.primary_key.columns)
    return pa.Table.from_batches(_batches(connection, table, query, BATCH_ROWS), schema_of(table.name))


def _batches(connection: Connection, table: Table, query: Select[Any], size: int) -> Iterator[pa.RecordBatch]:
    """A batch at a time: rows are Python objects only as long as their batch is built."""
    schema = schema_of(table.name)
    found = connection.execution_options(yield_per=size).execute(query)
    for rows in found.partitions(size):
        columns = zip(*rows, strict=True)
        arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
        yield pa.record_batch(arrays, schema=schema)


def _type(column: Column[Any]) -> pa.DataType:
    kind = column.type
    if isinstance(kind, BigInteger):
        return pa.int64() if column.name in _NOT_TIMES else TIME
    if isinstance(kind, Boolean):
        return pa.bool_()
    if isinstance(kind, Integer):
        return pa.int32()
    return pa.float64() if isinstance(kind, Float) else pa.string()
