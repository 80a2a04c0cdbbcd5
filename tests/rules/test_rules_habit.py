"""The judge ``habit`` against a naive twin that keeps every frame, and what it says of forged and stuck members."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rules.judges import OPTIONS
from rules.judges.habit import (
    AGES,
    CHANGES,
    EXPLAINED,
    FEWER,
    LEAST_REACH,
    NARROWER,
    RESTS,
    RIDGE,
    RUNS,
    SLACK,
    WANDERS,
    Habit,
)
from rules.kernels.again import CALM_MS, FURTHER, KEPT_MS, REST, TIMES
from rules.kernels.habit import BACK, FEWEST, GREW, HALTS_MS, STANDS, WIDEST
from rules.model import Learn, Model

Matrix = NDArray[np.float64]
DEFAULTS = {name: bounds[0] for name, bounds in OPTIONS.items()} | {"recent_n": 4}
STEP_MS = 5000


class NaiveHabit:
    """Every frame is kept; each statistic is taken anew from all of them, as the words of the rule say."""

    def __init__(self, members: int, options: dict[str, float]) -> None:
        self.n, self.apart = int(options["recent_n"]), options["apart_s"] * 1000
        self.recent, self.used = options["recent_s"] * 1000, 0
        self.odd: list[list[tuple[float, float]]] = [[] for _ in range(members)]
        self.margin, self.stays, self.m = options["margin"], options["stays_s"] * 1000, members
        self.ts: list[float] = []
        self.frames: list[list[float]] = []
        self.learned: list[tuple[float, list[float]]] = []
        self.rests: list[list[float]] = []
        self.fits: list[int] = []
        self.told: list[list[float]] = []
        self.bound: list[tuple[float, float, float]] = []
        self.past: list[tuple[Matrix, Matrix, Matrix]] = []
        self.begins = [0] * members
        self.rests_from = 0
        self.weights: list[float] = []
        self.spells: dict[tuple[int, int], list[tuple[float, float]]] = {}
        self.now: dict[tuple[int, int], list[tuple[float, float]]] = {}
        self.wider = np.ones(2 * members)

    def vector(self) -> list[float] | None:
        """Of the newest frames: means, changes and newest means."""
        run = [1, *(np.flatnonzero(~(np.diff(self.ts) <= self.apart)) + 2)][-1] - 1  # the first since a gap
        known = min(len(self.ts) - run, self.n)
        near = sum(self.ts[-1] - at < self.recent for at in self.ts[len(self.ts) - known :])
        self.used = min(max(near, FEWEST), known)
        if self.used < FEWEST or self.used == known < self.n:
            return None
        recent = self.frames[-self.used :]
        part = max(1, self.used // 4)
        n, means, changes, newest = self.used, [], [], []
        for j in range(self.m):
            seen = [(k, f[j]) for k, f in enumerate(recent) if not math.isnan(f[j])]
            newest.append(mean([v for _, v in seen[-part:]]))
            if 2 * len(seen) <= n or len(seen) < 2 * part:
                means.append(math.nan)
                changes.append(math.nan)
                continue
            by = [[mean(list(x)) for x in zip(*some, strict=True)] for some in (seen[:part], seen[-part:], seen)]
            slope = (by[1][1] - by[0][1]) / (by[1][0] - by[0][0])
            means.append(by[2][1] + slope * ((n - 1) / 2 - by[2][0]))
            changes.append(slope * (n - part))
        return means + changes + newest

    def rest(self, j: int) -> float:
        """How long the member has had its value, NaN where nobody knows."""
        if math.isnan(self.frames[-1][j]):
            return math.nan
        k = len(self.ts) - 1
        while (
            k > 0 and self.frames[k - 1][j] == self.frames[-1][j] and self.ts[k] - self.ts[k - 1] <= self.apart
        ):  # fmt: skip
            k -= 1
        return self.ts[-1] - self.ts[k]

    def changes(self, j: int) -> int:
        pairs = itertools.pairwise(range(len(self.ts)))
        near = [(self.frames[a][j], self.frames[b][j]) for a, b in pairs if self.ts[b] - self.ts[a] <= self.apart]
        return sum(a != b and not math.isnan(a) and not math.isnan(b) for a, b in near)

    def residuals(self, v: list[float]) -> Matrix | None:
        if not self.past:
            return None
        centre, scale, covariance = self.past[-1]
        live = np.flatnonzero(scale > 0)
        z = (np.array(v[: 2 * self.m]) - centre) * scale
        known = [c for c in live if not math.isnan(z[c])]
        out = np.zeros(2 * self.m)
        self.wider = np.ones(2 * self.m)
        if 2 * len(known) < len(live):
            return out

        def rest(c: int, of: list[int]) -> tuple[list[int], Matrix, float]:
            others = [k for k in of if k != c]
            weights = np.linalg.solve(covariance[np.ix_(others, others)], covariance[others, c])
            return others, weights, covariance[c, c] - covariance[c, others] @ weights

        for c in known:
            others, weights, variance = rest(c, known)
            out[c] = z[c] - z[others] @ weights
            self.wider[c] = math.sqrt(variance / rest(c, list(live))[2])
            out[c] = out[c] if self.wider[c] <= WIDEST else 0.0
        return out

    def each(self, v: list[float]) -> Matrix:
        """By kind and member: range, rest, mean, change."""
        left = self.residuals(v)
        odd = np.zeros((4, self.m))
        for j in range(self.m):
            low, high, rest_max = self.bound[j] if self.bound else (0.0, 0.0, math.inf)
            value = v[2 * self.m + j]
            if low < high and not math.isnan(value):
                odd[0, j] = abs(value - (low + high) / 2) / ((high - low) / 2)
            if not math.isnan(self.rest(j)):
                odd[1, j] = self.rest(j) / rest_max
            if left is not None:
                reach = self.reach()
                for kind, c in ((2, j), (3, self.m + j)):
                    if self.past[-1][1][c] > 0:
                        odd[kind, j] = abs(left[c]) / (reach[c] * self.wider[c])
        return odd

    def used_to(self, kind: int, j: int) -> float:
        """The third highest of the spells of the last week, of rests the highest."""
        peaks = sorted(most for end, most in self.spells.get((kind, j), []) if self.ts[-1] - end <= KEPT_MS)
        if len(peaks) < TIMES:
            return 1.0
        return peaks[-1] if kind == REST else peaks[-TIMES]

    def note(self, odd: Matrix, told: tuple[int, int] | None) -> None:
        """Spells go on, begin and end."""
        now = self.ts[-1]
        for at in np.ndindex(odd.shape):
            key = (int(at[0]), int(at[1]))
            bound, spell = self.used_to(*key), self.now.setdefault(key, [])
            if key == told or (bound > 1 and 1 < odd[at] <= FURTHER * bound):
                spell.append((now, float(odd[at])))
            if spell and (now - spell[-1][0] > CALM_MS or now - spell[0][0] > self.stays / TIMES):
                self.spells.setdefault(key, []).append((now, max(value for _, value in spell)))
                self.now[key] = []

    def heard(self, j: int, ts: float, where: float) -> float:
        """``where``, unless it does not stand out for long enough or is on its way back: of all since it left."""
        self.odd[j] = [*self.odd[j], (ts, where)] if where > 1 else []
        if not self.odd[j]:
            return where
        since, furthest = self.odd[j][0]
        nearest = furthest
        for at, one in self.odd[j]:
            back = BACK * (furthest - 1)
            gone = nearest < furthest - back
            further, step = one > furthest + back * gone, 0.1 * back
            if further or (at - since > HALTS_MS and not one < nearest - step):
                furthest, nearest, since = one, one, at
            elif one < nearest - step:
                nearest, since = one, at
        soon = sum(one - 1 for _, one in self.odd[j]) < STANDS * self.used
        return 1.0 if soon or nearest < furthest - BACK * (furthest - 1) else where

    def reach(self) -> Matrix:
        since = self.fits[-2] if len(self.fits) > 1 else 0
        before = self.fits[-3] if len(self.fits) > 2 else 0
        assert since >= before
        seen = np.array(self.told[before : self.fits[-1]]).reshape(-1, 2 * self.m)
        most = seen.max(axis=0, initial=0.0)
        reach = np.where(most > 0, SLACK * np.maximum(most, LEAST_REACH), np.inf)
        free = 1 / np.diag(np.linalg.inv(self.past[-1][2]))
        return np.where((np.arange(2 * self.m) < self.m) & (free > 1 - EXPLAINED), np.inf, reach)

    def see(self, ts: float, frame: list[float], follow: bool) -> tuple[float, int] | None:
        self.ts.append(ts)
        self.frames.append(frame)
        v = self.vector()
        if v is None:
            return None
        odd = self.each(v)
        new = odd.copy()
        for kind, j in np.ndindex(odd.shape):
            bound = self.used_to(kind, j)
            new[kind, j] /= FURTHER * bound if bound > 1 else 1
        place = np.maximum(new[0], new[2])
        heard = [max(self.heard(j, ts, float(place[j])), new[1, j], new[3, j]) for j in range(self.m)]
        worst = int(np.argmax(heard))
        kinds = (1, 3, 0 if new[0, worst] >= new[2, worst] else 2)
        kind = next((k for k in kinds[:2] if new[k, worst] == heard[worst]), kinds[2])
        self.note(odd, (kind, worst) if heard[worst] > 1 else None)
        if follow:
            left = self.residuals(v)
            whole = left is not None and not np.isnan(np.array(v[: 2 * self.m])[self.past[-1][1] > 0]).any()
            self.told.append([abs(x) for x in left] if whole and left is not None else [0.0] * (2 * self.m))
            self.learned.append((ts, v))
            self.rests.append([self.rest(j) for j in range(self.m)])
        return max(0.0, *heard), worst

    def start(self, newest: Matrix) -> None:
        """From where on each member's range counts, and all rests."""
        last = self.fits[-1] if self.fits else 0
        begun = [j for j in range(self.m) if self.left(newest[:, 2 * self.m + j], self.begins[j], last)]
        for j in begun:
            self.begins[j] = last
        self.rests_from = last if begun else self.rests_from

    @staticmethod
    def left(values: Matrix, begins: int, last: int) -> bool:
        """Whether it was elsewhere before the last fit."""
        lately, ever = values[last:], values[begins:]
        lately, ever = lately[~np.isnan(lately)], ever[~np.isnan(ever)]
        if not len(lately) or crossings(lately) < max(RUNS, FEWER * crossings(ever)):
            return False
        return bool(np.ptp(lately) < NARROWER * np.ptp(ever))

    def fit(self) -> None:
        newest = np.array([v for _, v in self.learned]).reshape(-1, 3 * self.m)
        self.start(newest)
        bound = []
        for j in range(self.m):
            values = newest[:, 2 * self.m + j].copy()
            values[: self.begins[j]] = np.nan
            if not (~np.isnan(values)).any():
                bound.append((0.0, 0.0, math.inf))
                continue
            low, high = np.nanmin(values), np.nanmax(values)
            grown = 0.0
            for a, b in itertools.pairwise([*self.fits, len(newest)][-3:]):
                if a and (~np.isnan(values[:a])).any() and (~np.isnan(values[a:b])).any():
                    least, most = np.nanmin(values[:a]), np.nanmax(values[:a])
                    grown = max(grown, least - np.nanmin(values[a:b]), np.nanmax(values[a:b]) - most)
            size = max(1.0, abs(low), abs(high))
            share = max(self.margin, WANDERS / (crossings(values[~np.isnan(values)]) + 1))
            margin = max(share * (high - low), grown, 1e-3 * size if high - low <= 1e-9 * size else 0.0)
            longest = max([0.0, *(r[j] for r in self.rests[self.rests_from :] if not math.isnan(r[j]))])
            rest_max = RESTS * longest + self.apart if self.changes(j) >= CHANGES else math.inf
            bound.append((low - margin, high + margin, rest_max))
        self.bound = bound
        self.fits.append(len(newest))
        self.spells, self.now = {}, {}
        self.weights += [1.0] * (len(newest) - len(self.weights))
        ever = ~np.isnan(newest[:, 2 * self.m :]).all(axis=0)
        rows = newest[:, : 2 * self.m].copy()
        rows[:, ~np.tile(ever, 2)] = 0.0
        first = max(0, *(int(np.argmax(~np.isnan(newest[:, 2 * self.m + j]))) for j in np.flatnonzero(ever)), 0)
        rows, weights = rows[first:], np.array(self.weights)[first:]
        whole = ~np.isnan(rows).any(axis=1)
        rows, weights = rows[whole], weights[whole]
        n = weights.sum()
        if n < 2:
            return
        self.weights = [AGES * one for one in self.weights]
        centre = weights @ rows / n
        deviation = np.sqrt(weights @ (rows - centre) ** 2 / (n - 1))
        moved = deviation > 1e-9 * np.maximum(1, np.abs(centre))
        scale = np.where(moved, 1 / np.where(moved, deviation, 1), 0.0)
        z = (rows - centre) * scale
        covariance = (weights * z.T) @ z / (n - 1)
        np.fill_diagonal(covariance, 1 + RIDGE)
        self.past.append((centre, scale, covariance))


