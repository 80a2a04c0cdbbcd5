"""Which slots of a clock rule are looked at, against what numpy says of whole arrays."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.kernels import silence as kernels

silences = st.sampled_from([math.nan, 0.0, 5.0, 10.0, 20.0])


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 3), st.integers(0, 12))
def test_stirring_slots_are_those_overdue_or_restless(data: st.DataObject, instants: int, slots: int) -> None:
    rows = data.draw(st.lists(st.lists(silences, min_size=20, max_size=20), min_size=instants, max_size=instants))
    own = np.array(rows)
    places = np.array(data.draw(st.permutations(range(20)))[:slots], np.int64)
    interval_s = np.array(data.draw(st.lists(st.sampled_from([0.0, 5.0, 10.0]), min_size=30, max_size=30)))
    points = np.sort(np.array(data.draw(st.permutations(range(30)))[:slots], np.int32))
    restless = np.array(sorted(data.draw(st.sets(st.integers(0, max(slots - 1, 0)), max_size=slots))), np.int32)
    out = np.empty(slots, np.int32)
    found = out[: kernels.stirring(own, places, interval_s, points, restless, out)]
    overdue = np.fmax.reduce(own, axis=0)[places] > interval_s[points]
    assert found.tolist() == sorted({*np.flatnonzero(overdue).tolist(), *restless.tolist()})
