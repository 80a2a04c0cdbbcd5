"""Mixed faults: whatever can go wrong goes wrong in random order, several at a time, for as long as one likes.

Ten seconds in the suite, an hour with LIFELINE_SOAK=1 (``LIFELINE_MIXED_S`` sets another time).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from tests.crash import figures
from tests.crash.campaign import Campaign
from tests.crash.disks import LoopDisk
from tests.crash.oracle import EMPTY
from tests.crash.tracer import Tracer, inject

SECONDS = float(os.environ.get("LIFELINE_MIXED_S", "3600" if os.environ.get("LIFELINE_SOAK") == "1" else "10"))
EPOCH = 60

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(7200)]


def stand_still(run: Campaign, _disk: LoopDisk) -> None:
    os.kill(run.pid, signal.SIGSTOP)
    time.sleep(run.random.uniform(0.0, 0.3))
    run.broker.cut()
    os.kill(run.pid, signal.SIGCONT)


def freeze(run: Campaign, disk: LoopDisk) -> None:
    disk.freeze()
    try:
        time.sleep(run.random.uniform(0.0, 0.3))
    finally:
        disk.thaw()


def fill(run: Campaign, disk: LoopDisk) -> None:
    disk.fill(run.random.choice([0, 4096, 65_536]))
    time.sleep(run.random.uniform(0.0, 0.3))
    disk.empty()


def refuse(run: Campaign, _disk: LoopDisk) -> None:
    calls = run.random.choice(["fdatasync,fsync", "pwritev,pwrite64", "rename,renameat,renameat2", "ftruncate"])
    error = run.random.choice(["EIO", "ENOSPC", "EROFS"])
    tracer = Tracer(run.pid, inject(calls, f"error={error}", when=run.random.choice(["1", "2+", "1+3"])), held=False)
    time.sleep(run.random.uniform(0.05, 0.4))
    tracer.detach()


def lose_the_connection(run: Campaign, _disk: LoopDisk) -> None:
    run.broker.cut()


FAULTS = (stand_still, freeze, fill, refuse, lose_the_connection)


def test_mixed_faults(campaign: Callable[..., Campaign], loop_disk: Callable[..., LoopDisk]) -> None:
    until, total, counts = time.monotonic() + SECONDS, EMPTY, dict.fromkeys((fault.__name__ for fault in FAULTS), 0)
    while time.monotonic() < until:
        disk = loop_disk(mib=96)
        run = campaign(disk=disk)
        for _ in range(EPOCH):
            run.cycles += 1
            run.start()
            run.work(run.random.randint(1, 200))
            for _ in range(run.random.randint(0, 3)):
                fault = run.random.choice(FAULTS)
                counts[fault.__name__] += 1
                fault(run, disk)
                run.work(run.random.randint(1, 200))
            run.random.choice([run.kill, run.cut_or_flush, run.stop])()
            books = run.look()
            assert books.clean, (run.seed, run.cycles, books)
            if time.monotonic() > until:
                break
        books = run.settle()
        figures.add("mixed faults", run.cycles, books, run.seed, run.recoveries_s)
        assert books.clean, (run.seed, books)
        total += books
        run.close()
        disk.close()
    print(f"\nmixed faults for {SECONDS:.0f} s: {counts}, {total}")