def crossings(values: Matrix) -> int:
    """How often it went from one outer third of its range to the other since that was about as wide."""
    low, high = np.minimum.accumulate(values), np.maximum.accumulate(values)
    from_here, wide = 0, 0.0
    for k, span in enumerate(high - low):
        if span > GREW * wide:
            from_here, wide = k, float(span)
    third = (high - low) / 3
    ends = np.where(values > high - third, 1, np.where(values < low + third, -1, 0))[from_here:]
    ends = ends[ends != 0]
    return int(np.count_nonzero(np.diff(ends)))


def mean(values: list[float]) -> float:
    known = [v for v in values if not math.isnan(v)]
    return sum(known) / len(known) if known else math.nan


def plant(n: int, seed: int = 3) -> tuple[NDArray[np.int64], Matrix]:
    """A valve, the flow through it, another flow, the tank between them, a spare pump that never runs."""
    random = np.random.default_rng(seed)
    valve, level = np.zeros(n), np.full(n, 600.0)
    outlet = 1.0 + 0.2 * np.sin(np.arange(n) / 50)
    for k in range(1, n):
        valve[k] = 1.0 if level[k - 1] < 550 else 0.0 if level[k - 1] > 650 else valve[k - 1]
        level[k] = level[k - 1] + 2.5 * valve[k] - outlet[k]
    noise = random.normal(0, 1, (n, 3)) * (0.02, 0.02, 0.3)
    frames = np.column_stack([valve, 2.5 * valve + noise[:, 0], outlet + noise[:, 1], level + noise[:, 2], np.ones(n)])
    return np.arange(n, dtype=np.int64) * STEP_MS, frames


