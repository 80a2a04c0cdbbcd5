"""The judge ``habit`` in its plainest form: every frame is kept, and all is taken anew from all of them."""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray

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
)
from rules.kernels.again import BACK, CALM_MS, FURTHER, HALTS_MS, KEPT_MS, REST, STANDS, TIMES
from rules.kernels.habit import FEWEST, GREW, WIDEST

Matrix = NDArray[np.float64]


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

    def known(self) -> int:
        """How many of the newest frames are kept: since the last gap."""
        run = [1, *(np.flatnonzero(~(np.diff(self.ts) <= self.apart)) + 2)][-1] - 1
        return min(len(self.ts) - run, self.n)

    def slack(self) -> float:
        """A window and a half, or one frame where that is more, but not more than frames may be apart."""
        spacings = np.diff(self.ts[len(self.ts) - self.known() :])
        return min(self.apart, max(1.5 * self.recent, float(np.median(spacings)) if len(spacings) else 0.0))

    def vector(self) -> list[float] | None:
        """Of the newest frames: means, changes and newest means."""
        known = self.known()
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
            rest_max = RESTS * longest + self.slack() if self.changes(j) >= CHANGES else math.inf
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
