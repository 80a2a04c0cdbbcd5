"""CPU time by thread of this process: Linux's own count (schedstat, nanoseconds), named by Python's threads."""

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
