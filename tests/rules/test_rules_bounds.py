"""What a feature's bounds exclude never comes out: random series through every form of every kernel."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules import features
from rules.feature import Feature
from rules.possible import Range

BOUNDED = [feature for feature in features.FEATURES if feature.bounds is not None]
OPTIONS: dict[str, list[tuple[float, ...]]] = {
    "baseline": [(24, 1, 28), (96, 7, 2), (48, 2, 3660)],
    "night": [(2, 4, 14, 0.9), (22, 3.5, 2, 1.0), (5, 5.25, 1, 0.5)],
    "ewma": [(3600, 0), (1, 0), (1e9, 0), (3600, 1), (3600, 0.3)],
    "tukey": [(0.2, 3, 500, 0, 0), (1, 0, 20, 0, 0), (0.2, 3, 20, 60, 3600)],
    "counter": [(0,), (10,)],
    "usage": [(0, 1800), (1, 0)],
    "still": [(0,), (0.5,)],
    "faint": [(0.01,), (1,)],
}
"""Beside the defaults."""

value = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, 0.1, 9.5, 1e-310, -1e29, 1e29, 123456.789]),
    st.floats(-10, 10),
    st.floats(-1e6, 1e6),
)
gap_ms = st.sampled_from([1, 999, 60_000, 60_000, 900_000, 3_600_000, 90_000_000, 40 * 86_400_000])


class Series(NamedTuple):
    """``bounds.Seen`` of one point."""

    value: Range
    step: Range
    count: Any
    longest: int
    span_s: float


def seen(times: list[int], values: list[float]) -> Series:
    steps = np.diff(values)
    longest = run = 0
    for step in steps:
        run = run + 1 if step == 0 else 0
        longest = max(longest, run)
    return Series(
        Range(min(values), max(values)),
        Range(min(steps, default=0.0), max(steps, default=0.0), null=True),
        len(values),
        longest,
        (times[-1] - times[0]) / 1000.0,
    )


@pytest.mark.parametrize("feature", BOUNDED, ids=lambda one: one.name)
@settings(max_examples=80)
@given(data=st.data())
def test_nothing_leaves_its_bounds(feature: Feature, data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.tuples(gap_ms, value), min_size=1, max_size=60))
    repeats = data.draw(st.integers(1, 3))
    values = [v for _, v in rows for _ in range(repeats)]
    times = (1_795_000_000_000 + np.cumsum([g for g, _ in rows for _ in range(repeats)])).tolist()
    options = data.draw(st.sampled_from([tuple(o.default for o in feature.options), *OPTIONS.get(feature.name, [])]))
    until = data.draw(st.sampled_from([math.inf, float(times[len(times) // 2])]))
    # a wall clock that is set back an hour in the middle
    local = np.array(times) + 8 * 3_600_000
    local[data.draw(st.integers(0, len(times))) :] -= 3_600_000
    prev, dt = np.r_[math.nan, values[:-1]], np.r_[math.nan, np.diff(times) / 1000]
    assert feature.bounds is not None
    allowed = feature.bounds(seen(times, values))
    asked = data.draw(st.sampled_from([frozenset(feature.outputs), *(frozenset(one.outputs) for one in feature.lean)]))
    form = feature.form(options, asked)
    out = np.empty((len(form.outputs), len(values)))
    state = np.full((1, len(form.keeps)), np.nan, feature.dtype)
    with np.errstate(all="ignore"):
        form.kernel(
            *(np.zeros(len(values), np.int32), np.array(times), local, np.array(values), prev, dt, np.zeros(0)),
            *(np.array(options, np.float64), until, state, out),
        )
    assert set(allowed) <= set(feature.outputs)
    for name, found in zip(form.outputs, out, strict=True):
        if name in allowed:
            low, high, null = (np.asarray(part).item() for part in allowed[name])
            known = found[~np.isnan(found)]
            assert null or len(known) == len(found), name
            assert all(low <= v <= high for v in known), (name, low, high, known)


def test_most_features_have_bounds() -> None:
    """Those that may give anything, so that a rule which asks them for its ``raise`` alone is judged everywhere."""
    assert {one.name for one in features.FEATURES} - {one.name for one in BOUNDED} == {
        *("rate", "robust", "cusum", "trend", "floor"),
    }
