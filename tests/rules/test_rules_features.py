"""Feature kernels against naive twins, with constant runs, gaps and repeats, in any batching."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules import features, vocabulary
from rules.feature import Lean
from rules.kernels import features as kernels
from rules.kernels import order

History = list[tuple[int, float]]
"""(ts, value) of one point up to and including the reading."""
Options = Mapping[str, float]
Naive = Callable[[History, Options], Sequence[float]]

LIMIT = 2.0
LOCAL_MS = 8 * 3_600_000
"""The wall clock of the tests is eight hours ahead."""
NAN = math.nan


def naive_samples(history: History, o: Options) -> list[float]:
    return [len(history)]


def naive_rate(history: History, o: Options) -> list[float]:
    if o["window_s"] == 0:
        if len(history) == 1:
            return [NAN]
        (t0, v0), (t1, v1) = history[-2:]
        return [(v1 - v0) / ((t1 - t0) / 1000)]
    anchors = [history[0]]
    for reading in history[1:]:
        if reading[0] - anchors[-1][0] >= o["window_s"] * 500:
            anchors.append(reading)
    if len(anchors) == 1:
        return [NAN]
    (t0, v0), (t1, v1) = anchors[-2], history[-1]
    return [(v1 - v0) * 1000 / (t1 - t0)]


def naive_ewma(history: History, o: Options) -> list[float]:
    if len(history) == 1:
        return [NAN, NAN]
    mean, var = history[0][1], 0.0
    for (t0, _), (t1, v) in itertools.pairwise(history[:-1]):
        a = o["lambda"] or 1 - math.exp(-(t1 - t0) / 1000 / o["tau_s"])
        var = (1 - a) * (var + a * (v - mean) ** 2)
        mean += a * (v - mean)
    return [mean, math.sqrt(var)]


def naive_flat(history: History, o: Options) -> list[float]:
    first = len(history) - 1
    while first > 0 and history[first - 1][1] == history[-1][1]:
        first -= 1
    return [(history[-1][0] - history[first][0]) / 1000, len(history) - 1 - first]


def naive_still(history: History, o: Options) -> list[float]:
    quantum = NAN
    anchor = 0
    for k in range(1, len(history)):
        steps = [abs(b - a) for (_, a), (_, b) in itertools.pairwise(history[: k + 1]) if a != b]
        quantum = min(steps, default=NAN)
        band = max([o["band"], *([quantum] if steps else [])])
        if abs(history[k][1] - history[anchor][1]) > band + 1e-9:
            anchor = k
    return [(history[-1][0] - history[anchor][0]) / 1000, len(history) - 1 - anchor, quantum]


def naive_faint(history: History, o: Options) -> list[float]:
    positive = [v for _, v in history[:-1] if v > 0]
    level = math.log(positive[0]) if positive else NAN
    for v in positive[1:]:
        level += 0.1 * (o["share"] - (math.log(v) < level - 1e-12))
    return [math.exp(level), len(positive)] if positive else [NAN, NAN]


def naive_prev_step(history: History, o: Options) -> list[float]:
    return [history[-2][1] - history[-3][1] if len(history) > 2 else NAN]


def naive_robust(history: History, o: Options) -> list[float]:
    n = int(o["n"])
    before = [v for _, v in history[:-1]][-n:]
    if len(before) < n:
        return [NAN, NAN, NAN]
    median = statistics.median(before)
    mad = sorted(abs(v - median) for v in before)[n // 2]
    return [median, mad, (history[-1][1] - median) / (1.4826 * mad) if mad else NAN]


def naive_cusum(history: History, o: Options) -> list[float]:
    mean, var, high, low = history[0][1], 0.0, 0.0, 0.0
    for n, ((t0, _), (t1, v)) in enumerate(itertools.pairwise(history), 1):
        sd = max(math.sqrt(var), o["sd_min"])
        if n >= 16 and sd > 0:
            z = max(-o["z_max"], min(o["z_max"], (v - mean) / sd))
            high = min(o["cap"], max(0.0, high + z - o["k"]))
            low = min(o["cap"], max(0.0, low - z - o["k"]))
        a = max(1 - math.exp(-(t1 - t0) / 1000 / o["tau_s"]), 1 / (n + 1))
        mean, var = mean + a * (v - mean), (1 - a) * (var + a * (v - mean) ** 2)
    return [high, low] if len(history) > 16 else [NAN, NAN]


def naive_tukey(history: History, o: Options) -> list[float]:
    smooth = q1 = q3 = history[0][1]
    spread, fences = 0.0, (NAN, NAN)
    for n, ((t0, _), (t1, v)) in enumerate(itertools.pairwise(history), 1):
        dt = (t1 - t0) / 1000
        smooth += (1 - math.exp(-dt / o["tau_s"]) if o["tau_s"] else o["lambda"]) * (v - smooth)
        fences = (q1 - o["k"] * (q3 - q1), q3 + o["k"] * (q3 - q1)) if n >= 20 else (NAN, NAN)
        w = 1 / min(n + 1, max(o["memory"], o["memory_s"] / dt))
        spread += w * (abs(smooth - (q1 + q3) / 2) - spread)
        a = q1 + 4 * w * spread * (0.25 - (smooth < q1))
        b = q3 + 4 * w * spread * (0.75 - (smooth < q3))
        q1, q3 = sorted((a, b))
    return [smooth, *fences]


def naive_trend(history: History, o: Options) -> list[float]:
    """By numpy's least squares."""
    if len(history) < 3:
        return [NAN] * 3
    t = np.array([at - history[-1][0] for at, _ in history]) / 1000
    slope, now = np.polyfit(t, [v for _, v in history], 1, w=np.exp(t / o["tau_s"] / 2))
    ahead = (LIMIT - now) / slope / 60 if slope else NAN
    return [slope, now, ahead if 0 < ahead <= 1e6 else NAN]


