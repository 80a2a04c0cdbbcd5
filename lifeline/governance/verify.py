"""Whether the queue's database is whole: its own check of itself, and that nothing refers to what is not there.

``full`` holds the rows against each other besides (``integrity``): SQLite has no checksums of its pages, so a flipped
bit in them leaves a database that is sound and says something else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select

from lifeline.core.errors import CorruptionError
from lifeline.governance.database import Database
from lifeline.governance.integrity.rows import check_rows
from lifeline.governance.schema import alarms, event_log, events, metadata

if TYPE_CHECKING:
    from sqlalchemy import Connection


def verify_queue(url: str, *, full: bool = False) -> str:
    """What is there, in words; read only. ``full``: every row against what repeats it.

    Raises:
        CorruptionError: damage, by place.
        ConfigurationError, UnavailableError: as ``Database``.
    """
    database = Database(url, create=False)
    try:
        with database.read() as connection:
            _check_itself(connection, database.place)
            if full:
                check_rows(connection, database.place)
            _check_references(connection, database.place)
            counted = [connection.scalar(select(func.count()).select_from(table)) for table in (events, alarms)]
            log = connection.scalar(select(func.count()).select_from(event_log))
    finally:
        database.close()
    return f"{counted[0]:,} events, {counted[1]:,} alarms, {log:,} log entries, integrity ok"


def _check_itself(connection: Connection, place: str) -> None:
    """SQLite walks its pages. PostgreSQL checks checksums as it reads (if its cluster has them): counting reads all."""
    if connection.dialect.name != "sqlite":
        return
    found = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar()
    if found != "ok":
        raise CorruptionError(f"{place}: {found}")


def _check_references(connection: Connection, place: str) -> None:
    """Constraints hold in both databases while they are on; this finds what was written with them off."""
    for table in metadata.sorted_tables:
        for key in table.foreign_keys:
            child, parent = key.parent, key.column
            orphan = select(child).where(child.is_not(None), ~select(parent).where(parent == child).exists()).limit(1)
            found = connection.scalar(orphan)
            if found is not None:
                raise CorruptionError(f"{place}: {table.name}.{child.name} refers to {found!r}, which does not exist")
