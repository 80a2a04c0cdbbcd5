"""The trace of changes: which events and alarms each transaction changed, in order, for a publisher that comes later.

    touched   entry │ kind │ key │ stamp          written with the change, in the same transaction
    Mark      a publisher's place in it and in the event log

The stamp is random, one a transaction: a mark whose entry carries another stamp is of another history (a restored
backup, a new database), and its owner must begin anew. The migration writes the first entry, so there is always one.
Entries before the publisher's mark are forgotten; the newest never is. Opens no transaction.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, func, select

from lifeline.governance.asking import ask, ask_one
from lifeline.governance.schema import event_log, touched
from lifeline.governance.statements import insert_rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

Row = dict[str, Any]

ROWS_MAX: Final = 50_000
"""Changed keys, or entries of the log, that are looked at in one step."""
FORGET_MAX: Final = 50_000
_NEWEST: Final = select(touched.c.entry, touched.c.stamp).order_by(touched.c.entry.desc()).limit(1)
_NEWEST_LOG: Final = select(func.max(event_log.c.entry))


@dataclass(frozen=True, slots=True)
class Mark:
    """Everything up to here is known to its owner."""

    entry: int = 0
    stamp: int = 0
    log: int = 0
    """The last entry of the event log."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What was changed after a mark: keys of events and alarms; up to the mark ``end``."""

    events: list[str]
    alarms: list[str]
    end: Mark
    complete: bool
    """False: there is more."""


def touch(connection: Connection, events: Iterable[str] = (), alarms: Iterable[str] = ()) -> None:
    """Note that these have changed, in the transaction that changes them."""
    stamp = secrets.randbits(62)
    rows = [{"kind": "event", "key": key, "stamp": stamp} for key in dict.fromkeys(events)]
    rows += [{"kind": "alarm", "key": key, "stamp": stamp} for key in dict.fromkeys(alarms)]
    insert_rows(connection, touched, rows)


def newest(connection: Connection) -> Mark:
    """The end of the trace; cheap. Equal marks: nothing has changed between them."""
    entry, stamp = next(iter(ask(connection, _NEWEST)), (0, 0))
    return Mark(entry, stamp, ask_one(connection, _NEWEST_LOG) or 0)


def after(connection: Connection, mark: Mark) -> Trace | None:
    """What was changed after ``mark``, None when it is not of this database's history."""
    if not _known(connection, mark):
        return None
    query = select(touched).where(touched.c.entry > mark.entry).order_by(touched.c.entry).limit(ROWS_MAX)
    rows = [(row.entry, row.kind, row.key, row.stamp) for row in connection.execute(query)]
    end = newest(connection)
    if end.log < mark.log:  # a backup from between: its trace is known, but not yet the log that the mark speaks of
        return None
    last_log = min(end.log, mark.log + ROWS_MAX)
    entry, stamp = (rows[-1][0], rows[-1][3]) if rows else (mark.entry, mark.stamp)
    keys = {of: list(dict.fromkeys(key for _, kind, key, _ in rows if kind == of)) for of in ("event", "alarm")}
    complete = entry == end.entry and last_log == end.log
    return Trace(keys["event"], keys["alarm"], Mark(entry, stamp, last_log), complete)


def _known(connection: Connection, mark: Mark) -> bool:
    return connection.scalar(select(touched.c.stamp).where(touched.c.entry == mark.entry)) == mark.stamp


def forget(connection: Connection, before: Mark) -> bool:
    """Entries before a mark are needed no more (its own stays, to be known by); whether there are more of them."""
    first = connection.scalar(select(func.min(touched.c.entry)))
    if first is None or first >= before.entry:
        return False
    end = min(before.entry, first + FORGET_MAX)
    connection.execute(delete(touched).where(touched.c.entry < end))
    return bool(end < before.entry)