def naive_counter(history: History, o: Options) -> list[float]:
    behind, found = 0.0, (NAN, NAN, 0.0)
    for (t0, a), (t1, b) in itertools.pairwise(history):
        d, event = b - a, 0.0
        if d < 0:
            if o["modulus"] and a >= 0.9 * o["modulus"] and b <= 0.1 * o["modulus"]:
                d, event = d + o["modulus"], 2.0
            elif a > 0 and b <= 0.1 * a:
                d, event = NAN, 1.0
            else:
                event = 3.0
        behind = max(0.0, behind - d) if event in {0.0, 3.0} else 0.0
        found = (d, d / ((t1 - t0) / 3_600_000), event)
    return [*found, behind]


def naive_baseline(history: History, o: Options) -> list[float]:
    def slot(ts: int) -> tuple[int, tuple[int, int]]:
        at = datetime.fromtimestamp((ts + LOCAL_MS) / 1000, UTC)
        part = {1: 0, 2: int(at.weekday() >= 5), 7: at.weekday()}[int(o["days"])]
        minute = (at.hour * 60 + at.minute) * int(o["slots"]) // 1440
        return at.toordinal(), (part, minute)

    learned: dict[tuple[int, int], tuple[float, float, int]] = {}
    result: list[float] = []
    for (_, key), readings in itertools.groupby(history, lambda reading: slot(reading[0])):
        centre, scale, n = learned.get(key, (NAN, NAN, 0))
        values = [v for _, v in readings]
        sigma = 1.2533 * scale
        result = [centre, sigma, (values[-1] - centre) / sigma if sigma > 0 else NAN, n]
        mean, away = statistics.fmean(values), statistics.fmean(abs(v - centre) for v in values)
        w = 1 / min(n + 1, o["memory"])
        if n == 0:
            learned[key] = (mean, NAN, 1)
        elif n == 1:
            learned[key] = ((centre + mean) / 2, away, 2)
        else:
            d = mean - centre
            if n >= 4:
                bound = max(3 * scale, 0.05 * abs(d))
                d, away = max(-bound, min(bound, d)), min(away, max(3 * scale, 0.05 * away))
            learned[key] = (centre + w * d, scale + w * (away - scale), n + 1)
    return result


