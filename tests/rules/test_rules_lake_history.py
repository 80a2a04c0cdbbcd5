"""History from the lake's files against what the published views say."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lifeline.app import history
from lifeline.app.history import lake_history
from lifeline.core.batch import LogRecord, Readings
from lifeline.core.errors import ConfigurationError, UnavailableError
from lifeline.core.registry import Registry
from lifeline.core.schema import POINTS
from lifeline.lake.catalog import Catalog
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
    monkeypatch.setattr(history, "BATCH_ROWS", 15)
    for low, high in ((None, None), (kit.t0 + 50, None), (None, kit.t0 + 1_020), (kit.t0 + 50, kit.t0 + 60)):
        points, batches = lake_history(tmp_path, low, high)
        found = Readings.concat(list(batches))
        assert points.points.equals(registry.points)
        assert points.points.schema.equals(POINTS)
        with closing(open_catalog(tmp_path)) as db:
            expected = db.sql(SORTED.format(low or 0, high or 1 << 50)).fetchnumpy()
        told = (found.point, found.ts, found.received_at, found.value, found.seq, found.quality, found.flags)
        order = np.lexsort((found.seq, found.ts, found.point, found.received_at))
        assert len(found) == len(next(iter(expected.values())))
        for mine, theirs in zip(told, expected.values(), strict=True):
            np.testing.assert_array_equal(mine[order], theirs)
        assert (np.diff(found.received_at) >= 0).all()


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
