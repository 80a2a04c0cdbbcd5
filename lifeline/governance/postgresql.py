"""PostgreSQL behind ``database``: the only module that knows psycopg (the extra ``lifeline-engine[postgresql]``).

    writer   one connection a process; each transaction begins with pg_advisory_xact_lock: one writer at a time, as
             with SQLite, so that both databases see the same histories
    reader   REPEATABLE READ, READ ONLY: a snapshot, blocks nobody

Durability hangs on the server's settings, so they are read back at the writer's every connect: ``fsync`` and
``full_page_writes`` must be on; a ``synchronous_commit`` that is off is switched on for our session. Connect straight
to the server: a pooler in transaction mode hands our session settings to strangers.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import create_engine, event

from lifeline.core.errors import ConfigurationError, CorruptionError, LifelineError, Problem, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import URL, Connection

READERS_MAX: Final = 8
CONNECT_TIMEOUT_S: Final = 10
IDLE_IN_TRANSACTION_MS: Final = 60_000
"""A writer that was stopped inside its transaction (SIGSTOP, a frozen machine) loses it, and with it the lock."""
SERVER_VERSION_MIN: Final = 13
WRITER_KEY: Final = int.from_bytes(b"lifeline")
"""Of the advisory lock; one a database."""

_CORRUPT: Final = ("XX001", "XX002")
"""data_corrupted, index_corrupted (Appendix A of the PostgreSQL manual)."""
_REFUSED: Final = ("08", "25006", "53", "55P03", "57", "58", "40")
"""Classes and codes that a later attempt may survive: connection, read-only standby, resources, lock timeout, operator
intervention, system error, rollback by the server."""
_PROMISES: Final = {"fsync": "on", "full_page_writes": "on", "server_encoding": "UTF8"}


class PostgresqlBackend:
    """A server's database; ``lifeline.governance.database.Backend``."""

    def __init__(self, url: URL, lock_timeout_s: float) -> None:
        try:
            import psycopg
        except ImportError:
            remedy = 'pip install "lifeline-engine[postgresql]"'
            problem = Problem("lifeline.toml", "governance.database", "the PostgreSQL driver is missing", remedy)
            raise ConfigurationError([problem]) from None
        self._errors = psycopg.Error
        self._refusals = (psycopg.OperationalError, psycopg.InterfaceError)
        self.place = url.render_as_string(hide_password=True)
        self._lock_timeout_s = lock_timeout_s
        self._thread_lock = threading.Lock()
        options: dict[str, Any] = {"pool_pre_ping": True, "pool_timeout": CONNECT_TIMEOUT_S}
        self.writer = create_engine(
            url,
            pool_size=1,
            max_overflow=0,
            isolation_level="READ COMMITTED",
            connect_args=_arguments(url, writer_timeout_ms=max(1, int(lock_timeout_s * 1000))),
            **options,
        )
        self.reader = create_engine(
            url,
            pool_size=2,
            max_overflow=READERS_MAX - 2,
            isolation_level="REPEATABLE READ",
            execution_options={"postgresql_readonly": True},
            connect_args=_arguments(url),
            **options,
        )
        event.listen(self.writer, "connect", self._on_connect)
        event.listen(self.writer, "begin", _on_begin)
        self._closed = False
        for engine in (self.reader, self.writer):
            event.listen(engine, "checkin", self._on_return)

    def prepare(self, *, create: bool) -> None:
        """Nothing to prepare: the database itself is made by whoever runs the server."""

    def close(self) -> None:
        """Close all connections; those that other threads are using, when they give them back."""
        self._closed = True
        self.reader.dispose()
        self.writer.dispose()

    def translate(self, error: Exception) -> LifelineError | None:
        """Damage is CorruptionError, refusal is UnavailableError."""
        if not isinstance(error, self._errors):
            return None
        code = getattr(error, "sqlstate", None) or ""
        text = " ".join(str(error).split())
        if code.startswith(_CORRUPT):
            return CorruptionError(f"{self.place}: {text}")
        if code == "55P03":
            return UnavailableError(f"{self.place}: another process has been writing for {self._lock_timeout_s:.0f} s")
        if code.startswith(_REFUSED) or isinstance(error, self._refusals):
            return UnavailableError(f"{self.place}: {text}")
        return None

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """This process's threads by a mutex; other processes by the advisory lock at the transaction's begin."""
        if not self._thread_lock.acquire(timeout=self._lock_timeout_s):
            raise UnavailableError(f"{self.place}: another thread has been writing for {self._lock_timeout_s:.0f} s")
        try:
            yield
        finally:
            self._thread_lock.release()

    def _on_return(self, connection: Any, _record: object) -> None:
        """A disposed pool does not close what comes back to it."""
        if self._closed and connection is not None:
            connection.close()

    def _on_connect(self, connection: Any, _record: object) -> None:
        try:
            self._check_promises(connection)
        except BaseException:
            connection.close()
            raise

    def _check_promises(self, connection: Any) -> None:
        """Read back what durability hangs on."""
        version = connection.info.server_version // 10_000
        if version < SERVER_VERSION_MIN:
            raise self._problem(f"the server is version {version}", f"PostgreSQL {SERVER_VERSION_MIN} or newer")
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('synchronous_commit')")
            if cursor.fetchone()[0] == "off":
                cursor.execute("SET SESSION synchronous_commit = on")
                connection.commit()
            for name, wanted in {**_PROMISES, "synchronous_commit": ""}.items():
                cursor.execute("SELECT current_setting(%s)", (name,))
                found = cursor.fetchone()[0]
                if found == "off" or (wanted and found != wanted):
                    raise self._problem(
                        f"the server answers {name} = {found!r}: "
                        f"{'text' if name == 'server_encoding' else 'commits'} would not be safe",
                        f"set {name} = {wanted or 'on'!r} on the server",
                    )
        connection.rollback()

    def _problem(self, message: str, remedy: str) -> ConfigurationError:
        return ConfigurationError([Problem(self.place, "governance.database", message, remedy)])


def _arguments(url: URL, writer_timeout_ms: int = 0) -> dict[str, Any]:
    """Arguments of a connection; the URL's own come first."""
    settings = ["-c timezone=UTC"]
    if writer_timeout_ms:
        settings += [
            f"-c lock_timeout={writer_timeout_ms}",
            f"-c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_MS}",
        ]
    given = url.query.get("options", "")
    arguments: dict[str, Any] = {"options": " ".join([*settings, *([given] if isinstance(given, str) else given)])}
    if "connect_timeout" not in url.query:
        arguments["connect_timeout"] = CONNECT_TIMEOUT_S
    if "application_name" not in url.query:
        arguments["application_name"] = "lifeline"
    return arguments


def _on_begin(connection: Connection) -> None:
    connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (WRITER_KEY,))
