"""CPU time by thread of this process, and time without a core: Linux's own counts (schedstat, nanoseconds)."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path

POOLS = "pools"
"""Threads that are not Python's: Polars, Arrow, delta-rs."""


def cpu_by_thread() -> dict[str, float]:
    """CPU seconds so far of every thread alive."""
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    seconds: dict[str, float] = {}
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            used = int((task / "schedstat").read_text().split()[0]) / 1e9
            name = names.get(int(task.name), POOLS)
            seconds[name] = seconds.get(name, 0.0) + used
    return seconds


class Waits:
    """How long some threads were ready to run and had no core: what neighbours on the machine take, not the program.

    Args:
        names: How their names begin, of this process.
        pids: Of other processes, whose first thread counts too.
    """

    def __init__(self, names: tuple[str, ...], pids: tuple[int, ...] = ()) -> None:
        own = (thread.native_id for thread in threading.enumerate() if thread.name.startswith(names))
        self._paths = [Path(f"/proc/self/task/{thread}/schedstat") for thread in own]
        self._paths += [Path(f"/proc/{pid}/schedstat") for pid in pids]
        self._last = self._total()

    def ms(self) -> float:
        """Of all of them together, since the last call."""
        last, self._last = self._last, self._total()
        return (self._last - last) / 1e6

    def _total(self) -> int:
        total = 0
        for path in self._paths:
            with suppress(OSError):
                total += int(path.read_text().split()[1])
        return total


class ThreadMeter:
    """CPU by thread between two moments, by names that group (``follow-rules``, ``append-bench`` → ``append``)."""

    def __init__(self) -> None:
        self._before = cpu_by_thread()
        self._process = time.process_time()

    def used(self) -> dict[str, float]:
        """CPU seconds by thread since the beginning, and ``rest``: threads that came and went."""
        now = cpu_by_thread()
        used = {name: seconds - self._before.get(name, 0.0) for name, seconds in now.items()}
        used = {name: seconds for name, seconds in used.items() if seconds > 0.0005}
        used["rest"] = max(0.0, time.process_time() - self._process - sum(used.values()))
        return used