LEARN = Learn(2000 * STEP_MS / 1000, follow=False)


def said(frames: Matrix, options: dict[str, float] = DEFAULTS) -> Matrix:
    ts = np.arange(len(frames), dtype=np.int64) * STEP_MS
    return Model(Habit, frames.shape[1], options, LEARN, None).process(ts, frames)


@settings(deadline=None, max_examples=12)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 60), min_size=2, max_size=4), st.data())
def test_it_says_what_the_naive_twin_says(seed: int, parts: list[int], data: st.DataObject) -> None:
    """Values that repeat, holes, a member that says nothing, gaps; fits where they come."""
    random = np.random.default_rng(seed)
    n = sum(parts)
    frames = np.column_stack([
        random.integers(0, 2, n).astype(float), np.cumsum(random.normal(size=n)), random.normal(size=n).round(1),
        np.full(n, np.nan),
    ])  # fmt: skip
    if data.draw(st.booleans()):
        frames[: parts[0], 0] = np.linspace(5.0, 0.0, parts[0])  # a start
    frames[random.random((n, 4)) < data.draw(st.sampled_from([0.0, 0.02, 0.3]))] = np.nan
    ts = np.cumsum(random.choice([5000.0, 5000.0, 5000.0, 60_000.0, 200_000.0], n, p=[0.4, 0.3, 0.25, 0.03, 0.02]))
    options = DEFAULTS | {"stays_s": 60.0, "recent_n": 7, "recent_s": 30.0}
    judge, twin, at = Habit(4, options), NaiveHabit(4, options), 0
    for k, length in enumerate(parts):
        part, follow = slice(at, at + length), k < len(parts) - 1
        out = judge.judge(ts[part], frames[part], follow=follow)
        for i in range(length):
            expected = twin.see(ts[at + i], frames[at + i].tolist(), follow)
            if expected is None:
                assert np.isnan(out[i]).all()
            else:
                assert out[i, 0] == pytest.approx(expected[0], rel=1e-6, abs=1e-6)
        at += length
        if follow:
            judge.fit()
            twin.fit()


