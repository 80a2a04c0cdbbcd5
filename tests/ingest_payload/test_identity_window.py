"""Repeats: the window agrees with a set of rows, in any grouping, and can be rebuilt from the log."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.identity import IdentityWindow
from ingest.payload.kernels.identity import fingerprint
from lifeline.core.batch import Readings
from lifeline.core.schema import Flag

T = 1_795_000_000_000


def batch(objects: Any) -> Any:
    """Readings and object numbers of [(ts, seq, [(point, value), …]), …]."""
    rows = [(p, ts, v, seq, k) for k, (ts, seq, values) in enumerate(objects) for p, v in values]
    n = len(rows)
    columns = list(zip(*rows, strict=True)) if rows else [[]] * 5
    readings = Readings(
        np.array(columns[0], np.int32),
        np.array(columns[1], np.int64),
        np.full(n, T, np.int64),
        np.array(columns[2], np.float64),
        np.array(columns[3], np.uint32),
        np.zeros(n, np.uint8),
        np.zeros(n, np.uint8),
    )
    return readings, np.array(columns[4], np.int64)


def repeats(window: Any, objects: Any) -> Any:
    """One bool an object; insists that an object's rows share it."""
    readings, index = batch(objects)
    mask = window.mark(readings, index)
    found = [set(mask[index == k].tolist()) for k in range(len(objects))]
    assert all(len(answer) == 1 for answer in found)
    return [answer.pop() for answer in found]


class NaiveWindow:
    """Two generations of plain sets."""

    def __init__(self, capacity: Any) -> None:
        self.capacity, self.young, self.old = capacity, set(), set()

    def repeats(self, objects: Any) -> Any:
        answers = []
        for ts, seq, values in objects:
            seen = []
            for point, value in values:
                row = (point, ts, seq, np.float64(value).tobytes())
                seen.append(row in self.young or row in self.old)
                if row not in self.young:
                    self.young.add(row)
                    if len(self.young) >= self.capacity:
                        self.young, self.old = set(), self.young
            answers.append(all(seen))
        return answers


objects = st.lists(
    st.tuples(
        st.integers(T, T + 5),
        st.integers(0, 2),
        st.dictionaries(st.integers(0, 3), st.sampled_from([0.0, -0.0, 1.5, float("nan")]), min_size=1, max_size=3).map(
            lambda d: list(d.items())
        ),
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(objects=objects, cuts=st.lists(st.integers(0, 40), max_size=4))
def test_agrees_with_a_set_in_any_grouping(objects: Any, cuts: Any) -> None:
    window = IdentityWindow(1000)
    edges = [0, *sorted(min(c, len(objects)) for c in cuts), len(objects)]

    found = [answer for a, b in itertools.pairwise(edges) for answer in repeats(window, objects[a:b])]

    assert NaiveWindow(1000).repeats(objects) == found


@settings(max_examples=200, deadline=None)
@given(objects=objects, capacity=st.integers(1, 12))
def test_small_generations_remember_between_one_and_two_times_their_size(objects: Any, capacity: Any) -> None:
    """A point's rows newer than all before are not looked up in the older generation: nor could they be there."""
    window = IdentityWindow(capacity)

    assert NaiveWindow(capacity).repeats(objects) == repeats(window, objects)


def test_a_correction_a_further_quantity_and_another_seq_are_new() -> None:
    window = IdentityWindow(100)
    first = (T, 1, [(0, 1.0), (1, 2.0)])

    assert repeats(window, [first]) == [False]
    assert repeats(window, [first]) == [True]
    assert repeats(window, [(T, 1, [(0, 1.5), (1, 2.0)])]) == [False]
    assert repeats(window, [(T, 1, [(0, 1.0), (2, 2.0)])]) == [False]
    assert repeats(window, [(T, 2, [(0, 1.0), (1, 2.0)])]) == [False]
    assert repeats(window, [(T, 1, [(1, 2.0), (0, 1.0)])]) == [True]


def test_rebuilding_from_the_log_gives_the_same_answers_and_forgets_what_was_not_committed() -> None:
    window = IdentityWindow(100)
    logged = [(T, 1, [(0, 1.0)]), (T + 1, 1, [(0, 1.0), (1, 1.0)])]
    lost = [(T + 2, 1, [(0, 1.0)])]
    assert repeats(window, logged + lost) == [False] * 3

    window.rebuild([batch(logged)[0]])

    assert repeats(window, lost) == [False]
    assert repeats(window, logged + lost) == [True] * 3


def test_a_flagged_row_in_the_log_does_not_make_its_original_a_repeat() -> None:
    flagged, _ = batch([(T, 1, [(0, 1.0)])])
    flagged.flags[:] = Flag.DUPLICATE
    window = IdentityWindow(100)

    window.rebuild([flagged])

    assert repeats(window, [(T, 1, [(0, 1.0)])]) == [False]


def test_read_only_columns_of_the_log_are_taken() -> None:
    readings, index = batch([(T, 1, [(0, 1.0)])])
    stored = Readings.from_arrow(readings.to_arrow())
    window = IdentityWindow(100)
    window.rebuild([stored])

    assert window.mark(stored, index).all()


def test_points_far_beyond_the_first_registry() -> None:
    window = IdentityWindow(100)

    assert repeats(window, [(T, 0, [(3_000_000, 1.0)])] * 2) == [False, True]


def test_no_room_is_refused() -> None:
    with pytest.raises(ValueError, match="at least"):
        IdentityWindow(0)


def test_fingerprints_of_neighbouring_rows_are_all_unlike() -> None:
    prints = {
        int(fingerprint(p, T + t, s, np.uint64(b)))
        for p in range(20)
        for t in range(20)
        for s in range(10)
        for b in range(10)
    }

    assert len(prints) == 40_000
