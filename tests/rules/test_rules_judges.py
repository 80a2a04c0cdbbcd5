"""Judges against naive twins: moments, T² and Q by matrix algebra, drift frame by frame."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rules.judges import JUDGES, OPTIONS
from rules.judges.calibration import Calibration
from rules.judges.drift import Drift
from rules.judges.residual import Residual
from rules.kernels import median, residual
from rules.model import Learn, Model

Matrix = NDArray[np.float64]
DEFAULTS = {name: bounds[0] for name, bounds in OPTIONS.items()}


def walk(frames: int, members: int, seed: int = 3) -> tuple[NDArray[np.int64], Matrix]:
    random = np.random.default_rng(seed)
    mixed = random.normal(size=(frames, members)) @ random.normal(size=(members, members))
    mixed[random.random(mixed.shape) < 0.03] = np.nan
    return np.arange(frames, dtype=np.int64) * 60_000, mixed


def naive_vectors(ts: Matrix, frames: Matrix, lags: int) -> list[Matrix | None]:
    """Each frame beside the frames before it, NaN for one left out, unless there is a gap among them."""
    spacing, run, out = math.nan, 0, []
    past: list[Matrix] = []
    for i in range(len(ts)):
        step = ts[i] - ts[i - 1] if i else math.nan
        if step > 5 * spacing:
            run = 0
        elif i and spacing > 0:
            left_out = min(lags, math.floor(step / spacing + 0.5) - 1)
            past += [np.full(frames.shape[1], np.nan)] * left_out
            run += max(left_out, 0)
        if math.isnan(spacing):
            spacing = step
        else:
            spacing += min(max(step - spacing, -0.02 * spacing), 0.02 * spacing)
        past.append(frames[i])
        out.append(np.concatenate([past[-1 - k] for k in range(lags + 1)]) if run >= lags else None)
        run += 1
    return out


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 3),
    st.lists(st.sampled_from([1.0, 1.0, 1.0, 1.2, 2.0, 3.0, 30.0]), min_size=2, max_size=25),
    st.data(),
)
def test_a_frame_stands_beside_those_before_it_unless_there_was_a_gap(
    lags: int, steps: list[float], data: st.DataObject
) -> None:
    ts = np.cumsum(steps)
    frames = np.arange(2.0 * len(ts)).reshape(-1, 2)
    clock, history = np.array([np.nan, np.nan, 0.0]), np.full((lags, 2), np.nan)
    out, whole = np.empty((len(ts), 2 * (lags + 1))), np.empty(len(ts))
    cut = data.draw(st.integers(0, len(ts)))
    for part in (slice(0, cut), slice(cut, len(ts))):
        residual.embed(ts[part], frames[part], lags, clock, history, out[part], whole[part])
    for i, expected in enumerate(naive_vectors(ts, frames, lags)):
        assert whole[i] == (expected is not None)
        if expected is not None:
            assert np.array_equal(out[i], expected, equal_nan=True)


def test_moments_are_mean_and_scatter() -> None:
    _, frames = walk(200, 4)
    frames = np.nan_to_num(frames)
    count, mean, scatter = np.zeros(1), np.full(4, np.nan), np.zeros((4, 4))
    residual.moments(frames, np.ones(200), np.ones(200), np.inf, count, mean, scatter)
    assert count[0] == 200
    assert mean == pytest.approx(frames.mean(axis=0))
    assert scatter == pytest.approx(np.cov(frames.T) * 199)


def test_t2_and_q_are_distance_within_and_from_the_normal_space() -> None:
    _, frames = walk(300, 5)
    frames = np.nan_to_num(frames)
    mean, scale = frames.mean(axis=0), 1 / frames.std(axis=0)
    values, axes = np.linalg.eigh(np.cov(((frames - mean) * scale).T))
    axes, spread = np.ascontiguousarray(axes[:, ::-1][:, :3].T), values[::-1][:3].copy()
    z = (frames - mean) * scale
    scores = z @ axes.T
    rest = [z - scores[:, :k] @ axes[:k] for k in range(4)]
    for cuts in ([3], [1, 3], [1, 1, 2, 3]):
        out, state = np.empty((300, 3)), np.full(2, np.nan)
        to = np.array(cuts, np.float64)
        residual.judge(frames, np.ones(300), mean, scale, axes, spread, to, 1.0, np.full(2, np.inf), state, out)
        assert out[:, 0] == pytest.approx((scores**2 / spread).sum(axis=1))
        logs = [np.log((rest[k] ** 2).sum(axis=1)) for k in cuts]
        assert out[:, 1] == pytest.approx(np.exp(np.mean(logs, axis=0)))
        assert out[:, 2].tolist() == np.argmax(rest[3] ** 2, axis=1).tolist()


def test_what_is_missing_is_what_the_rest_lets_expect_and_half_must_be_there() -> None:
    random = np.random.default_rng(8)
    covariance = np.cov(random.normal(size=(6, 40)))
    covariance[5], covariance[:, 5] = 0.0, 0.0
    mean, scale = random.normal(size=6), np.array([1.0, 2.0, 0.5, 1.0, 3.0, 0.0])
    precision = np.zeros((6, 6))
    precision[:5, :5] = np.linalg.inv(covariance[:5, :5])
    vectors = random.normal(size=(6, 6))
    vectors[1, [0]] = vectors[2, [1, 3]] = vectors[3, [0, 1, 2]] = vectors[4, 5] = np.nan
    given, whole = vectors.copy(), np.array([1.0, 1.0, 1.0, 1.0, 1.0, 0.0])
    residual.fill(vectors, whole, mean, scale, precision)
    assert whole.tolist() == [1, 1, 1, -1, 1, 0]
    for i, missing in ((1, [0]), (2, [1, 3])):
        known = [j for j in range(5) if j not in missing]
        z = (given[i, known] - mean[known]) * scale[known]
        # the other form of the same thing: a regression on the known part by its covariance
        expected = covariance[np.ix_(missing, known)] @ np.linalg.solve(covariance[np.ix_(known, known)], z)
        assert vectors[i, missing] == pytest.approx(mean[missing] + expected / scale[missing])
        assert np.array_equal(vectors[i, known], given[i, known])
    for i in (0, 3, 4, 5):
        assert np.array_equal(vectors[i], given[i], equal_nan=True)


def test_some_missing_values_change_q_little() -> None:
    random = np.random.default_rng(4)
    frames = random.normal(size=(3000, 3)) @ random.normal(size=(3, 9)) + random.normal(0, 0.1, (3000, 9))
    frames[2900:, 4] += 1.0
    ts = np.arange(3000, dtype=np.int64) * 60_000
    torn = np.where(random.random(frames.shape) < 0.05, np.nan, frames)
    learn = Learn(2000 * 60.0, follow=False)
    whole, holed = (Model(Residual, 9, DEFAULTS, learn, None).process(ts, x)[:, 1] for x in (frames, torn))
    assert not np.isnan(holed[2001:]).any()
    for part in (slice(2001, 2900), slice(2905, 3000)):
        assert np.median(holed[part]) == pytest.approx(np.median(whole[part]), rel=0.25)
    assert (holed[2910:] > 1).mean() > 0.9
    assert (holed[2001:2900] > 1).mean() < 0.02


def test_what_an_instrument_cannot_tell_counts_little() -> None:
    random = np.random.default_rng(6)
    frames = random.normal(size=(1500, 2)) @ random.normal(size=(2, 5)) + random.normal(0, 0.1, (1500, 5)) + 3.0
    frames[:, 3] = 300.0 + 0.01 * frames[:, 3]
    frames[1200:, 3] += 0.1
    ts = np.arange(1500, dtype=np.int64) * 60_000
    said = [
        Model(Residual, 5, DEFAULTS | {"accuracy": a}, Learn(1000 * 60.0, follow=False), None).process(ts, frames)
        for a in (0.0, 0.005)
    ]
    assert np.median(said[0][1210:, 1]) > 2
    assert np.median(said[1][1210:, 1]) < 1


def test_an_offset_of_all_members_hides_nothing() -> None:
    """Levels above the sea, kelvin: a hundredth of such a mean is more than all that moves."""
    random = np.random.default_rng(6)
    frames = random.normal(size=(1500, 2)) @ random.normal(size=(2, 5)) + random.normal(0, 0.1, (1500, 5))
    frames = frames * np.array([1.0, 1.0, 5.0, 30.0, 30.0]) + 50.0
    frames[1200:, 0] += 1.0
    ts = np.arange(1500, dtype=np.int64) * 60_000
    for offset in (0.0, 3000.0):
        model = Model(Residual, 5, DEFAULTS | {"accuracy": 0.01}, Learn(1000 * 60.0, follow=False), None)
        assert np.median(model.process(ts, frames + offset)[1210:, 1]) > 4.0


@pytest.mark.parametrize("share", [0.0, 0.01, 0.03])
def test_a_fault_in_the_normal_period_does_not_set_the_limit(share: float) -> None:
    random = np.random.default_rng(11)
    frames = random.normal(size=(3000, 3)) @ random.normal(size=(3, 9)) + random.normal(0, 0.3, (3000, 9))
    frames[1200 : 1200 + int(2000 * share), 2] += 8.0
    frames[2600:, 6] += 3.0
    ts = np.arange(3000, dtype=np.int64) * 60_000
    q = Model(Residual, 9, DEFAULTS, Learn(2000 * 60.0, follow=False), None).process(ts, frames)[:, 1]
    assert np.median(q[2610:]) > 1.0
    assert (q[2000:2600] > 1.0).mean() < 0.01


@pytest.mark.parametrize("days", [7.5, 20.0])
def test_what_comes_every_day_is_normal_and_what_came_once_is_not(days: float) -> None:
    """A pump that starts twice a day, for a few frames; a test of three hours, once."""
    random, day = np.random.default_rng(5), 288
    learned = int(days * day)
    frames = random.normal(size=(learned + 4 * day, 3)) @ random.normal(size=(3, 9))
    frames += random.normal(0, 0.3, frames.shape)
    for at in range(0, len(frames), day):
        frames[at + 70 : at + 74, 4] += random.normal(6.0, 0.3)
        frames[at + 230 : at + 233, 4] += random.normal(6.0, 0.3)
    once = learned - day - 30
    frames[once : once + 36, 2] += 30.0
    frames[-day:, 6] += 8.0
    ts = np.arange(len(frames), dtype=np.int64) * 300_000
    q = Model(Residual, 9, DEFAULTS, Learn(days * 86_400.0, follow=False), None).process(ts, frames)[:, 1]
    assert (q[learned:-day] > 1.0).mean() < 0.002
    assert np.median(q[-day + 10 :]) > 1.0


@given(st.lists(st.floats(0.1, 10), min_size=40, max_size=120), st.integers(2, 9))
def test_the_limit_is_never_below_what_the_middle_day_reaches(values: list[float], frames_a_day: int) -> None:
    calibration = Calibration(1)
    ts = np.arange(len(values)) * 86_400_000.0 / frames_a_day
    calibration.add(ts, np.array(values)[:, None])
    calibration.close((10.83 / 3.84,))
    days: dict[int, float] = {}
    for at, value in zip(ts, values, strict=True):
        k = int((ts[-1] - at) / 86_400_000.0)
        days[k] = max(days.get(k, 0.0), value)
    whole = int((ts[-1] - ts[0]) / 86_400_000.0 + 0.05)
    middle = sorted(days[k] for k in range(whole))[(whole - 1) // 2]
    assert calibration.limit[0] >= min(middle, np.quantile(values, 0.999)) * (1 - 1e-9)
    assert calibration.limit[0] <= np.quantile(values, 0.999) * (1 + 1e-9)


@pytest.mark.parametrize(("days", "least", "most"), [((7,) * 6, 10.0, 12.5), ((1, 1, 1, 7, 1, 1), 1.0, 4.0)])
def test_a_start_every_day_sets_the_limit_as_far_as_days_vary(days: tuple[int, ...], least: float, most: float) -> None:
    """Six days of 288 frames at 1, in some of which seven frames reach 10."""
    random = np.random.default_rng(2)
    values = random.uniform(0.5, 1.0, (len(days), 288))
    for day, frames in enumerate(days):
        values[day, 100 : 100 + frames] = 10.0 if frames > 1 else 1.0
    calibration = Calibration(1)
    calibration.add(np.arange(values.size) * 300_000.0, values.reshape(-1, 1))
    calibration.close((10.83 / 3.84,))
    assert least <= calibration.limit[0] <= most


def test_a_judge_is_calibrated_on_a_third_of_its_normal_period_at_least() -> None:
    """On what came since the last fit but one, wherever the normal period ends."""
    ts, frames = walk(2000, 4)
    for end in range(400, 2000, 100):
        model = Model(Residual, 4, DEFAULTS, Learn(end * 60.0, follow=False), None)
        model.process(ts, frames)
        assert model.judging
        assert end / 3 - 1 <= len(model.arrays["normal"]) <= 0.6 * end


@settings(deadline=None, max_examples=25)
@given(st.sampled_from([2, 3, 5]), st.integers(1, 40))
def test_a_value_is_the_median_of_the_last_however_frames_are_cut(n: int, cut: int) -> None:
    _, frames = walk(40, 3)
    past, out = np.full((n - 1, 3), np.nan), np.empty_like(frames)
    for a in range(0, 40, cut):
        median.calm(frames[a : a + cut], past, out[a : a + cut])
    for j in range(3):
        known = [i for i in range(40) if not math.isnan(frames[i, j])]
        assert [math.isnan(x) for x in out[:, j]] == [i not in known for i in range(40)]
        for at, i in enumerate(known):
            last = sorted(frames[k, j] for k in known[max(0, at - n + 1) : at + 1])
            assert out[i, j] == last[(len(last) - 1) // 2]


@pytest.mark.parametrize("judge", [Residual, Drift])
@pytest.mark.parametrize("follow", [False, True])
def test_any_cut_of_the_frames_gives_the_same_bits(judge: type, follow: bool) -> None:
    ts, frames = walk(500, 4)
    learn = Learn(200 * 60.0, follow=follow)
    whole = Model(judge, 4, DEFAULTS, learn, None).process(ts, frames)
    model = Model(judge, 4, DEFAULTS, learn, None)
    parts = []
    for a in range(0, 500, 13):
        parts.append(model.process(ts[a : a + 13], frames[a : a + 13]))
        again = Model(judge, 4, DEFAULTS, learn, None)
        again.load({name: array.copy() for name, array in model.arrays.items()})
        model = again
    assert np.concatenate(parts).tobytes() == whole.tobytes()
    assert np.isnan(whole[:199, 0]).all()
    assert not np.isnan(whole[230:, 0]).any()


def test_a_snapshot_from_before_times_of_calibration_goes_on() -> None:
    """Its values count until the next fit; when they came is not known, so none of them comes every day."""
    ts, frames = walk(4000, 4)
    model, again = (Model(Residual, 4, DEFAULTS, Learn(3500 * 60.0, follow=False), None) for _ in range(2))
    model.process(ts[:2500], frames[:2500])
    old = {name: array for name, array in model.arrays.items() if name != "normal_at"}
    again.load(old | {"normal_meta": old["normal_meta"][:3]})
    said = [m.process(ts[2500:], frames[2500:])[:, 1] for m in (model, again)]
    assert np.isnan(said[1][:999]).all()
    assert np.nanmedian(said[1] / said[0]) == pytest.approx(1.0, abs=0.2)


def test_a_member_that_never_moved_in_the_normal_period_is_left_out() -> None:
    ts, frames = walk(300, 3)
    frames[:, 1] = 7.0
    frames[250:, 1] = 9.0
    for judge in (Residual, Drift):
        out = Model(judge, 3, DEFAULTS, Learn(200 * 60.0, follow=False), None).process(ts, frames)
        assert not (out[:, -1] == 1).any()
    frames[:] = 7.0
    for judge in (Residual, Drift):
        out = Model(judge, 3, DEFAULTS, Learn(200 * 60.0, follow=False), None).process(ts, frames)
        assert np.isnan(out[:, 0]).all()


def test_calibration_keeps_a_bounded_number_over_the_whole_time() -> None:
    calibration = Calibration(1)
    calibration.add(np.zeros(40_000), np.arange(40_000.0).reshape(-1, 1))
    calibration.close((np.inf,))
    assert calibration.meta[0] <= 8192
    assert calibration.limit[0] == pytest.approx(39_960, rel=0.001)


@pytest.mark.parametrize("judge", JUDGES)
def test_what_no_instrument_can_tell_is_no_value(judge: Any) -> None:
    """Squares of 1e200 are infinite, and a fit of them ended the whole engine's rules."""
    ts, frames = walk(600, 4)
    wild = np.random.default_rng(5).random(frames.shape) < 0.02
    limits = []
    for told in (1e200, -1e300, np.nan):
        model = Model(judge, 4, DEFAULTS, Learn(400 * 60.0, follow=False), None)
        model.process(ts, np.where(wild, told, frames))
        limits.append(model.limit)
    assert np.isfinite(limits[2]).all()
    assert np.array_equal(limits[0], limits[2])
    assert np.array_equal(limits[1], limits[2])
    still = Model(judge, 4, DEFAULTS, Learn(400 * 60.0, follow=False), None)
    still.process(ts, np.full_like(frames, 1e-300))  # next to nothing, and it never moves
    assert not np.isfinite(still.limit).any()
