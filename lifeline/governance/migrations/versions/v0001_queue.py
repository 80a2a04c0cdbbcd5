"""The tables as they were when the queue was first released: alarms, events, their logs, holds, positions."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def where(condition: str) -> dict[str, Any]:
    """A partial index's condition, as each database spells truth."""
    spelt = condition.replace(" IS 1", " IS true").replace(" IS 0", " IS false")
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(spelt)}


def upgrade() -> None:
    """Make them, and the version and revision counters."""
    op.create_table(
        "events",
        sa.Column("event_id", sa.String(length=20), nullable=False),
        sa.Column("level", sa.String(length=8), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("utility", sa.String(length=16)),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("area_code", sa.String(length=32)),
        sa.Column("raised_at", sa.BigInteger(), nullable=False),
        sa.Column("detected_at", sa.BigInteger(), nullable=False),
        sa.Column("dispatched_at", sa.BigInteger()),
        sa.Column("accepted_at", sa.BigInteger()),
        sa.Column("resolved_at", sa.BigInteger()),
        sa.Column("closed_at", sa.BigInteger()),
        sa.Column("due_at", sa.BigInteger()),
        sa.Column("owner", sa.Text()),
        sa.Column("alarm_count", sa.Integer(), nullable=False),
        sa.Column("cause", sa.Text()),
        sa.Column("false_alarm", sa.Boolean()),
        sa.Column("satisfaction", sa.Integer()),
        sa.Column("mode", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("category", sa.String(length=16), nullable=False),
        sa.Column("place_kind", sa.String(length=16), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("group_key", sa.Text(), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("active_count", sa.Integer(), nullable=False),
        sa.Column("normal_at", sa.BigInteger()),
        sa.Column("supervision", sa.Integer(), nullable=False),
        sa.Column("co_owners", sa.Text()),
        sa.Column("extension_until", sa.BigInteger()),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("first_alarm_id", sa.String(length=24)),
        sa.Column("lsn", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("stored_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("event_id"),
    )
    op.create_index("events_by_area", "events", ["area_code", "detected_at", "event_id"])
    op.create_index("events_by_level", "events", ["level", "detected_at", "event_id"])
    op.create_index("events_by_status", "events", ["status", "detected_at", "event_id"])
    op.create_index("events_by_time", "events", ["detected_at", "event_id"])
    op.create_index("events_by_utility", "events", ["utility", "detected_at", "event_id"])
    op.create_index("events_open", "events", ["group_key"], **where("is_open IS 1"))
    op.create_index("events_open_by_time", "events", ["detected_at", "event_id"], **where("is_open IS 1"))
    op.create_index("events_open_counted", "events", ["level", "status"], **where("is_open IS 1"))
    op.create_table(
        "followers",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "holds",
        sa.Column("rule_id", sa.Text(), nullable=False),
        sa.Column("point", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("until", sa.BigInteger()),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("rule_id", "point", "kind"),
    )
    op.create_index("holds_by_until", "holds", ["until"])
    op.create_table(
        "meta",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "alarms",
        sa.Column("alarm_id", sa.String(length=24), nullable=False),
        sa.Column("rule_id", sa.Text(), nullable=False),
        sa.Column("rule_version", sa.Integer(), nullable=False),
        sa.Column("point", sa.Integer(), nullable=False),
        sa.Column("raised_at", sa.BigInteger(), nullable=False),
        sa.Column("detected_at", sa.BigInteger(), nullable=False),
        sa.Column("cleared_at", sa.BigInteger()),
        sa.Column("value", sa.Float()),
        sa.Column("limit", sa.Float()),
        sa.Column("level", sa.String(length=8), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("event_id", sa.String(length=20)),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Text(), nullable=False),
        sa.Column("utility", sa.String(length=16)),
        sa.Column("area_code", sa.String(length=32)),
        sa.Column("lsn", sa.BigInteger(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("acked", sa.Boolean(), nullable=False),
        sa.Column("acked_at", sa.BigInteger()),
        sa.Column("acked_by", sa.Text()),
        sa.Column("shelved_until", sa.BigInteger()),
        sa.Column("suppressed", sa.Boolean(), nullable=False),
        sa.Column("out_of_service", sa.Boolean(), nullable=False),
        sa.Column("clear_detected_at", sa.BigInteger()),
        sa.Column("clear_value", sa.Float()),
        sa.Column("clear_lsn", sa.BigInteger()),
        sa.Column("stored_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["event_id"], ["events.event_id"]),
        sa.PrimaryKeyConstraint("alarm_id"),
    )
    op.create_index("alarms_by_event", "alarms", ["event_id"], **where("event_id IS NOT NULL"))
    op.create_index("alarms_by_point", "alarms", ["point", "rule_id"])
    op.create_index("alarms_by_state", "alarms", ["state", "detected_at", "alarm_id"])
    op.create_index("alarms_by_time", "alarms", ["detected_at", "alarm_id"])
    op.create_index(
        "alarms_waiting",
        "alarms",
        ["detected_at", "alarm_id"],
        **where(
            "event_id IS NULL AND active IS 1 AND shelved_until IS NULL AND suppressed IS 0 AND out_of_service IS 0"
        ),
    )
    op.create_table(
        "event_log",
        sa.Column("event_id", sa.String(length=20), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("from_status", sa.String(length=20)),
        sa.Column("to_status", sa.String(length=20), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("entry", sa.Integer(), autoincrement=True, nullable=False),
        sa.ForeignKeyConstraint(["event_id"], ["events.event_id"]),
        sa.PrimaryKeyConstraint("entry"),
    )
    op.create_index("event_log_by_event", "event_log", ["event_id", "entry"])
    op.create_table(
        "alarm_log",
        sa.Column("entry", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("alarm_id", sa.String(length=24), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("from_state", sa.String(length=20), nullable=False),
        sa.Column("to_state", sa.String(length=20), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["alarm_id"], ["alarms.alarm_id"]),
        sa.PrimaryKeyConstraint("entry"),
    )
    op.create_index("alarm_log_by_alarm", "alarm_log", ["alarm_id", "entry"])
    meta: Any = sa.table("meta", sa.column("name"), sa.column("value"))
    rows = [{"name": "schema_version", "value": 1}]
    rows += [{"name": f"revision.{name}", "value": 0} for name in ("alarms", "events", "event_log")]
    op.bulk_insert(meta, rows)
