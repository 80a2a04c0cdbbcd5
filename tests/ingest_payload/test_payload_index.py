"""Names to points: every name of a registry is found, no other is, and a newer registry replaces the index."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.payload import index as index_module
from ingest.payload.index import Indexes, PointIndex
from ingest.payload.kernels.names import hash_bytes
from lifeline.core import limits


def test_every_point_is_found_with_its_span_unit_and_lateness(registry: Any) -> None:
    index = PointIndex(registry)
    for point, row in enumerate(registry.points.to_pylist()):
        found = index.row(index.device(row["device_id"]), row["quantity"])
        assert index.point(found) == point
        low = -np.inf if row["span_low"] is None else row["span_low"]
        assert index.span(found) == (low, np.inf if row["span_high"] is None else row["span_high"])
        assert index.unit(found) == row["unit"]
        assert index.late_ms(found) == max(limits.LATE_MS_MIN, 2000 * (row["interval_s"] or 0))


@pytest.mark.parametrize("name", ["", "G", "G11", "g1", "G1\0", "\0", "H" * 127, "设备", "\ud800"])
def test_other_names_are_not_found(registry: Any, name: Any) -> None:
    index = PointIndex(registry)

    assert index.device(name) is None
    assert index.row(index.device("G1"), name) is None


def test_an_empty_registry(registry: Any) -> None:
    index = PointIndex(type(registry)(registry.points.slice(0, 0)))

    assert index.device("G1") is None


def test_many_devices_all_found_and_bytes_are_compared_not_hashes_only(registry_of: Any) -> None:
    names = [f"D{i:05d}" for i in range(20_000)]
    index = PointIndex(registry_of([(name, "ch4", None, None, None, None) for name in names]))

    assert [index.point(index.row(index.device(name), "ch4")) for name in names] == list(range(20_000))
    assert all(index.device(f"E{i:05d}") is None for i in range(2_000))


def test_an_equal_hash_is_not_enough(registry: Any) -> None:
    """A slot whose hash is that of another name does not answer to it."""
    index = PointIndex(registry)
    slots, entries, keys = index.devices
    like = hash_bytes(np.frombuffer(b"G9", np.uint8), 0, 2) >> 32 << 32
    slots = like | np.where(slots == 0, 1, slots & 0xFFFFFFFF)
    slots[-1] = 0
    index.devices = (slots, entries, keys)

    assert index.device("G9") is None


def test_a_name_behind_another_of_like_hash_is_found(registry: Any) -> None:
    index = PointIndex(registry)
    slots, entries, keys = index.devices
    name = b"W-0000000001"
    wanted = index.device(name.decode())
    h = hash_bytes(np.frombuffer(name, np.uint8), 0, len(name))
    number = int(np.flatnonzero(entries[:, 2] >> 16 == wanted)[0])
    other = (number + 1) % len(entries)
    like, home = h >> 32 << 32, (h >> 1) & (len(slots) - 1)
    slots = np.zeros_like(slots)
    slots[home], slots[(home + 1) % len(slots)] = like | (other + 1), like | (number + 1)
    index.devices = (slots, entries, keys)

    assert index.device(name.decode()) == wanted


def test_a_device_with_too_many_points_is_refused(registry_of: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(index_module, "DEVICE_ROWS_MAX", 2)
    with pytest.raises(ValueError, match="'D' has 3 points"):
        PointIndex(registry_of([("D", q, None, None, None, None) for q in "abc"]))


def test_the_index_follows_the_source(source: Any) -> None:
    indexes = Indexes(source)
    first = indexes.current()
    assert indexes.current() is first

    source.register([("N1", "ch4", "gas")])

    assert indexes.current() is not first
    assert indexes.current().device("N1") is not None


def test_decoders_of_one_registry_share_its_index_while_they_live(source: Any) -> None:
    one, other = Indexes(source), Indexes(source)

    assert one.current() is other.current()

    source.register([("N1", "ch4", "gas")])

    assert one.current() is other.current()
    assert one.current().registry is source.current()


@settings(max_examples=40)
@given(
    st.sets(st.text("ab\0", min_size=1, max_size=20), min_size=1, max_size=40), st.lists(st.text("ab\0", max_size=20))
)
def test_names_of_any_length_are_told_apart(registry_of: Any, names: set[str], others: list[str]) -> None:
    """Up to 8, up to 16 and more bytes are kept in three ways; names differ in one byte, or by zeros at the end."""
    known = sorted(names)
    index = PointIndex(registry_of([(name, "ch4", None, None, None, None) for name in known]))

    for name in [*known, *others]:
        device = index.device(name)
        found = None if device is None else index.point(index.row(device, "ch4"))
        assert found == (known.index(name) if name in names else None)
