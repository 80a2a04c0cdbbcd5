"""Brings the tables to this program's version, with Alembic, inside the caller's transaction: all steps or none.

    meta.schema_version   the number that every start compares (cheap, no Alembic)
    alembic_version       the same number as Alembic's revision id: 1 ↔ "0001"
    migrations/versions   one file a step, in plain operations; a step that was released is never edited

A database from before Alembic has only the first; it is stamped with its number and goes on from there. Whoever changes
``schema`` adds the next ``vNNNN_….py`` and raises ``SCHEMA_VERSION``; a test holds models and migrated tables equal on
both databases.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, update

from lifeline.governance.schema import SCHEMA_VERSION, meta

if TYPE_CHECKING:
    from sqlalchemy import Connection

SCRIPTS: Final = Path(__file__).parent / "migrations"


def upgrade(connection: Connection, found: int, to: int = SCHEMA_VERSION) -> None:
    """From version ``found`` (0: no tables) to version ``to``; the caller's transaction makes it durable.

    The tables must not change under another writer: call it under the writer's lock.
    """
    config = _config(connection)
    if found and "alembic_version" not in inspect(connection).get_table_names():
        command.stamp(config, revision(found))
    command.upgrade(config, revision(to))
    _finish(connection, to)


def revision(version: int) -> str:
    """Alembic's id of a schema version."""
    return f"{version:04d}"


def _finish(connection: Connection, version: int) -> None:
    connection.execute(update(meta).where(meta.c.name == "schema_version").values(value=version))


def head() -> str:
    """The newest step there is a file for."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    if connection is not None:
        config.attributes["connection"] = connection
    return config
