"""Stopping a follower: drained and closed, or the truth about it."""

from __future__ import annotations

import pytest

from lifeline.core.errors import UnavailableError
from lifeline.engine.follow import LAST_TRIES, Follow
from lifeline.testing import MemoryLog, sample_batch


class Keeping:
    """A follower whose ``close`` refuses as often as told."""

    name = "keeping"

    def __init__(self, refusals: int) -> None:
        self.position = self.durable = 0
        self.refusals = refusals
        self.closed = False

    def consume(self, records: list[object]) -> None:
        self.position = records[-1].lsn  # type: ignore[attr-defined]

    def tick(self, now_ms: int) -> None:
        pass

    def close(self) -> None:
        if self.refusals:
            self.refusals -= 1
            raise UnavailableError("lake: No space left on device")
        self.closed = True


@pytest.mark.parametrize(("refusals", "clean"), [(0, True), (1, True), (LAST_TRIES + 1, False)])
def test_a_stop_is_clean_only_if_the_follower_closed(refusals: int, clean: bool) -> None:
    log = MemoryLog()
    log.append(sample_batch(1), lambda _: None)
    follower = Keeping(refusals)
    follow = Follow(log, follower, lambda: 0)
    follow.start()

    assert follow.stop(20) is clean
    assert follower.closed is clean
    assert follower.position == log.committed
    if not clean:
        assert follow.fault is not None
        assert "No space left" in follow.fault


def test_what_was_trimmed_before_the_follower_saw_it_is_named() -> None:
    """An older copy of a store beside a newer log: no defect of ours, and no silent gap."""
    log = MemoryLog()
    for n in range(3):
        log.append(sample_batch(n + 1), lambda _: None)
    log.trim(3)
    follow = Follow(log, Keeping(0), lambda: 0)
    follow.start()

    assert not follow.stop(20)
    assert follow.fault is not None
    assert "never saw log records 1 to 2" in follow.fault
