"""Rows arranged by buckets equal, column by column, what numpy's stable sort gives."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lifeline.core.batch import Readings
from lifeline.lake.arrange import Arrangement

if TYPE_CHECKING:
    from collections.abc import Sequence

ROW = st.tuples(st.sampled_from([0, 1, 2, 255, 256, 257, 70_000, 900_000]), st.integers(-3, 3))


def readings(rows: Sequence[tuple[int, int]], first: int = 0) -> Readings:
    """Rows of (point, ts), each told from all others by every column but the small ones."""
    number = np.arange(first, first + len(rows))
    return Readings(
        point=np.array([point for point, _ in rows], np.int32),
        ts=np.array([ts for _, ts in rows], np.int64),
        received_at=number.astype(np.int64) << 40,
        value=np.where(number % 5 == 0, np.nan, number / 7),
        seq=(number + (1 << 32) - 3).astype(np.uint32),
        quality=(number % 3).astype(np.uint8),
        flags=(number % 2 * 128).astype(np.uint8),
    )


def check(parts: Sequence[Readings]) -> None:
    """Every column of the parts, arranged, against a stable sort of all."""
    whole = Readings.concat(parts)
    order = np.lexsort((whole.ts, whole.point))
    arranged = Arrangement([part.point for part in parts], [part.ts for part in parts])
    for field in fields(Readings):
        found = arranged([getattr(part, field.name) for part in parts])
        expected = getattr(whole, field.name)[order]
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected, err_msg=field.name)


@settings(max_examples=150)
@given(st.lists(st.lists(ROW, max_size=40), min_size=1, max_size=4).filter(any))
def test_columns_equal_a_stable_sort(parts: list[list[tuple[int, int]]]) -> None:
    firsts = np.cumsum([0, *map(len, parts)])

    check([readings(rows, int(first)) for rows, first in zip(parts, firsts, strict=False)])


def test_many_points_in_any_order_with_runs_that_go_back() -> None:
    random = np.random.default_rng(8)
    rows = list(zip(random.integers(0, 3_000, 20_000).tolist(), random.integers(0, 50, 20_000).tolist(), strict=True))

    check([readings(rows[:7_000]), readings(rows[7_000:], 7_000)])


def test_a_long_reversed_run_of_one_point() -> None:
    check([readings([(9, -k) for k in range(200)])])


def test_small_columns_of_zeros_stay_zeros() -> None:
    rows = readings([(3, 0), (1, 0)])
    rows.flags[:] = 0

    assert not Arrangement([rows.point], [rows.ts])([rows.flags]).any()
