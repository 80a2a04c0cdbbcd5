"""Completeness equals a naive count, whatever the batching, the order of event times, and the crashes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifeline.core.batch import LogRecord, Readings
from lifeline.core.errors import CorruptionError
from lifeline.core.schema import Flag
from lifeline.lake.catalog import Catalog
from lifeline.lake.completeness import CompletenessFollower

HOUR = 3_600_000
START = 498_000 * HOUR
POINTS = 3
INTERVAL_S = 600.0

Row = tuple[int, int, int]
"""point, event time (ms before receiving), flags"""
ROW = st.tuples(
    st.integers(0, POINTS - 1),
    st.one_of(st.integers(-600_000, 30_000), st.integers(-HOUR // 6, 4 * HOUR), st.integers(0, 300 * HOUR)),
    st.sampled_from([0, 0, 0, int(Flag.DUPLICATE), int(Flag.LATE), int(Flag.LATE | Flag.DUPLICATE)]),
)
STEP = st.tuples(st.one_of(st.integers(0, 60_000), st.integers(0, 5 * HOUR)), st.lists(ROW, max_size=6))
HISTORY = st.lists(STEP, min_size=1, max_size=14)


def records_of(history: list[tuple[int, list[Row]]]) -> list[LogRecord]:
    now, records = START, []
    for lsn, (step, rows) in enumerate(history, 1):
        now += step
        n = len(rows)
        readings = Readings(
            np.array([r[0] for r in rows], np.int32),
            np.array([now - r[1] for r in rows], np.int64),
            np.full(n, now, np.int64),
            np.zeros(n),
            np.zeros(n, np.uint32),
            np.zeros(n, np.uint8),
            np.array([r[2] for r in rows], np.uint8),
        )
        records.append(LogRecord(lsn, now, readings))
    return records


def naive(records: list[LogRecord]) -> dict[tuple[int, int], tuple[int, ...]]:
    counts: dict[str, Counter[tuple[int, int]]] = {"received": Counter(), "duplicates": Counter(), "late": Counter()}
    first: dict[int, int] = {}
    for record in records:
        r = record.readings
        for point, ts, received_at, flags in zip(
            r.point.tolist(), r.ts.tolist(), r.received_at.tolist(), r.flags.tolist(), strict=True
        ):
            key = (point, ts // HOUR)
            if flags & Flag.DUPLICATE:
                counts["duplicates"][key] += 1
                continue
            first.setdefault(point, received_at)
            counts["received"][key] += 1
            counts["late"][key] += bool(flags & Flag.LATE)
    now = records[-1].received_at
    keys = set(counts["received"]) | set(counts["duplicates"])
    for point, since in first.items():
        keys |= {(point, hour) for hour in range(since // HOUR, -(-now // HOUR))}
    result = {}
    for point, hour in keys:
        elapsed = min((hour + 1) * HOUR, now) - max(hour * HOUR, first.get(point, now))
        expected = max(elapsed, 0) // int(INTERVAL_S * 1000)
        received = counts["received"][point, hour]
        result[point, hour] = (
            expected,
            received,
            counts["duplicates"][point, hour],
            counts["late"][point, hour],
            max(expected - received, 0),
        )
    return result


def published(data: Path) -> dict[tuple[int, int], tuple[int, ...]]:
    with duckdb.connect(str(data / "catalog" / "lifeline.duckdb"), read_only=True) as connection:
        rows = connection.execute(
            "SELECT point, epoch_ms(hour) // 3600000, expected, received, duplicates, late, missing FROM completeness"
        ).fetchall()
    assert len({row[:2] for row in rows}) == len(rows)
    return {(row[0], row[1]): row[2:] for row in rows}


def significant(rows: dict[tuple[int, int], tuple[int, ...]]) -> dict[tuple[int, int], tuple[int, ...]]:
    """Rows that say something: the hour in which a point began may be there with nothing expected yet."""
    return {key: row for key, row in rows.items() if any(row)}


@settings(max_examples=15)
@given(HISTORY, st.lists(st.sampled_from(["go on", "tick", "kill", "restart"]), min_size=14, max_size=14))
def test_equals_a_naive_count(
    tmp_path_factory: pytest.TempPathFactory, source: Any, history: list[tuple[int, list[Row]]], fates: list[str]
) -> None:
    data = tmp_path_factory.mktemp("completeness")
    records = records_of(history)
    catalog, registry = Catalog(data), source(POINTS, INTERVAL_S)
    follower = CompletenessFollower(data, registry, catalog)
    for number, fate in zip(range(len(records)), fates, strict=False):
        follower.consume(records[follower.position : number + 1])
        if fate == "tick":
            follower.tick(number * 20_000)
        if fate == "restart":
            follower.close()
        if fate in {"kill", "restart"}:
            follower = CompletenessFollower(data, registry, catalog)
            assert follower.position == follower.durable
            assert fate == "kill" or follower.position == number + 1
    follower.consume(records[follower.position :])
    follower.close()

    assert significant(published(data)) == significant(naive(records))
    assert follower.durable == len(records)


def steady(lsn: int, points: np.ndarray[Any, Any], step_ms: int = 600_000) -> LogRecord:
    n, now = len(points), START + lsn * step_ms
    return LogRecord(
        lsn,
        now,
        Readings(
            points.astype(np.int32),
            np.full(n, now),
            np.full(n, now),
            np.zeros(n),
            np.zeros(n, np.uint32),
            np.zeros(n, np.uint8),
            np.zeros(n, np.uint8),
        ),
    )


def test_a_silent_point_is_missing_and_an_unknown_interval_is_not(tmp_path: Path, source: Any) -> None:
    follower = CompletenessFollower(tmp_path, source(3, INTERVAL_S), Catalog(tmp_path))
    follower.consume([steady(6, np.array([0, 1]))])
    follower.consume([steady(lsn, np.array([0])) for lsn in range(7, 25)])
    follower.close()
    hour = START // HOUR

    rows = published(tmp_path)
    assert rows[0, hour + 2] == (6, 6, 0, 0, 0)
    assert rows[1, hour + 2] == (6, 0, 0, 0, 6)
    assert not [key for key in rows if key[0] == 2]


def test_the_registry_grows_and_a_new_point_has_no_past(tmp_path: Path, source: Any) -> None:
    registry = source(1, INTERVAL_S)
    follower = CompletenessFollower(tmp_path, registry, Catalog(tmp_path))
    follower.consume([steady(lsn, np.array([0])) for lsn in range(1, 12)])
    registry.registry = source(5, INTERVAL_S).current()
    follower.consume([steady(lsn, np.array([0, 4])) for lsn in range(12, 20)])
    follower.close()

    rows = published(tmp_path)
    assert min(hour for point, hour in rows if point == 4) == START // HOUR + 2
    assert sum(row[1] for (point, _), row in rows.items() if point == 4) == 8


def test_a_flood_of_old_hours_is_worked_off_in_bounded_steps(tmp_path: Path, source: Any) -> None:
    hours = 40
    rows = [(0, hour * HOUR, 1) for hour in range(3, 3 + hours)]
    follower = CompletenessFollower(tmp_path, source(1), Catalog(tmp_path))
    records = records_of([(0, rows)])
    follower.consume(records)
    follower.snapshot()
    assert 0 < len(published(tmp_path)) <= 10
    again = CompletenessFollower(tmp_path, source(1), Catalog(tmp_path))
    assert again.position == 1
    again.close()

    assert sum(row[1] for row in published(tmp_path).values()) == hours


def test_a_damaged_manifest_is_refused_with_the_remedy(tmp_path: Path, source: Any) -> None:
    follower = CompletenessFollower(tmp_path, source(1))
    follower.consume(records_of([(0, [(0, 0, 0)])]))
    follower.close()
    (tmp_path / "lake/completeness/manifest.json").write_bytes(b"{")
    with pytest.raises(CorruptionError, match=r"remove .*completeness"):
        CompletenessFollower(tmp_path, source(1))
