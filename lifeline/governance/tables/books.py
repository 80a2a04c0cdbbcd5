"""The books beside the cases: audit, outbox, commands, followers, keys of requests, the trace of changes."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text

from lifeline.governance.tables.metadata import metadata

idempotency: Final = Table(
    "idempotency",
    metadata,
    Column("actor", String(200), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("object_id", String(24), nullable=False),
    Column("at", BigInteger, nullable=False),
)
"""Requests that were carried out, by actor and the key they chose: the same again changes nothing."""

followers: Final = Table(
    "followers",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("position", BigInteger, nullable=False),
)

meta: Final = Table(
    "meta",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", BigInteger, nullable=False),
)
"""``schema_version``; ``revision.alarms``, ``revision.events`` and ``revision.event_log`` are of versions before 9."""

touched: Final = Table(
    "touched",
    metadata,
    Column("entry", Integer, primary_key=True, autoincrement=True),
    Column("kind", String(8), nullable=False),
    Column("key", String(24), nullable=False),
    Column("stamp", BigInteger, nullable=False),
)
"""Which ``event`` or ``alarm`` was changed, in order, so that a publisher writes only those anew; ``stamp``: random,
one a transaction. Forgotten once it is published (``lifeline.governance.touched``)."""

audit: Final = Table(
    "audit",
    metadata,
    Column("entry", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("actor", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("address", Text, nullable=False),
    Column("action", String(64), nullable=False),
    Column("object", Text, nullable=False),
    Column("result", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("fields", Text, nullable=False),
    Column("leaf", String(64), nullable=False),
)
"""Who did, read or tried what, numbered from 0 without a gap; triggers refuse every change and deletion. ``leaf``: the
entry's hash, which covers the entry before it (``lifeline.governance.audit``)."""

audit_nodes: Final = Table(
    "audit_nodes",
    metadata,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", String(64), nullable=False),
)
"""Inner hashes of the audit's tree, a row for every 256 of the level below; written with the entries that complete
them, and guarded as they are (``lifeline.governance.audit_tree``)."""

outbox: Final = Table(
    "outbox",
    metadata,
    Column("entry", BigInteger, primary_key=True, autoincrement=False),
    Column("message_id", String(32), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("subject", String(64), nullable=False),
    Column("data", Text, nullable=False),
)
"""What leaves the house, written with the change it tells of; every sink reads it in order of ``entry`` with a position
of its own. ``message_id`` is the same at every attempt. The one table that forgets: rows that all sinks have passed."""

sinks: Final = Table(
    "sinks",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("target", String(64), nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("failing_since", BigInteger),
    Column("next_at", BigInteger, nullable=False),
    Column("disabled_at", BigInteger),
    Column("last_error", Text),
    Column("delivered", BigInteger, nullable=False),
    Column("given_up", BigInteger, nullable=False),
)
"""Where each sink stands: ``position`` is the last entry of the outbox that it needs no more. ``target``: a digest of
its address; another address begins enabled. ``attempts``, ``failing_since``: of the entry after ``position``."""

undelivered: Final = Table(
    "undelivered",
    metadata,
    Column("sink", String(64), primary_key=True),
    Column("entry", BigInteger, primary_key=True),
    Column("message_id", String(32), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("error", Text, nullable=False),
)
"""Messages that a sink has given up, after days of attempts."""

warnings_issued: Final = Table(
    "warnings_issued",
    metadata,
    Column("sink", String(64), primary_key=True),
    Column("entry", BigInteger, primary_key=True),
    Column("event_id", String(20), nullable=False),
    Column("identifier", String(64), nullable=False),
    Column("sent_at", BigInteger, nullable=False),
    Column("serial", Integer, nullable=False),
)
"""Identifiers of CAP messages, taken once and kept over attempts; a later message of an event refers to the earlier."""

commands: Final = Table(
    "commands",
    metadata,
    Column("command_id", String(32), primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("device_id", Text, nullable=False),
    Column("action", String(32), nullable=False),
    Column("fields", Text, nullable=False),
    Column("event_id", String(20), ForeignKey("events.event_id")),
    Column("expires_at", BigInteger, nullable=False),
    Column("status", String(16), nullable=False),
    Column("sent_at", BigInteger),
    Column("replied_at", BigInteger),
    Column("reply", Text),
    Column("area_code", String(32)),
    Column("utility", String(16)),
)
"""Commands to devices: queued, sent, done, refused or expired."""
Index("warnings_issued_by_event", warnings_issued.c.sink, warnings_issued.c.event_id, warnings_issued.c.entry)
Index("warnings_issued_by_time", warnings_issued.c.sink, warnings_issued.c.sent_at, warnings_issued.c.serial)
Index("commands_by_time", commands.c.at, commands.c.command_id)
Index("audit_by_object", audit.c.object, audit.c.entry)
Index("audit_by_actor", audit.c.actor, audit.c.entry)
