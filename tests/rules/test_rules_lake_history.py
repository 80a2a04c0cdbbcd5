"""History from the lake's files against what the published views say."""

from __future__ import annotations

from contextlib import closing
from itertools import count, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lifeline.app import lake_readings
from lifeline.app.history import lake_history
from lifeline.app.lake_readings import LakeReadings
from lifeline.core.batch import LogRecord, Readings
from lifeline.core.errors import ConfigurationError, UnavailableError
from lifeline.core.registry import Registry
from lifeline.core.schema import POINTS
from lifeline.lake.catalog import Catalog
from lifeline.lake.parquet import readings_writer, sorted_table
from lifeline.lake.query import open_catalog
from lifeline.lake.writer import LakeFollower

if TYPE_CHECKING:
    from pathlib import Path

SORTED = (
    "SELECT point, epoch_ms(ts), epoch_ms(received_at), coalesce(value, 'nan'), seq, quality, flags FROM readings_raw "
    "WHERE epoch_ms(received_at) >= {} AND epoch_ms(received_at) < {} ORDER BY received_at, point, ts, seq"
)


def record(lsn: int, start: int, points: int, rows: int = 40) -> LogRecord:
    """In the order of receipt, some without a value."""
    random = np.random.default_rng(lsn)
    received = start + np.repeat(np.arange(rows // 4), 4) * 10
    value = random.normal(size=rows).round(3)
    value[random.random(rows) < 0.2] = np.nan
    columns = (
        np.sort(random.integers(0, points, (rows // 4, 4)), axis=1).ravel().astype(np.int32),
        received - random.integers(0, 5_000, rows),
        received,
        value,
        np.arange(rows, dtype=np.uint32),
        random.integers(0, 3, rows).astype(np.uint8),
        random.integers(0, 2, rows).astype(np.uint8),
    )
    return LogRecord(lsn, int(received[-1]), Readings(*columns))


@pytest.mark.parametrize("starts", [(0, 1_000), (1_000, 0)], ids=["in order", "to be sorted"])
def test_the_lake_is_read_as_its_views_tell_it(
    kit: Any, tmp_path: Path, starts: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {"device_id": f"D{d}", "quantity": q, "interval_s": 10.0, "zone": zone, "kind": "valve-well"}
        for d, zone in enumerate([None, "Z1", "Z1", None])
        for q in ("ch4", "c2h6")
    ]
    registry: Registry = kit.registry(rows)
    catalog = Catalog(tmp_path, grace_ms=0)
    catalog.publish_table("points", registry.points)
    lake = LakeFollower(tmp_path, catalog, compact=False, grace_ms=0)
    for lsn, start in enumerate(starts, 1):
        lake.consume([record(lsn, kit.t0 + start, len(rows))])
        lake.flush()
    lake.close()
    catalog.publish()
    monkeypatch.setattr(lake_readings, "BATCH_ROWS", 15)
    for low, high in ((None, None), (kit.t0 + 50, None), (None, kit.t0 + 1_020), (kit.t0 + 50, kit.t0 + 60)):
        points, batches = lake_history(tmp_path, low, high)
        found = Readings.concat(list(batches))
        assert points.points.equals(registry.points)
        assert points.points.schema.equals(POINTS)
        with closing(open_catalog(tmp_path)) as db:
            expected = db.sql(SORTED.format(low or 0, high or 1 << 50)).fetchnumpy()
        del expected["seq"]  # told only where it decides the order
        told = (found.point, found.ts, found.received_at, found.value, found.quality, found.flags)
        for mine, theirs in zip(told, expected.values(), strict=True):
            np.testing.assert_array_equal(mine, theirs)
        assert (np.diff(found.received_at) >= 0).all()
        assert batches.span == ((found.received_at[0], found.received_at[-1]) if len(found) else None)
        assert batches.rows >= len(found)


def files_of(draw: st.DrawFn) -> list[Readings]:
    """Of a few points and times, so that much is equal; some columns have one value."""
    made, values = [], count(1)
    for _ in range(draw(st.integers(1, 4))):
        rows, start = draw(st.integers(0, 40)), draw(st.integers(0, 20))
        random = np.random.default_rng(draw(st.integers(0, 1 << 20)))
        received = np.sort(start + random.integers(0, draw(st.integers(1, 30)), rows))
        value = np.array([next(values) for _ in range(rows)], np.float64)
        value[random.random(rows) < draw(st.sampled_from([0.0, 0.2]))] = np.nan
        few = draw(st.integers(1, 3))
        made.append(
            Readings(
                random.integers(0, draw(st.integers(1, 12)), rows).astype(np.int32),
                received - random.integers(0, few, rows),
                received,
                value,
                random.integers(0, few, rows).astype(np.uint32),
                random.integers(0, draw(st.integers(1, 3)), rows).astype(np.uint8),
                random.integers(0, draw(st.sampled_from([1, 256])), rows).astype(np.uint8),
            )
        )
    return made


@given(files=st.composite(files_of)(), low=st.none() | st.integers(0, 30), high=st.none() | st.integers(10, 50))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_files_come_in_the_order_of_receipt(
    files: list[Readings], low: int | None, high: int | None, tmp_path: Path
) -> None:
    """Twin: all rows at once, sorted by four columns."""
    paths, tables = [], [sorted_table(one) for one in files]
    for number, table in enumerate(tables):
        path = tmp_path / f"{number}.parquet"
        with readings_writer(path, table) as writer:
            writer.write_table(table, row_group_size=16)
        paths.append(str(path))
    whole = pa.concat_tables(tables)
    all_of = {name: whole[name].to_numpy() for name in ("point", "value", "seq", "quality", "flags")}
    all_of |= {name: whole[name].cast(pa.int64()).to_numpy() for name in ("ts", "received_at")}
    order = np.lexsort([all_of[name] for name in ("seq", "ts", "point", "received_at")])
    received = all_of["received_at"][order]
    order = order[(received >= (-1 if low is None else low)) & (received < (99 if high is None else high))]
    with pytest.MonkeyPatch.context() as patch:
        for name, number in (("BATCH_ROWS", 24), ("WINDOW_ROWS_BITS", 2)):
            patch.setattr(lake_readings, name, number)
        found = LakeReadings(tmp_path, paths, low, high)
        batches = list(found)
        span = found.span
    told = Readings.concat(batches)
    assert span == ((told.received_at[0], told.received_at[-1]) if len(told) else None)
    assert all(len(batch) for batch in batches)
    assert all(a.received_at[-1] < b.received_at[0] for a, b in pairwise(batches)), "an instant is cut"
    assert all(batch.point.flags.c_contiguous and not batch.point.flags.writeable for batch in batches)
    for name in ("point", "ts", "received_at", "value", "quality", "flags"):
        np.testing.assert_array_equal(getattr(told, name), all_of[name][order].astype(getattr(told, name).dtype))


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no catalog was published"):
        lake_history(tmp_path, None, None)
    (tmp_path / "catalog").mkdir()
    manifest = tmp_path / "catalog" / "manifest.json"
    manifest.write_text("{")
    with pytest.raises(UnavailableError, match=r"manifest\.json: cannot be read"):
        lake_history(tmp_path, None, None)
    manifest.write_text('{"files": {"readings": ["nowhere.parquet"]}}')
    with pytest.raises(UnavailableError, match="the lake cannot be read"):
        lake_history(tmp_path, None, None)
