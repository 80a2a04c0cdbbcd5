"""The mutants: each must turn the very campaign red that is green for the real engine.

A mutant goes through the same cycles, books and red lines as the engine in the other files; only the patch differs.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.crash import figures
from tests.crash.campaign import Campaign, RedError
from tests.crash.disks import LoopDisk
from tests.crash.oracle import Books
from tests.crash.tracer import Tracer, inject

CYCLES = 25

pytestmark = [pytest.mark.slow, pytest.mark.soak]

SEEN_BY_A_KILL = (
    "double_insert",
    "stale_content",
    "invented",
    "forgotten_rejects",
    "acknowledge_in_disorder",
    "forgetting_after_restart",
)
SEEN_BY_EIO = ("acknowledge_refused", "no_cut_at_reopening")


def reddens(run: Campaign, cycle: Callable[[], Books]) -> str | None:
    """What the suite says about the mutant, None if nothing within ``CYCLES``."""
    try:
        for _ in range(CYCLES):
            books = cycle()
            if not books.clean:
                return f"cycle {run.cycles}: {books}"
        books = run.settle()
    except (RedError, ValueError) as error:
        return f"cycle {run.cycles}: {error.__class__.__name__}: {str(error).splitlines()[0]}"
    return None if books.clean else f"at the end: {books}"


def caught(name: str, run: Campaign, verdict: str | None) -> None:
    figures.MUTANTS[name] = verdict
    print(f"\nmutant {name}: {'CAUGHT, ' + verdict if verdict else 'SURVIVED'} (seed {run.seed})")
    assert verdict is not None, f"the mutant {name} survived {CYCLES} cycles"


def test_a_power_cut_catches_no_fsync(campaign: Callable[..., Campaign], loop_disk: Callable[..., LoopDisk]) -> None:
    run = campaign(disk=loop_disk(), mutant="no_fsync")
    caught("no_fsync", run, reddens(run, lambda: run.cycle(run.cut_or_flush)))


def test_a_power_cut_catches_an_acknowledgement_before_the_fsync(
    campaign: Callable[..., Campaign], loop_disk: Callable[..., LoopDisk]
) -> None:
    """On a slow disk, so that there is something in between: else it is luck, one time in ten."""
    run = campaign(disk=loop_disk(), mutant="acknowledge_before_fsync")
    slow = inject("fdatasync", "delay_enter=30ms")
    caught("acknowledge_before_fsync", run, reddens(run, lambda: traced(run, run.cut, slow)))


def test_a_power_cut_catches_a_disk_that_lies(
    campaign: Callable[..., Campaign], loop_disk: Callable[..., LoopDisk]
) -> None:
    """Fsync and fdatasync report success and do nothing: no engine can survive it, so the suite must see it."""
    run = campaign(disk=loop_disk())
    caught("faked fsync", run, reddens(run, lambda: traced(run, run.cut, inject("fsync,fdatasync", "retval=0"))))


@pytest.mark.parametrize("mutant", SEEN_BY_A_KILL)
def test_a_kill_catches(mutant: str, campaign: Callable[..., Campaign]) -> None:
    run = campaign(mutant=mutant)

    def end() -> None:
        run.broker.unplug()  # what is under way becomes durable, and nobody hears its acknowledgement: it comes again
        time.sleep(0.05)
        run.kill()
        run.broker.plug()

    caught(mutant, run, reddens(run, lambda: run.cycle(end)))


@pytest.mark.parametrize("mutant", SEEN_BY_EIO)
def test_a_failing_fdatasync_catches(mutant: str, campaign: Callable[..., Campaign]) -> None:
    run = campaign(mutant=mutant)
    caught(
        mutant,
        run,
        reddens(run, lambda: traced(run, run.kill, inject("fdatasync", "error=EIO", when="4+5"), messages=900)),
    )


def test_a_kill_of_the_whole_engine_catches_a_log_trimmed_too_early(campaign: Callable[..., Campaign]) -> None:
    run = campaign(mutant="trimmed_too_early", kind="engine")

    def kill_and_settle() -> Books:
        run.cycles += 1
        run.broker.give(None)
        run.start()
        run.work(1000)
        time.sleep(1.0)  # long enough for house-keeping to trim
        run.kill()
        return run.settle()  # only then the lake is complete

    caught("trimmed_too_early", run, reddens(run, kill_and_settle))


def traced(run: Campaign, end: Callable[[], None], *injections: str, messages: int = 200) -> Books:
    """One cycle under the tracer, over several failures and reopenings."""
    run.cycles += 1
    run.start(hold=True)
    tracer = Tracer(run.pid, *injections)
    try:
        run.work(messages)
        time.sleep(0.2)
    finally:
        end()
        tracer.close()
    return run.look()
