"""Feature kernels against naive twins, with constant runs, gaps and repeats, in any batching."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules import features
from rules.kernels import features as kernels
from rules.kernels import order

History = list[tuple[int, float]]
"""(ts, value) of one point up to and including the reading."""


def naive_samples(history: History, option: float) -> list[float]:
    return [len(history)]


def naive_rate(history: History, option: float) -> list[float]:
    if option == 0:
        if len(history) == 1:
            return [math.nan]
        (t0, v0), (t1, v1) = history[-2:]
        return [(v1 - v0) / ((t1 - t0) / 1000)]
    anchors = [history[0]]
    for reading in history[1:]:
        if reading[0] - anchors[-1][0] >= option * 500:
            anchors.append(reading)
    if len(anchors) == 1:
        return [math.nan]
    (t0, v0), (t1, v1) = anchors[-2], history[-1]
    return [(v1 - v0) * 1000 / (t1 - t0)]


def naive_ewma(history: History, option: float) -> list[float]:
    if len(history) == 1:
        return [math.nan, math.nan]
    mean, var = history[0][1], 0.0
    for (t0, _), (t1, v) in itertools.pairwise(history[:-1]):
        a = 1 - math.exp(-(t1 - t0) / 1000 / option)
        var = (1 - a) * (var + a * (v - mean) ** 2)
        mean += a * (v - mean)
    return [mean, math.sqrt(var)]


def naive_flat(history: History, option: float) -> list[float]:
    first = len(history) - 1
    while first > 0 and history[first - 1][1] == history[-1][1]:
        first -= 1
    return [(history[-1][0] - history[first][0]) / 1000, len(history) - 1 - first]


def naive_prev_step(history: History, option: float) -> list[float]:
    return [history[-2][1] - history[-3][1] if len(history) > 2 else math.nan]


TWINS: dict[tuple[str, ...], tuple[Callable[[History, float], list[float]], list[float]]] = {
    ("samples",): (naive_samples, [0.0]),
    ("rate",): (naive_rate, [0.0, 20.0]),
    ("ewma", "ewstd"): (naive_ewma, [30.0]),
    ("flat_s", "flat_n"): (naive_flat, [0.0]),
    ("prev_step",): (naive_prev_step, [0.0]),
}

row = st.tuples(st.integers(0, 2), st.integers(-5_000, 30_000), st.sampled_from([0.0, 1.0, 1.0, 2.5, -3.0, math.nan]))
cases = [(f, option) for f in features.FEATURES for option in TWINS[f.outputs][1]]


@pytest.mark.parametrize(("feature", "option"), cases, ids=lambda x: getattr(x, "outputs", x))
@settings(max_examples=40, deadline=None)
@given(rows=st.lists(row, max_size=40), cut=st.integers(0, 40))
def test_feature_equals_naive_twin(
    feature: features.Feature, option: float, rows: list[tuple[int, int, float]], cut: int
) -> None:
    """Rows may go back in time (stale) or be null: those move nothing."""
    naive = TWINS[feature.outputs][0]
    newest, last = np.full(3, order.NEVER), np.zeros(3)
    counts, state = np.zeros(4, np.int64), np.full((3, feature.width), np.nan)
    histories: dict[int, History] = {0: [], 1: [], 2: []}
    clock, expected, got, stale = 0, [], [], 0
    timed = []
    for point, gap, value in rows:
        clock = max(0, clock + gap)
        timed.append((point, clock, value))
        if math.isnan(value):
            continue
        if histories[point] and clock <= histories[point][-1][0]:
            stale += 1
            continue
        histories[point].append((clock, value))
        expected.append(naive(histories[point], option))
    for part in (timed[:cut], timed[cut:]):
        if not part:
            continue
        point, ts, value = (
            np.array([p for p, _, _ in part], np.int32),
            *(np.array(c) for c in list(zip(*part, strict=True))[1:]),
        )
        ts, value = ts.astype(np.int64), value.astype(np.float64)
        zeros = np.zeros(len(part), np.uint8)
        chosen, prev, dt = np.empty(len(part), np.int32), np.empty(len(part)), np.empty(len(part))
        n = order.fresh_rows(point, ts, value, zeros, zeros, newest, last, chosen, prev, dt, counts)
        chosen = chosen[:n]
        out = np.empty((len(feature.outputs), n))
        feature.kernel(point[chosen], ts[chosen], value[chosen], prev[:n], dt[:n], option, state, out)
        got += out.T.tolist()
    assert counts[3] == stale
    np.testing.assert_allclose(
        np.array(got).reshape(-1, len(feature.outputs)), np.array(expected).reshape(-1, len(feature.outputs)),
        rtol=1e-9, atol=1e-6,  # the root of a variance that is 0 but for rounding
    )  # fmt: skip


def test_every_feature_has_a_twin_and_a_description() -> None:
    assert {f.outputs for f in features.FEATURES} == set(TWINS)
    documented = set(features.DESCRIPTIONS)
    assert documented == {name for names in features.COLUMNS.values() for name in names}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 400_000), st.floats(-5, 5)), max_size=40))
def test_sibling_equals_naive_twin(rows: list[tuple[int, int, float]]) -> None:
    slots = np.array([s for s, _, _ in rows], np.int32)
    ts = np.cumsum([g for _, g, _ in rows], dtype=np.int64)
    value, limit = np.array([v for *_, v in rows]), np.array([600_000.0, 100_000.0])
    out = np.empty(int((slots % 2).sum()))
    kernels.sibling(slots, ts, value, limit, np.full((2, 2), np.nan), out)
    newest: dict[int, tuple[int, float]] = {}
    expected = []
    for slot, t, v in zip(slots.tolist(), ts.tolist(), value.tolist(), strict=True):
        if slot % 2 == 0:
            newest[slot // 2] = (t, v)
        else:
            at, beside = newest.get(slot // 2, (-(10**12), math.nan))
            expected.append(beside if t - at <= limit[slot // 2] else math.nan)
    np.testing.assert_array_equal(out, expected)
