"""``lifeline run`` as its users start it: a process of its own, watched from outside, stopped and killed."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, Final, Self

import psutil

from benchmarks.harness import rss_mib_max

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

READY_S: Final = 300.0
STOP_S: Final = 120.0


class SiteProcess:
    """One engine after the other on the same site. Its words go to ``engine.log`` beside the configuration."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self.data = config.parent / "var"
        self._process: subprocess.Popen[bytes] | None = None
        self._rss_mib_max = 0.0
        self.started_at_ms = 0
        """Epoch ms of the latest start: before the program is even read."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def start(self) -> None:
        """Start the program; does not wait for it."""
        with (self._config.parent / "engine.log").open("ab") as log:
            self.started_at_ms = time.time_ns() // 1_000_000
            self._process = subprocess.Popen(
                [sys.executable, "-m", "lifeline.cli", "run", "-c", str(self._config), "--no-console", "--quiet"],
                stdout=log,
                stderr=log,
            )

    @property
    def pid(self) -> int:
        """Of the process."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """``kill -9``."""
        assert self._process is not None
        self._note_memory()
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> float:
        """SIGTERM; seconds until it was gone.

        Raises:
            RuntimeError: it did not stop cleanly.
        """
        assert self._process is not None
        began = time.perf_counter()
        self._note_memory()
        self._process.send_signal(signal.SIGTERM)
        if code := self._process.wait(STOP_S):
            raise RuntimeError(f"lifeline run ended with {code}\n{self._words()}")
        return time.perf_counter() - began

    def status(self) -> dict[str, Any]:
        """What this very process says of itself; {} until it does.

        Raises:
            RuntimeError: it has ended.
        """
        assert self._process is not None
        if (code := self._process.poll()) is not None:
            raise RuntimeError(f"lifeline run ended with {code}\n{self._words()}")
        try:
            found: dict[str, Any] = json.loads((self.data / "state" / "status.json").read_bytes())
        except FileNotFoundError:
            return {}
        return found if found["pid"] == self._process.pid else {}

    def wait(self, condition: str) -> float:
        """Until ``ready``, or until it has ``caught up`` with nothing coming any more; seconds.

        Raises:
            RuntimeError: it ended, or it took too long.
        """
        began = time.perf_counter()
        while not _holds(condition, self.status()):
            if time.perf_counter() > began + READY_S:
                raise RuntimeError(f"not {condition} after {READY_S:.0f} s: {self.status()}\n{self._words()}")
            time.sleep(0.02)
        return time.perf_counter() - began

    @property
    def rss_mib_max(self) -> float:
        """The largest resident set of all processes so far."""
        self._note_memory()
        return self._rss_mib_max

    @property
    def cpu_s(self) -> float:
        """CPU seconds of this process so far."""
        times = psutil.Process(self.pid).cpu_times()
        return times.user + times.system

    @property
    def rss_mib(self) -> float:
        """Its resident set now."""
        return psutil.Process(self.pid).memory_info().rss / 2**20

    def alarms(self, rule_id: str) -> dict[int, int]:
        """Points with an alarm of this rule in the queue, and when it was raised (epoch ms): what others can see."""
        path = self.data / "governance.db"
        if not path.exists():
            return {}
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as db:
            try:
                return dict(db.execute("SELECT point, raised_at FROM alarms WHERE rule_id = ?", (rule_id,)).fetchall())
            except sqlite3.OperationalError:
                return {}

    def _note_memory(self) -> None:
        with suppress(OSError, IndexError):  # it has just ended: there is no such file, or nothing of memory in it
            self._rss_mib_max = max(self._rss_mib_max, rss_mib_max(self.pid))

    def _words(self) -> str:
        path = self._config.parent / "engine.log"
        return path.read_text("utf-8", "replace")[-2000:] if path.exists() else ""


def _holds(condition: str, status: dict[str, Any]) -> bool:
    if condition == "ready":
        return bool(status.get("ready"))
    assert condition == "caught up", condition
    return (
        bool(status)
        and status["unacknowledged"] == 0
        and status["readings_per_s"] == 0
        and all(follower["lag_s"] == 0 for follower in status["followers"])
    )