def naive_night(history: History, o: Options) -> list[float]:
    begin, end = o["from_h"] * 3_600_000, o["to_h"] * 3_600_000
    width = (end - begin) % 86_400_000
    nights: dict[int, float] = {}
    for ts, v in history:
        day, within = divmod(ts + LOCAL_MS - begin, 86_400_000)
        if within < width:
            nights[day] = min(v, nights.get(day, math.inf))
    day, within = divmod(history[-1][0] + LOCAL_MS - begin, 86_400_000)
    whole = [low for d, low in nights.items() if d < day or within >= width]
    before = whole[:-1][-int(o["n"]) :]
    found = [float(np.quantile(before, q)) for q in (0.5, 1 - o["q"], o["q"])] if before else [NAN] * 3
    return [whole[-1] if whole else NAN, *found, len(before)]


DAYS = 2000
"""Seconds become this much longer for features that look at days."""


def naive_floor(history: History, o: Options) -> list[float]:
    if len(history) == 1:
        return [NAN, NAN]
    floor = history[0][1]
    for (t0, _), (t1, v) in itertools.pairwise(history[:-1]):
        d = v - floor
        share = 1 - math.exp(-(t1 - t0) / 1000 / (o["fall_s"] if d < 0 else o["rise_s"]))
        floor += share * min(d, max(o["clip"], o["share"] * floor))
    return [floor, history[-1][1] - floor]


def naive_usage(history: History, o: Options) -> list[float]:
    idle, used, per_hour, falls, rises, ran, stood = history[0][0], NAN, NAN, 0, 0, -math.inf, None
    for n, ((t0, a), (t1, b)) in enumerate(itertools.pairwise(history), 2):
        falls, rises = falls + (b < a), rises + (b > a)
        used = b if falls > 0.1 * rises else (b - a if b >= a else NAN)
        if stood is not None and b >= stood and falls <= 0.1 * rises:
            used = b - stood
        stood = None if b > a else a if b < a and stood is None else stood
        used = NAN if n <= 24 else used
        per_hour = used / ((t1 - t0) / 3_600_000)
        if per_hour > o["idle"]:
            ran = t1
        elif t1 - ran >= 1000 * o["pause_s"]:
            idle = t1
    return [used, per_hour, (history[-1][0] - idle) / 1000]


TWINS: dict[str, tuple[Naive, list[dict[str, float]], int]] = {
    "samples": (naive_samples, [{}], 1),
    "rate": (naive_rate, [{}, {"window_s": 20}], 1),
    "ewma": (naive_ewma, [{"tau_s": 30}, {"lambda": 0.3}], 1),
    "flat": (naive_flat, [{}], 1),
    "still": (naive_still, [{}, {"band": 1.25}], 1),
    "faint": (naive_faint, [{}, {"share": 0.37}], 1),
    "prev_step": (naive_prev_step, [{}], 1),
    "robust": (naive_robust, [{"n": 3}, {"n": 6}], 1),
    "cusum": (naive_cusum, [{"tau_s": 100, "cap": 5}, {"sd_min": 0.7, "k": 0.1}], 1),
    "tukey": (naive_tukey, [{"memory": 25}, {"memory": 20, "tau_s": 30, "memory_s": 300}], 1),
    "trend": (naive_trend, [{"tau_s": 60}], 1),
    "floor": (naive_floor, [{"fall_s": 20, "rise_s": 60}, {"clip": 0.1, "rise_s": 50}, {"clip": 0.1, "share": 0.5}], 1),
    "usage": (naive_usage, [{}, {"idle": 300}, {"pause_s": 4}], 1),
    "counter": (naive_counter, [{}, {"modulus": 2.6}], 1),
    "baseline": (naive_baseline, [{}, {"days": 2, "slots": 48}, {"days": 7, "memory": 2}], DAYS),
    "night": (naive_night, [{}, {"from_h": 22.5, "to_h": 1, "n": 2, "q": 0.75}], DAYS),
}
"""By feature: its twin, the options to try, and how much slower the clock runs."""

row = st.tuples(st.integers(0, 1), st.integers(-5_000, 30_000), st.sampled_from([0.0, 1.0, 1.0, 2.5, -3.0, NAN]))
cases = [(name, given) for name, (_, tried, _) in TWINS.items() for given in tried]


