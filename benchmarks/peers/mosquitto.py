"""mosquitto_sub, the C client: decodes MQTT and prints payloads into a pipe; no JSON."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time

from benchmarks.harness import rss_mib_max
from benchmarks.peers import COUNTED, FILTER, say, skip


def main() -> None:
    """See the package's head. Lines of its output are counted in a pipe."""
    program = shutil.which("mosquitto_sub")
    if program is None:
        skip(FileNotFoundError("mosquitto_sub is not on PATH (Debian: apt-get install mosquitto-clients)"))
    port, count = map(int, sys.argv[1:3])
    command = [program, "-h", "127.0.0.1", "-p", str(port), "-q", "1", "-C", str((1 + COUNTED) * count), "-t", FILTER]
    read, write = os.pipe()
    process = subprocess.Popen(command, stdout=write)
    os.close(write)
    say(ready=True)  # the caller waits for the broker's word that it has subscribed
    seen, rss, warm_wall, warm_cpu = 0, 0.0, 0.0, 0.0
    while data := os.read(read, 1 << 16):
        before, seen = seen, seen + data.count(b"\n")
        if before < count <= seen:
            warm_wall, warm_cpu, rss = time.perf_counter(), _cpu_s(process.pid), rss_mib_max(process.pid)
            say(warm=True)
    wall = time.perf_counter() - warm_wall
    process.wait()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    say(
        messages=COUNTED * count,
        cpu_s=used.ru_utime + used.ru_stime - warm_cpu,
        wall_s=wall,
        rss_mib=rss,
    )


def _cpu_s(pid: int) -> float:
    fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()  # noqa: PTH123, SIM115 - a number of the kernel's
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
