"""Last values: newest by event time, never torn, harmless to replay."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifeline.core.batch import LogRecord, Readings
from lifeline.core.errors import UnavailableError
from lifeline.files import write_atomic
from lifeline.live.layout import HEADER_BYTES, RECORD
from lifeline.live.reader import LastValues, LiveReader
from lifeline.live.values import LiveValues

Row = tuple[int, int, float, int]


@dataclass
class Source:
    """As many points as a test says."""

    points: int = 8

    def current(self) -> Any:
        return range(self.points)

    def register(self, pairs: Any) -> Any:
        raise NotImplementedError


def test_a_private_file_was_never_anybody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes = []
    replace = Path.replace
    monkeypatch.setattr(
        Path, "replace", lambda one, to: (modes.append(one.stat().st_mode & 0o777), replace(one, to))[1]
    )

    write_atomic(tmp_path / "key", b"secret", private=True)

    assert modes == [0o600]
    assert (tmp_path / "key").read_bytes() == b"secret"


def record(lsn: int, rows: list[Row]) -> LogRecord:
    n = len(rows)
    readings = Readings(
        np.array([r[0] for r in rows], np.int32),
        np.array([r[1] for r in rows], np.int64),
        np.full(n, 1000 + lsn, np.int64),
        np.array([r[2] for r in rows], np.float64),
        np.zeros(n, np.uint32),
        np.array([r[0] % 3 for r in rows], np.uint8),
        np.array([r[3] for r in rows], np.uint8),
    )
    return LogRecord(lsn, 1000 + lsn, readings)


def naive(records: list[LogRecord]) -> dict[int, tuple[int, int, float]]:
    best: dict[int, tuple[int, int, float]] = {}
    for one in records:
        r = one.readings
        for i in range(len(r)):
            if r.flags[i] & 8:
                continue
            new = (int(r.ts[i]), int(r.received_at[i]), float(r.value[i]))
            if int(r.point[i]) not in best or new[:2] >= best[int(r.point[i])][:2]:
                best[int(r.point[i])] = new
    return best


def seen(values: LastValues) -> dict[int, tuple[int, int, float]]:
    return {
        int(k): (int(values.ts[k]), int(values.received_at[k]), float(values.value[k]))
        for k in np.flatnonzero(values.seen)
    }


ROW = st.tuples(st.integers(0, 7), st.integers(-5, 5), st.floats(-1e6, 1e6), st.sampled_from([0, 1, 8]))
HISTORY = st.lists(st.lists(ROW, max_size=6), min_size=1, max_size=8)


@settings(max_examples=60)
@given(HISTORY, st.integers(0, 8))
def test_equals_a_naive_model_with_a_crash_and_a_replay(
    tmp_path_factory: pytest.TempPathFactory, history: list[list[Row]], crash: int
) -> None:
    path = tmp_path_factory.mktemp("live") / "live.bin"
    records = [record(lsn, rows) for lsn, rows in enumerate(history, 1)]
    live = LiveValues(path, Source())
    live.consume(records[:crash])
    live = LiveValues(path, Source())
    assert live.position == 0
    live.consume(records)
    reader = LiveReader(path)

    values = reader.read()
    assert seen(values) == naive(records)
    assert values.position == len(records)
    assert values.unreadable == 0
    live.close()
    again = LiveValues(path, Source())
    assert again.position == again.durable == len(records)
    again.consume(records)
    assert seen(reader.read()) == naive(records)
    again.close()
    reader.close()


def test_chosen_points_and_null_values(tmp_path: Path) -> None:
    live = LiveValues(tmp_path / "live.bin", Source())
    live.consume([record(1, [(3, 5, float("nan"), 1), (5, 6, 2.5, 0)])])
    reader = LiveReader(tmp_path / "live.bin")
    values = reader.read(np.array([5, 3, 0], np.int32))

    assert values.seen.tolist() == [True, True, False]
    assert values.ts.tolist() == [6, 5, 0]
    assert values.quality.tolist() == [2, 0, 0]
    assert values.flags.tolist() == [0, 1, 0]
    assert np.array_equal(values.value, [2.5, np.nan, np.nan], equal_nan=True)
    assert len(reader.read(np.array([], np.int32))) == 0
    with pytest.raises(IndexError, match="within 0 and 7"):
        reader.read(np.array([8], np.int32))


def test_durable_moves_with_the_flush(tmp_path: Path) -> None:
    live = LiveValues(tmp_path / "live.bin", Source())
    live.tick(0)
    live.consume([record(1, [(0, 1, 1.0, 0)])])
    live.tick(6_666)
    assert (live.position, live.durable) == (1, 0)
    live.tick(6_667)
    assert (live.position, live.durable) == (1, 1)
    live.consume([record(2, [(0, 2, 1.0, 0)])])
    live.tick(16_666)
    assert live.durable == 1
    live.tick(16_667)
    assert live.durable == 2


def test_growth_is_followed_by_an_open_reader(tmp_path: Path) -> None:
    source = Source(2)
    live = LiveValues(tmp_path / "live.bin", source)
    live.consume([record(1, [(1, 1, 1.5, 0)])])
    reader = LiveReader(tmp_path / "live.bin")
    assert len(reader.read()) == 2
    source.points = 1000
    live.consume([record(2, [(999, 1, 9.5, 0)])])
    values = reader.read()

    assert len(values) == 1000
    assert (values.value[1], values.value[999]) == (1.5, 9.5)


def test_a_damaged_file_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "live.bin"
    path.write_bytes(b"something else")
    live = LiveValues(path, Source())

    assert live.position == 0
    assert (tmp_path / "live.bin.damaged").read_bytes() == b"something else"


def test_reader_errors_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="has the engine run"):
        LiveReader(tmp_path / "none.bin").read()
    (tmp_path / "other.bin").write_bytes(b"x" * 5000)
    with pytest.raises(UnavailableError, match="is not a file of last values"):
        LiveReader(tmp_path / "other.bin").read()


def test_a_record_torn_by_a_dying_writer_is_reported_then_repaired(tmp_path: Path) -> None:
    path = tmp_path / "live.bin"
    records = [record(1, [(2, 1, 1.0, 0), (4, 1, 4.0, 0)])]
    live = LiveValues(path, Source())
    live.consume(records)
    with path.open("r+b") as file:
        file.seek(HEADER_BYTES + 2 * RECORD.itemsize)
        file.write((7).to_bytes(4, sys.byteorder))
    values = LiveReader(path).read()
    assert (values.unreadable, values.seen[2], values.value[4]) == (1, False, 4.0)
    again = LiveValues(path, Source())
    again.consume(records)

    assert seen(LiveReader(path).read()) == naive(records)


def test_no_torn_record_while_a_writer_writes(tmp_path: Path) -> None:
    """Every record carries one number in all its columns; a mixture would show."""
    path = tmp_path / "live.bin"
    points = 64
    live = LiveValues(path, Source(points))
    stop = threading.Event()
    everyone = np.tile(np.arange(points, dtype=np.int32), 500)
    n = len(everyone)

    def write() -> None:
        for lsn in range(1, 1_000_000):
            number = np.repeat(np.arange(lsn * 500, lsn * 500 + 500, dtype=np.int64), points)
            zeros = np.zeros(n, np.uint8)
            rows = Readings(everyone, number, number, number.astype(float), zeros.astype(np.uint32), zeros, zeros)
            live.consume([LogRecord(lsn, lsn, rows)])
            if stop.is_set():
                return

    thread = threading.Thread(target=write)
    reader = LiveReader(path)
    reader.read()
    thread.start()
    reads = changes = 0
    last = np.zeros(points, np.int64)
    deadline = time.monotonic() + 20
    while changes < 200 and time.monotonic() < deadline:
        values = reader.read()
        whole = values.seen
        assert (values.ts[whole] == values.received_at[whole]).all()
        assert (values.ts[whole] == values.value[whole]).all()
        assert (values.ts[whole] >= last[whole]).all()
        changes += bool((values.ts[whole] > last[whole]).any())
        last[whole] = values.ts[whole]
        reads += 1
    stop.set()
    thread.join()

    assert changes == 200


READER = """
import sys
from pathlib import Path
from lifeline.live.reader import LiveReader
reader = LiveReader(Path(sys.argv[1]))
values = reader.read()
print(values.position, values.value[3])
"""


def test_another_process_reads_it(tmp_path: Path) -> None:
    live = LiveValues(tmp_path / "live.bin", Source())
    live.consume([record(4, [(3, 1, 2.25, 0)])])
    result = subprocess.run(
        [sys.executable, "-c", READER, str(tmp_path / "live.bin")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=dict(os.environ),
    )

    assert result.stdout == "4 2.25\n"
    live.close()


def test_an_empty_file_beside_a_trimmed_log_begins_where_the_log_does(tmp_path: Path) -> None:
    live = LiveValues(tmp_path / "live.bin", Source())
    live.start_at(41)
    assert live.position == 40
    live.consume([record(41, [(0, 1, 1.0, 0)])])
    live.close()
    again = LiveValues(tmp_path / "live.bin", Source())
    again.start_at(7)
    assert again.position == again.durable == 41
    again.close()


def test_a_file_that_cannot_grow_goes_on_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source(8)
    values = LiveValues(tmp_path / "live", source)
    values.consume([record(1, [(3, 10, 1.5, 0)])])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    source.points = 100_000
    with monkeypatch.context() as patched:
        patched.setattr(os, "posix_fallocate", full)
        for _ in range(2):
            with pytest.raises(UnavailableError, match="cannot grow to 100000 points"):
                values.consume([record(2, [(90_000, 20, 2.5, 0)])])
            values.flush()
    assert values.position == 1
    values.consume([record(2, [(90_000, 20, 2.5, 0)])])

    found = LiveReader(tmp_path / "live").read(np.array([3, 90_000], np.int32))
    assert found.value.tolist() == [1.5, 2.5]
    values.close()


def test_a_disk_that_refuses_while_values_are_written_out_keeps_the_old_position(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = LiveValues(tmp_path / "live", Source(100_000))  # 3 MB: more than one piece
    live.consume([record(1, [(5, 1, 2.0, 0)])])

    def refuse(fd: int) -> None:
        raise OSError(5, "the disk is gone")

    with monkeypatch.context() as broken:
        broken.setattr("lifeline.live.values.write_out", refuse)
        with pytest.raises(UnavailableError, match="the disk is gone"):
            live.flush()
    assert live.durable == 0

    live.flush()
    assert live.durable == 1
    live.close()
