"""The audit: who did, read or tried what. Append-only, in the transaction of the change, hashed into one tree.

    entry n  ──► text: the fields in a fixed order, as JSON
    leaf  n  ──► SHA-256(0x00 ‖ leaf n-1 ‖ text)       chained, so that no entry can be changed alone
    tree     ──► RFC 9162 over the leaves (``merkle``), its inner hashes kept beside them (``audit_tree``), its heads
                 signed and exported (``audit_export``)

``append`` is called inside the writer's transaction, which no other writer shares: numbers have no gaps, and if the
audit cannot be written nothing else is. Triggers refuse UPDATE, DELETE and TRUNCATE: what is kept here is kept for
good, past the 180 days that the law asks for at least; who removes them by force is found by ``audit_verify``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson
from sqlalchemy import select

from lifeline.governance import audit_tree
from lifeline.governance.asking import ask
from lifeline.governance.errors import FieldError
from lifeline.governance.merkle import leaf_hash
from lifeline.governance.schema import audit
from lifeline.governance.statements import PAGE_ROWS_MAX, insert_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy import Connection

Row = dict[str, Any]

KINDS: Final = ("login", "user", "right", "configuration", "data", "read")
"""The classes of a log for security audits: logging in and out, accounts, roles and tokens, settings and rules, changes
of data (every act on an event or alarm), and reading what is sensitive."""
RESULTS: Final = ("done", "refused", "failed")
TEXT_CHARS_MAX: Final = 4000
"""Of one field; longer ones are cut and end in an ellipsis: a flood of text must not fill the audit."""
FIELDS_BYTES_MAX: Final = 16_384
NO_LEAF: Final = bytes(32)
"""What the first entry follows."""

_HEAD: Final = select(audit.c.entry, audit.c.leaf).order_by(audit.c.entry.desc()).limit(1)
_ORDER: Final = ("entry", "at", "kind", "actor", "role", "address", "action", "object", "result", "reason", "fields")


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing that somebody did, read or tried."""

    kind: str
    """One of ``KINDS``."""
    actor: str
    action: str
    object: str = ""
    """What it was done to: an event's id, a user, a file, a point …"""
    role: str = ""
    address: str = ""
    """Where the request came from."""
    result: str = "done"
    """One of ``RESULTS``."""
    reason: str = ""
    """The note given, the purpose of a sensitive read, or why it was refused."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """What else the request carried; never a password or token."""


def append(connection: Connection, entries: Sequence[AuditEntry], now_ms: int) -> None:
    """Add entries, in order, in the caller's write transaction.

    Raises:
        FieldError: a kind or result that is none: a mistake of the caller's, nothing may be written then.
    """
    if not entries:
        return
    number, leaf = head(connection)
    first, leaves = number, []
    rows: list[Row] = []
    for entry in entries:
        row = _row(entry, number, now_ms)
        leaf = leaf_of(row, leaf)
        rows.append(row | {"leaf": leaf.hex()})
        leaves.append(leaf)
        number += 1
    insert_rows(connection, audit, rows)
    audit_tree.grow(connection, first, leaves)


def head(connection: Connection) -> tuple[int, bytes]:
    """How many entries there are, and the last one's leaf."""
    for entry, leaf in ask(connection, _HEAD):
        return entry + 1, bytes.fromhex(leaf)
    return 0, NO_LEAF


def leaf_of(row: Mapping[str, Any], before: bytes) -> bytes:
    """The hash of a row that follows the leaf ``before``."""
    text = orjson.dumps([row[name] for name in _ORDER])
    return leaf_hash(before + text)


def walk(connection: Connection, first: int = 0, rows_max: int = 2000) -> Iterator[Row]:
    """Every entry from number ``first`` on, in order, a batch in memory at a time."""
    while True:
        query = select(audit).where(audit.c.entry >= first).order_by(audit.c.entry).limit(rows_max)
        rows = [dict(row) for row in connection.execute(query).mappings()]
        yield from rows
        if len(rows) < rows_max:
            return
        first = rows[-1]["entry"] + 1


def list_entries(
    connection: Connection,
    *,
    actor: str | None = None,
    object: str | None = None,  # noqa: A002 the column's name
    kind: str | None = None,
    since: int | None = None,
    cursor: str | None = None,
    limit: int = 100,
) -> tuple[list[Row], str | None]:
    """A page of entries, newest first, and the cursor of the next page. ``fields`` comes as a dictionary.

    Raises:
        FieldError: a filter, limit or cursor that cannot be.
    """
    if not 1 <= limit <= PAGE_ROWS_MAX:
        raise FieldError(f"limit must be 1 to {PAGE_ROWS_MAX}, not {limit}")
    if kind is not None and kind not in KINDS:
        raise FieldError(f"there is no kind of entry {kind!r}; there are {', '.join(KINDS)}")
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise FieldError(f"{cursor[:60]!r} is no cursor; pass the `next` of the page before, unchanged")
    query = select(audit)
    for column, wanted in ((audit.c.actor, actor), (audit.c.object, object), (audit.c.kind, kind)):
        if wanted is not None:
            query = query.where(column == wanted)
    if since is not None:
        query = query.where(audit.c.at >= since)
    if cursor is not None:
        query = query.where(audit.c.entry < int(cursor))
    found = connection.execute(query.order_by(audit.c.entry.desc()).limit(limit + 1)).mappings()
    rows = [dict(row) | {"fields": orjson.loads(row["fields"])} for row in found]
    return (rows, None) if len(rows) <= limit else (rows[:limit], str(rows[limit - 1]["entry"]))


def _row(entry: AuditEntry, number: int, now_ms: int) -> Row:
    if entry.kind not in KINDS:
        raise FieldError(f"there is no kind of entry {entry.kind!r}; there are {', '.join(KINDS)}")
    if entry.result not in RESULTS:
        raise FieldError(f"there is no result {entry.result!r}; there are {', '.join(RESULTS)}")
    fields = orjson.dumps(dict(entry.fields), default=str, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    if len(fields) > FIELDS_BYTES_MAX:
        fields = orjson.dumps({"cut": _cut(fields[:FIELDS_BYTES_MAX].decode(errors="ignore"))})
    return {
        "entry": number,
        "at": now_ms,
        "kind": entry.kind,
        "actor": _cut(entry.actor, 200),
        "role": _cut(entry.role, 16),
        "address": _cut(entry.address, 200),
        "action": _cut(entry.action, 64),
        "object": _cut(entry.object, 400),
        "result": entry.result,
        "reason": _cut(entry.reason),
        "fields": fields.decode(),
    }


def _cut(text: str, chars_max: int = TEXT_CHARS_MAX) -> str:
    """At most so many characters that every database can keep: no NUL, no half surrogate."""
    clean = text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
    return clean if len(clean) <= chars_max else clean[: chars_max - 1] + "…"
