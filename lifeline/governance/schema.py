"""Tables of the governance database. Times are epoch milliseconds UTC (BigInteger); nothing is ever deleted here.

    alarms ──event_id──► events ◄──event_id── event_log        what the rules said │ the cases │ who did what
       ▲                   ▲ ▲
       │                   │ └── timers (what is due next), escalations (what was), reports (what people told)
       │                   └──── modes (normal or emergency, by area), tallies, kpi_days, kpi_times (sums of events)
       │                   └── event_areas (where else they reach)
       └── alarm_log (who acknowledged, shelved …)              holds: (rule, point) shelved, suppressed, out of service
    areas, units, duties, staff, cameras: reference data, brought by the engine     settings: policy, time zone
    followers: name → position in the log                       meta: schema version, revision counters

Columns of the published views (contract, section 5) come first and in the contract's order; ``export`` relies on it.
What telemetry says is reproducible from the log, except ``stored_at``, the wall clock of the storing transaction.
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
    UniqueConstraint,
    and_,
    false,
    select,
)

SCHEMA_VERSION: Final = 13
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
    Column("district", String(32)),
    Column("township", String(32)),
    Column("asset_kind", String(64)),
    Column("lon", Float),
    Column("lat", Float),
    Column("filed_at", BigInteger),
    Column("first_dispatched_at", BigInteger),
    Column("first_accepted_at", BigInteger),
    Column("due_kind", String(8)),
    Column("due_from", BigInteger),
    Column("overdue_at", BigInteger),
    Column("suspended_at", BigInteger),
    Column("round", Integer, nullable=False, server_default="0"),
    Column("returns", Integer, nullable=False, server_default="0"),
    Column("reworks", Integer, nullable=False, server_default="0"),
    Column("extensions", Integer, nullable=False, server_default="0"),
    Column("reports", Integer, nullable=False, server_default="0"),
    Column("centre", String(32)),
    Column("routing", Text),
    Column("verified", Boolean),
    Column("recheck", Text),
    Column("incident_id", String(20)),
    Column("related_id", String(20)),
    Column("rule_id", Text),
    Column("also_in", Text),
)
"""Cases. ``lsn``: the log record that opened it; ``active_count``: alarms of it that stand right now; ``normal_at``:
since when none does; ``version`` rises with every act of a person and every change of level (compare before acting).

``district`` and ``township``: the areas of those levels around ``area_code``. ``due_at`` is the deadline of handling
(feed back by then): ``due_kind`` natural or working time from ``due_from``; ``overdue_at`` when it was first missed;
``round`` counts deadlines given. ``centre``: the area whose operation centre has it on the table. ``routing``: JSON,
why this unit. ``verified`` and ``recheck``: whether telemetry agreed when it was closed, and its evidence (JSON).
``rule_id``: the rule of its worst alarm. ``incident_id``: the emergency incident it belongs to; ``related_id``:
what alarms nearby have joined, for another report of the same place: it may be the same thing. ``also_in``: null for a
case of one place, else the townships (or districts) that it touches, as ``reach`` writes them."""

event_areas: Final = Table(
    "event_areas",
    metadata,
    Column("event_id", String(20), ForeignKey("events.event_id"), primary_key=True),
    Column("area_code", String(32), primary_key=True),
    Column("utility", String(16), primary_key=True),
    Column("district", String(32)),
    Column("township", String(32)),
    Column("level", String(8), nullable=False),
    Column("status", String(20), nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("detected_at", BigInteger, nullable=False),
)
"""Where an event reaches beside its own area and utility: one row for each further pair that an alarm or report of it
lies in ("" for none). Few events have any. Level, status and time are the event's, so that the indices of lists serve
here as they do there (``facets``)."""

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

timers: Final = Table(
    "timers",
    metadata,
    Column("event_id", String(20), ForeignKey("events.event_id"), primary_key=True),
    Column("stage", String(16), primary_key=True),
    Column("round", Integer, nullable=False),
    Column("step", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("since", BigInteger, nullable=False),
)
"""What happens next if nobody does anything: ``step`` of ``deadlines.STEPS`` at the time ``at``. A row, not a clock in
memory: a restart finds it. ``stage``: which limit runs (triage, accept, handle, check). Gone once the stage is over."""

escalations: Final = Table(
    "escalations",
    metadata,
    Column("entry", Integer, primary_key=True, autoincrement=True),
    Column("event_id", String(20), ForeignKey("events.event_id"), nullable=False),
    Column("stage", String(16), nullable=False),
    Column("round", Integer, nullable=False),
    Column("step", Integer, nullable=False),
    Column("name", String(16), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("centre", String(32)),
    Column("unit", Text),
    Column("level", String(8), nullable=False),
    UniqueConstraint("event_id", "stage", "round", "step", name="escalations_once"),
)
"""Reminders and overdue escalations that have happened: the supervision feed, in order of ``entry``. The key makes
"once" the database's business."""

