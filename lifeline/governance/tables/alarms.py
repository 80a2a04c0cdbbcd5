"""Alarms, what people did with them, which are quiet, and which explain others; and the indices of their lists."""

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
    String,
    Table,
    Text,
    and_,
    false,
)

from lifeline.governance.tables.metadata import metadata

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
    Column("realarm_s", Integer),
    Column("realarm_at", BigInteger),
    Column("realarms", Integer, nullable=False, server_default="0"),
    Column("cause_id", String(24)),
)
"""One row an episode (rule, version, point, onset). ``lsn`` and ``clear_lsn`` lead back to the readings.

``realarm_at``: when it is annunciated again if it still stands, every ``realarm_s``; ``realarms`` times so far.
``cause_id``: the alarm that explains it (``consequences``)."""

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
    Column("once", Boolean, nullable=False, server_default=false()),
)
"""Which rules are quiet on which points (``shelved``, ``suppressed``, ``out-of-service``), so that the next episode
is quiet too. Alarms under a hold are stored but open no event until the hold ends. ``once``: a
shelf that ends when its alarm returns to normal, at ``until`` at the latest."""

causes: Final = Table(
    "causes",
    metadata,
    Column("alarm_id", String(24), ForeignKey("alarms.alarm_id"), primary_key=True),
    Column("place_kind", String(16), primary_key=True),
    Column("place", Text, nullable=False),
    Column("rule_id", Text, nullable=False),
)
"""Standing alarms that explain others, by the places at which they do (``consequences``). Gone when they end."""

WAITING: Final = and_(
    alarms.c.event_id.is_(None),
    alarms.c.active.is_(True),
    alarms.c.shelved_until.is_(None),
    alarms.c.suppressed.is_(False),
    alarms.c.out_of_service.is_(False),
)
"""Standing alarms that no hold keeps from an event any longer. Partial indices serve only queries that say their
condition in the same words: so both are said here."""

REPEATING: Final = and_(alarms.c.active.is_(True), alarms.c.realarm_at.is_not(None))
"""Standing alarms that will be annunciated again."""

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
Index(
    "alarms_standing",
    alarms.c.rule_id,
    alarms.c.rule_version,
    sqlite_where=alarms.c.active.is_(True),
    postgresql_where=alarms.c.active.is_(True),
)
Index("alarms_to_repeat", alarms.c.realarm_at, sqlite_where=REPEATING, postgresql_where=REPEATING)
Index("alarm_log_by_alarm", alarm_log.c.alarm_id, alarm_log.c.entry)
Index("causes_by_place", causes.c.place, causes.c.place_kind)
Index("holds_by_until", holds.c.until)
