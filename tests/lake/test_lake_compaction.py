"""Merging keeps every row, in order, and leaves readers of the old catalog alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from lifeline.lake import compaction
from lifeline.lake.catalog import Catalog
from lifeline.lake.compaction import plan_merge, size_class
from lifeline.lake.parquet import write_readings
from lifeline.lake.table import LakeFile
from lifeline.lake.verify import verify_lake
from lifeline.lake.writer import LakeFollower


def file(size: int, day: str = "2026-11-23", lsn: int = 1) -> LakeFile:
    return LakeFile(f"day={day}/{lsn:012}-{size}.parquet", day, 10, size)


def test_plan_merges_a_full_class_and_leaves_large_files() -> None:
    small = [file(1000 + i) for i in range(8)]
    large = [file(compaction.TARGET_BYTES + i) for i in range(20)]

    assert plan_merge(small[:7] + large) == []
    assert sorted(f.bytes for f in plan_merge(small + large)) == [1000 + i for i in range(8)]


def test_plan_gathers_the_rest_of_a_day_that_is_over() -> None:
    old = [file(1000, "2026-11-22"), file(5 << 20, "2026-11-22")]
    new = [file(1000), file(2000)]

    assert {f.day for f in plan_merge(old + new)} == {"2026-11-22"}
    assert plan_merge(new) == []
    assert len(plan_merge(new, final=True)) == 2


def test_write_amplification_stays_low() -> None:
    """A day of commits at 200 KB: each byte is written at most five times, and few files are left."""
    files: list[LakeFile] = []
    written = 0
    commits = 5_000
    for lsn in range(commits):
        files.append(LakeFile(f"day=d/{lsn:012}-{lsn}.parquet", "d", 1, 200_000))
        while chosen := plan_merge(files):
            size = sum(f.bytes for f in chosen)
            written += size
            files = [f for f in files if f not in chosen]
            files.append(LakeFile(f"day=d/{lsn:012}-m{size}-{written}.parquet", "d", 1, size))

    assert written / (commits * 200_000) < 5
    assert len(files) < 50


@pytest.mark.parametrize(("size", "level"), [(0, 0), ((3 << 20) - 1, 0), (3 << 20, 1), (24 << 20, 2), (192 << 20, 3)])
def test_size_classes(size: int, level: int) -> None:
    assert size_class(size) == level
    assert size_class(0, size // compaction.ROW_BYTES) == (level if size % compaction.ROW_BYTES == 0 else 0)


def test_a_row_of_the_whole_fleet_is_merged_three_times_at_most() -> None:
    """A flush a second of 218,600 rows at 11.7 bytes, of which merging leaves 1.7: no file meets fresh ones again."""
    files: list[LakeFile] = []
    rewritten = 0
    seconds = 2000
    for lsn in range(seconds):
        files.append(LakeFile(f"day=d/{lsn:012}-{lsn}.parquet", "d", 218_600, 2_560_000))
        while chosen := plan_merge(files):
            rows = sum(f.rows for f in chosen)
            rewritten += rows
            files = [f for f in files if f not in chosen]
            files.append(LakeFile(f"day=d/{lsn:012}-m{rewritten}.parquet", "d", rows, int(1.7 * rows)))

    assert rewritten <= 3 * seconds * 218_600
    assert len(files) < 40


def test_readers_of_the_old_catalog_keep_working_within_the_grace(tmp_path: Path, record: Any) -> None:
    lake = LakeFollower(tmp_path, Catalog(tmp_path), compact=False, grace_ms=1000)
    for lsn in range(1, 21):
        lake.consume([record(lsn)])
        lake.tick(lsn * 1000)
    old = duckdb.connect(str(tmp_path / "catalog" / "lifeline.duckdb"), read_only=True)
    query = "SELECT count(*), sum(seq), max(seq) FROM readings_raw"
    before = old.execute(query).fetchone()
    assert lake.compact_all(final=True) >= 2
    assert len(lake.readings.files) == 1
    assert old.execute(query).fetchone() == before
    new = duckdb.connect(str(tmp_path / "catalog" / "lifeline.duckdb"), read_only=True)
    assert new.execute(query).fetchone() == before
    lake.tick(20_999)
    assert old.execute(query).fetchone() == before
    lake.tick(21_000)
    assert len(lake.readings.orphans()) == 0
    with pytest.raises(duckdb.IOException):
        old.execute(query)
    old.close()
    new.close()
    assert verify_lake(tmp_path, committed=20, full=True).problem is None


def test_a_merge_that_fails_is_told_once_and_tried_again(
    tmp_path: Path, record: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lake = LakeFollower(tmp_path, compact=False)
    for lsn in range(1, 10):
        lake.consume([record(lsn)])
        lake.flush()
    monkeypatch.setattr("lifeline.lake.compaction.RETRY_STARTS", 1)
    with monkeypatch.context() as patched:
        patched.setattr(
            lake._compactors[0],
            "_merge_files",
            lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")),
        )
        for _ in range(3):
            assert lake._compactors[0].start(final=True)
            lake._compactors[0].wait()
            assert lake._compactors[0].commit() == []
    assert [message for message in caplog.messages if "No space left" in message] == [
        f"{lake.readings.root}: a merge failed and is tried again: [Errno 28] No space left on device"
    ]
    assert lake.compact_all(final=True) == 1
    assert len(lake.readings.files) == 1
    lake.close()


def test_a_damaged_file_is_named_and_the_lake_lives_on(tmp_path: Path, record: Any) -> None:
    lake = LakeFollower(tmp_path, compact=False)
    for lsn in range(1, 10):
        lake.consume([record(lsn, rows=400)])
        lake.flush()
    victim = lake.readings.root / sorted(lake.readings.files)[4]
    data = bytearray(victim.read_bytes())
    data[4:200] = bytes(196)
    victim.write_bytes(data)
    lake.compact_all(final=True)

    assert lake.fault is not None
    assert victim.name in lake.fault
    assert victim.exists()
    lake.consume([record(10)])
    lake.flush()
    assert lake.durable == 10
    problem = verify_lake(tmp_path, full=True).problem
    assert problem is not None
    assert victim.name in problem


def test_verify_names_the_first_bad_place(tmp_path: Path, record: Any) -> None:
    lake = LakeFollower(tmp_path)
    lake.consume([record(1)])
    lake.close()

    assert "ahead of the log" in str(verify_lake(tmp_path, committed=0).problem)
    path = lake.readings.root / next(iter(lake.readings.files))
    copy = lake.readings.new_path("2026-11-23", 2)
    lake.readings.commit([(copy, write_readings(copy, pq.read_table(path, partitioning=None)))])
    assert "is there 2 times" in str(verify_lake(tmp_path).problem)
    path.unlink()
    assert str(verify_lake(tmp_path).problem) == f"{path}: is named by the table and missing"
