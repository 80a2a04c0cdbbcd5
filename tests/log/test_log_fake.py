"""The public fake's failure modes, and proof that the contract checker goes red for broken logs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lifeline.core.batch import IngestBatch, LogRecord, Readings
from lifeline.core.errors import CorruptionError, UnavailableError
from lifeline.core.ports import OnCommit
from lifeline.testing import Acks, ContractError, MemoryLog, all_records, check_log, sample_batch, tags

PATIENCE_S = 20.0


def test_held_batches_wait_and_are_released_in_order() -> None:
    log, acks = MemoryLog(queue_batches=2), Acks()
    log.hold()
    log.append(sample_batch(1), acks.expecting(1))
    log.append(sample_batch(2), acks.expecting(2))
    third = threading.Thread(target=log.append, args=(sample_batch(3), acks.expecting(3)))
    third.start()
    third.join(0.05)
    before = (third.is_alive(), list(acks.order), log.committed)
    log.release()
    third.join(PATIENCE_S)
    acks.wait(3)

    assert before == (True, [], 0)
    assert (acks.good, tags(all_records(log))) == ([1, 2, 3], [1, 2, 3])


def test_a_failure_refuses_what_is_held_until_healed() -> None:
    log, acks, told = MemoryLog(), Acks(), []
    log.on_reopen(lambda: told.append(log.committed))
    log.append(sample_batch(1), acks.expecting(1))
    log.hold()
    log.append(sample_batch(2), acks.expecting(2))
    log.fail("disk full")
    with pytest.raises(UnavailableError, match="disk full"):
        log.append(sample_batch(3), acks.expecting(3))
    fault = log.fault
    log.heal()
    log.release()
    log.append(sample_batch(4), acks.expecting(4))

    assert (fault, log.fault, told) == ("disk full", None, [1])
    assert [(tag, type(error)) for tag, error in acks.order] == [
        (1, type(None)),
        (2, UnavailableError),
        (4, type(None)),
    ]
    assert tags(all_records(log)) == [1, 4]


def test_a_crash_keeps_what_was_committed_and_calls_nobody() -> None:
    log, acks = MemoryLog(), Acks()
    log.append(sample_batch(1), acks.expecting(1))
    log.hold()
    log.append(sample_batch(2), acks.expecting(2))
    after = log.crash()

    assert (acks.good, tags(all_records(after)), after.committed) == ([1], [1], 1)
    with pytest.raises(UnavailableError):
        log.append(sample_batch(3), acks.expecting(3))


def test_damage_is_raised_by_reads_that_touch_it() -> None:
    log = MemoryLog()
    for tag in (1, 2, 3):
        log.append(sample_batch(tag), lambda _: None)
    log.damage(2)

    assert tags(log.read(0, records_max=1)) == [1]
    with pytest.raises(CorruptionError, match="lsn 2"):
        log.read(0)
    assert tags(log.read(2)) == [3]


def test_tick_writes_a_clock_record_that_never_goes_back() -> None:
    log = MemoryLog()
    log.append(sample_batch(1, received_at=50), lambda _: None)
    log.tick(40)
    log.tick(60)

    assert [(r.received_at, len(r.readings)) for r in log.read(0)] == [(50, 3), (50, 0), (60, 0)]


class ForgetsACallback(MemoryLog):
    def append(self, batch: IngestBatch, on_commit: OnCommit) -> None:
        super().append(batch, on_commit if 3 not in batch.readings.seq else lambda _: None)


class CallsBack(MemoryLog):
    """Calls back in the wrong order."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[OnCommit] = []

    def append(self, batch: IngestBatch, on_commit: OnCommit) -> None:
        super().append(batch, lambda _: self.kept.append(on_commit))
        if len(self.kept) > 1 or self.committed < 2:
            for late in reversed(self.kept):
                late(None)
            self.kept.clear()


class LosesRows(MemoryLog):
    def read(self, after: int, records_max: int = 64, bytes_max: int = 64 << 20) -> list[LogRecord]:
        found = super().read(after, records_max, bytes_max)
        return [LogRecord(r.lsn, r.received_at, r.readings.take(slice(1, None)), r.rejects) for r in found]


class SwallowsNulls(MemoryLog):
    def append(self, batch: IngestBatch, on_commit: OnCommit) -> None:
        columns = [getattr(batch.readings, name) for name in Readings.__slots__]
        columns[3] = np.nan_to_num(columns[3])
        super().append(IngestBatch(batch.received_at, Readings(*columns), batch.rejects), on_commit)


class IgnoresLimits(MemoryLog):
    def read(self, after: int, records_max: int = 64, bytes_max: int = 64 << 20) -> list[LogRecord]:
        return super().read(after)


class GoesBackInTime(MemoryLog):
    def _store(self, received_at: int, readings: Readings, rejects: Any) -> None:
        self._received_at = None
        super()._store(received_at, readings, rejects)


class TrimsTheFuture(MemoryLog):
    def trim(self, before: int) -> None:
        self._committed = 0
        super().trim(before)


class TakesAfterClose(MemoryLog):
    def close(self) -> None:
        self.release()


class NeverWakes(MemoryLog):
    def wait(self, after: int, timeout_s: float) -> bool:
        return False


class ReadsWhatIsGone(MemoryLog):
    def read(self, after: int, records_max: int = 64, bytes_max: int = 64 << 20) -> list[LogRecord]:
        return super().read(max(after, self.first - 1), records_max, bytes_max)


@pytest.mark.parametrize(
    "broken",
    [
        ForgetsACallback,
        CallsBack,
        LosesRows,
        SwallowsNulls,
        IgnoresLimits,
        GoesBackInTime,
        TrimsTheFuture,
        TakesAfterClose,
        NeverWakes,
        ReadsWhatIsGone,
    ],
)
def test_the_checker_goes_red_for_a_broken_log(
    broken: Callable[[], MemoryLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lifeline.testing.log_contract.PATIENCE_S", 0.2)

    with pytest.raises(ContractError):
        check_log(broken)
