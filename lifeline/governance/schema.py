"""Tables of the governance database. Times are epoch milliseconds UTC (BigInteger); nothing is ever deleted here.

    alarms ──event_id──► events ◄──event_id── event_log        what the rules said │ the cases │ who did what
       ▲
       └── alarm_log (who acknowledged, shelved …)              holds: (rule, point) shelved, suppressed, out of service
    followers: name → position in the log                       meta: schema version, revision counters

Columns of the published views (contract, section 5) come first and in the contract's order; ``export`` relies on it.
Every column is reproducible from the log except ``stored_at``, the wall clock of the storing transaction.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    and_,
)

SCHEMA_VERSION: Final = 1
"""Raised by one with every change of the tables below, together with a migration from the version before."""

metadata: Final = MetaData()

events: Final = Table(
    "events",
    metadata,
    Column("event_id", String(20), primary_key=True),
    Column("level", String(8), nullable=False),
    Column("status", String(20), nullable=False),
    Column("utility", String(16)),
    Column("title", Text, nullable=False),
    Column("area_code", String(32)),
    Column("raised_at", BigInteger, nullable=False),
    Column("detected_at", BigInteger, nullable=False),
    Column("dispatched_at", BigInteger),
    Column("accepted_at", BigInteger),
    Column("resolved_at", BigInteger),
    Column("closed_at", BigInteger),
    Column("due_at", BigInteger),
    Column("owner", Text),
    Column("alarm_count", Integer, nullable=False),
    Column("cause", Text),
    Column("false_alarm", Boolean),
    Column("satisfaction", Integer),
    Column("mode", String(16), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("category", String(16), nullable=False),
    Column("place_kind", String(16), nullable=False),
    Column("place", Text, nullable=False),
    Column("group_key", Text, nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("active_count", Integer, nullable=False),
    Column("normal_at", BigInteger),
    Column("supervision", Integer, nullable=False),
    Column("co_owners", Text),
    Column("extension_until", BigInteger),
    Column("source", String(16), nullable=False),
    Column("first_alarm_id", String(24)),
    Column("lsn", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
    Column("stored_at", BigInteger, nullable=False),
)
"""Cases. ``lsn``: the log record that opened it; ``active_count``: alarms of it that stand right now; ``normal_at``:
since when none does; ``version`` rises with every act of a person and every change of level (compare before acting)."""

alarms: Final = Table(
    "alarms",
    metadata,
    Column("alarm_id", String(24), primary_key=True),
    Column("rule_id", Text, nullable=False),
    Column("rule_version", Integer, nullable=False),
    Column("point", Integer, nullable=False),
    Column("raised_at", BigInteger, nullable=False),
    Column("detected_at", BigInteger, nullable=False),
    Column("cleared_at", BigInteger),
    Column("value", Float),
    Column("limit", Float),
    Column("level", String(8), nullable=False),
    Column("state", String(20), nullable=False),
    Column("event_id", String(20), ForeignKey("events.event_id")),
    Column("device_id", Text, nullable=False),
    Column("quantity", Text, nullable=False),
    Column("utility", String(16)),
    Column("area_code", String(32)),
    Column("lsn", BigInteger, nullable=False),
    Column("detail", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("acked", Boolean, nullable=False),
    Column("acked_at", BigInteger),
    Column("acked_by", Text),
    Column("shelved_until", BigInteger),
    Column("suppressed", Boolean, nullable=False),
    Column("out_of_service", Boolean, nullable=False),
    Column("clear_detected_at", BigInteger),
    Column("clear_value", Float),
    Column("clear_lsn", BigInteger),
    Column("stored_at", BigInteger, nullable=False),
)
"""One row an episode (rule, version, point, onset). ``lsn`` and ``clear_lsn`` lead back to the readings."""

event_log: Final = Table(
    "event_log",
    metadata,
    Column("event_id", String(20), ForeignKey("events.event_id"), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("action", String(32), nullable=False),
    Column("from_status", String(20)),
    Column("to_status", String(20), nullable=False),
    Column("note", Text, nullable=False),
    Column("fields", Text, nullable=False),
    Column("entry", Integer, primary_key=True, autoincrement=True),
)
"""What happened to an event, in order of ``entry``; never updated. ``fields``: JSON of what the act carried."""

alarm_log: Final = Table(
    "alarm_log",
    metadata,
    Column("entry", Integer, primary_key=True, autoincrement=True),
    Column("alarm_id", String(24), ForeignKey("alarms.alarm_id"), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("action", String(32), nullable=False),
    Column("from_state", String(20), nullable=False),
    Column("to_state", String(20), nullable=False),
    Column("note", Text, nullable=False),
)
"""Acts of people on alarms, and shelves that ran out; never updated."""

holds: Final = Table(
    "holds",
    metadata,
    Column("rule_id", Text, primary_key=True),
    Column("point", Integer, primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("until", BigInteger),
    Column("since", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
)
"""Which rules are quiet on which points (``shelved``, ``suppressed``, ``out-of-service``), so that the next episode
is quiet too. Alarms under a hold are stored but open no event until the hold ends."""

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
"""``schema_version``, and ``revision.alarms``, ``revision.events``, ``revision.event_log``: they rise by one with
each transaction that changed the table, so that a publisher rewrites only what changed."""

OPEN: Final = events.c.is_open.is_(True)
WAITING: Final = and_(
    alarms.c.event_id.is_(None),
    alarms.c.active.is_(True),
    alarms.c.shelved_until.is_(None),
    alarms.c.suppressed.is_(False),
    alarms.c.out_of_service.is_(False),
)
"""Standing alarms that no hold keeps from an event any longer. Partial indices serve only queries that say their
condition in the same words: so both are said here."""

Index("events_by_time", events.c.detected_at, events.c.event_id)
Index("events_by_status", events.c.status, events.c.detected_at, events.c.event_id)
Index("events_by_level", events.c.level, events.c.detected_at, events.c.event_id)
Index("events_by_utility", events.c.utility, events.c.detected_at, events.c.event_id)
Index("events_by_area", events.c.area_code, events.c.detected_at, events.c.event_id)
Index(
    "events_open",
    events.c.group_key,
    sqlite_where=OPEN,
    postgresql_where=OPEN,
)
Index(
    "events_open_by_time",
    events.c.detected_at,
    events.c.event_id,
    sqlite_where=OPEN,
    postgresql_where=OPEN,
)
Index(
    "events_open_counted",
    events.c.level,
    events.c.status,
    sqlite_where=OPEN,
    postgresql_where=OPEN,
)
Index(
    "alarms_by_event",
    alarms.c.event_id,
    sqlite_where=alarms.c.event_id.is_not(None),
    postgresql_where=alarms.c.event_id.is_not(None),
)
Index("alarms_by_time", alarms.c.detected_at, alarms.c.alarm_id)
Index("alarms_by_state", alarms.c.state, alarms.c.detected_at, alarms.c.alarm_id)
Index("alarms_by_point", alarms.c.point, alarms.c.rule_id)
Index(
    "alarms_waiting",
    alarms.c.detected_at,
    alarms.c.alarm_id,
    sqlite_where=WAITING,
    postgresql_where=WAITING,
)
Index("event_log_by_event", event_log.c.event_id, event_log.c.entry)
Index("alarm_log_by_alarm", alarm_log.c.alarm_id, alarm_log.c.entry)
Index("holds_by_until", holds.c.until)
