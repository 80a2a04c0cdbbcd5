"""Run by Alembic: the steps in the caller's transaction. There is no offline mode and no configuration file."""

from __future__ import annotations

from alembic import context

from lifeline.identity.schema import VERSION_TABLE, identity_metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=identity_metadata,
    version_table=VERSION_TABLE,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