reports: Final = Table(
    "reports",
    metadata,
    Column("report_id", String(20), primary_key=True),
    Column("event_id", String(20), ForeignKey("events.event_id"), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("source", String(16), nullable=False),
    Column("external_ref", String(200)),
    Column("service_code", String(64)),
    Column("description", Text, nullable=False),
    Column("utility", String(16)),
    Column("area_code", String(32)),
    Column("address", Text),
    Column("lon", Float),
    Column("lat", Float),
    Column("reporter", Text),
    Column("contact", Text),
    Column("actor", Text, nullable=False),
    Column("merged", Boolean, nullable=False),
    Column("distance_m", Float),
    Column("stored_at", BigInteger, nullable=False),
    UniqueConstraint("source", "external_ref", name="reports_once"),
)
"""What people told us: several may be of one event. ``merged``: it joined an event that was there, ``distance_m`` away.
``reporter`` and ``contact`` are personal: doors mask them."""

modes: Final = Table(
    "modes",
    metadata,
    Column("entry", Integer, primary_key=True, autoincrement=True),
    Column("area_code", String(32), nullable=False),
    Column("mode", String(16), nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("ended_by", Text),
    Column("end_reason", Text),
    Column("settings", Text, nullable=False),
    Column("incident_id", String(20)),
    Column("review", Text),
    Column("rules_since", BigInteger),
    Column("rules_until", BigInteger),
)
"""Emergencies, past and present: an area is in one from ``since`` until ``ended_at`` (``until``: its automatic end).
``rules_since``, ``rules_until``: the log time for which its rule parameters hold (``modes.settle_spans``), null: never.
``settings``: JSON of what it changed; ``review``: JSON of the report made at its end. Without a row: normal."""

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

tallies: Final = Table(
    "tallies",
    metadata,
    Column("scope", String(16), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("n", BigInteger, nullable=False),
)
"""Counts of open events that screens and dispatch ask for all the time: ``state`` (level, status), ``load`` (unit).
Written with the events they count, in the same transaction."""

MEASURES: Final = (
    "received",
    "filed",
    "cancelled",
    "due",
    "closed_due",
    "on_time",
    "overdue",
    "closed",
    "reworked",
    "returned",
    "extended",
    "rated",
    "satisfied",
    "judged",
    "false_alarms",
    "checkable",
    "verified",
)
"""What is counted; ``kpi.MEANING`` says what each is and on which day it counts."""

kpi_days: Final = Table(
    "kpi_days",
    metadata,
    Column("scope", String(8), primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("district", String(32), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("utility", String(16), primary_key=True),
    *(Column(name, Integer, nullable=False) for name in MEASURES),
    sqlite_with_rowid=False,
)
"""Sums a local day (days since 1970) and district, by ``scope``: all, town, unit, kind, rule (``key`` names which).
Written with the events they are of, in the same transaction."""

kpi_times: Final = Table(
    "kpi_times",
    metadata,
    Column("scope", String(8), primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("district", String(32), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("measure", String(24), primary_key=True),
    Column("bucket", Integer, primary_key=True),
    Column("n", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Histograms of durations, for medians: ``bucket`` as in ``sums.bucket``. By the day for scope city, else by the month
(its first day)."""

areas: Final = Table(
    "areas",
    metadata,
    Column("area_code", String(32), primary_key=True),
    Column("level", String(16), nullable=False),
    Column("name", Text, nullable=False),
    Column("parent_code", String(32)),
    Column("lon", Float),
    Column("lat", Float),
)
"""The registry's areas, mirrored by the engine so that every door knows them."""

units: Final = Table(
    "units",
    metadata,
    Column("unit", String(200), primary_key=True),
    Column("capacity", Integer, nullable=False),
    Column("contact", Text),
)
"""Who handles: ``capacity`` is how many open events it can carry before others are asked."""

duties: Final = Table(
    "duties",
    metadata,
    Column("entry", Integer, primary_key=True, autoincrement=True),
    Column("utility", String(16), nullable=False),
    Column("asset_kind", String(64), nullable=False),
    Column("area_code", String(32), nullable=False),
    Column("unit", String(200), nullable=False),
    Column("co_units", Text, nullable=False),
    Column("mode", String(16), nullable=False),
)
"""The responsibility matrix; ``*`` means any. ``co_units``: those to be told as well, comma-separated."""

staff: Final = Table(
    "staff",
    metadata,
    Column("staff_id", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("contact", Text),
    Column("area_code", String(32), nullable=False),
    Column("duty", String(64), nullable=False),
)
"""Grid staff by the area they walk."""

cameras: Final = Table(
    "cameras",
    metadata,
    Column("camera_id", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("lon", Float, nullable=False),
    Column("lat", Float, nullable=False),
    Column("area_code", String(32)),
    Column("url", Text),
)
"""Video points."""

settings: Final = Table(
    "settings",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)
"""``timezone`` and ``policy`` as every door must apply them; ``digest.…`` of the reference tables; ``file.…``: which
file keeps the policy, the units or the duties."""

regulations: Final = Table(
    "regulations",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("source", String(8), nullable=False),
    Column("reason", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("content", Text),
)
"""Every version of ``policy``, ``units`` and ``duties``: by whom, why, and from where (``api`` or ``file``)."""

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

EVENTS: Final = select(events)
"""Whole rows of events; a constant, as ``statements.fetch`` likes it."""
OPEN: Final = events.c.is_open.is_(True)
REACHES_OPEN: Final = event_areas.c.is_open.is_(True)
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

for _name, _columns in {
    "facets": ("level", "status", "utility", "detected_at", "event_id"),
    "district_facets": ("district", "level", "status", "utility", "detected_at", "event_id"),
    "district": ("district", "detected_at", "event_id"),
    "township": ("township", "detected_at", "event_id"),
    "area": ("area_code", "detected_at", "event_id"),
    "time": ("detected_at", "event_id"),
}.items():
    Index(f"event_areas_by_{_name}", *(event_areas.c[one] for one in _columns))
Index(
    "event_areas_open_by_time",
    event_areas.c.detected_at,
    event_areas.c.event_id,
    sqlite_where=REACHES_OPEN,
    postgresql_where=REACHES_OPEN,
)
Index("events_by_time", events.c.detected_at, events.c.event_id)
Index(
    "events_by_facets",
    *(events.c[name] for name in ("level", "status", "utility", "detected_at", "event_id")),
)
Index(
    "events_by_district_facets",
    *(events.c[name] for name in ("district", "level", "status", "utility", "detected_at", "event_id")),
)
Index("events_by_district", events.c.district, events.c.detected_at, events.c.event_id)
Index(
    "events_by_township",
    *(events.c[name] for name in ("township", "detected_at", "event_id", "level", "status", "utility")),
)
Index("events_by_area", events.c.area_code, events.c.detected_at, events.c.event_id)
Index(
    "events_by_owner",
    events.c.owner,
    events.c.detected_at,
    events.c.event_id,
    sqlite_where=events.c.owner.is_not(None),
    postgresql_where=events.c.owner.is_not(None),
)
Index(
    "events_by_incident",
    events.c.incident_id,
    sqlite_where=events.c.incident_id.is_not(None),
    postgresql_where=events.c.incident_id.is_not(None),
)
Index("events_open_by_place", events.c.lat, events.c.lon, sqlite_where=OPEN, postgresql_where=OPEN)
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
    "events_open_by_district",
    *(events.c[name] for name in ("district", "detected_at", "event_id")),
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
Index(
    "alarms_standing",
    alarms.c.rule_id,
    alarms.c.rule_version,
    sqlite_where=alarms.c.active.is_(True),
    postgresql_where=alarms.c.active.is_(True),
)
Index("alarms_to_repeat", alarms.c.realarm_at, sqlite_where=REPEATING, postgresql_where=REPEATING)
Index("event_log_by_event", event_log.c.event_id, event_log.c.entry)
Index("alarm_log_by_alarm", alarm_log.c.alarm_id, alarm_log.c.entry)
Index("causes_by_place", causes.c.place, causes.c.place_kind)
Index("holds_by_until", holds.c.until)
Index("warnings_issued_by_event", warnings_issued.c.sink, warnings_issued.c.event_id, warnings_issued.c.entry)
Index("warnings_issued_by_time", warnings_issued.c.sink, warnings_issued.c.sent_at, warnings_issued.c.serial)
Index("commands_by_time", commands.c.at, commands.c.command_id)
Index("audit_by_object", audit.c.object, audit.c.entry)
Index("audit_by_actor", audit.c.actor, audit.c.entry)
Index("timers_by_time", timers.c.at)
Index("escalations_by_centre", escalations.c.centre, escalations.c.entry)
Index("reports_by_event", reports.c.event_id)
Index("modes_by_area", modes.c.area_code, modes.c.entry)
Index(
    "modes_running", modes.c.until, sqlite_where=modes.c.ended_at.is_(None), postgresql_where=modes.c.ended_at.is_(None)
)
Index("areas_by_place", areas.c.lat, areas.c.lon)
Index("areas_by_parent", areas.c.parent_code)
Index("staff_by_area", staff.c.area_code)
Index("cameras_by_place", cameras.c.lat, cameras.c.lon)
