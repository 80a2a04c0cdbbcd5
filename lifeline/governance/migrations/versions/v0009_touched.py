"""Which events and alarms were changed, in order: a publisher writes only those anew."""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make the table; what was changed before it, a publisher that knows no position takes whole."""
    op.create_table(
        "touched",
        sa.Column("entry", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("key", sa.String(length=24), nullable=False),
        sa.Column("stamp", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("entry"),
    )
    op.execute(f"INSERT INTO touched (kind, key, stamp) VALUES ('begin', '', {secrets.randbits(62)})")  # noqa: S608
