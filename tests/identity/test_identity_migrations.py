"""The accounts' tables on both databases: steps lead to models, older tables keep every row, newer ones are refused."""

from __future__ import annotations

from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, select, text

from lifeline.core.errors import ConfigurationError
from lifeline.governance.database import Database
from lifeline.identity import Accounts, migrate
from lifeline.identity.schema import IDENTITY_VERSION, VERSION_TABLE, accounts, identity_metadata

ROW = {"name": "li.na", "display": "Li Na", "grants": "[]", "grade": "general", "created_at": 1}


def open_accounts(database: Database) -> Accounts:
    return Accounts(database, lambda: 2, lambda *_: None)


@pytest.fixture
def database(queue_url: str) -> Any:
    made = Database(queue_url)
    yield made
    made.close()


def test_the_steps_lead_to_the_models_and_older_tables_keep_their_rows(database: Database) -> None:
    """As the program made them before there were steps; and stamped, they are what the steps make."""
    _drop(database)
    with database.write() as connection:
        identity_metadata.create_all(connection)
        connection.execute(accounts.insert(), [ROW])
        made = _indices(connection)

    assert [row["name"] for row in open_accounts(database).list_accounts()] == ["li.na"]

    with database.write() as connection:
        assert inspect(connection).has_table(VERSION_TABLE)
    _drop(database)
    assert open_accounts(database).is_empty
    names = set(identity_metadata.tables) | {VERSION_TABLE}
    with database.read() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "version_table": VERSION_TABLE,
                "include_name": lambda name, kind, _: kind != "table" or name in names,
            },
        )
        assert compare_metadata(context, identity_metadata) == []
        assert _indices(connection) == made
        assert connection.scalar(select(text("version_num")).select_from(text(VERSION_TABLE))) == migrate.head()
    assert migrate.head() == f"{IDENTITY_VERSION:04d}"


def _drop(database: Database) -> None:
    with database.write() as connection:
        identity_metadata.drop_all(connection)
        connection.execute(text(f"DROP TABLE {VERSION_TABLE}"))


def _indices(connection: Any) -> dict[str, list[str]]:
    found = inspect(connection)
    return {
        f"{name}.{index['name']}": index["column_names"]
        for name in identity_metadata.tables
        for index in found.get_indexes(name)
    }


def test_tables_of_a_newer_program_are_refused(database: Database) -> None:
    open_accounts(database)
    with database.write() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '0099'"))

    with pytest.raises(ConfigurationError, match="version 99, this program knows version 1"):
        open_accounts(database)
