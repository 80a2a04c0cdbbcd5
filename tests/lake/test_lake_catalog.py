"""The published views: exact columns and types, readable by any process at any moment."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from lifeline.core.errors import UnavailableError
from lifeline.lake.catalog import Catalog, conform
from lifeline.lake.views import COLUMNS
from lifeline.lake.writer import LakeFollower

CONTRACT = {
    "readings": "ts received_at device_id quantity value unit quality late utility area_code point seq",
    "readings_raw": "ts received_at point value quality flags seq",
    "points": "point device_id quantity unit utility kind span_low span_high interval_s lon lat area_code asset_id "
    "owner install_date",
    "areas": "area_code level name parent_code lon lat",
    "alarms": "alarm_id rule_id rule_version point raised_at detected_at cleared_at value limit level state",
    "events": "event_id level status utility title area_code raised_at detected_at dispatched_at accepted_at "
    "resolved_at closed_at due_at owner alarm_count cause false_alarm satisfaction mode",
    "event_log": "event_id at actor role action from_status to_status note",
    "rejects": "received_at broker topic payload reason detail",
    "completeness": "point hour expected received duplicates late missing",
}


def described(connection: duckdb.DuckDBPyConnection, view: str) -> list[tuple[str, str]]:
    return [(row[0], row[1]) for row in connection.execute(f"DESCRIBE {view}").fetchall()]


def fill(data: Path, record: Any, source: Any) -> Catalog:
    catalog = Catalog(data)
    registry = source(40).current()
    catalog.publish_table("points", registry.points)
    catalog.publish_table("areas", registry.areas)
    catalog.publish_table("alarms", pa.table({"alarm_id": ["a"], "raised_at": [1_795_000_000_000], "extra": [1]}))
    lake = LakeFollower(data, catalog)
    lake.consume([record(lsn) for lsn in range(1, 8)])
    lake.close()
    return catalog


@pytest.mark.parametrize("filled", [False, True])
@pytest.mark.parametrize("by_text", [False, True])
def test_columns_and_types(tmp_path: Path, record: Any, source: Any, filled: bool, by_text: bool) -> None:
    if filled:
        fill(tmp_path, record, source)
    else:
        Catalog(tmp_path).publish()
    folder = tmp_path / "catalog"
    connection = duckdb.connect() if by_text else duckdb.connect(str(folder / "lifeline.duckdb"), read_only=True)
    if by_text:
        connection.execute((folder / "catalog.sql").read_text())
    for view, columns in CONTRACT.items():
        found = described(connection, view)
        names = columns.split()
        assert [name for name, _ in found][: len(names)] == names
        assert found[: len(names)] == list(COLUMNS[view].items())
    connection.close()


def test_values_through_the_join(tmp_path: Path, record: Any, source: Any) -> None:
    fill(tmp_path, record, source)
    with duckdb.connect(str(tmp_path / "catalog/lifeline.duckdb"), read_only=True) as connection:
        wrong = connection.execute(
            "SELECT count(*) FROM readings "
            "WHERE device_id <> format('D{:05d}', point) OR unit <> 'kPa' OR utility <> 'gas'"
        ).fetchone()
        counts = connection.execute("SELECT (SELECT count(*) FROM readings), count(*) FROM readings_raw").fetchone()
        alarm = connection.execute("SELECT epoch_ms(raised_at), cleared_at, extra FROM alarms").fetchone()

    assert wrong == (0,)
    assert counts == (315, 315)
    assert alarm == (1_795_000_000_000, None, 1)


def test_views_work_under_any_attached_name(tmp_path: Path, record: Any, source: Any) -> None:
    fill(tmp_path, record, source)
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{tmp_path}/catalog/lifeline.duckdb' AS city (READ_ONLY)")
        assert connection.execute("SELECT count(*) FROM city.readings").fetchone() == (315,)


def test_the_file_is_in_the_old_storage_version(tmp_path: Path) -> None:
    """Version 64: what DuckDB 0.10 to 1.x read and write (byte 12 of the file's first header)."""
    Catalog(tmp_path).publish()
    head = (tmp_path / "catalog/lifeline.duckdb").read_bytes()[:16]

    assert head[8:13] == b"DUCK\x40"


def test_nothing_changed_means_nothing_written(tmp_path: Path, source: Any) -> None:
    catalog = Catalog(tmp_path)
    points = source(5).current().points
    catalog.publish_table("points", points)
    assert catalog.publish()
    before = (tmp_path / "catalog/lifeline.duckdb").stat()
    catalog.publish_table("points", points)
    catalog.set_files("readings", [])
    assert not catalog.publish()

    after = (tmp_path / "catalog/lifeline.duckdb").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_what_may_wait_is_published_once_a_rest(tmp_path: Path) -> None:
    now = [5000]
    catalog = Catalog(tmp_path, clock=lambda: now[0], rest_ms=1000)

    def changed(**how: bool) -> bool:
        catalog.publish_table("alarms", pa.table({"alarm_id": [f"{now[0]} {how}"]}))
        return catalog.publish(**how)

    assert changed(may_wait=True)
    now[0] += 999
    assert not changed(may_wait=True)
    assert changed()  # it must not wait
    now[0] += 1000
    assert catalog.publish(may_wait=True) is False  # nothing was left over
    assert changed(may_wait=True)


def test_a_restart_keeps_what_others_published(tmp_path: Path, source: Any) -> None:
    catalog = Catalog(tmp_path)
    catalog.publish_table("points", source(5).current().points)
    catalog.publish()
    again = Catalog(tmp_path)
    again.publish_table("areas", source(5).current().areas)
    again.publish()
    with duckdb.connect(str(tmp_path / "catalog/lifeline.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM points").fetchone() == (5,)


def test_replaced_snapshots_outlive_the_grace_only(tmp_path: Path, source: Any) -> None:
    now = [0]
    catalog = Catalog(tmp_path, grace_ms=100, clock=lambda: now[0])
    for points in (1, 2, 3):
        catalog.publish_table("points", source(points).current().points)
        catalog.publish()
    tables = tmp_path / "catalog/tables"
    assert len(list(tables.glob("points-*"))) == 3
    now[0] = 101
    catalog.publish()
    assert len(list(tables.glob("points-*"))) == 1


def test_a_database_that_has_given_up_is_replaced(tmp_path: Path, source: Any) -> None:
    """After a failed fsync DuckDB refuses every further statement; a closed connection does the same."""
    catalog = Catalog(tmp_path)
    catalog.publish_table("points", source(5).current().points)
    catalog._connection.close()

    with pytest.raises(UnavailableError, match="catalog cannot be written"):
        catalog.publish()
    assert catalog.publish()
    with duckdb.connect(str(tmp_path / "catalog/lifeline.duckdb"), read_only=True) as db:
        assert db.execute("SELECT count(*) FROM points").fetchall() == [(5,)]


def test_a_path_with_quotes(tmp_path: Path, record: Any, source: Any) -> None:
    data = tmp_path / 'it\'s "var" 数据'
    fill(data, record, source)
    with duckdb.connect(str(data / "catalog/lifeline.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM readings").fetchone() == (315,)


def test_wrong_columns_are_named() -> None:
    with pytest.raises(ValueError, match="view alarms, column point"):
        conform("alarms", pa.table({"point": ["x"]}))


READER = """
import sys, duckdb
path = sys.argv[1]
opened = 0
last = 0
print("ready", flush=True)
while opened < 25:
    with duckdb.connect(path, read_only=True) as connection:
        count, = connection.execute("SELECT count(*) FROM readings").fetchone()
        raw, points = connection.execute("SELECT (SELECT count(*) FROM readings_raw), count(*) FROM points").fetchone()
    assert count == raw >= last and points > 0, (count, raw, last, points)
    last = count
    opened += 1
print(opened, last)
"""


def test_another_process_opens_it_while_it_is_replaced(tmp_path: Path, record: Any, source: Any) -> None:
    catalog = fill(tmp_path, record, source)
    lake = LakeFollower(tmp_path, catalog)
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(tmp_path / "catalog/lifeline.duckdb")], stdout=subprocess.PIPE, text=True
    )
    assert reader.stdout is not None
    assert reader.stdout.readline() == "ready\n"
    done = threading.Event()

    def others() -> None:
        number = 0
        while not done.is_set():
            number += 1
            catalog.publish_table("alarms", pa.table({"alarm_id": [str(number)]}))
            catalog.publish()

    thread = threading.Thread(target=others)
    thread.start()
    replaced = 0
    while reader.poll() is None or replaced < 50:
        replaced += 1
        lake.consume([record(7 + replaced)])
        lake.flush()
    done.set()
    thread.join()
    output = reader.stdout.read()
    reader.stdout.close()

    assert reader.returncode == 0
    assert output.startswith("25 ")
    assert replaced >= 50
