"""One-shot shelving, and alarms that are annunciated again."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def where(condition: str) -> dict[str, Any]:
    """A partial index's condition, as each database spells truth."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition.replace(" IS 1", " IS true"))}


def upgrade() -> None:
    """Columns that are empty for what is there, and the indices that find what stands and what is due."""
    op.add_column("holds", sa.Column("once", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("alarms", sa.Column("realarm_s", sa.Integer()))
    op.add_column("alarms", sa.Column("realarm_at", sa.BigInteger()))
    op.add_column("alarms", sa.Column("realarms", sa.Integer(), server_default="0", nullable=False))
    op.create_index("alarms_standing", "alarms", ["rule_id", "rule_version"], **where("active IS 1"))
    op.create_index("alarms_to_repeat", "alarms", ["realarm_at"], **where("active IS 1 AND realarm_at IS NOT NULL"))
