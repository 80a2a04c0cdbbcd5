"""Every reading of the log is in the lake exactly once, whatever interrupts the follower."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest

from lifeline.core.batch import LogRecord, Readings
from lifeline.core.errors import CorruptionError, UnavailableError
from lifeline.lake import recovery as recovery_module
from lifeline.lake import table as table_module
from lifeline.lake.catalog import Catalog
from lifeline.lake.parquet import READINGS_TABLE
from lifeline.lake.table import Table
from lifeline.lake.verify import verify_lake
from lifeline.lake.writer import LakeFollower

COLUMNS = ["point", "ts", "received_at", "value", "quality", "flags", "seq"]


def wanted(records: list[LogRecord]) -> list[tuple[Any, ...]]:
    rows = Readings.concat([r.readings.unique() for r in records])
    values = [None if np.isnan(v) else float(v) for v in rows.value]
    columns = [rows.point, rows.ts, rows.received_at, values, rows.quality, rows.flags, rows.seq]
    return sorted(
        (tuple(v.item() if isinstance(v, np.generic) else v for v in row) for row in zip(*columns, strict=True)),
        key=repr,
    )


def stored(data: Path) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(data / "catalog" / "lifeline.duckdb"), read_only=True) as connection:
        rows = connection.execute(
            "SELECT point, epoch_ms(ts), epoch_ms(received_at), value, quality, flags, seq FROM readings_raw"
        ).fetchall()
    return sorted(rows, key=repr)


def test_rows_come_back_as_they_were(tmp_path: Path, record: Any) -> None:
    records = [record(lsn) for lsn in range(1, 30)]
    lake = LakeFollower(tmp_path, Catalog(tmp_path))
    lake.consume(records)
    lake.close()

    assert stored(tmp_path) == wanted(records)
    assert lake.durable == lake.position == 29


def test_replay_writes_nothing_twice(tmp_path: Path, record: Any) -> None:
    records = [record(lsn) for lsn in range(1, 20)]
    lake = LakeFollower(tmp_path, Catalog(tmp_path))
    lake.consume(records[:12])
    lake.tick(0)
    lake.consume(records[12:])  # never flushed: as after a kill
    again = LakeFollower(tmp_path, Catalog(tmp_path))
    assert again.position == 12
    again.consume(records)
    again.close()

    assert stored(tmp_path) == wanted(records)


def test_rejects_do_not_hold_the_position_back_and_come_once(tmp_path: Path, record: Any) -> None:
    for _ in range(3):
        lake = LakeFollower(tmp_path, Catalog(tmp_path))
        for lsn in range(1, 31):
            lake.consume([record(lsn)])
            lake.tick(lsn * 10_000)
            assert lake.durable == max(lsn, 30 if lake.durable == 30 else 0)
        lake.close()

    with duckdb.connect(str(tmp_path / "catalog" / "lifeline.duckdb"), read_only=True) as connection:
        details = connection.execute("SELECT detail FROM rejects ORDER BY received_at").fetchall()
    assert details == [("r7",), ("r14",), ("r21",), ("r28",)]


def test_a_batch_over_midnight_goes_to_two_days(tmp_path: Path, record: Any) -> None:
    rows = record(1, rows=20, duplicates=False).readings
    midnight = 1_795_478_400_000
    received_at = np.where(np.arange(20) < 9, midnight - 1, midnight)
    both = Readings(rows.point, rows.ts, received_at, rows.value, rows.seq, rows.quality, rows.flags)
    lake = LakeFollower(tmp_path, Catalog(tmp_path))
    lake.consume([LogRecord(1, midnight, both)])
    lake.close()

    assert {(f.day, f.rows) for f in lake.readings.files.values()} == {("2026-11-23", 9), ("2026-11-24", 11)}
    assert len(stored(tmp_path)) == 20


def test_other_delta_readers_see_the_same_table(tmp_path: Path, record: Any) -> None:
    records = [record(lsn) for lsn in range(1, 5)]
    lake = LakeFollower(tmp_path)
    lake.consume(records)
    lake.close()

    frame = pl.read_delta(str(tmp_path / "lake" / "readings"))
    assert len(frame) == len(wanted(records))
    assert frame["seq"].max() == max(row[6] for row in wanted(records))
    assert frame["day"].unique().to_list() == [pl.Series(["2026-11-23"]).str.to_date()[0]]


def test_first_message_is_flushed_at_once_and_load_makes_larger_flushes(tmp_path: Path, record: Any) -> None:
    lake = LakeFollower(tmp_path)
    lake.consume([record(1)])
    lake.tick(1_000)
    assert lake.durable == 1
    lake.consume([record(2)])
    lake.tick(1_200)
    assert lake.durable == 1
    lake.tick(1_500)
    assert lake.durable == 2
    lake.consume([record(3, rows=8000)])
    lake.tick(2_000)
    lake.consume([record(4)])
    lake.tick(2_600)
    assert lake.durable == 3
    lake.tick(3_000)
    assert lake.durable == 4


def test_clock_records_move_the_durable_position(tmp_path: Path) -> None:
    lake = LakeFollower(tmp_path)
    lake.consume([LogRecord(lsn, lsn, Readings.empty()) for lsn in range(1, 100)])
    lake.tick(60_000)
    assert lake.durable == 99
    lake.close()
    assert LakeFollower(tmp_path).position == 99


@pytest.mark.parametrize(
    "damage", [b"", b'{"add":{"pa', b'{"commitInfo":{}}\n{"add":{"path":"day=x/none.parquet","size":1}}']
)
def test_a_torn_last_commit_is_cut_and_written_again(tmp_path: Path, record: Any, damage: bytes) -> None:
    records = [record(lsn, duplicates=False) for lsn in range(1, 4)]
    lake = LakeFollower(tmp_path)
    for one in records:
        lake.consume([one])
        lake.flush()
    last = max((tmp_path / "lake/readings/_delta_log").glob("*.json"))
    last.write_bytes(damage)
    again = LakeFollower(tmp_path, Catalog(tmp_path))
    assert again.readings.position("lifeline.readings") == 2
    again.consume(records)
    again.close()

    assert stored(tmp_path) == wanted(records)


def test_a_torn_checkpoint_is_dropped(tmp_path: Path, record: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_module, "CHECKPOINT_COMMITS", 3)
    lake = LakeFollower(tmp_path)
    for lsn in range(1, 8):
        lake.consume([record(lsn)])
        lake.flush()
    log = tmp_path / "lake/readings/_delta_log"
    checkpoints = sorted(log.glob("*.checkpoint.parquet"))
    assert len(checkpoints) >= 2
    checkpoints[-1].write_bytes(b"PAR1 torn")
    again = LakeFollower(tmp_path)

    assert again.position == 7
    assert verify_lake(tmp_path, full=True).problem is None


def test_a_commit_whose_fsync_failed_counts_once(tmp_path: Path, record: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [record(lsn) for lsn in range(1, 16)]
    lake = LakeFollower(tmp_path, Catalog(tmp_path))
    lake.consume(records[:7])
    real = table_module.sync_file

    def refuse(path: Path) -> None:
        if path.suffix == ".json":
            raise UnavailableError(f"{path}: no space left on device")
        real(path)

    def no_space(path: Path, _: bytes) -> None:
        raise UnavailableError(f"{path}: no space left on device")

    monkeypatch.setattr(table_module, "sync_file", refuse)
    monkeypatch.setattr(recovery_module, "write_atomic", no_space)
    for now_ms in (0, 1000, 2000):
        before = lake.durable
        with pytest.raises(UnavailableError):
            lake.tick(now_ms)
        assert lake.durable == before == 0
    monkeypatch.undo()
    lake.consume(records[7:])
    lake.tick(10_000)

    assert lake.durable == 15
    assert stored(tmp_path) == wanted(records)
    assert verify_lake(tmp_path, full=True).problem is None


@pytest.fixture
def disk_away(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Commits are written, cannot be made durable, and cannot be read back either, until ``undo``."""
    real = table_module.sync_file

    def refuse(path: Path) -> None:
        if path.suffix == ".json":
            raise UnavailableError(f"{path}: Input/output error")
        real(path)

    class Away(table_module.DeltaTable):
        def __init__(self, *_: object) -> None:
            raise OSError("Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(table_module, "sync_file", refuse)
        patch.setattr(table_module, "DeltaTable", Away)
        yield patch


def test_a_commit_that_cannot_be_read_back_keeps_its_files(
    tmp_path: Path, record: Any, request: pytest.FixtureRequest
) -> None:
    """Whether it counts is known only once the disk is back; it does."""
    records = [record(lsn) for lsn in range(1, 10)]
    lake = LakeFollower(tmp_path, Catalog(tmp_path))
    lake.consume(records[:8])
    away = request.getfixturevalue("disk_away")
    for _ in range(3):
        with pytest.raises(UnavailableError):
            lake.flush()
    assert lake.durable == 0
    away.undo()
    lake.consume(records[8:])
    lake.flush()

    assert stored(tmp_path) == wanted(records)
    assert verify_lake(tmp_path, full=True).problem is None


def test_a_merge_that_cannot_be_read_back_is_not_merged_again(
    tmp_path: Path, record: Any, request: pytest.FixtureRequest
) -> None:
    records = [record(lsn) for lsn in range(1, 9)]
    lake = LakeFollower(tmp_path, Catalog(tmp_path), grace_ms=0)
    for one in records:
        lake.consume([one])
        lake.flush()
    away = request.getfixturevalue("disk_away")
    with pytest.raises(UnavailableError):
        lake.compact_all()
    away.undo()

    def merge_again() -> None:
        for _ in range(100):  # it rests for a while after a failure
            lake.compact_all()

    with pytest.raises(UnavailableError, match="no longer there"):
        merge_again()
    lake.close()

    assert stored(tmp_path) == wanted(records)
    assert verify_lake(tmp_path, full=True).problem is None


def test_a_broken_middle_of_the_log_is_refused(tmp_path: Path, record: Any) -> None:
    lake = LakeFollower(tmp_path)
    for lsn in range(1, 4):
        lake.consume([record(lsn)])
        lake.flush()
    sorted((tmp_path / "lake/readings/_delta_log").glob("*.json"))[1].write_bytes(b"{")
    with pytest.raises(CorruptionError, match="_delta_log"):
        LakeFollower(tmp_path)


WORKER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from conftest import make_record
from lifeline.lake.catalog import Catalog
from lifeline.lake.writer import LakeFollower
lake = LakeFollower(Path(sys.argv[1]), Catalog(Path(sys.argv[1])), grace_ms=0)
print("ready", lake.position, flush=True)
now = 0
for lsn in range(lake.position + 1, int(sys.argv[3]) + 1):
    lake.consume([make_record(lsn)])
    now += 600
    lake.tick(now)
lake.close()
print("done", flush=True)
"""


@pytest.mark.slow
@pytest.mark.integration
def test_killed_again_and_again_every_row_is_there_once(tmp_path: Path, record: Any) -> None:
    """SIGKILL at random moments, compaction and deletion of merged files included."""
    rng = random.Random(7)
    last = 90
    kills = 0
    for attempt in range(40):
        process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tmp_path), str(Path(__file__).parent), str(last)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith(b"ready"), line
        if attempt < 5:
            time.sleep(rng.uniform(0.02, 0.4))  # the moment of the kill is what varies
            process.send_signal(signal.SIGKILL)
        rest = process.stdout.read()
        process.wait(30)
        process.stdout.close()
        kills += process.returncode != 0
        if b"done" in rest:
            break
    assert kills >= 3
    records = [record(lsn) for lsn in range(1, last + 1)]
    verdict = verify_lake(tmp_path, committed=last, full=True)
    assert (verdict.problem, verdict.position) == (None, last)
    assert stored(tmp_path) == wanted(records)
    rejects = Table(tmp_path / "lake/rejects", READINGS_TABLE, read_only=True)
    assert sum(f.rows for f in rejects.files.values()) == last // 7
