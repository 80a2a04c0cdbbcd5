"""Alarms that explain others, and which one explains an alarm."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """What stands now explains nothing until it is raised again."""
    op.add_column("alarms", sa.Column("cause_id", sa.String(length=24)))
    op.create_table(
        "causes",
        sa.Column("alarm_id", sa.String(length=24), nullable=False),
        sa.Column("place_kind", sa.String(length=16), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("rule_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["alarm_id"], ["alarms.alarm_id"]),
        sa.PrimaryKeyConstraint("alarm_id", "place_kind"),
    )
    op.create_index("causes_by_place", "causes", ["place", "place_kind"])
