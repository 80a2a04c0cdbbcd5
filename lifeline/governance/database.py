"""The door to the governance database, whichever it is. One writer at a time; readers never write a byte.

    sqlite:///FILE                   ``sqlite``: embedded, the default
    postgresql+psycopg://HOST/NAME   ``postgresql``: a server, for several machines and for databases of the city

Rules of this file: nothing here knows a dialect. Both back ends promise the same: ``write`` is one durable transaction
under an exclusive lock that all processes respect, ``read`` is one consistent snapshot, a refusal is UnavailableError
and damage is CorruptionError. The statements above this module are the same for both.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

from sqlalchemy import inspect, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from lifeline.core.errors import ConfigurationError, CorruptionError, LifelineError, Problem, UnavailableError
from lifeline.governance.postgresql import PostgresqlBackend
from lifeline.governance.schema import SCHEMA_VERSION, meta
from lifeline.governance.sqlite import SqliteBackend

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection, Engine

LOCK_TIMEOUT_S: Final = 10.0
"""Longest wait for another writer. The longest transaction, 10,000 alarms at once, takes under a second."""


class Backend(Protocol):
    """What a database must bring along."""

    place: str
    """For messages: a path, or a URL without its password."""
    writer: Engine
    """Its transactions begin with whatever keeps other processes' writers out."""
    reader: Engine
    """Its transactions are read-only snapshots."""

    def prepare(self, *, create: bool) -> None:
        """Before the first connection; ConfigurationError when there is nothing to open and ``create`` is false."""
        ...

    def exclusive(self) -> AbstractContextManager[None]:
        """Held around every write transaction and around closing: this process's threads, perhaps others'."""
        ...

    def translate(self, error: Exception) -> LifelineError | None:
        """A driver's error in our words, None when it is a bug of ours."""
        ...

    def close(self) -> None:
        """Close every connection."""
        ...


class Database:
    """A governance database by URL, e.g. ``sqlite:///var/governance.db``.

    ``create``: make the tables when they are missing and bring older ones up to date (the engine); otherwise either is
    an error (people).

    Raises:
        ConfigurationError: not a URL that we can serve, another program's database, a newer schema, or a file
            system or server that does not keep what SQL promises.
        UnavailableError: the database cannot be opened.
        CorruptionError: the file is damaged.
    """

    def __init__(self, url: str, *, create: bool = True, lock_timeout_s: float = LOCK_TIMEOUT_S) -> None:
        self.url = url
        self.backend = _backend(url, lock_timeout_s)
        self.backend.prepare(create=create)
        try:
            if create:
                with self.write() as connection:
                    self._check_schema(connection, create=True)
            else:
                with self.read() as connection:
                    self._check_schema(connection, create=False)
        except BaseException:
            self.close()
            raise

    @property
    def place(self) -> str:
        """Where it is, for messages: a path, or a URL without its password."""
        return self.backend.place

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One durable transaction: committed and fsynced when the block ends, rolled back when it raises.

        Raises:
            UnavailableError: another writer held the lock too long, or disk or server refused. Nothing was stored, or
                (when the commit's answer was lost) all of it.
            CorruptionError: the file is damaged.
        """
        with self.backend.exclusive():
            try:
                with self._translate(), self.backend.writer.begin() as connection:
                    yield connection
            except (UnavailableError, CorruptionError):
                self.backend.writer.dispose()  # after a failed write the next one begins with a fresh connection
                raise

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent snapshot, however many queries; blocks no writer. Raises as ``write``."""
        with self._translate(), self.backend.reader.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self.backend.close()

    # --- schema ------------------------------------------------------------------------------------------------

    def _check_schema(self, connection: Connection, *, create: bool) -> None:
        tables = set(inspect(connection).get_table_names())
        if tables and not {"meta", "events", "alarms"} <= tables:
            raise self._problem("this is not a Lifeline governance database", "name another one")
        if not tables and not create:
            raise self._problem("there are no tables", "run the engine once, or mend the address")
        found = connection.scalar(select(meta.c.value).where(meta.c.name == "schema_version")) if tables else 0
        if found == SCHEMA_VERSION:
            return
        if found is None or found > SCHEMA_VERSION or (tables and found < 1):
            newer = found is not None and found > SCHEMA_VERSION
            raise self._problem(
                f"the tables are version {found}, this program knows version {SCHEMA_VERSION}",
                "upgrade Lifeline" if newer else "restore a backup, or rebuild the queue from the log",
            )
        if not create:
            raise self._problem(
                f"the tables are version {found}, this program needs version {SCHEMA_VERSION}",
                "start the engine once: it brings them up to date and keeps every row",
            )
        from lifeline.governance.migrate import upgrade  # Alembic is a third of a second, and seldom needed

        upgrade(connection, found)

    def _problem(self, message: str, remedy: str) -> ConfigurationError:
        return ConfigurationError([Problem(self.place, "governance.database", message, remedy)])

    @contextmanager
    def _translate(self) -> Iterator[None]:
        """Errors of the driver in our words: damage is CorruptionError, refusal is UnavailableError, bugs stay."""
        try:
            yield
        except LifelineError:
            raise
        except DBAPIError as error:
            known = self.backend.translate(error.orig if isinstance(error.orig, Exception) else error)
            if known is None and error.connection_invalidated:
                known = UnavailableError(f"{self.place}: {error.orig}")
            if known is None:
                raise
            raise known from error
        except Exception as error:
            known = self.backend.translate(error)
            if known is None:
                raise
            raise known from error


def _backend(url: str, lock_timeout_s: float) -> Backend:
    """The back end that a URL names.

    Raises:
        ConfigurationError: none of ours, or no URL at all.
    """
    remedy = "sqlite:///governance.db, or postgresql+psycopg://user@host:5432/lifeline"
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigurationError(
            [Problem("lifeline.toml", "governance.database", f"{url!r} is no URL", remedy)]
        ) from None
    if parsed.drivername == "postgresql+psycopg" and parsed.database:
        return PostgresqlBackend(parsed, lock_timeout_s)
    if parsed.get_backend_name() == "sqlite" and parsed.database and parsed.database != ":memory:":
        return SqliteBackend(parsed.database, lock_timeout_s)
    shown = parsed.render_as_string(hide_password=True)
    message = f"{shown!r} is neither a SQLite file nor a PostgreSQL database"
    raise ConfigurationError([Problem("lifeline.toml", "governance.database", message, remedy)])
