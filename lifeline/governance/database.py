"""The only module that opens the database. One writer at a time, whoever it is; readers never write a byte.

    governance.db        SQLite, WAL, synchronous=FULL (set, read back, refused otherwise)
    governance.db.lock   flock: held around every write transaction, its checkpoint, opening and closing

Why the lock file, when SQLite locks by itself: up to 3.51.2 SQLite can corrupt a WAL database when two connections
write or checkpoint in the same instant (the WAL-reset bug, sqlite.org/wal.html#walresetbug). A commit may run an
automatic checkpoint, and closing the last connection always does; so all of it happens under the lock, and engine and
command line take turns. Readers open with ``mode=ro``: SQLite lets such a connection neither write nor checkpoint.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from sqlalchemy import create_engine, event, insert, inspect, select, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import QueuePool, StaticPool

from lifeline.core.errors import ConfigurationError, CorruptionError, Problem, UnavailableError
from lifeline.governance.schema import SCHEMA_VERSION, meta, metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, Engine

LOCK_TIMEOUT_S: Final = 10.0
"""Longest wait for another writer. The longest transaction, 10,000 alarms at once, takes under a second."""
BUSY_TIMEOUT_MS: Final = 5_000
"""SQLite's own wait, for the moments when a reader recovers the WAL index after a crash."""
READERS_MAX: Final = 8
REVISIONS: Final = ("alarms", "events", "event_log")

_CORRUPT: Final = ("malformed", "not a database", "file is encrypted")


