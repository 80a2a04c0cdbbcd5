"""Flipped bits in the lake's files: named, or of no consequence for any reader."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lifeline.core.schema import REJECTS
from lifeline.lake.damage import damage
from lifeline.lake.table import Table
from lifeline.lake.verify import verify_lake
from lifeline.lake.writer import LakeFollower

FLIPS = 250


def lake(folder: Path, record: Any, records: int = 3) -> LakeFollower:
    """A lake of a few files of readings and rejects."""
    made = LakeFollower(folder, compact=False)
    for lsn in range(1, records + 1):
        one = record(lsn, rows=700)
        rows = [[one.received_at] * 60, ["city"] * 60, [f"lifeline/gas/{i}" for i in range(60)], [b"\xff{"] * 60]
        rejects = pa.record_batch([*rows, ["malformed_payload"] * 60, ["r"] * 60, [0] * 60], schema=REJECTS)
        made.consume([replace(one, rejects=rejects)])
        made.flush()
    return made


def told(path: Path) -> tuple[pa.Table, list[Any]]:
    """What a reader sees, and what it skips by (None: nothing is told, nothing is skipped)."""
    with pq.ParquetFile(path) as file:
        groups = [file.metadata.row_group(i) for i in range(file.num_row_groups)]
        stats = [group.column(i).statistics for group in groups for i in range(group.num_columns)]
        return file.read(), [(one.min, one.max) if one is not None and one.has_min_max else None for one in stats]


def sound(path: Path, truth: tuple[pa.Table, list[Any]]) -> bool:
    table, stats = told(path)
    return table.equals(truth[0]) and all(one in {None, was} for one, was in zip(stats, truth[1], strict=True))


@pytest.mark.parametrize("table", ["readings", "rejects"])
def test_no_flipped_bit_of_a_file_is_taken_for_another_value_d06(tmp_path: Path, record: Any, table: str) -> None:
    made = lake(tmp_path, record, 1)
    kept: Table = getattr(made, table)
    (file,) = kept.files.values()
    path = kept.root / file.path
    raw, truth = path.read_bytes(), told(path)
    assert damage(path, file.rows, kept.columns) is None
    # always the same bits: some footers end a whole process in Arrow's C++, and it must not be a worker of the suite
    draw, named = random.Random(6), 0
    for _ in range(FLIPS):
        at, bit = draw.randrange(len(raw)), 1 << draw.randrange(8)
        path.write_bytes(raw[:at] + bytes([raw[at] ^ bit]) + raw[at + 1 :])
        problem = damage(path, file.rows, kept.columns)
        named += problem is not None
        assert problem or sound(path, truth), f"bit {bit} of byte {at} goes unnoticed"
    assert named > FLIPS / 2  # the others are in what nobody reads, as the writer's name, and in pages' own statistics


def flip_a_page(path: Path) -> None:
    data = bytearray(path.read_bytes())
    with pq.ParquetFile(path) as file:
        column = file.metadata.row_group(0).column(file.schema_arrow.names.index("value"))
        at = column.data_page_offset + column.total_compressed_size - 20
    data[at] ^= 4
    path.write_bytes(data)


def test_verify_names_a_flipped_bit_and_no_merge_takes_it_over(tmp_path: Path, record: Any) -> None:
    made = lake(tmp_path, record, 9)
    victim = made.readings.root / sorted(made.readings.files)[3]
    flip_a_page(victim)

    assert str(victim) in str(verify_lake(tmp_path, full=True).problem)
    made.compact_all(final=True)
    assert victim.name in str(made.fault)
    assert victim.exists()


@pytest.mark.parametrize("damaged", [lambda data: data.replace(b"received_at", b"receivedOat"), lambda data: data[:-9]])
def test_verify_says_what_cannot_be_read_and_does_not_end_by_it(
    tmp_path: Path, record: Any, damaged: Callable[[bytes], bytes]
) -> None:
    made = lake(tmp_path, record, 1)
    (name,) = made.readings.files
    path = made.readings.root / name
    path.write_bytes(damaged(path.read_bytes()))

    for full in (False, True):
        assert str(made.readings.root) in str(verify_lake(tmp_path, full=full).problem)


def test_no_flipped_bit_of_a_commit_goes_unnoticed_where_it_counts_d06(tmp_path: Path, record: Any) -> None:
    made = lake(tmp_path, record, 3)
    made.close()
    whole = verify_lake(tmp_path, full=True)
    assert whole.problem is None
    commits = sorted((made.readings.root / "_delta_log").glob("*.json"))
    draw, named = random.Random(6), 0
    for _ in range(100):
        commit = draw.choice(commits)
        raw = commit.read_bytes()
        at, bit = draw.randrange(len(raw)), 1 << draw.randrange(8)
        commit.write_bytes(raw[:at] + bytes([raw[at] ^ bit]) + raw[at + 1 :])
        found = verify_lake(tmp_path, full=True)
        assert found.problem or found == whole, f"bit {bit} of byte {at} of {commit.name}"
        named += found.problem is not None
        commit.write_bytes(raw)
    assert named > 50
