"""A merge is the sorted union of its inputs, and holds a step of each."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifeline.core.batch import Readings
from lifeline.lake import merging
from lifeline.lake.merging import merge_files, merged_rows
from lifeline.lake.parquet import READINGS_FILE, readings_writer, sorted_table, write_readings


def write(path: Path, rows: list[tuple[int, int]]) -> None:
    n = len(rows)
    readings = Readings(
        np.array([p for p, _ in rows], np.int32),
        np.array([t for _, t in rows], np.int64),
        np.zeros(n, np.int64),
        np.arange(n, dtype=float),
        np.arange(n, dtype=np.uint32),
        np.zeros(n, np.uint8),
        np.zeros(n, np.uint8),
    )
    write_readings(path, sorted_table(readings))


INPUTS = st.lists(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4)), min_size=1, max_size=60), min_size=1, max_size=4
)


@settings(max_examples=30)
@given(INPUTS)
def test_merge_is_the_sorted_union(
    tmp_path_factory: pytest.TempPathFactory, inputs: list[list[tuple[int, int]]]
) -> None:
    """With tiny row groups and steps, so that every run crosses their borders."""
    folder = tmp_path_factory.mktemp("merge")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merging, "ROW_GROUP_ROWS", 7)
        patch.setattr(merging, "STEP_ROWS", 3)
        patch.setattr("lifeline.lake.parquet.ROW_GROUP_ROWS", 7)
        paths = []
        for number, rows in enumerate(inputs):
            paths.append(folder / f"{number}.parquet")
            write(paths[-1], rows)
        facts = merge_files(paths, folder / "out.parquet")
    merged = pq.read_table(folder / "out.parquet")
    keys = list(zip(merged["point"].to_pylist(), merged["ts"].cast(pa.int64()).to_pylist(), strict=True))

    assert keys == sorted(key for rows in inputs for key in rows)
    assert facts.rows == sum(map(len, inputs))


def test_files_whose_columns_may_be_null_are_read_and_merged_beside_those_whose_columns_cannot(tmp_path: Path) -> None:
    """As first versions wrote them."""
    old, new, out = (tmp_path / name for name in ("old.parquet", "new.parquet", "out.parquet"))
    write(new, [(1, 5), (3, 1)])
    table = pq.read_table(new)
    pq.write_table(table.cast(pa.schema([pa.field(f.name, f.type) for f in table.schema])), old)
    facts = merge_files([old, new], out)
    asked = "SELECT point, value FROM read_parquet([?, ?, ?]) ORDER BY point, value"
    found = duckdb.execute(asked, [str(old), str(new), str(out)]).fetchall()

    assert facts.rows == 4
    assert [field.nullable for field in pq.read_schema(out)] == [field.name == "value" for field in READINGS_FILE]
    assert found == [(1, 0.0)] * 4 + [(3, 1.0)] * 4


def test_what_a_merge_holds_does_not_grow_with_its_files(tmp_path: Path) -> None:
    """Of four files of 64 row groups each, and twice as many: some row groups, and never a file."""
    rows, group = 1 << 18, 1 << 12
    random = np.random.default_rng(5)
    whole = pa.table(
        [
            pa.array(random.integers(0, 1 << 40, rows)).cast(READINGS_FILE.field("ts").type),
            pa.array(random.integers(0, 1 << 40, rows)).cast(READINGS_FILE.field("ts").type),
            pa.array(np.arange(rows, dtype=np.int32)),
            pa.array(random.random(rows)),
            *[pa.array(random.integers(0, 100, rows, np.int8))] * 2,
            pa.array(random.integers(0, 1 << 50, rows)),
        ],
        schema=READINGS_FILE,
    )
    pool = pa.default_memory_pool()

    def held(groups: int) -> int:
        path = tmp_path / f"{groups}.parquet"
        table = whole.slice(0, groups * group)
        with readings_writer(path, table) as writer:
            writer.write_table(table, row_group_size=group)
        before, most, merged = pool.bytes_allocated(), 0, 0
        for part in merged_rows([path] * 4):
            most = max(most, pool.bytes_allocated() - before)
            merged += part.num_rows
            del part
        assert merged == 4 * table.num_rows
        assert path.stat().st_size > 20 * table.num_rows
        return most

    held(4)  # what is kept for ever after the first time
    few, many = held(16), held(64)
    file_bytes = (tmp_path / "64.parquet").stat().st_size
    assert many < few + file_bytes // 4