@pytest.mark.parametrize("follow", [False, True])
def test_any_cut_of_the_frames_gives_the_same_bits(follow: bool) -> None:
    ts, frames = plant(500)
    learn = Learn(200 * STEP_MS / 1000, follow=follow)
    whole = Model(Habit, 5, DEFAULTS, learn, None).process(ts, frames)
    model, parts = Model(Habit, 5, DEFAULTS, learn, None), []
    for a in range(0, 500, 13):
        parts.append(model.process(ts[a : a + 13], frames[a : a + 13]))
        again = Model(Habit, 5, DEFAULTS, learn, None)
        again.load({name: array.copy() for name, array in model.arrays.items()})
        model = again
    assert np.concatenate(parts).tobytes() == whole.tobytes()
    assert np.isnan(whole[:199, 0]).all()
    assert not np.isnan(whole[210:, 0]).any()


WRONG = slice(2700, 2800)
"""Frames of an attack."""


@pytest.mark.parametrize(
    ("member", "change"),
    [
        pytest.param(3, lambda x: x * 0 + x[0], id="the level told stands still"),
        pytest.param(3, lambda x: x + 1.5 * np.arange(len(x)), id="it drifts away from its flows"),
        pytest.param(3, lambda x: x + 300, id="it is another"),
        pytest.param(1, lambda x: x * 0, id="a flow stands at nought while its valve is open"),
        pytest.param(2, lambda x: x - 1.5, id="a flow is told too low"),
        pytest.param(4, lambda x: x + 1, id="a spare pump runs"),
    ],
)
def test_an_attack_is_unusual_and_what_was_before_is_not(member: int, change: object) -> None:
    _, frames = plant(3000)
    assert said(frames)[2000:, 0].max() < 1.1
    frames[WRONG, member] = change(frames[WRONG, member])  # type: ignore[operator]
    out = said(frames)
    assert out[2000:2700, 0].max() < 1.1
    assert (out[WRONG, 0] > 1.1).sum() >= 10


