"""Questions to the newest catalog: two at a time, none longer than ``QUERY_S``; a replaced one is opened anew."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import duckdb

from lifeline.core.errors import ConfigurationError, UnavailableError
from lifeline.lake.query import open_catalog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

    from lifeline.console.ports import Row

QUERIES_AT_ONCE: Final = 2
QUERY_S: Final = 20.0


class NewestCatalog:
    """The published views as of now; used by several threads.

    Raises:
        UnavailableError: (every method) nothing was published yet, or the question takes too long.
    """

    def __init__(self, data: Path) -> None:
        self._data = data
        self._turn = threading.BoundedSemaphore(QUERIES_AT_ONCE)
        self._lock = threading.Lock()
        self._opened: tuple[tuple[int, int], duckdb.DuckDBPyConnection] | None = None

    def rows(self, sql: str, given: list[Any]) -> list[Row]:
        """The answer to one question, as rows."""
        with self.ask() as connection:
            table: pa.Table = connection.sql(sql, params=given).to_arrow_table()
            rows: list[Row] = table.to_pylist()
            return rows

    @contextmanager
    def ask(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor on the newest catalog; the question is interrupted when it takes too long."""
        with self._turn:
            cursor = self._connection().cursor()
            timer = threading.Timer(QUERY_S, cursor.interrupt)
            timer.daemon = True
            timer.start()
            try:
                yield cursor
            except duckdb.InterruptException as error:
                raise UnavailableError(
                    f"the question took more than {QUERY_S:.0f} s; ask for a shorter time"
                ) from error
            except duckdb.IOException as error:  # a catalog older than the grace period
                self._forget()
                raise UnavailableError(f"the catalog was replaced: {error}") from error
            finally:
                timer.cancel()
                cursor.close()

    def _connection(self) -> duckdb.DuckDBPyConnection:
        path = self._data / "catalog" / "catalog.sql"
        with self._lock:
            try:
                status = path.stat()
                stamp = (status.st_mtime_ns, status.st_ino)
                if self._opened is None or self._opened[0] != stamp:
                    self._opened = (stamp, open_catalog(self._data, memory_limit="512MB", threads=1))
            except (OSError, ConfigurationError) as error:
                raise UnavailableError(f"{path}: nothing was published yet: {error}") from error
            return self._opened[1]

    def _forget(self) -> None:
        with self._lock:
            self._opened = None
