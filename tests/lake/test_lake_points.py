"""Published points: the file that is mapped tells what the Parquet file tells, and can be missed."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lifeline.app.history import lake_history
from lifeline.core.errors import UnavailableError
from lifeline.core.registry import Registry
from lifeline.core.schema import AREAS, POINTS
from lifeline.lake.catalog import Catalog
from lifeline.lake.points import COLUMNS, HEADER, mapped_path, write_points
from lifeline.lake.query import published_files
from lifeline.lake.views import COLUMNS as VIEWS

if TYPE_CHECKING:
    from pathlib import Path

ARRAYS = ("point_device", "point_quantity", "span_low", "span_high", "interval_ms", "device_ptr", "device_points")

TEXT = st.sampled_from([None, "", "a", "b", "水"])
NUMBER = st.sampled_from([None, 0.0, -1.5, 60.0, 1e9])
ROW = st.fixed_dictionaries(
    {
        f.name: TEXT.map(lambda text: text or "x") if not f.nullable else TEXT if pa.types.is_string(f.type) else NUMBER
        for f in POINTS
        if f.name not in {"point", "install_date"}
    }
    | {"install_date": st.sampled_from([None, date(2020, 2, 29), date(1969, 1, 1)])}
)


def table_of(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([{"point": point, **row} for point, row in enumerate(rows)], schema=POINTS)


def city(devices: int) -> pa.Table:
    """Two points a device, some of the second of them at the end; nearly everything has a value somewhere."""
    number = [*range(devices), *range(devices)]
    rows = [
        {
            "device_id": f"D{k:05d}",
            "quantity": "pressure" if at < devices else "flow",
            "unit": None if at % 3 else "kPa",
            "utility": "gas" if k % 2 else "water",
            "kind": ["regulator", "meter", None][k % 3],
            "span_low": [None, 0.0, -40.0][at % 3],
            "span_high": None if at % 5 else 1.6,
            "interval_s": [60.0, 0.25, None][k % 3],
            "lon": 113.0 + at / 1000,
            "lat": None,
            "area_code": f"4101{at % 7}",
            "asset_id": f"A{at}",
            "install_date": date(2020, 1, 1 + at % 28),
            "zone": None if k % 4 else f"Z{k % 300}",
            "gateway": f"G{k % 200}",
            "group": None if at else "g",
        }
        for at, k in enumerate(number)
    ]
    return table_of(rows)


def published(folder: Path, points: pa.Table) -> Path:
    """A lake of these points, without readings; the Parquet file."""
    catalog = Catalog(folder, grace_ms=0)
    catalog.publish_table("points", points)
    catalog.publish_table("areas", AREAS.empty_table())
    catalog.publish()
    (path,) = published_files(folder)["points"]
    return folder.__class__(path)


def as_it_was(points: pa.Table, path: Path) -> None:
    """A snapshot as it was written before there were files to be mapped."""
    pq.write_table(
        points,
        path,
        compression="zstd",
        use_dictionary=[name for name in points.column_names if name not in {"point", "lon", "lat"}],
        column_encoding={"point": "DELTA_BINARY_PACKED"},
        dictionary_pagesize_limit=8 << 20,
    )
    mapped_path(path).unlink(missing_ok=True)


def assert_same(found: Registry, expected: Registry) -> None:
    """In everything that can be asked."""
    assert (len(found), found.device_count) == (len(expected), expected.device_count)
    assert [found.device_of(point) for point in range(len(found))] == expected.column("device_id")
    assert (found.devices, found.quantities) == (expected.devices, expected.quantities)
    for name in ARRAYS:
        mine, theirs = getattr(found, name), getattr(expected, name)
        assert (mine.dtype, mine.flags.writeable) == (theirs.dtype, theirs.flags.writeable), name
        np.testing.assert_array_equal(mine, theirs, err_msg=name)
    for name in POINTS.names:
        start = len(expected) // 2
        assert found.select([name], start).equals(expected.select([name], start)), name
        if name not in {"point", "lon", "lat"}:
            mine, theirs = found.coded(name), expected.coded(name)
            assert mine.indices.to_pylist() == theirs.indices.to_pylist(), name
            assert mine.dictionary.equals(theirs.dictionary), name
        assert found.row(0, [name]) == expected.row(0, [name])
    assert found.points.equals(expected.points)
    assert found.points.schema.equals(POINTS)


@given(rows=st.lists(ROW, min_size=1, max_size=20), coded=st.booleans(), how=st.sampled_from(["mapped", "lost", "old"]))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_registry_comes_back_as_it_was(
    rows: list[dict[str, Any]], coded: bool, how: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("lake")
    expected = Registry(table_of(rows))
    path = published(folder, expected.coded_points if coded else expected.points)
    if how == "lost":
        mapped_path(path).unlink()
    elif how == "old":
        as_it_was(expected.points, path)
    assert mapped_path(path).exists() == (how == "mapped")
    assert_same(lake_history(folder, None, None)[0], expected)


@pytest.mark.parametrize("how", ["mapped", "lost", "old"])
def test_a_registry_of_many_values_comes_back_as_it_was(how: str, tmp_path: Path) -> None:
    """More devices than a byte can number, zones and gateways too."""
    expected = Registry(city(700))
    path = published(tmp_path, expected.coded_points)
    if how == "lost":
        mapped_path(path).unlink()
    elif how == "old":
        as_it_was(expected.points, path)
    assert_same(lake_history(tmp_path, None, None)[0], expected)


def test_what_is_mapped_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns that rules seldom ask for are read from Parquet, the others are not."""
    published(tmp_path, city(5))
    asked: list[list[str]] = []
    read = pq.ParquetFile.read

    def counted(file: pq.ParquetFile, columns: list[str], **how: Any) -> pa.Table:
        asked.append(columns)
        return read(file, columns=columns, **how)

    monkeypatch.setattr(pq.ParquetFile, "read", counted)
    registry, _ = lake_history(tmp_path, None, None)
    for name in ARRAYS:
        getattr(registry, name)
    registry.select(["point", *COLUMNS])
    assert asked == []
    registry.select(["asset_id", "group"])
    assert asked == [["asset_id"]]