@pytest.mark.parametrize(("name", "given_options"), cases, ids=str)
@settings(max_examples=40, deadline=None)
@given(rows=st.lists(row, max_size=70), cut=st.integers(0, 70))
def test_feature_equals_naive_twin(
    name: str, given_options: dict[str, float], rows: list[tuple[int, int, float]], cut: int
) -> None:
    """Rows may go back in time (stale) or be null: those move nothing."""
    feature, (naive, _, slower) = features.FEATURE[name], TWINS[name]
    options = {o.name: given_options.get(o.name, o.default) for o in feature.options}
    assert all(o.fault(options[o.name]) is None for o in feature.options)
    packed, width = np.array(list(options.values())), feature.width(tuple(options.values()))
    newest, last = np.full(2, order.NEVER), np.zeros(2)
    counts, state = np.zeros(4, np.int64), np.full((2, width), np.nan, feature.dtype)
    histories: dict[int, History] = {0: [], 1: []}
    clock, expected, got, stale = 0, [], [], 0
    timed = []
    for point, gap, value in rows:
        clock = max(0, clock + gap * slower)
        timed.append((point, clock, value))
        if math.isnan(value):
            continue
        if histories[point] and clock <= histories[point][-1][0]:
            stale += 1
            continue
        histories[point].append((clock, value))
        expected.append(naive(histories[point], options))
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
        at, limit = ts[chosen], np.full(n, LIMIT)
        feature.kernel(
            *(point[chosen], at, at + LOCAL_MS, value[chosen], prev[:n], dt[:n], limit, packed, math.inf, state, out)
        )
        got += out.T.tolist()
    assert counts[3] == stale
    exact = feature.dtype is np.float64
    np.testing.assert_allclose(
        np.array(got).reshape(-1, len(feature.outputs)), np.array(expected).reshape(-1, len(feature.outputs)),
        rtol=1e-7 if exact else 1e-3, atol=1e-6 if exact else 1e-3,  # roots and quotients of what is 0 but for rounding
    )  # fmt: skip


@pytest.mark.parametrize("name", [f.name for f in features.FEATURES if f.learns])
def test_nothing_is_learned_after_the_training_period(name: str) -> None:
    """A fault of a week does not become normal when the rule says ``learn = "training"``."""
    feature = features.FEATURE[name]
    options = tuple(o.default for o in feature.options)
    hours = np.arange(24 * 30, dtype=np.int64) * 3_600_000
    value = 10.0 + np.sin(hours / 1e7)
    later = np.where(hours < hours[24 * 20], value, 50.0)
    column = {"tukey": 2, "night": 1}.get(name, 0)
    last = []
    for until in (float(hours[24 * 20]), math.inf):
        state, out = np.full((1, feature.width(options)), np.nan, feature.dtype), np.empty((len(feature.outputs), 720))
        prev, dt = np.r_[np.nan, later[:-1]], np.full(720, 3600.0)
        slots = np.zeros(720, np.int32)
        feature.kernel(slots, hours, hours, later, prev, dt, later, np.array(options), until, state, out)
        last.append(out[column, -1])
    frozen, learning = last
    if name == "cusum":
        assert (frozen, learning) == (20.0, 0.0)
    else:
        assert frozen < 15
        assert frozen < learning - 0.5


LEANS = [
    (name, given, lean)
    for name, (_, tried, _) in TWINS.items()
    for given in [{}, *tried]
    for lean in features.FEATURE[name].lean
]
stretch = st.tuples(st.integers(0, 1), st.integers(1, 9), st.sampled_from([0.0, 1.0, 1.0, 2.5, -3.0, 40.0]))


