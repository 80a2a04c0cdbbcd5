"""Analysts' queries: a child process each, one always warm, killed when it takes too long.

check (one SELECT, our views) ─► child: namespaces, landlock, limits ─► DuckDB locked ─► rows and bytes capped
                                 │ interrupt at TIMEOUT_S, SIGKILL at TIMEOUT_S + GRACE_S
every text is audited before it runs
"""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import orjson

from lifeline.console.problem import ProblemError
from lifeline.core.errors import UnavailableError
from lifeline.core.principal import READERS

if TYPE_CHECKING:
    from pathlib import Path

    from lifeline.console.ports import AuditPort
    from lifeline.core.principal import Principal

TIMEOUT_S: Final = 20.0
GRACE_S: Final = 3.0
START_S: Final = 60.0
"""A cold start on a machine under full load."""
QUERIES_AT_ONCE: Final = 2
WAIT_S: Final = 5.0
BYTES_MAX: Final = 32 << 20
MEMORY: Final = "1GB"
THREADS: Final = 1
"""Ingest has the other core."""
OUTPUTS: Final = {"json": "columns", "csv": "csv", "arrow": "arrow"}


class SqlRunner:
    """``lifeline.console.ports.SqlPort``. ``key``: secret of the pseudonyms."""

    def __init__(self, data: Path, key: str, audit: AuditPort, *, timeout_s: float = TIMEOUT_S) -> None:
        self._data = data
        self._key = key
        self._audit = audit
        self._timeout_s = timeout_s
        self._turn = threading.BoundedSemaphore(QUERIES_AT_ONCE)
        self._lock = threading.Lock()
        self._warm: subprocess.Popen[bytes] | None = None
        self.layers: dict[str, bool] = {}
        """Which layers of the sandbox held in the last query."""

    def run(self, who: Principal, sql: str, output: str, rows_max: int, *, masked: bool) -> bytes:
        """The result of one SELECT.

        Raises:
            ProblemError: refused, wrong, too slow or too large; or too many run already.
        """
        self._audit.record(who, "sql.query", "sql", {"sql": sql, "format": output, "masked": masked})
        if not self._turn.acquire(timeout=WAIT_S):
            raise ProblemError("unavailable", "other queries are running; try again", headers={"Retry-After": "5"})
        try:
            return self._run(who, sql, output, rows_max, masked=masked)
        finally:
            self._turn.release()

    def close(self) -> None:
        """End the warm child."""
        with self._lock:
            child, self._warm = self._warm, None
        if child is not None:
            _end(child)

    def _run(self, who: Principal, sql: str, output: str, rows_max: int, *, masked: bool) -> bytes:
        scope = who.scope(("analyst",)) if who.may(("analyst",)) else who.scope(READERS)
        asked = {
            "data_dir": str(self._data),
            "sql": sql,
            "output": OUTPUTS[output],
            "rows_max": rows_max,
            "bytes_max": BYTES_MAX,
            "timeout_s": self._timeout_s,
            "threads": THREADS,
            "memory": MEMORY,
            "grants": None if scope is None else [(g.role, g.areas, g.utilities) for g in scope],
            "key": self._key if masked else None,
        }
        child = self._take()
        try:
            _answer(child, b"ready\n", START_S, first=True)
            assert child.stdin is not None
            with suppress(BrokenPipeError):
                child.stdin.write(orjson.dumps(asked) + b"\n")
                child.stdin.close()
            answer = _answer(child, b"", self._timeout_s + GRACE_S)
        finally:
            _end(child)
        head, _, body = answer.partition(b"\n")
        try:
            header = orjson.loads(head)
        except ValueError:
            raise ProblemError("invalid", "the query ran out of memory and was stopped; aggregate more") from None
        self.layers = header["layers"]
        if header["ok"]:
            return body
        if header["kind"] == "query":
            raise ProblemError("invalid", header["error"])
        raise UnavailableError(header["error"])

    def _take(self) -> subprocess.Popen[bytes]:
        """The warm child, and a new one in its place."""
        with self._lock:
            child, self._warm = self._warm, None
            child = child or _start()
            self._warm = _start()
            return child


def _start() -> subprocess.Popen[bytes]:
    environment = {name: os.environ[name] for name in ("PATH", "LANG", "VIRTUAL_ENV") if name in os.environ}
    environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", "lifeline.app.sql_child", str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    )


def _answer(child: subprocess.Popen[bytes], until: bytes, timeout_s: float, *, first: bool = False) -> bytes:
    """What the child says until its end (or until ``until``).

    Raises:
        ProblemError: it took too long or said too much; it has been killed.
    """
    assert child.stdout is not None
    deadline, said = time.monotonic() + timeout_s, bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not selector.select(left):
                child.kill()
                if first:
                    raise ProblemError("unavailable", "the query's process did not start in time")
                raise ProblemError("invalid", f"the query took more than {timeout_s:.0f} s and was killed")
            chunk = os.read(child.stdout.fileno(), len(until) or 1 << 20)
            if not chunk:
                return bytes(said)
            said += chunk
            if first and said == until:
                return bytes(said)
            if len(said) > BYTES_MAX + (1 << 16):
                child.kill()
                raise ProblemError("invalid", f"the result has more than {BYTES_MAX} bytes; aggregate, or add LIMIT")


def _end(child: subprocess.Popen[Any]) -> None:
    child.kill()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    child.wait()
