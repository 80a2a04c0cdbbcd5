"""Sparse copies against their naive twin, an array."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rules.sparse import SHARE_MAX, Sparse

entry = st.one_of(st.just(0), st.just(0), st.just(0), st.integers(-5, 5))


@given(st.lists(entry, min_size=1, max_size=60), st.data())
def test_reads_and_writes_like_an_array(entries: list[int], data: st.DataObject) -> None:
    twin = np.array(entries, np.int64)
    at = np.flatnonzero(twin).astype(np.int32)
    sparse = Sparse(len(twin), at, twin[at])
    places = st.lists(st.integers(0, len(twin) - 1), max_size=10, unique=True)
    for _ in range(3):
        chosen = np.array(data.draw(places), np.int32)
        values = np.array([data.draw(entry) for _ in chosen], np.int64)
        sparse[chosen] = values
        twin[chosen] = values
        asked = np.array(data.draw(places), np.int32)
        assert np.array_equal(sparse[asked], twin[asked])
    whole = np.zeros(len(twin), np.int64)
    sparse.put_into(whole)
    assert np.array_equal(whole, twin)
    assert np.array_equal(sparse.at, np.flatnonzero(twin))


def test_is_a_copy_and_dense_where_that_is_smaller() -> None:
    array = np.zeros(10 * SHARE_MAX, np.int64)
    array[:10] = 7
    few = Sparse.of(array)
    assert isinstance(few, Sparse)
    assert few.nbytes == 10 * 12 < array.nbytes
    array[0] = 8
    assert few[np.array([0], np.int32)] == [7]
    array[10] = 1
    many = Sparse.of(array)
    assert isinstance(many, np.ndarray)
    array[0] = 9
    assert many[0] == 8
