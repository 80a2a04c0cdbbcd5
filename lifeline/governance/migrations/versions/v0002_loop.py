"""The closed loop: deadlines, escalations, reports, modes, sums, reference data; areas around each event.

Sums of events that are there already are made by the first engine that opens the database (it knows the time zone).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def where(condition: str) -> dict[str, Any]:
    """A partial index's condition, as each database spells truth."""
    spelt = condition.replace(" IS 1", " IS true").replace(" IS 0", " IS false")
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(spelt)}


def upgrade() -> None:
    """New tables, new columns and indices, and what older events can tell of them."""
    make_reference_tables()
    make_event_tables()
    make_sums()
    widen_events()
    fill()


def make_reference_tables() -> None:
    """What the site is made of, and what it has decided."""
    op.create_table(
        "areas",
        sa.Column("area_code", sa.String(length=32), nullable=False),
        sa.Column("level", sa.String(length=16), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("parent_code", sa.String(length=32)),
        sa.Column("lon", sa.Float()),
        sa.Column("lat", sa.Float()),
        sa.PrimaryKeyConstraint("area_code"),
    )
    op.create_index("areas_by_parent", "areas", ["parent_code"])
    op.create_index("areas_by_place", "areas", ["lat", "lon"])
    op.create_table(
        "units",
        sa.Column("unit", sa.String(length=200), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.Column("contact", sa.Text()),
        sa.PrimaryKeyConstraint("unit"),
    )
    op.create_table(
        "duties",
        sa.Column("entry", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("utility", sa.String(length=16), nullable=False),
        sa.Column("asset_kind", sa.String(length=64), nullable=False),
        sa.Column("area_code", sa.String(length=32), nullable=False),
        sa.Column("unit", sa.String(length=200), nullable=False),
        sa.Column("co_units", sa.Text(), nullable=False),
        sa.Column("mode", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("entry"),
    )
    op.create_table(
        "staff",
        sa.Column("staff_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("contact", sa.Text()),
        sa.Column("area_code", sa.String(length=32), nullable=False),
        sa.Column("duty", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("staff_id"),
    )
    op.create_index("staff_by_area", "staff", ["area_code"])
    op.create_table(
        "cameras",
        sa.Column("camera_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("lon", sa.Float(), nullable=False),
        sa.Column("lat", sa.Float(), nullable=False),
        sa.Column("area_code", sa.String(length=32)),
        sa.Column("url", sa.Text()),
        sa.PrimaryKeyConstraint("camera_id"),
    )
    op.create_index("cameras_by_place", "cameras", ["lat", "lon"])
    op.create_table(
        "settings",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )


def make_event_tables() -> None:
    """What belongs to events."""
    op.create_table(
        "timers",
        sa.Column("event_id", sa.String(length=20), nullable=False),
        sa.Column("stage", sa.String(length=16), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["event_id"], ["events.event_id"]),
        sa.PrimaryKeyConstraint("event_id", "stage"),
    )
    op.create_index("timers_by_time", "timers", ["at"])
    op.create_table(
        "escalations",
        sa.Column("entry", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("event_id", sa.String(length=20), nullable=False),
        sa.Column("stage", sa.String(length=16), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=16), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("centre", sa.String(length=32)),
        sa.Column("unit", sa.Text()),
        sa.Column("level", sa.String(length=8), nullable=False),
        sa.ForeignKeyConstraint(["event_id"], ["events.event_id"]),
        sa.PrimaryKeyConstraint("entry"),
        sa.UniqueConstraint("event_id", "stage", "round", "step", name="escalations_once"),
    )
    op.create_index("escalations_by_centre", "escalations", ["centre", "entry"])
    op.create_table(
        "reports",
        sa.Column("report_id", sa.String(length=20), nullable=False),
        sa.Column("event_id", sa.String(length=20), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("external_ref", sa.String(length=200)),
        sa.Column("service_code", sa.String(length=64)),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("utility", sa.String(length=16)),
        sa.Column("area_code", sa.String(length=32)),
        sa.Column("address", sa.Text()),
        sa.Column("lon", sa.Float()),
        sa.Column("lat", sa.Float()),
        sa.Column("reporter", sa.Text()),
        sa.Column("contact", sa.Text()),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("merged", sa.Boolean(), nullable=False),
        sa.Column("distance_m", sa.Float()),
        sa.Column("stored_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["event_id"], ["events.event_id"]),
        sa.PrimaryKeyConstraint("report_id"),
        sa.UniqueConstraint("source", "external_ref", name="reports_once"),
    )
    op.create_index("reports_by_event", "reports", ["event_id"])
    op.create_table(
        "modes",
        sa.Column("entry", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("area_code", sa.String(length=32), nullable=False),
        sa.Column("mode", sa.String(length=16), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger()),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("ended_by", sa.Text()),
        sa.Column("end_reason", sa.Text()),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("incident_id", sa.String(length=20)),
        sa.Column("review", sa.Text()),
        sa.PrimaryKeyConstraint("entry"),
    )
    op.create_index("modes_by_area", "modes", ["area_code", "entry"])
    op.create_index("modes_running", "modes", ["until"], **where("ended_at IS NULL"))
    op.create_table(
        "idempotency",
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("object_id", sa.String(length=24), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("actor", "key"),
    )


def make_sums() -> None:
    """Counters."""
    op.create_table(
        "tallies",
        sa.Column("scope", sa.String(length=16), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "key"),
    )
    op.create_table(
        "kpi_days",
        sa.Column("scope", sa.String(length=8), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("district", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("utility", sa.String(length=16), nullable=False),
        sa.Column("received", sa.Integer(), nullable=False),
        sa.Column("filed", sa.Integer(), nullable=False),
        sa.Column("cancelled", sa.Integer(), nullable=False),
        sa.Column("due", sa.Integer(), nullable=False),
        sa.Column("closed_due", sa.Integer(), nullable=False),
        sa.Column("on_time", sa.Integer(), nullable=False),
        sa.Column("overdue", sa.Integer(), nullable=False),
        sa.Column("closed", sa.Integer(), nullable=False),
        sa.Column("reworked", sa.Integer(), nullable=False),
        sa.Column("returned", sa.Integer(), nullable=False),
        sa.Column("extended", sa.Integer(), nullable=False),
        sa.Column("rated", sa.Integer(), nullable=False),
        sa.Column("satisfied", sa.Integer(), nullable=False),
        sa.Column("judged", sa.Integer(), nullable=False),
        sa.Column("false_alarms", sa.Integer(), nullable=False),
        sa.Column("checkable", sa.Integer(), nullable=False),
        sa.Column("verified", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "day", "district", "key", "utility"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "kpi_times",
        sa.Column("scope", sa.String(length=8), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("district", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("measure", sa.String(length=24), nullable=False),
        sa.Column("bucket", sa.Integer(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "day", "district", "key", "measure", "bucket"),
        sqlite_with_rowid=False,
    )


def widen_events() -> None:
    """New columns and the indices that lists and dispatch go by."""
    op.add_column("events", sa.Column("district", sa.String(length=32)))
    op.add_column("events", sa.Column("township", sa.String(length=32)))
    op.add_column("events", sa.Column("asset_kind", sa.String(length=64)))
    op.add_column("events", sa.Column("lon", sa.Float()))
    op.add_column("events", sa.Column("lat", sa.Float()))
    op.add_column("events", sa.Column("filed_at", sa.BigInteger()))
    op.add_column("events", sa.Column("first_dispatched_at", sa.BigInteger()))
    op.add_column("events", sa.Column("first_accepted_at", sa.BigInteger()))
    op.add_column("events", sa.Column("due_kind", sa.String(length=8)))
    op.add_column("events", sa.Column("due_from", sa.BigInteger()))
    op.add_column("events", sa.Column("overdue_at", sa.BigInteger()))
    op.add_column("events", sa.Column("suspended_at", sa.BigInteger()))
    op.add_column("events", sa.Column("round", sa.Integer(), server_default="0", nullable=False))
    op.add_column("events", sa.Column("returns", sa.Integer(), server_default="0", nullable=False))
    op.add_column("events", sa.Column("reworks", sa.Integer(), server_default="0", nullable=False))
    op.add_column("events", sa.Column("extensions", sa.Integer(), server_default="0", nullable=False))
    op.add_column("events", sa.Column("reports", sa.Integer(), server_default="0", nullable=False))
    op.add_column("events", sa.Column("centre", sa.String(length=32)))
    op.add_column("events", sa.Column("routing", sa.Text()))
    op.add_column("events", sa.Column("verified", sa.Boolean()))
    op.add_column("events", sa.Column("recheck", sa.Text()))
    op.add_column("events", sa.Column("incident_id", sa.String(length=20)))
    op.add_column("events", sa.Column("related_id", sa.String(length=20)))
    op.add_column("events", sa.Column("rule_id", sa.Text()))
    op.drop_index("events_by_level", table_name="events")
    op.drop_index("events_by_status", table_name="events")
    op.drop_index("events_by_utility", table_name="events")
    op.drop_index("events_open_counted", table_name="events", **where("is_open IS 1"))
    op.create_index("events_by_district", "events", ["district", "detected_at", "event_id"])
    op.create_index(
        "events_by_district_facets", "events", ["district", "level", "status", "utility", "detected_at", "event_id"]
    )
    op.create_index("events_by_facets", "events", ["level", "status", "utility", "detected_at", "event_id"])
    op.create_index("events_by_incident", "events", ["incident_id"], **where("incident_id IS NOT NULL"))
    op.create_index("events_by_owner", "events", ["owner", "detected_at", "event_id"], **where("owner IS NOT NULL"))
    op.create_index(
        "events_by_township", "events", ["township", "detected_at", "event_id", "level", "status", "utility"]
    )
    op.create_index("events_open_by_place", "events", ["lat", "lon"], **where("is_open IS 1"))


def fill() -> None:
    """What codes, log and deadlines of older events tell of the new columns; deadlines that run get their timer."""
    code = "CASE WHEN area_code GLOB '[A-Z]*' THEN substr(area_code, 2) ELSE area_code END"
    if op.get_bind().dialect.name == "postgresql":
        code = "CASE WHEN area_code ~ '^[A-Z]' THEN substr(area_code, 2) ELSE area_code END"
    filed = "SELECT min(at) FROM event_log AS l WHERE l.event_id = events.event_id AND l.action = 'file'"
    rule = "SELECT rule_id FROM alarms AS a WHERE a.alarm_id = events.first_alarm_id"
    op.execute(
        f"UPDATE events SET district = CASE WHEN length({code}) >= 6 AND substr({code}, 5, 2) <> '00' "  # noqa: S608
        f"THEN substr({code}, 1, 6) END, township = CASE WHEN length({code}) >= 9 THEN substr({code}, 1, 9) END, "
        f"filed_at = ({filed}), first_dispatched_at = dispatched_at, first_accepted_at = accepted_at, "
        f"rule_id = ({rule}), due_from = CASE WHEN due_at IS NOT NULL THEN detected_at END, "
        "due_kind = CASE WHEN due_at IS NOT NULL THEN 'natural' END"
    )
    op.execute(
        "INSERT INTO timers (event_id, stage, round, step, at, due_at, since) "
        "SELECT event_id, 'handle', 0, 0, due_at, due_at, detected_at FROM events "
        "WHERE is_open AND due_at IS NOT NULL AND status NOT IN ('suspended', 'fed-back')"
    )