@pytest.mark.parametrize(("name", "given_options", "lean"), LEANS, ids=lambda x: getattr(x, "outputs", x))
@settings(max_examples=30, deadline=None)
@given(rows=st.lists(stretch, max_size=60), cut=st.integers(0, 60), told=st.sampled_from([0, 30]), known=st.booleans())
def test_a_lean_form_is_the_whole_one_to_the_bit(
    name: str,
    given_options: dict[str, float],
    lean: Lean,
    rows: list[tuple[int, int, float]],
    cut: int,
    told: int,
    *,
    known: bool,
) -> None:
    """Also where the point was heard before the rule, and after a training period; ``told``: when that ends."""
    feature, slower = features.FEATURE[name], 1_200_000 if features.FEATURE[name].local else 1_000
    options = tuple(given_options.get(o.name, o.default) for o in feature.options)
    form = feature.form(options, frozenset(lean.outputs))
    assert form.kernel is lean.kernel
    assert feature.form(options, frozenset(feature.outputs)).kernel is feature.kernel
    slots, value = np.array([p for p, _, _ in rows], np.int32), np.array([v for _, _, v in rows], np.float64)
    ts = np.cumsum([gap * slower for _, gap, _ in rows]).astype(np.int64)
    until = float(ts[min(told, len(ts) - 1)]) if told and len(ts) else math.inf
    before = {p: (0, 1.0) for p in (0, 1) if known}
    prev, dt = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    for k, (p, _, v) in enumerate(rows):
        if p in before:
            dt[k], prev[k] = (ts[k] - before[p][0]) / 1000.0, before[p][1]
        before[p] = int(ts[k]), v
    whole = np.full((2, feature.width(options)), np.nan, feature.dtype)
    less = form.part(whole)
    assert less.shape[1] == len(form.keeps) < whole.shape[1]
    for part in (slice(0, cut), slice(cut, None)):
        given = (
            slots[part],
            ts[part],
            ts[part],
            value[part],
            prev[part],
            dt[part],
            value[:0],
            np.array(options),
            until,
        )
        out, own = (np.empty((len(one.outputs), len(given[0]))) for one in (feature, form))
        feature.kernel(*given, whole, out)
        form.kernel(*given, less, own)
        wanted = [k for k, output in enumerate(feature.outputs) if output in form.outputs]
        assert np.array_equal(out[wanted], own, equal_nan=True)
        assert np.array_equal(form.part(whole), less, equal_nan=True)


def test_a_state_of_before_a_feature_remembered_more_is_taken() -> None:
    """``usage`` had five columns, its lean form three; what is new is not known of them."""
    usage = features.FEATURE["usage"]
    options = tuple(o.default for o in usage.options)
    old = np.arange(10.0).reshape(2, 5)
    whole, lean = (usage.form(options, frozenset(asked)) for asked in ({"busy_s"}, {"used"}))
    np.testing.assert_array_equal(whole.part(old), np.c_[old, [NAN, NAN]])
    np.testing.assert_array_equal(lean.part(old), np.c_[old[:, [0, 1, 3]], [NAN, NAN]])
    np.testing.assert_array_equal(lean.part(old[:, [0, 1, 3]]), np.c_[old[:, [0, 1, 3]], [NAN, NAN]])
    whole_now = np.arange(12.0).reshape(2, 6)
    assert whole.part(whole_now) is whole_now
    np.testing.assert_array_equal(lean.part(whole_now), whole_now[:, [0, 1, 3, 5]])


def test_every_feature_has_a_twin_and_a_description() -> None:
    assert {f.name for f in features.FEATURES} == set(TWINS)
    documented = set(vocabulary.DESCRIPTIONS)
    assert documented == {name for names in vocabulary.COLUMNS.values() for name in names}


def test_the_tables_of_the_guide_are_those_of_the_code() -> None:
    """Regenerate with: python -c 'from rules.vocabulary import reference; print(reference())'."""
    guide = Path(__file__).parents[2].joinpath("docs/rules.md").read_text("utf-8")
    between = guide.split("<!-- columns -->\n")[1].split("<!-- /columns -->")[0]
    assert between == vocabulary.reference()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 400_000), st.floats(-5, 5)), max_size=40))
def test_sibling_equals_naive_twin(rows: list[tuple[int, int, float]]) -> None:
    codes = np.array([s for s, _, _ in rows], np.int32)
    ts = np.cumsum([g for _, g, _ in rows], dtype=np.int64)
    value, limit = np.array([v for *_, v in rows]), np.array([600_000.0, 100_000.0])
    out = np.empty(len(codes))
    kernels.sibling(codes, ts, value, limit[codes // 4], np.full((2, 2), np.nan), out)
    newest: dict[int, tuple[int, float]] = {}
    expected = []
    for code, t, v in zip(codes.tolist(), ts.tolist(), value.tolist(), strict=True):
        device, wants, carries = code // 4, code & kernels.WANTS, code & kernels.CARRIES
        if carries:
            newest[device] = (t, v)
        at, beside = newest.get(device, (-(10**12), math.nan))
        expected.append(beside if wants and t - at <= limit[device] else math.nan)
    np.testing.assert_array_equal(out, expected)