def test_what_rests_too_long_is_unusual_until_it_is_the_new_usual() -> None:
    _, frames = plant(6000)
    frames[3000:, 2] = frames[3000, 2]
    out = said(frames, DEFAULTS | {"stays_s": 3600.0})
    assert out[3100:3600, 0].min() > 1.1
    stands = out[3900:, 1][out[3900:, 0] > 1.1]
    assert (stands != 2).all()


def test_what_it_does_time_and_again_is_told_three_times_and_then_what_goes_further() -> None:
    """A spare pump that runs each hour from now on; three spells or as long as ``stays_s``, whatever comes first."""
    _, frames = plant(9000)
    for start in range(2500, 8000, 700):
        frames[start : start + 60, 4] += 1.0
    frames[8500:, 4] += 2.0
    out = said(frames)
    told = (out[:, 0] > 1.1) & (out[:, 1] == 4)
    begins = np.flatnonzero(np.diff(told.astype(int)) == 1)
    assert [round(int(at) / 100) * 100 for at in begins] == [2500, 3200, 3900, 8500]
    assert told[8520:8560].all()


def test_what_goes_on_is_told_for_as_long_as_it_says_and_the_same_again_a_week_later() -> None:
    _, frames = plant(6000)
    frames[3000:4500, 4] += (np.arange(1500) % 600 < 400).astype(float)
    frames[5000:5100, 4] += 1.0
    frames[5800:5900, 4] += 1.0
    ts = np.arange(6000, dtype=np.int64) * STEP_MS
    ts[5500:] += int(KEPT_MS)
    out = Model(Habit, 5, DEFAULTS | {"stays_s": 1500.0}, LEARN, None).process(ts, frames)
    told = (out[:, 0] > 1.1) & (out[:, 1] == 4)
    assert told[3020:3290].all()
    assert told[3320:5500].sum() < 20
    assert told[5820:5890].all()


def test_what_another_one_made_unusual_is_no_habit_of_it() -> None:
    """A flow forged four times breaks its tank's balance too; the tank's own forgery is told all the same."""
    _, frames = plant(5000)
    for start in (2300, 2600, 2900, 3200):
        frames[start : start + 30, 1] += 8.0
    frames[4000:4050, 3] += 0.8 * np.arange(50)
    out = said(frames)
    assert (out[2300:3230, 1][out[2300:3230, 0] > 1.1] != 3).all()
    assert (out[4000:4050, 0] > 1.1).sum() >= 10
    assert set(out[4000:4050, 1][out[4000:4050, 0] > 1.1]) == {3.0}


