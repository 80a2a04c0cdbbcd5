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
from rules.judges.habit import CHANGES, LEAST_REACH, RESTS, RIDGE, SLACK, Habit
from rules.kernels.habit import WIDEST
from rules.model import Learn, Model

Matrix = NDArray[np.float64]
DEFAULTS = {name: bounds[0] for name, bounds in OPTIONS.items()} | {"recent_n": 4}
STEP_MS = 5000


class NaiveHabit:
    """Every frame is kept; each statistic is taken anew from all of them, as the words of the rule say."""

    def __init__(self, members: int, options: dict[str, float]) -> None:
        self.n, self.apart = int(options["recent_n"]), options["apart_s"] * 1000
        self.margin, self.stays, self.m = options["margin"], options["stays_s"] * 1000, members
        self.ts: list[float] = []
        self.frames: list[list[float]] = []
        self.learned: list[tuple[float, list[float]]] = []
        self.rests: list[list[float]] = []
        self.fits: list[int] = []
        self.told: list[list[float]] = []
        self.bound: list[tuple[float, float, float]] = []
        self.past: list[tuple[Matrix, Matrix, Matrix]] = []
        self.seen_since: list[float] = [math.nan] * members
        self.usual: list[list[float]] = [[] for _ in range(members)]
        self.wider = np.ones(2 * members)

    def vector(self) -> list[float] | None:
        """Of the newest frames: means, changes and newest means."""
        recent = self.frames[-self.n :]
        spaces = np.diff(self.ts[-self.n :])
        if len(recent) < self.n or (spaces > self.apart).any():
            return None
        part = max(1, self.n // 4)
        by = [[f[j] for f in recent] for j in range(self.m)]
        means = [mean(v) for v in by]
        late, early = [mean(v[-part:]) for v in by], [mean(v[:part]) for v in by]
        means = [math.nan if math.isnan(a + b) else m for m, a, b in zip(means, late, early, strict=True)]
        return means + [a - b for a, b in zip(late, early, strict=True)] + late

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

    def each(self, v: list[float]) -> list[float]:
        """By member: range, rest, residual."""
        out = []
        left = self.residuals(v)
        for j in range(self.m):
            parts = [0.0]
            low, high, rest_max = self.bound[j] if self.bound else (0.0, 0.0, math.inf)
            value = v[2 * self.m + j]
            if low < high and not math.isnan(value):
                parts.append(abs(value - (low + high) / 2) / ((high - low) / 2))
            if not math.isnan(self.rest(j)):
                parts.append(self.rest(j) / rest_max)
            if left is not None:
                reach = self.reach()
                parts += [abs(left[c]) / (reach[c] * self.wider[c]) for c in (j, self.m + j) if self.past[-1][1][c] > 0]
            out.append(max(parts))
        return out

    def reach(self) -> Matrix:
        since = self.fits[-2] if len(self.fits) > 1 else 0
        before = self.fits[-3] if len(self.fits) > 2 else 0
        assert since >= before
        seen = np.array(self.told[before : self.fits[-1]]).reshape(-1, 2 * self.m)
        most = seen.max(axis=0, initial=0.0)
        return np.where(most > 0, SLACK * np.maximum(most, LEAST_REACH), np.inf)

    def see(self, ts: float, frame: list[float], follow: bool) -> tuple[float, int] | None:
        self.ts.append(ts)
        self.frames.append(frame)
        v = self.vector()
        if v is None:
            return None
        each = self.each(v)
        for j, one in enumerate(each):
            over = ts - self.seen_since[j] > self.stays
            self.usual[j] = [*self.usual[j], ts] if one <= 1 else []
            if one > 1 and math.isnan(self.seen_since[j]):
                self.seen_since[j] = ts
            elif one <= 1 and not (over and ts - self.usual[j][0] <= self.stays):
                self.seen_since[j], self.usual[j] = math.nan, []
        heard = [-1.0 if ts - self.seen_since[j] > self.stays else one for j, one in enumerate(each)]
        if follow:
            left = self.residuals(v)
            whole = left is not None and not np.isnan(np.array(v[: 2 * self.m])[self.past[-1][1] > 0]).any()
            self.told.append([abs(x) for x in left] if whole and left is not None else [0.0] * (2 * self.m))
            self.learned.append((ts, v))
            self.rests.append([self.rest(j) for j in range(self.m)])
        return (max(0.0, *heard), int(np.argmax(heard)) if max(heard) >= 0 else 0)

    def fit(self) -> None:
        newest = np.array([v for _, v in self.learned]).reshape(-1, 3 * self.m)
        bound = []
        for j in range(self.m):
            values = newest[:, 2 * self.m + j]
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
            margin = max(self.margin * (high - low), grown, 1e-3 * size if high - low <= 1e-9 * size else 0.0)
            longest = max([0.0, *(r[j] for r in self.rests if not math.isnan(r[j]))])
            rest_max = RESTS * longest + self.apart if self.changes(j) >= CHANGES else math.inf
            bound.append((low - margin, high + margin, rest_max))
        self.bound = bound
        self.fits.append(len(newest))
        self.seen_since = [math.nan] * self.m
        self.usual = [[] for _ in range(self.m)]
        ever = ~np.isnan(newest[:, 2 * self.m :]).all(axis=0)
        rows = newest[:, : 2 * self.m].copy()
        rows[:, ~np.tile(ever, 2)] = 0.0
        first = max(0, *(int(np.argmax(~np.isnan(newest[:, 2 * self.m + j]))) for j in np.flatnonzero(ever)), 0)
        rows = rows[first:]
        rows = rows[~np.isnan(rows).any(axis=1)]
        if len(rows) < 2:
            return
        centre, deviation = rows.mean(axis=0), rows.std(axis=0, ddof=1)
        moved = deviation > 1e-9 * np.maximum(1, np.abs(centre))
        scale = np.where(moved, 1 / np.where(moved, deviation, 1), 0.0)
        z = (rows - centre) * scale
        covariance = z.T @ z / (len(rows) - 1)
        np.fill_diagonal(covariance, 1 + RIDGE)
        self.past.append((centre, scale, covariance))


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
    frames[random.random((n, 4)) < data.draw(st.sampled_from([0.0, 0.02, 0.3]))] = np.nan
    ts = np.cumsum(random.choice([5000.0, 5000.0, 5000.0, 60_000.0, 200_000.0], n, p=[0.4, 0.3, 0.25, 0.03, 0.02]))
    options = DEFAULTS | {"stays_s": 60.0}
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


def test_one_that_wanders_about_its_bound_is_told_once_and_anew_when_it_was_usual_for_as_long() -> None:
    _, frames = plant(9000)
    frames[3000:7500, 4] += (np.arange(4500) % 600 < 400).astype(float)
    frames[8800:, 4] += 1.0
    out = said(frames, DEFAULTS | {"stays_s": 1500.0})
    told = (out[:, 0] > 1.1) & (out[:, 1] == 4)
    assert told[3020:3290].all()
    assert told[3320:8800].sum() < 20
    assert told[8820:].all()


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
