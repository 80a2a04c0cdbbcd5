"""What goes straight to the log and what goes over the appender: one order, and nothing after a failure."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from ingest.intake import DIRECT_ROWS_MAX, Intake, Ticket
from ingest.messages import Messages
from lifeline.core.batch import IngestBatch, Readings
from lifeline.testing import MemoryLog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lifeline.core.ports import OnCommit

PATIENCE_S = 20.0


class Sizes:
    """Gives batches of the sizes told, numbered in ``seq``."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self._sizes = iter(enumerate(sizes, 1))

    def decode(self, messages: Messages, received_at: int, broker: str) -> IngestBatch:
        del messages, broker
        number, rows = next(self._sizes)
        readings = Readings.empty(rows)
        readings.seq[:] = number
        return IngestBatch(received_at, readings)


class Counting(MemoryLog):
    """Knows how many batches came straight."""

    straight = 0

    def offer(self, batch: IngestBatch, on_commit: OnCommit) -> bool:
        self.straight += 1
        return super().offer(batch, on_commit)


def one_message() -> Messages:
    buffer = np.zeros(8, np.uint8)
    place, length = np.zeros(1, np.int64), np.ones(1, np.int32)
    return Messages(buffer, place, length, buffer, place, length, np.zeros(1, np.uint8))


def run(log: Any, sizes: Sequence[int], *, pause_every: int = 0) -> list[tuple[int, bool]]:
    """Offer batches of these sizes; the tokens as they settle, with whether they are durable."""
    rung = threading.Event()
    intake = Intake("city", Sizes(sizes), log, None, rung.set)
    settled: list[tuple[int, bool]] = []
    try:
        for token in range(1, len(sizes) + 1):
            while not intake.room and not intake.failed:
                rung.wait(PATIENCE_S)
                settled += [(s.ticket.token, s.error is None) for s in intake.settled()]
            intake.offer(one_message(), (), 0, Ticket(None, token))
            if pause_every and token % pause_every == 0:
                time.sleep(0.002)
        patience = time.monotonic() + PATIENCE_S
        while intake.outstanding and time.monotonic() < patience:
            settled += [(s.ticket.token, s.error is None) for s in intake.settled()]
            time.sleep(0.001)
    finally:
        intake.close()
    return settled


def stored(log: MemoryLog) -> list[int]:
    found: list[int] = []
    position = 0
    while records := log.read(position):
        position = records[-1].lsn
        found += [int(record.readings.seq[0]) for record in records]
    return found


def test_small_and_large_batches_keep_their_order() -> None:
    draw = np.random.default_rng(5)
    sizes = [int(n) for n in np.where(draw.random(400) < 0.3, DIRECT_ROWS_MAX + 1, draw.integers(1, 40, 400))]
    log = Counting()

    assert run(log, sizes, pause_every=7) == [(token, True) for token in range(1, 401)]
    assert stored(log) == list(range(1, 401))
    assert 0 < log.straight < sum(size <= DIRECT_ROWS_MAX for size in sizes)


def test_after_a_failure_nothing_small_slips_in() -> None:
    """What was decoded after it may be flagged as repeats of what is lost."""
    log = MemoryLog()
    rung = threading.Event()
    intake = Intake("city", Sizes([1, 2, 3]), log, None, rung.set)
    log.hold()
    intake.offer(one_message(), (), 0, Ticket(None, 1))
    log.fail()
    log.release()
    log.heal()
    intake.offer(one_message(), (), 0, Ticket(None, 2))
    patience = time.monotonic() + PATIENCE_S
    settled = []
    while intake.outstanding and time.monotonic() < patience:
        settled += [(s.ticket.token, s.error is None) for s in intake.settled()]
    before = stored(log)
    intake.recover()
    intake.offer(one_message(), (), 0, Ticket(None, 3))
    intake.close()

    assert settled == [(1, False), (2, False)]
    assert (before, stored(log)) == ([], [3])
