"""`LocalLog`: its contract, threads, back-pressure, the clock, trimming, ownership."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lifeline.core.batch import IngestBatch, Readings
from lifeline.core.errors import UnavailableError
from lifeline.core.metrics import Metrics
from lifeline.core.ports import Log
from lifeline.log import LocalLog, verify
from lifeline.log import local as local_module
from lifeline.log.files import OsFiles
from lifeline.testing import Acks, MemoryLog, all_records, check_log, sample_batch, tags

PATIENCE_S = 20.0


class Gate(OsFiles):
    """A disk whose fdatasync waits while the gate is shut."""

    def __init__(self) -> None:
        self.open_gate = threading.Event()
        self.open_gate.set()
        self.waiting = threading.Event()
        self.syncs = 0

    def sync_data(self, fd: int) -> None:
        self.waiting.set()
        assert self.open_gate.wait(PATIENCE_S)
        super().sync_data(fd)
        self.syncs += 1


def test_it_keeps_the_contract(tmp_path: Path, no_clock: dict[str, Any]) -> None:
    made: list[int] = []

    def make() -> Log:
        made.append(1)
        return LocalLog(tmp_path / str(len(made)), segment_bytes=2000, **no_clock)

    check_log(make)


def test_it_keeps_the_contract_with_a_busy_clock(tmp_path: Path, no_clock: dict[str, Any]) -> None:
    made: list[int] = []

    def make() -> Log:
        made.append(1)
        return LocalLog(tmp_path / str(len(made)), **{**no_clock, "clock_record_ms": 1})

    check_log(make)


def test_what_waits_is_committed_as_one_group(tmp_path: Path, no_clock: dict[str, Any]) -> None:
    disk, acks, metrics = Gate(), Acks(), Metrics()
    with LocalLog(tmp_path, files=disk, metrics=metrics, **no_clock) as log:
        before = disk.syncs
        disk.open_gate.clear()
        disk.waiting.clear()
        log.append(sample_batch(1), acks.expecting(1))
        assert disk.waiting.wait(PATIENCE_S)
        for tag in range(2, 10):
            log.append(sample_batch(tag), acks.expecting(tag))
        assert (acks.order, log.committed) == ([], 0)
        disk.open_gate.set()
        acks.wait(9)

        assert acks.good == list(range(1, 10))
        assert disk.syncs - before == 2
    assert metrics.registry.get_sample_value("lifeline_log_commit_seconds_count") == 2


def test_append_blocks_while_the_queue_is_full(tmp_path: Path, no_clock: dict[str, Any]) -> None:
    disk, acks = Gate(), Acks()
    with LocalLog(tmp_path, files=disk, queue_batches=2, **no_clock) as log:
        disk.open_gate.clear()
        disk.waiting.clear()
        log.append(sample_batch(1), acks.expecting(1))
        assert disk.waiting.wait(PATIENCE_S)
        log.append(sample_batch(2), acks.expecting(2))
        log.append(sample_batch(3), acks.expecting(3))
        fourth = threading.Thread(target=log.append, args=(sample_batch(4), acks.expecting(4)))
        fourth.start()
        fourth.join(0.1)
        assert fourth.is_alive()
        refused = log.offer(sample_batch(5), acks.expecting(5))
        disk.open_gate.set()
        fourth.join(PATIENCE_S)
        acks.wait(4)
        taken = log.offer(sample_batch(6), acks.expecting(6))
        acks.wait(5)

        assert (fourth.is_alive(), refused, taken, acks.good) == (False, False, True, [1, 2, 3, 4, 6])


def test_appenders_and_readers_at_once_see_every_record_once_and_in_order(
    tmp_path: Path, no_clock: dict[str, Any]
) -> None:
    acks, lanes, batches = Acks(), 4, 60
    seen: list[list[int]] = [[] for _ in range(3)]
    with LocalLog(tmp_path, segment_bytes=30_000, **no_clock) as log:

        def append(lane: int) -> None:
            for i in range(batches):
                tag = lane * 1000 + i
                log.append(sample_batch(tag, 1 + tag % 50), acks.expecting(tag))

        def follow(reader: int) -> None:
            position = 0
            while len(seen[reader]) < lanes * batches and log.wait(position, PATIENCE_S):
                records = log.read(position, records_max=7 + reader)
                assert [r.lsn for r in records] == list(range(position + 1, position + 1 + len(records)))
                seen[reader] += tags(records)
                position = records[-1].lsn

        threads = [threading.Thread(target=append, args=(lane,)) for lane in range(1, lanes + 1)]
        threads += [threading.Thread(target=follow, args=(reader,)) for reader in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)

    assert len(acks.good) == lanes * batches
    assert seen == [acks.good] * 3
    assert verify(tmp_path).segments > 1


def test_idle_time_is_recorded_and_never_goes_back(tmp_path: Path) -> None:
    now = iter([500, 300, 900, *[1000] * 100_000])
    with LocalLog(tmp_path, clock=lambda: next(now), clock_record_ms=1) as log:
        for position in range(3):
            assert log.wait(position, PATIENCE_S)
        records = log.read(0)[:3]

    assert [(r.lsn, r.received_at, len(r.readings), r.rejects) for r in records] == [
        (1, 500, 0, None),
        (2, 500, 0, None),
        (3, 900, 0, None),
    ]


def test_the_clock_survives_restart_and_trim(tmp_path: Path, no_clock: dict[str, Any]) -> None:
    acks = Acks()
    with LocalLog(tmp_path, segment_bytes=100, **no_clock) as log:
        for tag in range(1, 6):
            log.append(sample_batch(tag, received_at=9_000 + tag), acks.expecting(tag))
            acks.wait(tag)
        log.trim(6)
        assert (log.first, log.committed) == (5, 5)
    with LocalLog(tmp_path, segment_bytes=100, **no_clock) as log:
        assert (log.first, log.committed, log.recovery.records) == (5, 5, 1)
        log.append(sample_batch(6, received_at=1), acks.expecting(6))
        acks.wait(6)

        assert [(r.lsn, r.received_at) for r in log.read(4)] == [(5, 9_005), (6, 9_005)]


def test_an_empty_active_segment_carries_the_first_lsn_over_a_restart(tmp_path: Path, no_clock: dict[str, Any]) -> None:
    acks = Acks()
    with LocalLog(tmp_path, segment_bytes=100, **no_clock) as log:
        log.append(sample_batch(1, received_at=70), acks.expecting(1))
        acks.wait(1)
        log._store._begin_segment(2)  # as after a roll whose first write never came
        log.trim(2)
        assert (log.first, log.committed) == (2, 1)
    with LocalLog(tmp_path, **no_clock) as log:
        assert (log.first, log.committed, log.read(1)) == (2, 1, [])
        with pytest.raises(LookupError, match="lsn 1 was trimmed"):
            log.read(0)
        log.append(sample_batch(2, received_at=1), acks.expecting(2))
        acks.wait(2)

        assert [(r.lsn, r.received_at) for r in log.read(1)] == [(2, 70)]


def test_trim_deletes_whole_segments_below_the_mark_only(tmp_path: Path, no_clock: dict[str, Any]) -> None:
    acks = Acks()
    with LocalLog(tmp_path, segment_bytes=1200, **no_clock) as log:
        for tag in range(1, 21):
            log.append(sample_batch(tag), acks.expecting(tag))
            acks.wait(tag)
        starts = sorted(int(file.stem) for file in tmp_path.glob("*.log"))
        for before in (1, starts[2] - 1, starts[2], starts[2] + 1, starts[4], 100):
            log.trim(before)
            left = sorted(int(file.stem) for file in tmp_path.glob("*.log"))
            expected = [a for a, b in zip(starts, [*starts[1:], 10**9], strict=True) if b > before]
            assert left == expected
            assert log.first == expected[0]
            assert tags(all_records(log)) == list(range(expected[0], 21))


def test_too_many_rows_become_several_records_and_one_callback(
    tmp_path: Path, no_clock: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_module, "BATCH_ROWS_MAX", 10)
    acks = Acks()
    batch = sample_batch(1, 25, rejects=12)
    with LocalLog(tmp_path, **no_clock) as log:
        log.append(batch, acks.expecting(1))
        acks.wait(1)
        records = log.read(0)

    assert acks.good == [1]
    assert [len(r.readings) for r in records] == [10, 10, 5, 0, 0]
    assert [0 if r.rejects is None else r.rejects.num_rows for r in records] == [0, 0, 0, 10, 2]
    assert (Readings.concat([r.readings for r in records]).value == batch.readings.value).all()


def test_bulky_rejects_become_several_records(
    tmp_path: Path, no_clock: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_module, "REJECTS_BYTES_MAX", 200)
    acks = Acks()
    batch = IngestBatch(1, Readings.empty(), sample_batch(1, 1, rejects=9).rejects)
    with LocalLog(tmp_path, **no_clock) as log:
        log.append(batch, acks.expecting(1))
        acks.wait(1)
        sizes = [r.rejects.num_rows for r in log.read(0) if r.rejects is not None]

    assert sum(sizes) == 9
    assert len(sizes) > 2


def test_a_second_engine_is_refused_by_pid(tmp_path: Path, no_clock: dict[str, Any]) -> None:
    with (
        LocalLog(tmp_path, **no_clock),
        pytest.raises(UnavailableError, match=rf"in use by process {os.getpid()}; stop that engine"),
    ):
        LocalLog(tmp_path, **no_clock)
    LocalLog(tmp_path, **no_clock).close()


def test_another_process_is_refused_by_pid(tmp_path: Path) -> None:
    program = (
        "import sys; from lifeline.log import LocalLog\n"
        "log = LocalLog(sys.argv[1], clock=lambda: 1); print('up', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"up\n"
        with pytest.raises(UnavailableError, match=f"in use by process {owner.pid}"):
            LocalLog(tmp_path, clock=lambda: 1)
        owner.kill()
    LocalLog(tmp_path, clock=lambda: 1).close()


def test_a_callback_that_raises_or_appends_does_no_harm(tmp_path: Path, no_clock: dict[str, Any]) -> None:
    """Not with a full queue either, in which it would wait for itself."""
    disk, acks, raised = Gate(), Acks(), []
    with LocalLog(tmp_path, files=disk, queue_batches=1, **no_clock) as log:

        def bad(error: BaseException | None) -> None:
            try:
                log.append(sample_batch(9), acks.expecting(9))
            except RuntimeError as wrong:
                raised.append(str(wrong))
            raise ValueError("a bug in a callback")

        disk.open_gate.clear()
        disk.waiting.clear()
        log.append(sample_batch(1), bad)
        assert disk.waiting.wait(PATIENCE_S)
        log.append(sample_batch(2), acks.expecting(2))
        disk.open_gate.set()
        acks.wait(1)

    assert (acks.good, len(raised)) == ([2], 1)


def test_readers_wake_when_the_log_closes(tmp_path: Path, no_clock: dict[str, Any]) -> None:
    log = LocalLog(tmp_path, **no_clock)
    seen: list[bool] = []
    waiter = threading.Thread(target=lambda: seen.append(log.wait(0, PATIENCE_S)))
    waiter.start()
    log.close()
    waiter.join(PATIENCE_S)

    assert seen == [False]
    assert log.read(0) == []


def test_the_directory_is_created_with_its_parents(tmp_path: Path, no_clock: dict[str, Any]) -> None:
    with LocalLog(tmp_path / "var" / "log", **no_clock) as log:
        assert (log.first, log.committed, log.fault) == (1, 0, None)


def test_no_descriptor_leaks(tmp_path: Path, no_clock: dict[str, Any]) -> None:
    def once() -> None:
        acks = Acks()
        with LocalLog(tmp_path, segment_bytes=500, **no_clock) as log:
            for tag in range(5):
                log.append(sample_batch(tag), acks.expecting(tag))
            acks.wait(5)
            log.read(log.first - 1)
            log.trim(log.committed)

    once()
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count
    for _ in range(5):
        once()

    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - a count


@pytest.mark.parametrize("make", [MemoryLog, lambda: MemoryLog(queue_batches=1)])
def test_the_memory_log_keeps_the_contract(make: Callable[[], Log]) -> None:
    check_log(make)


def test_rows_lie_in_the_order_of_their_receipt_whoever_appends_and_ticks(tmp_path: Path) -> None:
    """Four collectors stamp, wait and append, while the log ticks each millisecond; a lake sorts by these times."""
    acks, each, began = Acks(), 60, time.monotonic()

    def now() -> int:
        return int((time.monotonic() - began) * 1000)

    def collect(number: int) -> None:
        chance = random.Random(number)
        for k in range(each):
            batch = sample_batch(1 + number * each + k, received_at=now())
            time.sleep(chance.choice([0.0, 0.0, 0.002, 0.01]))
            log.append(batch, acks.expecting(0))

    with LocalLog(tmp_path, clock=now, clock_record_ms=1) as log:
        collectors = [threading.Thread(target=collect, args=(number,)) for number in range(4)]
        for one in collectors:
            one.start()
        for one in collectors:
            one.join()
        acks.wait(4 * each)
        records = all_records(log)
    assert sorted(tags(records)) == list(range(1, 1 + 4 * each))
    assert any(not len(record.readings) for record in records), "no clock record lay among them"
    told = [at for record in records for at in (*record.readings.received_at.tolist(), record.received_at)]
    assert told == sorted(told)
