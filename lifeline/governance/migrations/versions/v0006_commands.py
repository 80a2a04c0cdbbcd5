"""Where the device of a command lies: who may see it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Two columns; commands before this step are seen by those only who may see everything."""
    op.add_column("commands", sa.Column("area_code", sa.String(length=32)))
    op.add_column("commands", sa.Column("utility", sa.String(length=16)))
