"""A disk that fails at the k-th call, for every k: no false acknowledgement, and the log comes back by itself."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lifeline.core.errors import UnavailableError
from lifeline.log import LocalLog, verify
from lifeline.log.files import OsFiles, write_all
from lifeline.log.store import Store
from lifeline.testing import Acks, Fault, FaultyDisk, MemoryDisk, all_records, sample_batch, tags

PATIENCE_S = 20.0
BATCHES = 14
HERE = Path("/log")


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition that no event announces."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        threading.Event().wait(0.001)


def scenario(disk: Any, directory: Path, options: dict[str, Any]) -> tuple[Acks, int]:
    """Append until all batches are acknowledged, sending refused ones again as a broker does."""
    acks, refused = Acks(), 0
    with LocalLog(directory, files=disk, segment_bytes=1500, **options) as log:
        for tag in range(1, BATCHES + 1):
            count = len(acks.order)
            while tag not in acks.good:
                try:
                    log.append(sample_batch(tag), acks.expecting(tag))
                except UnavailableError:
                    refused += 1
                    until(lambda: log.fault is None)
                    continue
                count += 1
                acks.wait(count)
            if tag == 9:
                log.trim(6)
    return acks, refused


def check(directory: Path, acks: Acks, disk: Any, options: dict[str, Any]) -> None:
    """After all that, a new process finds exactly what was acknowledged, each once."""
    with LocalLog(directory, files=disk, **options) as log:
        found = tags(all_records(log))
    assert acks.good == list(range(1, BATCHES + 1))
    assert found == acks.good[-len(found) :]
    assert len(found) >= BATCHES - 5


def calls_of(name: str, options: dict[str, Any]) -> int:
    probe = FaultyDisk(MemoryDisk())
    scenario(probe, HERE, options)
    return int(probe.counts[name])


CHANGES = ("write", "sync_data", "rename", "sync_directory", "remove", "open", "truncate")


@pytest.mark.parametrize(
    ("call", "code"), [("write", 0), *[(call, code) for call in CHANGES for code in (errno.EIO, errno.ENOSPC)]]
)
def test_a_failure_at_the_kth_call_for_every_k(call: str, code: int, no_clock: dict[str, Any]) -> None:
    points = failures = 0
    for k in range(1, calls_of(call, no_clock) + 1):
        memory = MemoryDisk()
        disk = FaultyDisk(memory, [Fault(call, k, code)])
        try:
            acks, _ = scenario(disk, HERE, no_clock)
        except UnavailableError:
            failures += 1  # the very opening failed, and said so
            acks, _ = scenario(FaultyDisk(memory), HERE, no_clock)
        points += 1
        check(HERE, acks, FaultyDisk(memory), no_clock)
    print(f"{call} {code}: {points} points, {failures} at opening, false acks 0")

    assert points > 0


def test_a_failed_fdatasync_is_never_repeated_on_its_descriptor(no_clock: dict[str, Any]) -> None:
    for k in range(1, calls_of("sync_data", no_clock) + 1):
        disk = FaultyDisk(MemoryDisk(), [Fault("sync_data", k)])
        try:
            scenario(disk, HERE, no_clock)
        except UnavailableError:
            continue
        [(_, _, fd)] = disk.failed
        syncs = [i for i, entry in enumerate(disk.history) if entry == ("sync_data", fd)]

        failed_at = [i for i, (name, _) in enumerate(disk.history) if name == "sync_data"][k - 1]
        assert [i for i in syncs if i > failed_at] == []


def test_a_fault_refuses_all_that_waits_tells_why_and_heals(no_clock: dict[str, Any]) -> None:
    release, inside = threading.Event(), threading.Event()

    class Slow(MemoryDisk):
        def sync_data(self, fd: int) -> None:
            inside.set()
            assert release.wait(PATIENCE_S)
            super().sync_data(fd)

    release.set()
    disk = FaultyDisk(Slow())
    acks, healed = Acks(), threading.Event()
    states: list[tuple[str | None, int]] = []
    with LocalLog(HERE, files=disk, **{**no_clock, "retry_s": (0.05, 0.05)}) as log:
        log.on_reopen(lambda: (states.append((log.fault, len(acks.order))), healed.set()))
        log.append(sample_batch(1), acks.expecting(1))
        acks.wait(1)
        release.clear()
        inside.clear()
        log.append(sample_batch(2), acks.expecting(2))
        assert inside.wait(PATIENCE_S)
        for tag in (3, 4, 5):
            log.append(sample_batch(tag), acks.expecting(tag))
        disk.faults.append(Fault("write", disk.counts["write"] + 1, errno.ENOSPC, times=1))
        release.set()
        acks.wait(5)
        assert log.fault is not None
        assert "write failed: ENOSPC" in log.fault
        with pytest.raises(UnavailableError, match="ENOSPC"):
            log.append(sample_batch(6), acks.expecting(6))
        assert healed.wait(PATIENCE_S)
        log.append(sample_batch(7), acks.expecting(7))
        acks.wait(6)

        assert [(tag, type(error)) for tag, error in acks.order] == [
            (1, type(None)),
            (2, type(None)),
            *[(tag, UnavailableError) for tag in (3, 4, 5)],
            (7, type(None)),
        ]
        assert (log.fault, states) == (None, [(None, 5)])
        assert tags(all_records(log)) == [1, 2, 7]


def test_appends_wait_until_listeners_have_been_told(no_clock: dict[str, Any]) -> None:
    disk, acks = FaultyDisk(MemoryDisk()), Acks()
    inside, go = threading.Event(), threading.Event()
    with LocalLog(HERE, files=disk, **no_clock) as log:
        log.on_reopen(lambda: (inside.set(), go.wait(PATIENCE_S)))
        disk.faults.append(Fault("sync_data", disk.counts["sync_data"] + 1))
        log.append(sample_batch(1), acks.expecting(1))
        assert inside.wait(PATIENCE_S)
        appender = threading.Thread(target=log.append, args=(sample_batch(2), acks.expecting(2)))
        appender.start()
        appender.join(0.05)
        waited = appender.is_alive()
        offered = log.offer(sample_batch(3), acks.expecting(3))
        go.set()
        appender.join(PATIENCE_S)
        acks.wait(2)

        assert (waited, offered, acks.good) == (True, False, [2])


def test_a_full_disk_stays_a_fault_until_there_is_room_for_what_failed(no_clock: dict[str, Any]) -> None:
    class Small(MemoryDisk):
        room = 10_000

        def write(self, fd: int, buffers: Any, offset: int) -> int:
            used = sum(len(inode.cache) for inode in {id(i): i for i in self._names.values()}.values())
            want = sum(len(b) for b in buffers)
            if used + want > self.room:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(fd, buffers, offset)

    small, acks, healed = Small(), Acks(), threading.Event()
    with LocalLog(HERE, files=small, **no_clock) as log:
        log.on_reopen(healed.set)
        log.append(sample_batch(1), acks.expecting(1))
        acks.wait(1)
        log.append(sample_batch(2, 1000), acks.expecting(2))
        acks.wait(2)
        assert not healed.wait(0.1)
        assert log.fault is not None
        assert tags(log.read(0)) == [1]
        small.room = 1 << 30
        assert healed.wait(PATIENCE_S)
        log.append(sample_batch(2, 1000), acks.expecting(2))
        acks.wait(3)

        assert acks.good == [1, 2]
        assert small.names(HERE).count("room.tmp") == 0


def test_closing_a_faulted_log_comes_back_and_what_it_refused_is_not_acknowledged(no_clock: dict[str, Any]) -> None:
    memory, acks = MemoryDisk(), Acks()
    disk = FaultyDisk(memory)
    log = LocalLog(HERE, files=disk, **no_clock)
    disk.faults.append(Fault("sync_data", disk.counts["sync_data"] + 1, times=10**6))
    log.append(sample_batch(1), acks.expecting(1))
    acks.wait(1)
    log.close()

    assert acks.good == []
    with pytest.raises(UnavailableError, match="closed"):
        log.append(sample_batch(2), acks.expecting(2))


def test_a_bug_in_the_writer_is_a_fault_and_not_a_silent_death(
    tmp_path: Path, no_clock: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    acks, healed = Acks(), threading.Event()
    with LocalLog(tmp_path, **no_clock) as log:
        log.on_reopen(healed.set)
        with monkeypatch.context() as patch:
            patch.setattr("lifeline.log.store.encode_frame", lambda *_, **__: 1 / 0)
            log.append(sample_batch(1), acks.expecting(1))
            acks.wait(1)
            assert log.fault is not None
        assert healed.wait(PATIENCE_S)
        log.append(sample_batch(2), acks.expecting(2))
        acks.wait(2)

        assert acks.good == [2]
        assert tags(all_records(log)) == [2]


def test_a_log_that_is_damaged_under_the_engine_stays_faulted_until_it_is_whole(
    tmp_path: Path, no_clock: dict[str, Any]
) -> None:
    disk, acks = FaultyDisk(OsFiles()), Acks()
    with LocalLog(tmp_path, files=disk, **no_clock) as log:
        log.append(sample_batch(1), acks.expecting(1))
        acks.wait(1)
        file = next(tmp_path.glob("*.log"))
        good = file.read_bytes()
        file.write_bytes(good[:100])
        disk.faults.append(Fault("write", disk.counts["write"] + 1))
        log.append(sample_batch(2), acks.expecting(2))
        acks.wait(2)
        until(lambda: "lsn 1: the frame header fails its checksum" in str(log.fault))
        file.write_bytes(good)
        until(lambda: log.fault is None)

        assert acks.good == [1]


def test_a_trimmed_segment_that_cannot_be_deleted_is_tried_again(no_clock: dict[str, Any]) -> None:
    memory, acks = MemoryDisk(), Acks()
    disk = FaultyDisk(memory, [Fault("remove", 1, errno.EROFS)])
    with LocalLog(HERE, files=disk, segment_bytes=100, **no_clock) as log:
        for tag in range(1, 5):
            log.append(sample_batch(tag), acks.expecting(tag))
            acks.wait(tag)
        log.trim(4)
        stuck = len(memory.names(HERE))
        log.trim(4)

        assert (log.first, stuck, len(memory.names(HERE))) == (4, 5, 2)


def test_a_failing_opening_frees_the_directory(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"first segment cannot be created: ENOSPC"):
        Store(tmp_path, files=FaultyDisk(OsFiles(), [Fault("rename", 1, errno.ENOSPC)]), segment_bytes=100)
    store = Store(tmp_path, segment_bytes=100)
    store.close()

    assert verify(tmp_path).ok
    assert list(tmp_path.glob("*.tmp")) == []


def test_short_writes_are_continued_over_many_buffers() -> None:
    class Crumbs(MemoryDisk):
        def write(self, fd: int, buffers: Any, offset: int) -> int:
            return super().write(fd, [memoryview(b"".join(buffers)[:3])], offset)

    disk = Crumbs()
    fd = disk.open(HERE / "x", "create")
    data = [bytes([i % 251]) * (i % 7) for i in range(3000)]
    written = write_all(disk, fd, [memoryview(d) for d in data], 5)
    into = memoryview(bytearray(written))
    disk.read(fd, into, 5)

    assert bytes(into) == b"".join(data)


def test_a_disk_that_takes_nothing_and_says_nothing_is_an_error() -> None:
    class Deaf(MemoryDisk):
        def write(self, fd: int, buffers: Any, offset: int) -> int:
            return 0

    disk = Deaf()
    with pytest.raises(OSError, match="took no bytes"):
        write_all(disk, disk.open(HERE / "x", "create"), [memoryview(b"abc")], 0)
