"""What all parts of the door to accounts share: the database, the clock, the audit; the tables brought up to date."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final, Self

from sqlalchemy import column, insert, inspect, select, table

from lifeline.core.errors import ConfigurationError, Problem
from lifeline.identity.errors import NoSuchError, StateError
from lifeline.identity.rows import find_account, grants_text, told
from lifeline.identity.schema import IDENTITY_VERSION, VERSION_TABLE, accounts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from typing import Protocol

    from sqlalchemy import Connection

    from lifeline.core.ports import Clock
    from lifeline.core.principal import Grant

    class Transactions(Protocol):
        """A governance database."""

        def read(self) -> AbstractContextManager[Connection]:
            """One consistent snapshot."""
            ...

        def write(self) -> AbstractContextManager[Connection]:
            """One durable transaction."""
            ...

    Audit = Callable[[Connection, str, str, str, dict[str, Any]], None]
    """(connection, actor, action, object, details) in the transaction of the change."""
    Widen = Callable[[str, Sequence[Grant], str], Sequence[Grant]]
    """(account, grants, address): what somebody may for a while beyond what was granted."""

    class Once(Protocol):
        """Requests that are carried out once, in the transaction that does."""

        def known(self, connection: Connection) -> str | None:
            """The name or id that this request has made already; raises when its key was used for another one."""
            ...

        def remember(self, connection: Connection, made: str) -> None:
            """Keep what it has made."""
            ...


LIST_MAX: Final = 1000


class Door:
    """Accounts in the database that ``database`` opens; makes its tables, and brings older ones up to date.

    Args:
        database: ``lifeline.governance.database.Database`` or one like it.
        clock: Epoch milliseconds.
        audit: Writes the audit entry of a change in its transaction.

    Raises:
        ConfigurationError: the tables are a newer program's.
        UnavailableError: the database refuses.
    """

    def __init__(self, database: Transactions, clock: Clock, audit: Audit, widen: Widen | None = None) -> None:
        self._database = database
        self._clock = clock
        self._audit = audit
        self._widen = widen
        with database.read() as connection:
            found = _tables_version(connection)
        if found == IDENTITY_VERSION:
            return
        if found > IDENTITY_VERSION:
            message = f"the accounts' tables are version {found}, this program knows version {IDENTITY_VERSION}"
            raise ConfigurationError([Problem("lifeline.toml", "governance.database", message, "upgrade Lifeline")])
        from lifeline.identity.migrate import upgrade  # Alembic is a third of a second, and seldom needed

        with database.write() as connection:
            upgrade(connection)

    def audited_by(self, audit: Audit) -> Self:
        """The same door, for somebody whose acts are audited in another way."""
        other = copy.copy(self)
        other._audit = audit  # noqa: SLF001 - our own copy
        return other

    def _enabled(self, connection: Connection, name: str) -> dict[str, Any]:
        row = find_account(connection, name)
        if row is None:
            raise NoSuchError(f"there is no account {name!r}; `user list` shows them")
        if row["disabled_at"]:
            raise StateError(f"account {name!r} is disabled")
        return row

    def _insert(
        self,
        connection: Connection,
        name: str,
        display: str,
        grants: Sequence[Grant],
        grade: str,
        actor: str,
        password: str | None = None,
        subject: str | None = None,
    ) -> None:
        connection.execute(
            insert(accounts).values(
                name=name,
                display=display,
                password=password,
                subject=subject,
                grants=grants_text(grants),
                grade=grade,
                created_at=self._clock(),
            )
        )
        self._audit(connection, actor, "account.add", name, told(grants, grade))


def _tables_version(connection: Connection) -> int:
    """The version of the tables there are, 0 for none and for those that were made before there were versions."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return 0
    return int(connection.scalar(select(column("version_num")).select_from(table(VERSION_TABLE))) or 0)
