"""Tables in parts and a tail: at any moment the view equals a whole rewrite, whatever changed, folded, failed, died."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lifeline.core.errors import UnavailableError
from lifeline.lake import parted
from lifeline.lake.catalog import Catalog, conform
from lifeline.lake.parted import SHAPES, PartedTables

FIELDS = {
    "events": {"event_id": pa.string(), "detected_at": pa.int64(), "title": pa.string(), "more": pa.int64()},
    "alarms": {"alarm_id": pa.string(), "raised_at": pa.int64(), "rule_id": pa.string(), "more": pa.int64()},
    "event_log": {"entry": pa.int64(), "event_id": pa.string(), "at": pa.int64(), "more": pa.int64()},
}
SCHEMAS = {name: conform(name, pa.schema(list(fields.items())).empty_table()).schema for name, fields in FIELDS.items()}


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    small = {name: replace(shape, part_rows=4) for name, shape in SHAPES.items()}
    monkeypatch.setattr(parted, "SHAPES", small)


def table(name: str, rows: dict[int, tuple[int, int]]) -> pa.Table:
    """Rows by number: (order, value)."""
    key, order = SHAPES[name].key, SHAPES[name].order
    columns: dict[str, list[Any]] = {column: [None] * len(rows) for column in FIELDS[name]}
    columns[key] = [number if name == "event_log" else f"{name}{number}" for number in rows]
    if order != key:
        columns[order] = [at for at, _ in rows.values()]
    columns["more"] = [value for _, value in rows.values()]
    return conform(name, pa.table({one: pa.array(columns[one], kind) for one, kind in FIELDS[name].items()}))


class House:
    """A catalog and its parted tables, beside what they should show."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now = 0
        self.truth: dict[str, dict[int, tuple[int, int]]] = {name: {} for name in FIELDS}
        self.since: dict[str, set[int]] = {name: set() for name in FIELDS}
        self.marks = 0
        self.open()

    def open(self) -> None:
        """Begin as a process does; what changed since the mark is asked for again."""
        self.catalog = Catalog(self.root, grace_ms=0, clock=lambda: self.now)
        self.tables = PartedTables(self.catalog.root, SCHEMAS, lambda: self.now, 0, tail_rows=5)
        known = self.tables.mark is not None
        again = self.since if known else {name: set(rows) for name, rows in self.truth.items()}
        self.put({name: sorted(numbers) for name, numbers in again.items()})

    def put(self, numbers: dict[str, list[int]]) -> None:
        for name, found in numbers.items():
            self.since[name] |= set(found)
        self.tables.put({name: table(name, {n: self.truth[name][n] for n in ns}) for name, ns in numbers.items()})
        if self.tables.full:
            self.fold()

    def fold(self) -> None:
        self.marks += 1
        self.tables.fold([self.marks])
        self.since = {name: set() for name in FIELDS}

    def check(self) -> None:
        for name, one in self.tables.tables.items():
            self.catalog.publish_parts(name, one.files, one.tail_path, one.schema.names, apart=one.apart)
        self.catalog.publish()
        self.now += 1
        self.tables.tidy()
        with duckdb.connect(str(self.catalog.root / "lifeline.duckdb"), read_only=True) as connection:
            for name, rows in self.truth.items():
                found = connection.sql(f"SELECT * FROM {name} ORDER BY {SHAPES[name].key}").to_arrow_table()
                wanted = table(name, rows).sort_by(SHAPES[name].key)
                assert found.column_names == wanted.column_names
                assert [found[c].to_pylist() for c in found.column_names] == [
                    wanted[c].to_pylist() for c in wanted.column_names
                ]
        for name, one in self.tables.tables.items():
            lows = [part.low for part in one.parts]
            assert lows == sorted(set(lows)), name


changes = st.dictionaries(st.integers(1, 30), st.tuples(st.integers(0, 6), st.integers()), max_size=8)
steps = st.one_of(
    st.tuples(st.just("put"), st.sampled_from(sorted(FIELDS)), changes),
    st.tuples(st.sampled_from(["fold", "restart", "full disk", "check"]), st.none(), st.none()),
)


@settings(max_examples=200 if os.environ.get("LIFELINE_SOAK") else 6)
@example([("put", "event_log", {1: (0, 0)}), ("fold", None, None), ("put", "event_log", {1: (0, 0)})])
@given(st.lists(steps, max_size=25))
def test_the_view_equals_a_whole_rewrite(taken: list[tuple[str, Any, Any]]) -> None:
    root = Path(tempfile.mkdtemp(prefix="parted-"))
    try:
        house = House(root)
        for step, name, rows in taken:
            if step == "put":
                for number, (order, value) in rows.items():
                    known = house.truth[name].get(number)
                    value = value % 1000  # noqa: PLW2901
                    house.truth[name][number] = (order if known is None else known[0], value)  # the order never changes
                house.put({name: list(rows)})
            elif step == "fold":
                house.fold()
            elif step == "restart":
                house.open()
            elif step == "full disk":
                _fold_on_a_full_disk(house)
            else:
                house.check()
        house.check()
    finally:
        shutil.rmtree(root)


def _fold_on_a_full_disk(house: House) -> None:
    """The second file cannot be written: nothing has changed, and the next attempt works."""
    real, written = pq.write_table, []

    def full(rows: pa.Table, path: Path, **more: Any) -> None:
        written.append(path)
        if len(written) > 1:
            raise OSError("no space left on device")
        real(rows, path, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pq, "write_table", full)
        with pytest.raises(UnavailableError, match="no space left"):
            house.tables.fold([house.marks + 1])


def test_the_log_is_read_without_a_join_unless_it_is_told_again(tmp_path: Path) -> None:
    house = House(tmp_path)
    query = "SELECT sql FROM duckdb_views() WHERE view_name = 'event_log'"
    seen = []
    for numbers in ([1, 2, 3], [4, 5], [3, 6]):
        house.truth["event_log"] |= {number: (0, number) for number in numbers}
        house.put({"event_log": numbers})
        if numbers[0] == 1:
            house.fold()
        house.check()
        with duckdb.connect(str(house.catalog.root / "lifeline.duckdb"), read_only=True) as connection:
            seen += [sql for (sql,) in connection.sql(query).fetchall()]

    assert ["ANTI JOIN" in sql.upper() for sql in seen] == [False, False, True]


def test_rows_of_one_moment_stay_in_one_part(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.truth["events"] = {number: (7, number) for number in range(20)} | {100: (8, 1)}
    house.put({"events": list(house.truth["events"])})

    assert [(part.low, part.rows) for part in house.tables.tables["events"].parts] == [(7, 20), (8, 1)]
    house.check()


def test_a_damaged_part_is_not_taken_up(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.truth["events"] = {number: (number, number) for number in range(20)}
    house.put({"events": list(house.truth["events"])})
    path = Path(house.tables.tables["events"].files[0])
    path.write_bytes(path.read_bytes()[:-9])

    assert PartedTables(house.catalog.root, SCHEMAS, lambda: 0, 0).mark is None
    house.open()
    house.check()


def test_a_change_writes_no_part_anew(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.truth["events"] = {number: (number, number) for number in range(20)}
    house.put({"events": list(house.truth["events"])})
    before = house.tables.tables["events"].files
    house.truth["events"][3] = (3, 77)
    house.put({"events": [3]})

    assert house.tables.tables["events"].files == before
    assert house.tables.tables["events"].tail.num_rows == 1
    house.check()
