"""Sparse copies against their naive twin, an array."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rules.sparse import Sparse

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
    assert np.array_equal(sparse.at, np.flatnonzero(twin))