def test_a_start_within_the_normal_period_does_not_hide_what_runs_since() -> None:
    """For six hours the tank is filled from nothing and the valve stands; then it goes to and fro 100 mm for days."""
    _, frames = plant(12_000)
    frames[:800, 3] = np.linspace(0.0, 600.0, 800)
    frames[:800, :3] = 0.0
    ts = np.arange(12_000, dtype=np.int64) * STEP_MS
    learn = Learn(10_000 * STEP_MS / 1000, follow=False)

    def unusual(frames: Matrix) -> Matrix:
        return Model(Habit, 5, DEFAULTS, learn, None).process(ts, frames)[:, 0] > 1.1

    assert unusual(frames)[10_000:].sum() == 0
    forged = frames.copy()
    forged[11_000:11_060, 3] = 480.0 + np.random.default_rng(1).normal(0, 0.3, 60)
    assert unusual(forged)[11_020:11_055].all()
    still = frames.copy()
    still[11_000:, :3] = 0.0
    still[11_000:, 3] = 600.0 + np.random.default_rng(1).normal(0, 0.3, 1000)
    assert unusual(still)[11_500:].mean() > 0.5


def test_a_member_that_falls_silent_for_good_does_not_take_the_relations_of_all_with_it() -> None:
    _, frames = plant(3000)
    frames[2200:, 0] = np.nan
    assert said(frames)[2000:, 0].max() < 1.1
    frames[WRONG, 1] = 2.5 - frames[WRONG, 1]  # within its range, but the tank does not follow
    out = said(frames)
    assert (out[WRONG, 0] > 1.1).sum() >= 10
    assert (out[WRONG, 1][out[WRONG, 0] > 1.1] != 0).all()


def test_frames_too_far_apart_say_nothing() -> None:
    ts, frames = plant(3000)
    out = Model(Habit, 5, DEFAULTS, Learn(2000 * 3600.0, follow=False), None).process(ts * 720, frames)
    assert np.isnan(out).all()


def test_a_tank_on_its_way_back_is_not_told_and_one_that_stops_on_it_is() -> None:
    _, frames = plant(3000)
    frames[2300:, 4] = 1.0
    away = np.concatenate([np.linspace(0, 60, 40), np.linspace(60, 40, 60), np.full(300, 40.0)])
    frames = np.column_stack([frames, np.tile(np.arange(20.0), 150)])  # 0 to 19 over and over, then far above
    frames[2400:2800, 5] = 19.0 + away
    told = (said(frames)[:, 0] > 1.1) & (said(frames)[:, 1] == 5)
    assert told[2420:2445].all()
    assert not told[2490:2500].any()
    assert told[2640:2790].all()


def test_one_that_wandered_to_one_side_may_wander_to_the_other() -> None:
    _, frames = plant(3000)
    walk = np.interp(np.arange(3000), [0, 2000, 3000], [0.0, 10.0, 18.0])
    frames = np.column_stack([frames, walk + np.random.default_rng(1).normal(0, 0.1, 3000)])
    assert said(frames)[2000:, 0].max() < 1.1


@pytest.mark.parametrize("every", [2, 6])
def test_of_slow_frames_the_window_is_short_and_holes_in_it_are_no_event(every: int) -> None:
    """A window of four frames has a first and a last quarter of one; the same plant, a tenth of its values missing."""
    _, frames = plant(4000 * every // 2, seed=5)
    frames = frames[:: every // 2]
    frames[np.random.default_rng(2).random(frames.shape) < 0.1] = np.nan
    frames[3700:, 3] += 1.5 * np.arange(300)
    ts = np.arange(len(frames), dtype=np.int64) * STEP_MS * every
    learn = Learn(3000 * STEP_MS * every / 1000, follow=False)
    out = Model(Habit, 5, DEFAULTS | {"recent_n": 12}, learn, None).process(ts, frames)[:, 0]
    assert (out[3000:3700] > 1.1).mean() < 0.01
    assert (out[3720:3790] > 1.1).sum() > 20
