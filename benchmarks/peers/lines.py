"""Programs that are no Python: what they print, one line a message, is counted in a pipe, their CPU read from /proc."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.harness import rss_mib_max
from benchmarks.peers import COUNTED, say, skip

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def find(program: str, remedy: str) -> str:
    """Its path; without one this peer is skipped with the reason."""
    path = shutil.which(program)
    if path is None:
        skip(FileNotFoundError(f"{program} is not on PATH ({remedy})"))
    return path


def free_port() -> int:
    """One of this machine's own ports that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def follow(
    command: Sequence[str],
    count: int,
    environment: Mapping[str, str] | None = None,
    *,
    pipe: tuple[int, int] | None = None,
    mark: bytes = b"\n",
) -> None:
    """Start it, count its lines, report; it is ended when all have come.

    ``pipe``: it writes there, not to its standard output. ``mark``: the byte that each message has once.

    Raises:
        RuntimeError: it ended before.
    """
    read, write = pipe or os.pipe()
    process = subprocess.Popen(
        command,
        stdout=write if pipe is None else subprocess.DEVNULL,
        pass_fds=[] if pipe is None else [write],
        env={**os.environ, **(environment or {})},
    )
    os.close(write)
    say(ready=True)  # the caller waits for the broker's word that it has subscribed
    seen, warm_wall, warm_cpu = 0, 0.0, 0.0
    try:
        while seen < (1 + COUNTED) * count and (data := os.read(read, 1 << 16)):
            before, seen = seen, seen + data.count(mark)
            if before < count <= seen:
                warm_wall, warm_cpu = time.perf_counter(), _cpu_s(process.pid)
                say(warm=True)
        if seen < (1 + COUNTED) * count:
            raise RuntimeError(f"{command[0]} ended after {seen:,} of {(1 + COUNTED) * count:,} messages")
        wall, cpu, rss = time.perf_counter() - warm_wall, _cpu_s(process.pid) - warm_cpu, rss_mib_max(process.pid)
    finally:
        process.terminate()
        process.wait()
    say(messages=COUNTED * count, cpu_s=cpu, wall_s=wall, rss_mib=rss)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
