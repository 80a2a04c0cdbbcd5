"""The access log: appended in the transaction of what it records, read page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
from sqlalchemy import func, insert, select

from lifeline.identity.errors import IdentityError
from lifeline.identity.schema import access_log

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

DETAIL_CHARS_MAX: Final = 20_000
"""A query of an analyst; longer ones are kept by their beginning and their length."""


def append(connection: Connection, at: int, actor: str, action: str, subject: str, details: Mapping[str, Any]) -> None:
    """One entry, in the caller's transaction."""
    rest = {name: value for name, value in details.items() if name != "address"}
    text = orjson.dumps(rest, default=str).decode()
    if len(text) > DETAIL_CHARS_MAX:
        text = orjson.dumps({"cut": text[:DETAIL_CHARS_MAX], "length": len(text)}).decode()
    values = {"at": at, "actor": actor, "action": action, "subject": subject[:500]}
    connection.execute(insert(access_log).values(**values, address=details.get("address", ""), details=text))


def list_entries(
    connection: Connection,
    *,
    actor: str | None = None,
    action: str | None = None,
    subject: str | None = None,
    since: int | None = None,
    cursor: str | None = None,
    limit: int = 100,
) -> tuple[list[dict[str, Any]], str | None]:
    """A page of entries, newest first, and the next cursor. ``action``: one, or what several begin with (``login``).

    Raises:
        IdentityError: a cursor that is not ours.
    """
    query = select(access_log)
    if actor is not None:
        query = query.where(access_log.c.actor == actor)
    if subject is not None:
        query = query.where(access_log.c.subject == subject)
    if action is not None:
        query = query.where(func.substr(access_log.c.action, 1, len(action)) == action)
    if since is not None:
        query = query.where(access_log.c.at >= since)
    if cursor is not None:
        if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 18):
            raise IdentityError(f"{cursor[:60]!r} is no cursor; pass the `next` of the page before, unchanged")
        query = query.where(access_log.c.entry < int(cursor))
    found = connection.execute(query.order_by(access_log.c.entry.desc()).limit(limit + 1)).mappings()
    rows = [dict(row) | {"details": orjson.loads(row["details"])} for row in found]
    return (rows, None) if len(rows) <= limit else (rows[:limit], str(rows[limit - 1]["entry"]))
