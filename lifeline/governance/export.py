"""The queue as Arrow tables, for the catalog that analysts open: the contract's columns first, the useful rest behind.

A publisher asks ``revisions`` (three integers) and takes a snapshot only of what rose since its last one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from sqlalchemy import BigInteger, Boolean, Float, Integer, select

from lifeline.core.schema import TIME
from lifeline.governance.database import REVISIONS
from lifeline.governance.errors import FieldError
from lifeline.governance.schema import alarms, event_log, events, meta

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Column, Connection, Table

_SOURCES: Final[dict[str, Table]] = {"alarms": alarms, "events": events, "event_log": event_log}
_INTERNAL: Final = frozenset({"group_key"})
_NOT_TIMES: Final = frozenset({"lsn", "clear_lsn"})
"""The only 64-bit integers that are not epoch milliseconds."""
BATCH_ROWS: Final = 50_000


def revisions(connection: Connection) -> dict[str, int]:
    """Change counters of ``alarms``, ``events`` and ``event_log``: equal counter, equal table."""
    names = {f"revision.{name}": name for name in REVISIONS}
    found = connection.execute(select(meta.c.name, meta.c.value).where(meta.c.name.in_(names)))
    return {names[name]: value for name, value in found}


def snapshot_tables(connection: Connection, names: Iterable[str] = REVISIONS) -> dict[str, pa.Table]:
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
    """All rows in key order, a batch at a time: rows are Python objects only as long as their batch is built."""
    schema = schema_of(table.name)
    query = select(*_columns(table)).order_by(*table.primary_key.columns)
    found = connection.execution_options(yield_per=BATCH_ROWS).execute(query)
    batches = []
    for rows in found.partitions(BATCH_ROWS):
        columns = zip(*rows, strict=True)
        arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
        batches.append(pa.record_batch(arrays, schema=schema))
    return pa.Table.from_batches(batches, schema=schema)


def _type(column: Column[Any]) -> pa.DataType:
    kind = column.type
    if isinstance(kind, BigInteger):
        return pa.int64() if column.name in _NOT_TIMES else TIME
    if isinstance(kind, Boolean):
        return pa.bool_()
    if isinstance(kind, Integer):
        return pa.int32()
    return pa.float64() if isinstance(kind, Float) else pa.string()
