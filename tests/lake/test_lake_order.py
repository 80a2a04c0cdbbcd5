"""The row order kernel agrees with numpy's stable sort."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lifeline.lake.kernels.order import order_rows

ROWS = st.lists(st.tuples(st.integers(0, 6), st.integers(-3, 3)), max_size=120)


@settings(max_examples=150)
@given(ROWS)
def test_order_equals_a_stable_sort(rows: list[tuple[int, int]]) -> None:
    point = np.array([p for p, _ in rows], np.int32)
    ts = np.array([t for _, t in rows], np.int64)

    assert order_rows(point, ts).tolist() == np.lexsort((ts, point)).tolist()


def test_a_long_reversed_run_is_sorted() -> None:
    point = np.full(10_000, 3, np.int32)
    ts = np.arange(10_000, dtype=np.int64)[::-1].copy()

    assert (ts[order_rows(point, ts)] == np.arange(10_000)).all()
