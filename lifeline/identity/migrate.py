"""Brings the accounts' tables to this program's version, with Alembic, inside the caller's transaction.

    identity_version          Alembic's table of the accounts; the queue's own is ``alembic_version``
    migrations/versions       one file a step, in plain operations; a step that was released is never edited

Accounts and queue share a database and know nothing of each other: each has its own steps and its own number. Tables
that were made before there were steps are those of version 1; they are stamped with it and go on from there. Whoever
changes ``schema`` adds the next ``vNNNN_….py`` and raises ``IDENTITY_VERSION``; a test holds models and migrated tables
equal on both databases.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from lifeline.identity.schema import VERSION_TABLE

if TYPE_CHECKING:
    from sqlalchemy import Connection

SCRIPTS: Final = Path(__file__).parent / "migrations"


def upgrade(connection: Connection) -> None:
    """From whatever there is to the newest version; the caller's transaction makes it durable.

    The tables must not change under another writer: call it under the writer's lock.
    """
    config = _config(connection)
    tables = set(inspect(connection).get_table_names())
    if "accounts" in tables and VERSION_TABLE not in tables:
        command.stamp(config, "0001")
    command.upgrade(config, "head")


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
