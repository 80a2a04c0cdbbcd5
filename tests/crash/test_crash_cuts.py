"""Power cuts and kill -9 under load: nothing lost, invented or doubled, acknowledged in order.

In the suite some cycles; with LIFELINE_SOAK=1 three thousand cuts and two hundred kills.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.crash import figures
from tests.crash.campaign import Campaign
from tests.crash.disks import FILE_SYSTEMS, LoopDisk
from tests.crash.oracle import EMPTY, Books

SOAK = os.environ.get("LIFELINE_SOAK") == "1"
CUTS = int(os.environ.get("LIFELINE_CUTS", "3000" if SOAK else "20"))
KILLS = int(os.environ.get("LIFELINE_KILLS", "200" if SOAK else "20"))
ENGINE_CYCLES = int(os.environ.get("LIFELINE_ENGINE_CYCLES", "100" if SOAK else "3"))

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(7200)]


def was_trimmed(run: Campaign) -> bool:
    """Whether the log has let go of its first segment."""
    return min((run.data / "log").glob("*.log")).stem != f"{1:020}"


def campaigns(name: str, cycles: int, epoch: int, make: Callable[[], tuple[Campaign, Callable[[], None]]]) -> Books:
    """``cycles`` crashes, in campaigns of ``epoch`` each on an empty disk, so that the books stay small."""
    total = EMPTY
    while cycles > 0:
        run, end = make()
        for _ in range(min(cycles, epoch)):
            books = run.cycle(end)
            if run.kind == "acknowledging":  # the lake of a whole engine is complete after a clean stop only
                assert books.clean, (run.seed, run.cycles, books)
        for _ in range(2 * epoch):  # a busy machine may cut an engine ten times before it has filled a segment
            if run.kind == "engine" and run.cycles >= epoch and not was_trimmed(run):
                run.cycle(end)
        assert run.proving * 2 >= run.cycles or run.cycles < 10, "most crashes came before anything was acknowledged"
        assert run.proving > 0
        books = run.settle()
        figures.add(name, run.cycles, books, run.seed, run.recoveries_s)
        print(f"\n{name}: {run.cycles} cycles, seed {run.seed}, {books}")
        assert books.clean, (run.seed, books)
        cycles -= run.cycles
        if run.kind == "engine" and run.cycles >= 10:  # three cycles may be too short for it
            assert was_trimmed(run), "nothing was trimmed"
        total += books
        run.close()
    return total


def enough(cycles: int) -> int:
    """Acknowledged by so many cycles at the least; of a few, each as long as chance will have it, nobody can say."""
    return 50 * cycles if cycles >= 20 else 0


def test_power_cuts_lose_nothing_d03(campaign: Callable[..., Campaign], loop_disk: Callable[..., LoopDisk]) -> None:
    def make() -> tuple[Campaign, Callable[[], None]]:
        run = campaign(disk=loop_disk())
        return run, run.cut_or_flush

    assert campaigns("power cut", CUTS, 100, make).acknowledged > enough(CUTS)


def test_kill_9_loses_nothing_d01(campaign: Callable[..., Campaign]) -> None:
    def make() -> tuple[Campaign, Callable[[], None]]:
        run = campaign()
        return run, run.kill

    assert campaigns("kill -9", KILLS, 100, make).acknowledged > enough(KILLS)


@pytest.mark.parametrize("kind", FILE_SYSTEMS)
def test_kills_and_cuts_in_turn_lose_nothing(
    kind: str, campaign: Callable[..., Campaign], loop_disk: Callable[..., LoopDisk]
) -> None:
    """What a killed writer left in the page cache is read by the next one, and then the power goes.

    On another file system sizes, names and data become durable in another order.
    """

    def make() -> tuple[Campaign, Callable[[], None]]:
        run = campaign(disk=loop_disk(kind=kind))
        return run, run.kill_or_cut

    assert campaigns(f"kill -9 and power cut, {kind}", max(5, CUTS // 10), 100, make).acknowledged > 0


@pytest.mark.parametrize("by", ["kill -9", "both"])
def test_the_whole_engine_keeps_every_reading_once_in_the_lake_d12(
    by: str, campaign: Callable[..., Campaign], loop_disk: Callable[..., LoopDisk]
) -> None:
    """Log trimmed, lake, catalog, queue and snapshots all written: each reading is in the lake once."""

    def make() -> tuple[Campaign, Callable[[], None]]:
        run = campaign(kind="engine", disk=loop_disk() if by == "both" else None)
        return run, run.kill if by == "kill -9" else run.kill_or_cut

    name = f"whole engine, {by}" if by == "kill -9" else "whole engine, kill and cut"
    assert campaigns(name, ENGINE_CYCLES, 10, make).acknowledged > 0
