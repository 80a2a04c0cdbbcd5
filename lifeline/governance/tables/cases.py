"""Cases: events, their log, deadlines, reports, emergencies; and the indices of lists."""

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
    UniqueConstraint,
    select,
)

from lifeline.governance.tables.metadata import metadata

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
what alarms nearby have joined, for another report of the same place: it may be the same thing; of a consequence that
came first, the event of its cause. ``also_in``: null for a
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

EVENTS: Final = select(events)
TIMERS: Final = select(timers)
"""Whole rows; constants, as ``asking.fetch`` wants them."""

OPEN: Final = events.c.is_open.is_(True)

REACHES_OPEN: Final = event_areas.c.is_open.is_(True)

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
Index("event_log_by_event", event_log.c.event_id, event_log.c.entry)
Index("timers_by_time", timers.c.at)
Index("escalations_by_centre", escalations.c.centre, escalations.c.entry)
Index("reports_by_event", reports.c.event_id)
Index("modes_by_area", modes.c.area_code, modes.c.entry)
Index(
    "modes_running", modes.c.until, sqlite_where=modes.c.ended_at.is_(None), postgresql_where=modes.c.ended_at.is_(None)
)
