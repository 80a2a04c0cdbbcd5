"""Kernels that gather rows against numpy."""

from __future__ import annotations

from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rules.kernels import order, silence

rising = st.sets(st.integers(0, 40)).map(lambda rows: np.array(sorted(rows), np.int32))


@given(rising, rising)
def test_places_among_the_chosen_are_those_that_a_search_finds(chosen: np.ndarray, rows: np.ndarray) -> None:
    """Rows that were not chosen are left out, with their instants."""
    at, instants = np.empty(len(rows), np.intp), np.empty(len(rows), np.int64)

    found = order.places_among(chosen, rows, rows * np.int64(7), at, instants)

    known = [row for row in rows.tolist() if row in chosen.tolist()]
    assert at[:found].tolist() == [chosen.tolist().index(row) for row in known]
    assert instants[:found].tolist() == [7 * row for row in known]


@given(st.lists(st.floats()), st.randoms(use_true_random=False))
def test_what_is_taken_and_put_back_is_as_it_was(values: list[float], random: Random) -> None:
    """To the bit, NaN among them; taken as numpy takes."""
    column = np.array(values, np.float64)
    rows = np.array(random.sample(range(len(values)), len(values)), np.int32)
    back = np.empty(len(values))

    taken = order.taken(column, rows)
    order.put(taken, rows, back)

    assert taken.tobytes() == column.take(rows).tobytes()
    assert back.tobytes() == column.tobytes()


@given(st.lists(st.integers(-2, 2)))
def test_times_never_fall_where_they_are_their_running_maximum(steps: list[int]) -> None:
    received = np.cumsum(np.array(steps, np.int64))
    assert silence.never_falls(received) == np.array_equal(received, np.maximum.accumulate(received))
