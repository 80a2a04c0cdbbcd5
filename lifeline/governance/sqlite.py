"""SQLite behind ``database``: the only module that opens the file.

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

from sqlalchemy import create_engine, event
from sqlalchemy.pool import QueuePool, StaticPool

from lifeline.core.errors import ConfigurationError, CorruptionError, LifelineError, Problem, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, Engine

BUSY_TIMEOUT_MS: Final = 5_000
"""SQLite's own wait, for the moments when a reader recovers the WAL index after a crash."""
READERS_MAX: Final = 8
CHECKPOINT_PAGES: Final = 8_000
"""32 MiB of WAL. A hundred new events touch a thousand pages, for their ids and most of their indices lie anywhere: at
SQLite's own 1,000 every commit of a storm copied them all back. Measured at 200,000 events, both settings in turns:
half of the writing and a tenth less CPU time for a storm."""
CACHE_KIB: Final = 32_768
"""Of the writer: the inner pages of all indices of millions of events. It fills only with what is touched."""

_CORRUPT: Final = ("malformed", "not a database", "file is encrypted", "Could not decode to UTF-8")


class SqliteBackend:
    """A file and its lock; ``lifeline.governance.database.Backend``."""

    def __init__(self, database: str, lock_timeout_s: float) -> None:
        self.path = Path(database)
        self.place = database
        self._lock_path = Path(f"{self.path}.lock")
        self._lock_timeout_s = lock_timeout_s
        self._thread_lock = threading.Lock()
        self._wrote = False
        """Whether there ever was a connection that may write."""
        self.writer = _engine(self._connect_writer, "BEGIN IMMEDIATE", writer=True)
        self.reader = _engine(self._connect_reader, "BEGIN", writer=False)

    def prepare(self, *, create: bool) -> None:
        """Make the directory, or make sure that there is a file."""
        if not create:
            if not self.path.exists():
                raise self._problem("there is no such file", "run the engine once, or mend the path")
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnavailableError(f"{self.path.parent}: {error.strerror}") from error

    def close(self) -> None:
        """Close all connections; the writer's under the lock, because closing checkpoints.

        Who has only read leaves the lock alone: a copy on a read-only medium can be looked at and verified.
        """
        self.reader.dispose()
        if not self._wrote:
            return
        with self.exclusive():
            self.writer.dispose()

    def translate(self, error: Exception) -> LifelineError | None:
        """Damage is CorruptionError, refusal is UnavailableError."""
        if not isinstance(error, sqlite3.Error):
            return None
        if any(word in str(error) for word in _CORRUPT):
            return CorruptionError(f"{self.path}: {error}")
        return UnavailableError(f"{self.path}: {error}") if isinstance(error, sqlite3.OperationalError) else None

    # --- locks -------------------------------------------------------------------------------------------------

    @contextmanager
    def exclusive(self) -> Iterator[None]:
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
        self._wrote = True
        fresh = not self.path.exists()
        connection = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_MS / 1000
        )
        try:
            with closing(connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")) as cursor:
                self._check_ours({name for (name,) in cursor})  # before a pragma changes a stranger's file
            for pragma, value in (("journal_mode", "WAL"), ("synchronous", "FULL"), ("foreign_keys", "ON")):
                connection.execute(f"PRAGMA {pragma}={value}")
            connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}").close()
            connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}").close()
            self._check_promises(connection)
            # a process that was killed between a commit and its fsync left rows that everybody reads and a power cut
            # takes back: a checkpoint syncs the WAL, then the file, before anybody builds on them
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if fresh:
                self._sync_directory()
        except BaseException:
            connection.close()
            raise
        return connection

    def _check_ours(self, tables: set[str]) -> None:
        if tables and not {"meta", "events", "alarms"} <= tables:
            raise self._problem("this is not a Lifeline governance database", "name another file")

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

    def _sync_directory(self) -> None:
        descriptor = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _problem(self, message: str, remedy: str) -> ConfigurationError:
        return ConfigurationError([Problem(str(self.path), "governance.database", message, remedy)])


def _engine(connect: Callable[[], sqlite3.Connection], begin: str, *, writer: bool) -> Engine:
    """An engine whose transactions start with ``begin`` (the driver's own guessing is off: isolation_level None)."""
    if writer:  # one connection for all threads; ``exclusive`` lets them in one by one
        engine = create_engine("sqlite+pysqlite://", creator=connect, poolclass=StaticPool)
    else:
        engine = create_engine(
            "sqlite+pysqlite://", creator=connect, poolclass=QueuePool, pool_size=2, max_overflow=READERS_MAX - 2
        )

    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "begin", on_begin)
    return engine
