"""The transactional outbox: rows in, rows out, where each sink stands. Opens no transaction.

Numbers have no gaps, because only one writer writes at a time. While no sink is known nothing is kept: a sink that is
added later begins with what happens then.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import orjson
from sqlalchemy import delete, func, insert, select, update

from lifeline.governance.asking import ask_one
from lifeline.governance.schema import outbox, sinks, undelivered
from lifeline.governance.statements import insert_into, insert_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection

Row = dict[str, Any]

KEEP_MS: Final = 7 * 86_400_000
"""Rows that every sink has passed stay this long, for looking."""
TRIM_ROWS_MAX: Final = 10_000
_WANTED: Final = select(sinks.c.name).where(sinks.c.disabled_at.is_(None)).limit(1)
_LAST: Final = select(func.max(outbox.c.entry))
_PASSED: Final = select(func.max(sinks.c.position))


@dataclass(frozen=True, slots=True)
class Message:
    """One thing to tell."""

    entry: int
    message_id: str
    """The same at every attempt and at every sink."""
    at: int
    kind: str
    """``event.opened``, ``event.changed``, ``event.closed`` or ``command``."""
    subject: str
    data: Row


def append(connection: Connection, messages: Iterable[tuple[int, str, str, Row]]) -> None:
    """Keep (at, kind, subject, data) for the sinks, in order, in the caller's write transaction.

    ``messages`` are asked for only where somebody wants them.
    """
    if ask_one(connection, _WANTED) is None:
        return
    first = end(connection) + 1
    insert_rows(connection, outbox, [_row(first + number, *one) for number, one in enumerate(messages)])


def end(connection: Connection) -> int:
    """The last entry's number; what every sink has passed counts, so numbers are never taken twice."""
    last = ask_one(connection, _LAST) or 0
    passed = ask_one(connection, _PASSED) or 0
    return int(max(last, passed))


def register(connection: Connection, name: str, target: str) -> None:
    """Make a sink known; a new one begins at the end. Another ``target`` than before is a fresh start after a 410."""
    digest = blake2b(target.encode(), digest_size=16).hexdigest()
    known = connection.execute(select(sinks).where(sinks.c.name == name)).mappings().first()
    fresh = {"target": digest, "attempts": 0, "failing_since": None, "next_at": 0, "disabled_at": None}
    if known is None:
        row = {"name": name, "position": end(connection), "last_error": None, "delivered": 0, "given_up": 0} | fresh
        connection.execute(insert(sinks), [row])
    elif known["target"] != digest:
        connection.execute(update(sinks).where(sinks.c.name == name).values(fresh))


def forget_others(connection: Connection, names: Sequence[str]) -> None:
    """Sinks that are no longer configured hold nothing up."""
    connection.execute(delete(sinks).where(sinks.c.name.not_in(names)))


def stand(connection: Connection, name: str) -> Row:
    """Where a sink stands."""
    return dict(connection.execute(select(sinks).where(sinks.c.name == name)).mappings().one())


def list_sinks(connection: Connection) -> list[Row]:
    """Where every sink stands, with ``waiting``: entries it has not had."""
    last = end(connection)
    rows = connection.execute(select(sinks).order_by(sinks.c.name)).mappings()
    return [dict(row) | {"waiting": last - row["position"]} for row in rows]


def after(connection: Connection, position: int, rows_max: int) -> list[Message]:
    """The next messages in order."""
    query = select(outbox).where(outbox.c.entry > position).order_by(outbox.c.entry).limit(rows_max)
    return [
        Message(row.entry, row.message_id, row.at, row.kind, row.subject, orjson.loads(row.data))
        for row in connection.execute(query)
    ]


def settle(connection: Connection, name: str, position: int, delivered: int) -> None:
    """A sink has had everything up to ``position``."""
    values = {"position": position, "attempts": 0, "failing_since": None, "next_at": 0, "last_error": None}
    counted = {"delivered": sinks.c.delivered + delivered}
    connection.execute(update(sinks).where(sinks.c.name == name).values({**values, **counted}))


def postpone(connection: Connection, name: str, error: str, now_ms: int, next_at: int) -> None:
    """The next entry failed; try again at ``next_at``."""
    values = {"attempts": sinks.c.attempts + 1, "next_at": next_at, "last_error": error[:1000]}
    values["failing_since"] = func.coalesce(sinks.c.failing_since, now_ms)
    connection.execute(update(sinks).where(sinks.c.name == name).values(values))


def give_up(connection: Connection, name: str, message: Message, error: str, now_ms: int) -> None:
    """Pass a message over after days, and keep that it was."""
    row = {"sink": name, "entry": message.entry, "message_id": message.message_id, "at": now_ms, "error": error[:1000]}
    connection.execute(insert_into(connection, undelivered).values(row).on_conflict_do_nothing())
    settle(connection, name, message.entry, delivered=0)
    values = {"given_up": sinks.c.given_up + 1, "last_error": error[:1000]}
    connection.execute(update(sinks).where(sinks.c.name == name).values(values))


def disable(connection: Connection, name: str, error: str, now_ms: int) -> None:
    """The receiver does not want it any more (410)."""
    values = {"disabled_at": now_ms, "last_error": error[:1000]}
    connection.execute(update(sinks).where(sinks.c.name == name).values(values))


def trim(connection: Connection, now_ms: int) -> int:
    """Forget rows that every enabled sink has passed long ago; returns how many."""
    lowest = connection.scalar(select(func.min(sinks.c.position)).where(sinks.c.disabled_at.is_(None)))
    if lowest is None:
        return 0
    old = select(outbox.c.entry).where(outbox.c.entry <= lowest, outbox.c.at < now_ms - KEEP_MS)
    gone = list(connection.scalars(old.order_by(outbox.c.entry).limit(TRIM_ROWS_MAX)))
    if gone:
        connection.execute(delete(outbox).where(outbox.c.entry <= gone[-1], outbox.c.at < now_ms - KEEP_MS))
    return len(gone)


def _row(entry: int, at: int, kind: str, subject: str, data: Row) -> Row:
    text = orjson.dumps(data, option=orjson.OPT_SORT_KEYS)
    # of number and content: the same at every attempt, and another one where a restored backup takes a number again
    digest = blake2b(b"%d\x1f%d\x1f%s\x1f%s\x1f" % (entry, at, kind.encode(), subject.encode()) + text, digest_size=16)
    return {
        "entry": entry,
        "message_id": digest.hexdigest(),
        "at": at,
        "kind": kind,
        "subject": subject,
        "data": text.decode(),
    }
