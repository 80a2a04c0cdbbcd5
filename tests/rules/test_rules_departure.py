"""The judge ``departure`` against a naive twin that keeps every frame, and what it says of water at any interval."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rules.judges import OPTIONS
from rules.judges.departure import Departure
from rules.kernels import departure as kernel
from rules.model import Learn, Model

Matrix = NDArray[np.float64]
DEFAULTS = {name: bounds[0] for name, bounds in OPTIONS.items()} | {"frame_s": 60.0, "stays_s": 3600.0}
DRAWN = {"weight": [0.1, 0.75], "unrest": [0.0, 2.0], "trim": [0.0, 0.125, 0.375, 0.5]}
SLOW = DEFAULTS | {
    "block_s": 21_600.0, "trim": 0.375, "weight": 0.1, "deviations": 4.0, "daily": 0.2, "calm_s": 1_209_600.0,
    "stays_s": 7200.0, "frame_s": 600.0,
}  # fmt: skip
MINUTE = 60_000.0
DAY = 24 * 60


class NaiveDeparture:
    """Every frame is kept; windows, levels and limits as the words of the rule say, by the library's linear algebra."""

    def __init__(self, members: int, options: dict[str, float]) -> None:
        self.m, self.o = members, options
        self.block = 1000 * options["block_s"]
        least = 10 if options["unrest"] else 1
        self.room = min(max(math.ceil(options["block_s"] / max(options["frame_s"], 1)), least), 240)
        self.frames: list[tuple[float, list[float]]] = []
        self.values: list[list[float]] = [[] for _ in range(members)]
        self.usual = [0.0] * members
        self.level, self.spread, self.seen = [math.nan] * members, [0.0] * members, [0] * members
        self.limit = [1.0] * (2 * members)
        self.usual_unrest, self.unrest_spread, self.heard = [0.0] * members, [0.0] * members, [0] * members
        self.joint = np.zeros((members, members))
        self.blocks, self.last, self.since, self.until = 0, math.nan, math.nan, math.nan
        self.calm, self.away = kernel.HOUR, -1

    def window(self, ts: float, j: int) -> list[float]:
        recent = self.frames[-self.room :]
        kept = []
        for at, frame in reversed(recent):
            if not ts - at < self.block:
                break
            kept.append(frame[j])
        return [v for v in kept if not math.isnan(v)]

    def digit(self, j: int) -> float:
        changes = [
            abs(b - a) for a, b in zip(self.values[j], self.values[j][1:], strict=False) if abs(b - a) > 1e-9 * abs(b)
        ]
        found = math.inf
        for change in changes:
            if found == math.inf:
                found = change
            elif change < found * (1 - 1e-9):
                found = max(change, found * math.exp(-0.05 * 0.95))
            else:
                found = min(change, found * math.exp(0.05 * 0.05))
        return found

    def floor(self, j: int) -> float:
        return self.digit(j) ** 2 / 12

    def see(self, ts: float, frame: list[float], follow: bool) -> tuple[float, int] | None:
        self.frames.append((ts, frame))
        means: dict[int, float] = {}
        for j in range(self.m):
            told = self.window(ts, j)
            if not math.isnan(frame[j]):
                self.values[j].append(frame[j])
                self.usual[j] = self.usual[j] + 0.02 * (len(told) - self.usual[j]) if self.usual[j] else len(told)
            if told and len(told) >= (self.usual[j] - 0.5) / 2:
                out = min(math.floor(self.o["trim"] * len(told) + 0.625), (len(told) - 1) // 2)
                means[j] = float(np.mean(sorted(told)[out : len(told) - out]))
        unheard = 0.0 if math.isnan(self.last) else max(0.0, (ts - self.last) / self.block - 1)
        wander = 1 + kernel.WALK * min(unheard, kernel.DAY / self.block)
        z = np.zeros(self.m)
        for j, mean in means.items():
            if self.seen[j] and self.digit(j) < math.inf:
                off = mean - self.level[j]
                beyond = math.copysign(max(0.0, abs(off) - kernel.EDGE * self.digit(j)), off)
                z[j] = beyond / math.sqrt(max(self.spread[j], self.floor(j)) * wander)
        each = {j: abs(v) / (self.o["deviations"] * self.limit[j]) for j, v in self.beside(z, sorted(means)).items()}
        uneasy = self.uneasy() if self.o["unrest"] else {}
        for j, steps in uneasy.items():
            square = max(self.unrest_spread[j], self.digit(j) ** 2 / 4)
            if self.heard[j] > 4 and self.digit(j) < math.inf and square > 0:
                off = (steps - self.usual_unrest[j]) / math.sqrt(square)
                each[self.m + j] = off / (self.o["unrest"] * self.limit[self.m + j])
        most = max(each.values(), default=math.nan)
        worst = next((j for j in sorted(each) if each[j] == most), -1)
        if follow:
            self.follow(ts, most, worst)
            if math.isnan(self.last) or ts - self.last >= kernel.WHOLE * self.block:
                self.learn(ts, means, uneasy, z, most, wander)
        return None if worst < 0 else (most, worst % self.m)

    def uneasy(self) -> dict[int, float]:
        """Mean step between the readings of the last ten frames, without the two largest and the two least."""
        told = {}
        for j in range(self.m):
            values = [frame[j] for _, frame in self.frames[-10:] if not math.isnan(frame[j])]
            steps = sorted(abs(b - a) for a, b in pairwise(values))
            if len(steps) >= 7 and not math.isnan(self.frames[-1][1][j]):
                told[j] = float(np.mean(steps[2:-2]))
        return told

    def beside(self, z: Matrix, known: list[int]) -> dict[int, float]:
        """Each known member's distance, less what the others let expect, by its own deviation given them."""
        if not known:
            return {}
        size = np.sqrt(np.diag(self.joint))
        both = np.outer(size, size)
        alike = np.divide(self.joint, both, out=np.zeros_like(both), where=both > 0)
        first: list[int] = []
        for j in known:
            if not any(abs(alike[j, k]) > kernel.COPY for k in first):
                first.append(j)
        known = first
        alike *= (1 - kernel.DIAGONAL) * self.blocks / (self.blocks + self.m + 1)
        np.fill_diagonal(alike, 1.0)
        inverse = np.linalg.inv(alike[np.ix_(known, known)])
        return dict(zip(known, inverse @ z[known] / np.sqrt(np.diag(inverse)), strict=True))

    def follow(self, ts: float, most: float, worst: int) -> None:
        elapsed = 0.0 if math.isnan(self.until) else min(ts - self.until, kernel.DAY)
        self.until = ts
        above = max(kernel.SHARED, sum(x > 1 for x in self.limit))
        falls = math.exp(-kernel.STEP * self.o["daily"] * elapsed / kernel.DAY / above)
        self.limit = [max(1.0, x * falls) for x in self.limit]
        if worst < 0:
            return
        if most > 1:
            self.away = worst if self.calm >= kernel.HOUR else self.away
            self.calm = 0.0
        elif most < kernel.QUIET:
            self.calm += elapsed
            if self.calm >= kernel.HOUR and self.away >= 0:
                self.limit[self.away] *= math.exp(kernel.STEP)
                self.away = -1

    def learn(
        self, ts: float, means: dict[int, float], uneasy: dict[int, float], z: Matrix, most: float, wander: float
    ) -> None:
        share = self.block / (1000 * self.o["calm_s"])
        weight = max(share, 1 / (self.blocks + 2))
        self.blocks += 1
        self.last = ts
        far = np.clip(z, -kernel.FAR, kernel.FAR)
        slow = max(weight / kernel.JOINT, 1 / (self.blocks + 1))
        self.joint += slow * (np.outer(far, far) - self.joint)
        stand = most > kernel.HOLD
        self.since = (ts if math.isnan(self.since) else self.since) if stand else math.nan
        over = stand and ts - self.since >= 1000 * self.o["stays_s"]
        self.learn_unrest(uneasy, weight, stand, over)
        for j, mean in means.items():
            if math.isnan(self.level[j]):
                self.level[j] = mean
                continue
            square = (mean - self.level[j]) ** 2 / wander
            if self.seen[j]:
                square = min(square, kernel.BOUND * max(self.spread[j], self.floor(j)))
            self.seen[j] += 1
            self.spread[j] += max(weight, 1 / self.seen[j]) * (square - self.spread[j])
            if over:
                self.level[j] = mean
            elif not stand:
                self.level[j] += self.o["weight"] * (mean - self.level[j])

    def learn_unrest(self, uneasy: dict[int, float], weight: float, stand: bool, over: bool) -> None:
        for j, steps in uneasy.items():
            self.heard[j] += 1
            if self.heard[j] == 1:
                self.usual_unrest[j] = steps
                continue
            share, off = max(weight, 1 / self.heard[j]), steps - self.usual_unrest[j]
            if self.heard[j] > 5:
                most = 3 * max(math.sqrt(self.unrest_spread[j]), self.digit(j) / 2)
                off = min(max(off, -most), most)
            self.unrest_spread[j] += share * (off**2 - self.unrest_spread[j])
            if over:
                self.usual_unrest[j] = steps
            elif not stand:
                self.usual_unrest[j] += share * off


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from([60.0, 300.0, 1200.0]), st.data())
def test_it_says_what_the_naive_twin_says(seed: int, step_s: float, data: st.DataObject) -> None:
    """Holes, gaps, jitter, a member that never says anything, one that stands still, jumps that stay."""
    random = np.random.default_rng(seed)
    n = data.draw(st.integers(2, 160))
    shared = np.cumsum(random.normal(size=n))
    frames = np.column_stack([
        shared + random.normal(size=n), shared - 0.5 * np.cumsum(random.normal(size=n)), random.normal(size=n).round(1),
        np.full(n, np.nan), np.full(n, 3.0), shared,
    ])  # fmt: skip
    frames[:, 5] = 2.0 * frames[:, 0] + data.draw(st.sampled_from([0.0, 0.05, 5.0])) * random.normal(size=n)
    frames[n // 2 :, 0] += data.draw(st.sampled_from([0.0, 30.0, 1e4]))
    frames[random.random(frames.shape) < data.draw(st.sampled_from([0.0, 0.1, 0.5]))] = np.nan
    spaces = step_s * 1000 * random.choice([1.0, 1.2, 0.8, 2.0, 30.0], n, p=[0.7, 0.1, 0.1, 0.08, 0.02])
    ts = np.cumsum(spaces)
    options = DEFAULTS | {"calm_s": 20_000.0, "deviations": 2.0, "daily": 4.0}
    options |= {name: data.draw(st.sampled_from(some)) for name, some in DRAWN.items()}
    trembles = data.draw(st.integers(0, n))
    frames[trembles : trembles + 20, 2] += 3.0 * (-1.0) ** np.arange(len(frames[trembles : trembles + 20]))
    judge, twin = Departure(6, options), NaiveDeparture(6, options)
    until = data.draw(st.integers(0, n))
    cut = data.draw(st.integers(0, until))
    parts = ((slice(0, cut), True), (slice(cut, until), True), (slice(until, n), False))
    out = np.concatenate([judge.judge(ts[part], frames[part], follow=follow) for part, follow in parts])
    for i in range(n):
        expected = twin.see(ts[i], frames[i].tolist(), i < until)
        if expected is None:
            assert np.isnan(out[i]).all()
        else:
            assert out[i, 0] == pytest.approx(expected[0], rel=1e-6, abs=1e-9)


def water(days: int, step_min: int, seed: int = 5) -> tuple[NDArray[np.int64], Matrix]:
    """Chlorine, redox that follows it, pH, turbidity: all change with the source, twice a day within an hour."""
    random = np.random.default_rng(seed)
    n = days * DAY
    source = np.convolve(np.sign(np.sin(np.arange(n) / DAY * 4 * np.pi)), np.ones(60) / 60, "same")
    wander = np.cumsum(random.normal(0, 1, (n, 4)), axis=0)
    noise = random.normal(0, 1, (n, 4))
    frames = np.column_stack([
        1.0 - 0.1 * source + 0.0005 * wander[:, 0] + 0.01 * noise[:, 0],
        700 - 30 * source + 0.3 * wander[:, 0] + 0.1 * wander[:, 1] + noise[:, 1],
        8.0 + 0.08 * source + 0.0005 * wander[:, 2] + 0.01 * noise[:, 2],
        0.1 + 0.02 * source + 0.0001 * wander[:, 3] + 0.002 * noise[:, 3],
    ])  # fmt: skip
    kept = np.arange(0, n, step_min)
    return kept * int(MINUTE), frames[kept]


def said(ts: NDArray[np.int64], frames: Matrix, options: dict[str, float] = DEFAULTS) -> Matrix:
    """After seven days that are normal."""
    return Model(Departure, frames.shape[1], options, Learn(7 * 86_400, follow=True), None).process(ts, frames)


def within(ts: NDArray[np.int64], start_min: int, minutes: int) -> NDArray[np.bool_]:
    return (ts >= start_min * MINUTE) & (ts < (start_min + minutes) * MINUTE)


@pytest.mark.parametrize("step_min", [1, 2, 5, 10, 20])
@pytest.mark.parametrize("minutes", [60, 240])
def test_a_change_of_two_is_seen_at_any_interval_and_a_change_of_source_at_none(step_min: int, minutes: int) -> None:
    ts, frames = water(12, step_min)
    quiet = said(ts, frames)
    assert np.isnan(quiet[ts < 7 * DAY * MINUTE - 1, 0]).all()
    assert (quiet[ts >= 7 * DAY * MINUTE, 0] > 1.0).mean() < 0.01
    event = within(ts, 10 * DAY + 200, minutes)
    frames[event] += (-0.1, 0.0, -0.08, 0.0)
    out = said(ts, frames)
    assert np.array_equal(out[ts < (10 * DAY + 200) * MINUTE], quiet[ts < (10 * DAY + 200) * MINUTE], equal_nan=True)
    assert out[event, 0].max() > 1.2
    assert set(out[event & (out[:, 0] > 1.0), 1]) <= {0.0, 1.0, 2.0}


def test_what_tells_the_same_twice_hides_nothing() -> None:
    """Conductivity, and dissolved solids made of it: each would explain the other."""
    ts, frames = water(12, 5)
    frames[within(ts, 10 * DAY + 200, 60), 1] += 40.0
    alone = said(ts, frames)
    twice = said(ts, np.column_stack([frames, (0.64 * frames[:, 1]).round(1), -3.0 * frames[:, 1]]))
    assert np.allclose(twice[ts > 8 * DAY * MINUTE, 0], alone[ts > 8 * DAY * MINUTE, 0], rtol=0.1, atol=0.02)
    assert alone[within(ts, 10 * DAY + 200, 60), 0].max() > 1.0


@pytest.mark.parametrize("step_min", [1, 2, 5])
def test_a_single_wild_reading_is_none(step_min: int) -> None:
    ts, frames = water(9, step_min)
    quiet = said(ts, frames)
    frames[len(frames) - 200 // step_min] = 0.0
    last = ts >= 8 * DAY * MINUTE
    assert said(ts, frames)[last, 0].max() < max(1.0, 1.2 * quiet[last, 0].max())


@pytest.mark.parametrize(("step_min", "minutes"), [(1, 40), (5, 75)])
def test_a_member_that_trembles_about_its_level_is_told_and_a_turn_is_none(step_min: int, minutes: int) -> None:
    """Chlorine told too high and too low by turns: the mean of a window is where it was."""
    ts, frames = water(10, step_min)
    options = DEFAULTS | {"deviations": 1000.0, "unrest": 10.0}
    quiet = said(ts, frames, options)
    assert (quiet[ts >= 7 * DAY * MINUTE, 0] < 1.0).all()
    event = within(ts, 9 * DAY + 100, minutes)
    frames[event, 0] += 0.1 * (-1.0) ** np.arange(event.sum())
    out = said(ts, frames, options)
    told = out[:, 0] > 1.0
    assert told[event].mean() > 0.5
    assert set(out[told, 1]) == {0.0}
    assert not told[~within(ts, 9 * DAY + 100, minutes + 10 * step_min)].any()
    assert (said(ts, frames, options | {"unrest": 0.0})[ts >= 7 * DAY * MINUTE, 0] < 0.1).all()


def test_a_value_between_two_digits_does_not_tremble() -> None:
    ts, frames = water(10, 1)
    frames[:, 2] = 8.0
    between = within(ts, 9 * DAY + 100, 200)
    frames[between, 2] += 0.01 * (np.arange(between.sum()) % 2)
    out = said(ts, frames, DEFAULTS | {"deviations": 1000.0, "unrest": 10.0})
    assert (out[ts >= 7 * DAY * MINUTE, 0] < 1.0).all()


@pytest.mark.parametrize("finer", [False, True])
def test_a_signal_that_moves_by_its_last_digit_is_none_and_by_three_is_told(finer: bool) -> None:
    """Conductivity in whole microsiemens: it rests for hours and moves by one. A single finer value changes nothing."""
    ts, frames = water(20, 5)
    random = np.random.default_rng(7)
    steps = np.where(random.random(len(ts)) < 0.01, random.choice([-1.0, 1.0], len(ts)), 0.0)
    frames[:, 1] = 700.0 + np.cumsum(steps) % 2  # to and fro between two digits, rarely
    if finer:
        frames[200, 1] = 700.02
    edge = frames.copy()
    edge[within(ts, 15 * DAY, 120), 1] = frames[within(ts, 15 * DAY - 5, 5), 1][0] + 1.0
    event = frames.copy()
    event[within(ts, 15 * DAY, 120), 1] += 3.0
    late, during = ts > 9 * DAY * MINUTE, within(ts, 15 * DAY + 15, 60)
    limits = DEFAULTS | {"deviations": 3.1}
    quiet = said(ts, frames, limits)[late]
    assert not ((quiet[:, 0] > 1.0) & (quiet[:, 1] == 1.0)).any()
    assert not (said(ts, edge, limits)[during, 0] > 1.0).any()
    assert (said(ts, event, limits)[during, 0] > 1.0).all()


def test_a_state_from_before_unrest_was_judged_is_taken_on() -> None:
    ts, frames = water(2, 5)
    learn = Learn(86_400, follow=True)
    model = Model(Departure, 4, DEFAULTS | {"unrest": 10.0}, learn, None)
    model.process(ts[:500], frames[:500])
    kept = {name: array.copy() for name, array in model.arrays.items() if name != "unrest"}
    again = Model(Departure, 4, DEFAULTS | {"unrest": 10.0}, learn, None)
    again.load(kept)
    assert again.arrays["unrest"].shape == (4, 4)
    assert np.isfinite(again.process(ts[500:], frames[500:])[:, 0]).all()


@pytest.mark.parametrize("hours", [12, 48])
def test_a_slow_drift_is_told_by_windows_of_six_hours_and_turns_and_events_are_none(hours: int) -> None:
    ts, frames = water(30, 10, seed=8)
    frames[within(ts, 15 * DAY, 60), 2] += 0.6
    assert departures(ts, said(ts, frames, SLOW), 8) <= 0.1
    start = 20 * DAY
    ramp = np.clip((ts / MINUTE - start) / (hours * 60), 0, 1) * (ts < (start + 60 * hours) * MINUTE)
    frames[:, 2] += 0.6 * ramp
    out = said(ts, frames, SLOW)
    assert out[within(ts, start, 60 * hours), 0].max() > 1.0


@pytest.mark.parametrize("scale", [1e-170, 1e-90, 1e-3, 1e6, 1e90])
def test_units_do_not_matter_and_none_ends_the_rules(scale: float) -> None:
    ts, frames = water(8, 20)
    frames[within(ts, 7 * DAY + 300, 120), 2] += 0.5
    plain, told = Departure(4, DEFAULTS), Departure(4, DEFAULTS)
    expected = plain.judge(ts.astype(np.float64), frames, follow=True)
    out = told.judge(ts.astype(np.float64), frames * scale, follow=True)
    if scale < 1e-100:
        assert (out[:, 0] == 0.0).all()
    else:
        assert np.allclose(out[:, 0], expected[:, 0], rtol=1e-6)


def departures(ts: NDArray[np.int64], out: Matrix, from_day: int) -> float:
    """How many begin a day, an hour after the last at least."""
    times = ts[(ts >= from_day * DAY * MINUTE) & (out[:, 0] > 1.0)]
    begins = 1 + int((np.diff(times) > kernel.HOUR).sum()) if len(times) else 0
    return begins / float(ts[-1] / MINUTE / DAY - from_day)


def test_what_stood_still_while_normal_was_learned_may_move_later() -> None:
    """An instrument that is repaired a week after: its first days depart, then it is as normal as any."""
    ts, frames = water(30, 20)
    frames[ts < 9 * DAY * MINUTE, 2] = 8.0
    assert departures(ts, said(ts, frames), 14) <= 0.5


def test_departures_hold_to_as_many_a_day_as_are_wanted() -> None:
    """Spikes of all sizes, six a day: of all members two a day are told, of one a half, and the largest of them."""
    ts, clean = water(60, 20)
    random = np.random.default_rng(2)
    at = random.choice(np.flatnonzero(ts > 8 * DAY * MINUTE), 52 * 6, replace=False)
    size = np.exp(random.normal(1.0, 1.0, len(at)))
    scale = np.array([0.1, 10.0, 0.1, 0.02])
    whose = {"one": np.full(len(at), 3), "all": random.integers(0, 4, len(at))}
    late, told, often = ts[at] > 30 * DAY * MINUTE, dict[str, NDArray[np.bool_]](), dict[str, float]()
    for name, member in whose.items():
        frames = clean.copy()
        frames[at, member] += scale[member] * size
        out = said(ts, frames)
        told[name], often[name] = out[at[late], 0] > 1.0, departures(ts, out, 30)
        assert departures(ts, said(ts, frames, DEFAULTS | {"daily": 50.0}), 30) > 3.0
    assert 0.3 < often["one"] < 1.0
    assert 1.0 < often["all"] < 3.0
    sizes = size[late]
    assert told["one"][sizes > np.quantile(sizes, 0.95)].mean() > 0.8
    assert told["one"][sizes < np.quantile(sizes, 0.5)].mean() < 0.1


def test_a_change_that_stays_is_the_new_level_after_an_hour() -> None:
    ts, frames = water(10, 5)
    start = 8 * DAY + 300
    frames[ts >= start * MINUTE, 2] += 0.5
    out = said(ts, frames)
    assert (out[within(ts, start + 20, 40), 0] > 1.0).all()
    assert (out[within(ts, start + 120, 600), 0] > 1.0).mean() < 0.05


@pytest.mark.parametrize("follow", [False, True])
def test_any_cut_of_the_frames_gives_the_same_bits(follow: bool) -> None:
    ts, frames = water(2, 5)
    frames[np.random.default_rng(1).random(frames.shape) < 0.1] = np.nan
    learn = Learn(86_400, follow=follow)
    whole = Model(Departure, 4, DEFAULTS, learn, None).process(ts, frames)
    model, parts = Model(Departure, 4, DEFAULTS, learn, None), []
    for a in range(0, len(ts), 13):
        parts.append(model.process(ts[a : a + 13], frames[a : a + 13]))
        again = Model(Departure, 4, DEFAULTS, learn, None)
        again.load({name: array.copy() for name, array in model.arrays.items()})
        model = again
    assert np.concatenate(parts).tobytes() == whole.tobytes()


def test_a_member_that_says_something_once_an_hour_is_judged_beside_those_of_each_minute() -> None:
    ts, frames = water(12, 1)
    frames[ts % (60 * MINUTE) != 0, 2] = np.nan
    event = within(ts, 10 * DAY + 180, 300)
    frames[event, 2] += 0.3
    out = said(ts, frames)
    assert (out[event & (out[:, 0] > 1.0), 1] == 2.0).any()