class Database:
    """A governance database by URL, e.g. ``sqlite:///var/governance.db``.

    ``create``: make the tables when they are missing (the engine); otherwise a missing file is an error (people).

    Raises:
        ConfigurationError: not a URL that we can serve, another program's database, a newer schema, or a file
            system on which SQLite cannot keep its promise.
        UnavailableError: the file cannot be opened.
        CorruptionError: the file is damaged.
    """

    def __init__(self, url: str, *, create: bool = True, lock_timeout_s: float = LOCK_TIMEOUT_S) -> None:
        self.url = url
        self.path = _sqlite_path(url)
        self._lock_path = Path(f"{self.path}.lock")
        self._lock_timeout_s = lock_timeout_s
        self._thread_lock = threading.Lock()
        if create:
            self._make_directory()
        elif not self.path.exists():
            raise self._problem("there is no such file", "run the engine once, or mend the path")
        self._writer = _engine(self._connect_writer, "BEGIN IMMEDIATE", writer=True)
        self._reader = _engine(self._connect_reader, "BEGIN", writer=False)
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

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One durable transaction: committed and fsynced when the block ends, rolled back when it raises.

        Raises:
            UnavailableError: another writer held the lock too long, or the disk refused.
            CorruptionError: the file is damaged.
        """
        with self._exclusive():
            try:
                with self._translate(), self._writer.begin() as connection:
                    yield connection
            except (UnavailableError, CorruptionError):
                self._writer.dispose()  # after a failed write the next one begins with a fresh connection
                raise

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent snapshot, however many queries; blocks no writer. Raises as ``write``."""
        with self._translate(), self._reader.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close all connections; the writer's under the lock, because closing checkpoints."""
        self._reader.dispose()
        with self._exclusive():
            self._writer.dispose()

    # --- locks -------------------------------------------------------------------------------------------------

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """This process's threads by a mutex, other processes by flock; a descriptor each time, so forks share none."""
        if not self._thread_lock.acquire(timeout=self._lock_timeout_s):
            raise UnavailableError(f"{self.path}: another thread has been writing for {self._lock_timeout_s:.0f} s")
        try:
            descriptor = self._lock_file()
            try:
                yield
            finally:
                os.close(descriptor)  # releases the flock
        finally:
            self._thread_lock.release()

    def _lock_file(self) -> int:
        try:
            descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
        except OSError as error:
            raise UnavailableError(f"{self._lock_path}: {error.strerror}") from error
        deadline = time.monotonic() + self._lock_timeout_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    os.close(descriptor)
                    raise UnavailableError(
                        f"{self._lock_path}: another process has been writing for {self._lock_timeout_s:.0f} s"
                    ) from None
                time.sleep(0.001)
            except OSError as error:
                os.close(descriptor)
                raise UnavailableError(f"{self._lock_path}: {error.strerror}") from error
            else:
                return descriptor

    # --- connections -------------------------------------------------------------------------------------------

    def _connect_writer(self) -> sqlite3.Connection:
        fresh = not self.path.exists()
        connection = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_MS / 1000
        )
        try:
            with closing(connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")) as cursor:
                self._check_ours({name for (name,) in cursor})  # before a pragma changes a stranger's file
            for pragma, value in (("journal_mode", "WAL"), ("synchronous", "FULL"), ("foreign_keys", "ON")):
                connection.execute(f"PRAGMA {pragma}={value}")
            self._check_promises(connection)
            if fresh:
                self._sync_directory()
        except BaseException:
            connection.close()
            raise
        return connection

    def _check_promises(self, connection: sqlite3.Connection) -> None:
        """Read back what durability hangs on: builds and file systems differ, and SQLite only answers if asked."""
        promises = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": BUSY_TIMEOUT_MS}
        for pragma, wanted in promises.items():
            with closing(connection.execute(f"PRAGMA {pragma}")) as cursor:
                (found,) = cursor.fetchone()
            if found != wanted:
                raise self._problem(
                    f"SQLite answers {pragma} = {found!r}, not {wanted!r}: commits would not be durable",
                    "put the database on a local file system (not NFS, not SMB)",
                )

    def _connect_reader(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(str(self.path))}?mode=ro",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=BUSY_TIMEOUT_MS / 1000,
        )
        connection.execute("PRAGMA query_only=ON")
        return connection

    def _make_directory(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnavailableError(f"{self.path.parent}: {error.strerror}") from error

    def _sync_directory(self) -> None:
        descriptor = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    # --- schema ------------------------------------------------------------------------------------------------

    def _check_schema(self, connection: Connection, *, create: bool) -> None:
        tables = inspect(connection).get_table_names()
        if not tables and create:
            metadata.create_all(connection)
            rows = [{"name": "schema_version", "value": SCHEMA_VERSION}]
            rows += [{"name": f"revision.{name}", "value": 0} for name in REVISIONS]
            connection.execute(insert(meta), rows)
            return
        if not tables:
            raise self._problem("the file is empty", "run the engine once, or mend the path")
        self._check_ours(set(tables))
        found = connection.scalar(select(meta.c.value).where(meta.c.name == "schema_version"))
        if found != SCHEMA_VERSION:
            newer = found is not None and found > SCHEMA_VERSION
            raise self._problem(
                f"the tables are version {found}, this program knows version {SCHEMA_VERSION}",
                "upgrade Lifeline" if newer else "restore a backup, or rebuild the queue from the log",
            )

    def _check_ours(self, tables: set[str]) -> None:
        if tables and not {"meta", "events", "alarms"} <= tables:
            raise self._problem("this is not a Lifeline governance database", "name another file")

    def _problem(self, message: str, remedy: str) -> ConfigurationError:
        return ConfigurationError([Problem(str(self.path), "governance.database", message, remedy)])

    @contextmanager
    def _translate(self) -> Iterator[None]:
        """Errors of the driver in our words: damage is CorruptionError, refusal is UnavailableError, bugs stay."""
        try:
            yield
        except (DBAPIError, sqlite3.Error) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            if any(word in str(cause) for word in _CORRUPT):
                raise CorruptionError(f"{self.path}: {cause}") from error
            if isinstance(cause, sqlite3.OperationalError):
                raise UnavailableError(f"{self.path}: {cause}") from error
            raise


def bump(connection: Connection, *names: str) -> None:
    """Raise the revision counters of these tables, in the transaction that changes them."""
    wanted = [f"revision.{name}" for name in names]
    connection.execute(update(meta).where(meta.c.name.in_(wanted)).values(value=meta.c.value + 1))


def _engine(connect: Callable[[], sqlite3.Connection], begin: str, *, writer: bool) -> Engine:
    """An engine whose transactions start with ``begin`` (the driver's own guessing is off: isolation_level None)."""
    if writer:  # one connection for all threads; ``_exclusive`` lets them in one by one
        engine = create_engine("sqlite+pysqlite://", creator=connect, poolclass=StaticPool)
    else:
        engine = create_engine(
            "sqlite+pysqlite://", creator=connect, poolclass=QueuePool, pool_size=2, max_overflow=READERS_MAX - 2
        )

    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "begin", on_begin)
    return engine


def _sqlite_path(url: str) -> Path:
    """The file behind ``sqlite:///…``.

    Raises:
        ConfigurationError: another kind of URL, or none.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        problem = Problem("lifeline.toml", "governance.database", f"{url!r} is no URL", "sqlite:///governance.db")
        raise ConfigurationError([problem]) from None
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        shown = parsed.render_as_string(hide_password=True)
        problem = Problem(
            "lifeline.toml",
            "governance.database",
            f"{shown!r} is not a SQLite file, the only database served so far",
            "sqlite:///governance.db",
        )
        raise ConfigurationError([problem])
    return Path(parsed.database)
