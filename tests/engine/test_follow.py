"""Stopping a follower: drained and closed, or the truth about it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from lifeline.core.errors import UnavailableError
from lifeline.engine.follow import LAST_TRIES, Follow
from lifeline.testing import MemoryLog, sample_batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lifeline.core.batch import LogRecord


class Keeping:
    """A follower whose ``close`` refuses as often as told."""

    name = "keeping"

    def __init__(self, refusals: int, beat_s: float = 0.0) -> None:
        self.position = self.durable = 0
        self.refusals = refusals
        self.beat_s = beat_s
        self.closed = False
        self.turns: list[list[int]] = []

    def consume(self, records: Sequence[LogRecord]) -> None:
        self.turns.append([record.lsn for record in records])
        self.position = records[-1].lsn

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


def test_what_comes_within_a_beat_comes_together_once_and_in_order() -> None:
    log = MemoryLog()
    follower = Keeping(0, beat_s=60.0)
    follow = Follow(log, follower, lambda: 0)
    follow.start()
    log.append(sample_batch(1), lambda _: None)
    patience = time.monotonic() + 20
    while follower.position < 1 and time.monotonic() < patience:
        time.sleep(0.001)
    for n in range(2, 200):
        log.append(sample_batch(n), lambda _: None)
    before = [list(turn) for turn in follower.turns]

    assert follow.stop(20)  # a stop does not wait for the beat
    assert before == [[1]]
    assert [lsn for turn in follower.turns for lsn in turn] == list(range(1, 200))
    assert len(follower.turns) < 10


def test_who_is_behind_does_not_wait_for_the_beat() -> None:
    log = MemoryLog()
    for n in range(200):
        log.append(sample_batch(n + 1), lambda _: None)
    follower = Keeping(0, beat_s=60.0)
    follow = Follow(log, follower, lambda: 0)
    follow.start()
    patience = time.monotonic() + 20
    while follower.position < log.committed and time.monotonic() < patience:
        time.sleep(0.001)
    caught_up = follower.position

    assert follow.stop(20)
    assert caught_up == 200
    assert len(follower.turns) > 1


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


def test_what_opens_a_follower_comes_first_and_is_tried_again_while_the_disk_refuses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lifeline.engine.follow.BACKOFF_S", 0.01)
    log = MemoryLog()
    log.append(sample_batch(1), lambda _: None)
    follower, tries = Keeping(0), list[int]()

    def opening() -> None:
        tries.append(follower.position)
        if len(tries) < 3:
            raise UnavailableError("state: Input/output error")
        follower.position = 0

    follow = Follow(log, follower, lambda: 0, opening)
    follow.start()

    assert follow.stop(20)
    assert tries == [0, 0, 0], "no record before it is open, and it is opened once"
    assert follower.turns == [[1]]
    assert follow.fault is None


def test_who_lets_others_go_first_begins_when_it_may_and_stops_without() -> None:
    log, may = MemoryLog(), [False, False]
    log.append(sample_batch(1), lambda _: None)
    followers = Keeping(0), Keeping(0)
    follows = [
        Follow(log, follower, lambda: 0, may_begin=lambda k=k: may[k])  # type: ignore[misc]
        for k, follower in enumerate(followers)
    ]
    for follow in follows:
        follow.start()
    time.sleep(0.05)
    assert [follower.turns for follower in followers] == [[], []]

    may[0] = True
    patience = time.monotonic() + 20
    while not followers[0].turns and time.monotonic() < patience:
        time.sleep(0.001)
    may[0] = False  # asked until it is true, not again

    assert [follower.turns for follower in followers] == [[[1]], []]
    log.append(sample_batch(2), lambda _: None)
    assert [follow.stop(20) for follow in follows] == [True, True]
    assert [follower.position for follower in followers] == [2, 2]
