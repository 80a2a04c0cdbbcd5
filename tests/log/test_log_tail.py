"""The tail in memory gives what the segments would, and is bounded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lifeline.core.batch import LogRecord, Readings
from lifeline.core.ports import Log
from lifeline.log import TAIL_BYTES, LocalLog
from lifeline.log import tail as module
from lifeline.log.segment import CLOCK_BODY, encode_body
from lifeline.log.store import Store
from lifeline.log.tail import Tail
from lifeline.testing.log_contract import Acks, check_log, sample_batch


def same(a: LogRecord, b: LogRecord) -> bool:
    columns = all(
        np.array_equal(x, y) and x.dtype == y.dtype and not x.flags.writeable and x.flags.aligned == y.flags.aligned
        for x, y in ((getattr(a.readings, n), getattr(b.readings, n)) for n in Readings.__slots__)
    )
    rejects = a.rejects is b.rejects is None or (a.rejects is not None and a.rejects.equals(b.rejects))
    return (a.lsn, a.received_at) == (b.lsn, b.received_at) and columns and rejects


def test_a_log_with_a_tail_keeps_the_contract(tmp_path: Path, no_clock: dict[str, Any]) -> None:
    made: list[int] = []

    def make() -> Log:
        made.append(1)
        return LocalLog(tmp_path / str(len(made)), segment_bytes=2000, tail_bytes=TAIL_BYTES, **no_clock)

    check_log(make)


@pytest.mark.parametrize("records_max", [1, 3, 64])
def test_what_it_reads_is_what_the_segments_hold(tmp_path: Path, no_clock: dict[str, Any], records_max: int) -> None:
    acks = Acks()
    with LocalLog(tmp_path, segment_bytes=3000, tail_bytes=TAIL_BYTES, **no_clock) as log:
        for tag in range(1, 30):
            batch = sample_batch(tag, tag % 7 + 1, received_at=1000 - tag, rejects=tag % 3)
            log.append(batch, acks.expecting(tag))
        acks.wait(29)
        after, found = 0, []
        while records := log.read(after, records_max):
            found += records
            after = records[-1].lsn
    with_store = Store(tmp_path, segment_bytes=3000)
    truth = with_store.read(0, 64, 1 << 30)
    with_store.close()

    assert len(found) == len(truth) == 29
    assert all(same(a, b) for a, b in zip(found, truth, strict=True))


def bodies(*rows: int) -> list[tuple[Any, int]]:
    return [(encode_body(sample_batch(n, n).readings, None), 1000 + n) for n in rows]


def lsns(tail: Tail, after: int, records_max: int = 64, bytes_max: int = 1 << 30) -> list[int]:
    return [record.lsn for record in tail.read(after, records_max, bytes_max)]


def test_the_oldest_leave_when_it_is_full_or_when_they_are_old(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    size = bodies(5)[0][0].frame_bytes
    tail = Tail(3 * size)
    tail.extend(1, bodies(5, 5, 5, 5), 0)

    assert (lsns(tail, 0), lsns(tail, 1), lsns(tail, 3), lsns(tail, 4)) == ([], [2, 3, 4], [4], [])
    assert lsns(tail, 1, records_max=2) == [2, 3]
    assert lsns(tail, 1, bytes_max=2 * size) == [2, 3]
    assert lsns(tail, 1, bytes_max=1) == [2]

    now[0] = module.KEEP_S + 1
    tail.extend(5, bodies(5), 0)
    assert (lsns(tail, 3), lsns(tail, 4)) == ([], [5])


def test_a_gap_empties_it() -> None:
    tail = Tail(TAIL_BYTES)
    tail.extend(1, bodies(5, 5), 0)
    tail.extend(4, bodies(5), 0)

    assert (lsns(tail, 0), lsns(tail, 2), lsns(tail, 3)) == ([], [], [4])


def test_clocks_never_go_back() -> None:
    tail = Tail(TAIL_BYTES)
    tail.extend(1, [*bodies(5), (CLOCK_BODY, 7)], 2000)

    assert [record.received_at for record in tail.read(0, 64, 1 << 30)] == [2000, 2000]
    assert len(tail.read(1, 64, 1 << 30)[0].readings) == 0


def test_without_room_it_holds_nothing() -> None:
    tail = Tail(0)
    tail.extend(1, bodies(5), 0)

    assert lsns(tail, 0) == []
