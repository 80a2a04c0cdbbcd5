"""Records taken together: nothing lost, nothing doubled, in order, within bounds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifeline.core import batch as module
from lifeline.core.batch import LogRecord, together
from lifeline.testing import sample_batch


def record(lsn: int, rows: int, received_at: int) -> LogRecord:
    return LogRecord(lsn, received_at, sample_batch(lsn, rows).readings)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), max_size=40), st.integers(1, 60))
def test_it_is_the_same_rows_in_fewer_parts(sizes: list[tuple[int, int]], rows_max: int) -> None:
    records = [record(lsn, rows, kind) for lsn, (rows, kind) in enumerate(sizes, 1)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "TOGETHER_ROWS", rows_max)
        parts = list(together(iter(records), lambda one: one.received_at))
    first = 1
    for readings, last in parts:
        of = records[first - 1 : last.lsn]
        assert np.array_equal(readings.seq, np.concatenate([one.readings.seq for one in of]))
        assert np.array_equal(readings.value, np.concatenate([one.readings.value for one in of]))
        assert len({one.received_at for one in of}) == 1
        assert len(of) == 1 or len(readings) <= rows_max
        first = last.lsn + 1
    assert first == len(records) + 1
    for (readings, last), _ in itertools.pairwise(parts):
        after = records[last.lsn]
        assert len(readings) + len(after.readings) > rows_max or after.received_at != last.received_at
