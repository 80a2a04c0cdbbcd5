"""The very first start, killed or cut at any instant: the next one begins as if nothing had been."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil
import pytest

from tests.conftest import free_port, listens
from tests.crash.campaign import Campaign, wait_until
from tests.crash.disks import LoopDisk

pytestmark = [pytest.mark.slow, pytest.mark.soak]


@pytest.mark.parametrize(("kind", "tries", "step_s"), [("acknowledging", 12, 0.008), ("engine", 2, 0.4)])
def test_a_first_start_killed_at_any_instant_d13(
    kind: str, tries: int, step_s: float, campaign: Callable[..., Campaign]
) -> None:
    for attempt in range(tries):
        run = campaign(kind=kind)
        run.start()
        time.sleep(step_s * attempt)
        run.kill()
        run.start()
        run.work(1)
        books = run.settle()
        run.close()
        assert books.clean, (run.seed, attempt, books)


def test_a_first_start_cut_at_any_instant_d13(
    campaign: Callable[..., Campaign], loop_disk: Callable[..., LoopDisk]
) -> None:
    for attempt in range(5):
        run = campaign(disk=loop_disk(mib=64))
        run.start()
        time.sleep(0.02 * attempt)
        run.cut()
        run.start()
        run.work(1)
        books = run.settle()
        run.close()
        assert books.clean, (run.seed, attempt, books)


def test_a_console_never_outlives_its_engine(campaign: Callable[..., Campaign]) -> None:
    """Also when the engine is killed while the console is still importing: an orphan would hold the port for ever."""
    run = campaign(kind="engine", console=free_port())
    run.start()
    engine = psutil.Process(run.pid)
    wait_until(lambda: run.alive() and engine.children(), "the console's process")
    [console] = engine.children()
    run.kill()
    wait_until(lambda: not console.is_running() or console.status() == psutil.STATUS_ZOMBIE, "the console's end", 30)
    assert run.console is not None
    assert not listens(run.console)