@pytest.mark.parametrize("damage", ["empty", "no header", "cut", "byte", "other file", "other version", "other rows"])
def test_a_damaged_file_is_as_good_as_none(damage: str, tmp_path: Path) -> None:
    expected = Registry(city(40))
    path = published(tmp_path, expected.points)
    mapped = mapped_path(path)
    whole = bytearray(mapped.read_bytes())
    if damage == "byte":
        codes = len(whole) - 200  # of the last column
        whole[codes] ^= 1
    elif damage == "other file":
        expected = Registry(city(42).slice(0, 80))
        as_it_was(expected.points, path)
    elif damage == "other version":
        whole[7] += 1
    elif damage == "other rows":
        other = published(tmp_path / "other", city(41).slice(0, 40))
        whole = bytearray(mapped_path(other).read_bytes())
        whole[: HEADER.size] = HEADER.pack(*HEADER.unpack_from(whole)[:2], path.stat().st_size)
    kept = {"empty": 0, "no header": HEADER.size - 1, "cut": len(whole) // 2}.get(damage, len(whole))
    mapped.write_bytes(bytes(whole[:kept]))
    assert_same(lake_history(tmp_path, None, None)[0], expected)


def test_a_cut_is_found_wherever_it_is(tmp_path: Path) -> None:
    expected = Registry(city(3))
    mapped = mapped_path(published(tmp_path, expected.points))
    whole = mapped.read_bytes()
    for size in range(0, len(whole), 97):
        mapped.write_bytes(whole[:size])
        found, _ = lake_history(tmp_path, None, None)
        assert found.points.equals(expected.points)


def test_points_out_of_order_or_without_names_are_not_mapped(tmp_path: Path) -> None:
    points = city(4)
    path = published(tmp_path / "turned", points.take(list(range(len(points)))[::-1]))
    assert not mapped_path(path).exists()
    assert_same(lake_history(tmp_path / "turned", None, None)[0], Registry(points))
    nameless = points.drop_columns(["device_id"])
    assert not mapped_path(published(tmp_path / "nameless", nameless)).exists()


def test_a_further_column_of_another_type_is_left_to_parquet(tmp_path: Path) -> None:
    points = city(4)
    zone = pa.array(range(len(points)), pa.int32())
    other = points.set_column(POINTS.names.index("zone"), "zone", zone)
    assert mapped_path(published(tmp_path, other)).exists()
    registry, _ = lake_history(tmp_path, None, None)
    assert registry.column("zone") == [str(k) for k in range(len(points))]


def test_points_published_as_dictionaries_are_shown_as_before(tmp_path: Path) -> None:
    points = city(300)
    plain = published(tmp_path / "plain", points)
    coded = published(tmp_path / "coded", Registry(points).coded_points)
    assert pq.read_table(coded).equals(pq.read_table(plain))
    assert pq.read_schema(coded).equals(pq.read_schema(plain))
    assert mapped_path(coded).read_bytes()[HEADER.size :] == mapped_path(plain).read_bytes()[HEADER.size :]
    with duckdb.connect(str(tmp_path / "coded/catalog/lifeline.duckdb"), read_only=True) as db:
        types = [tuple(row[:2]) for row in db.execute("DESCRIBE points").fetchall()]
        shown = db.sql("SELECT * FROM points").to_arrow_table()
    assert types[: len(VIEWS["points"])] == list(VIEWS["points"].items())
    assert shown.select(POINTS.names).cast(POINTS).equals(points)


def test_the_same_points_are_not_written_again(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    registry = Registry(city(4))
    for _ in range(2):
        catalog.publish_table("points", registry.coded_points)
    assert len(list((tmp_path / "catalog/mapped").iterdir())) == 1


def test_the_file_goes_with_its_snapshot(tmp_path: Path) -> None:
    now = [0]
    mapped = tmp_path / "catalog/mapped"
    catalog = Catalog(tmp_path, grace_ms=100, clock=lambda: now[0])
    for devices in (1, 2, 3):
        catalog.publish_table("points", city(devices))
        catalog.publish()
    assert len(list(mapped.iterdir())) == 3
    now[0] = 101
    catalog.publish()
    assert len(list(mapped.iterdir())) == 1
    (mapped / "points-of-a-process-that-was-killed.arrow").write_bytes(b"LL")
    again = Catalog(tmp_path, grace_ms=100, clock=lambda: now[0])
    now[0] = 202
    again.publish()
    (left,) = mapped.iterdir()
    assert left == mapped_path(folder_of(tmp_path))


def folder_of(data: Path) -> Path:
    (path,) = published_files(data)["points"]
    return data.__class__(path)


def test_a_disk_that_refuses_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = Catalog(tmp_path)

    def full(table: pa.Table, path: Path) -> None:
        write_points(table, path)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lifeline.lake.catalog.write_points", full)
    with pytest.raises(UnavailableError, match="No space left"):
        catalog.publish_table("points", city(2))
    assert [path for path in (tmp_path / "catalog").rglob("*") if path.is_file()] == []
