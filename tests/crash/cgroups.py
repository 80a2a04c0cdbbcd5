"""A memory limit for a victim: a cgroup of our own, version 1 or 2, where the machine lets us make one."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from tests.conftest import missing

ROOT = Path("/sys/fs/cgroup")


class MemoryLimit:
    """What is added may hold so much, page cache included; past it the kernel kills it. Swap is not given."""

    def __init__(self) -> None:
        self._old = (ROOT / "memory").is_dir()
        parent = ROOT / "memory" if self._old else ROOT
        self._path = parent / f"lifeline-{os.getpid()}-{time.monotonic_ns()}"
        try:
            self._path.mkdir()
            self.set(1 << 30)
        except OSError as error:
            with suppress(OSError):
                self._path.rmdir()
            missing(f"no memory cgroup can be made here: {error}")

    def set(self, limit_bytes: int) -> None:
        """From now on."""
        (self._path / ("memory.limit_in_bytes" if self._old else "memory.max")).write_text(str(limit_bytes))

    def add(self, pid: int) -> None:
        """What it allocates from now on counts."""
        (self._path / "cgroup.procs").write_text(str(pid))

    @property
    def kills(self) -> int:
        """How many processes the kernel has killed here for their memory."""
        words = (self._path / ("memory.oom_control" if self._old else "memory.events")).read_text().split()
        return int(words[words.index("oom_kill") + 1])

    def close(self) -> None:
        """Take it away; everything in it has ended."""
        deadline = time.monotonic() + 5
        while True:
            try:
                self._path.rmdir()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            else:
                return
