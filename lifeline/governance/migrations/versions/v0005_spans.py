"""For which readings an emergency's rule parameters hold."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Two columns; of emergencies before this step the rules knew nothing."""
    op.add_column("modes", sa.Column("rules_since", sa.BigInteger()))
    op.add_column("modes", sa.Column("rules_until", sa.BigInteger()))
