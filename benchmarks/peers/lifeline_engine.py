"""Ours, as a peer: not a decoder but the whole engine, fsync, rules, queue, lake and all."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

from benchmarks.engine_run import wait_for
from benchmarks.harness import rss_mib_max
from benchmarks.peers import COUNTED, say
from benchmarks.site import write_config
from benchmarks.threads import ThreadMeter
from lifeline.app.assembly import assemble
from lifeline.app.memory import settle_allocator
from lifeline.app.site import load_site
from lifeline.app.threads import settle_threads


def main() -> None:
    """See the package's head; FOLDER holds the registry. Stopping is not counted: a load has no end."""
    port, count = map(int, sys.argv[1:3])
    settle_allocator()
    settle_threads()
    assembly = assemble(load_site(write_config(Path(sys.argv[3]), port, 1)))
    stop = threading.Event()
    house = threading.Thread(target=assembly.engine.run, args=(stop,), name="house")
    assembly.engine.start()
    house.start()
    while not assembly.board.snapshot()["brokers"][0]["connected"]:
        time.sleep(0.01)
    say(ready=True)
    wait_for(assembly, count)
    meter, wall, cpu = ThreadMeter(), time.perf_counter(), time.process_time()
    say(warm=True)
    wait_for(assembly, (1 + COUNTED) * count)
    took, cpu_s, used = time.perf_counter() - wall, time.process_time() - cpu, meter.used()
    collector_s = sum(seconds for name, seconds in used.items() if name.startswith(("collect-", "append-", "log")))
    stop.set()
    house.join()
    assembly.stop()
    rss = rss_mib_max()
    assembly.close()
    say(messages=COUNTED * count, cpu_s=cpu_s, wall_s=took, rss_mib=rss, collector_s=collector_s, threads=used)


if __name__ == "__main__":
    main()
