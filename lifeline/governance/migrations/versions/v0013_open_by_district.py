"""What is open in a district, newest first: the page that its people look at all day."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Make the index; it holds open events only, some percent of all."""
    is_open = sa.text("is_open IS 1") if op.get_bind().dialect.name == "sqlite" else sa.text("is_open IS true")
    op.create_index(
        "events_open_by_district",
        "events",
        ["district", "detected_at", "event_id"],
        sqlite_where=is_open,
        postgresql_where=is_open,
    )
