"""D14: no memory. The kernel kills where something is allocated, and that is anywhere."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from tests.crash import figures
from tests.crash.campaign import Campaign, wait_until
from tests.crash.cgroups import MemoryLimit
from tests.crash.tracer import wait_stopped

pytestmark = [pytest.mark.slow, pytest.mark.only_soak]

LIMITS_MIB = (2, 4, 6, 8, 10, 12, 14, 16, 20, 24, 32, 48) * 2


@pytest.fixture
def memory() -> Iterator[MemoryLimit]:
    made = MemoryLimit()
    yield made
    made.close()


def test_killed_for_its_memory_at_any_size_loses_nothing_d14(
    memory: MemoryLimit, campaign: Callable[..., Campaign]
) -> None:
    run = campaign()
    for limit_mib in LIMITS_MIB:
        run.cycles += 1
        run.start(hold=True)
        wait_stopped(run.pid)
        memory.set(limit_mib << 20)
        memory.add(run.pid)
        os.kill(run.pid, signal.SIGCONT)
        target = run.broker.acked + 400
        wait_until(
            lambda target=target: run.zygote.status(run.pid) is not None or run.broker.acked >= target, "its end or 400"
        )
        run.kill()
        books = run.look()
        assert books.clean, (run.seed, limit_mib, books)
    books = run.settle()
    figures.add("killed for its memory", memory.kills, books, run.seed, run.recoveries_s)
    print(f"\n{len(LIMITS_MIB)} limits, {memory.kills} killed by the kernel, {books}")

    assert books.clean, (run.seed, books)
    assert 0 < memory.kills < len(LIMITS_MIB)
