"""What looks at a group's frames as a whole, after learning a normal period: one judge for each line of ``JUDGES``.

A judge sees every frame of its group once, in order, as a matrix (frames x members, NaN where a member is silent). Its
life has three parts: it *learns* from the first ``FRAMES_MIN`` frames, is *calibrated* over the rest of the normal
period while it is fitted again and again to ever more of it (what it says of normal frames that its fit had not seen
is what normal is), and *judges* from then on. Before that its columns are NULL. The normal period begins with the
group's first frame and ends at ``train_to`` where that is given (a backtest), else after the rule's ``learn.seconds``.

Adding one: a kernel, a class with ``learn``, ``fit`` and ``judge``, one line in ``JUDGES``, and its tests.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rules.habit import Habit
from rules.kernels import drift as drift_kernel
from rules.kernels import residual as residual_kernel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

Bounds = tuple[float, float, float, str]
"""Default, least and most of an option, and what it is."""

FRAMES_MIN: Final = 30
NORMAL_KEPT: Final = 8192
"""Calibration values kept; past that every second is dropped, so that they go on covering the whole time."""
QUANTILE: Final = 0.999
"""What normal reaches: a thousandth of normal frames lies above."""
USUAL: Final = 0.95
TAIL: Final = 10.83 / 3.84
"""How far ``QUANTILE`` of squared distances lies above ``USUAL`` at most where frames are normal: one squared normal
deviation (chi-square with one degree of freedom) has the longest tail, sums and means of several have shorter ones.
What reaches further was no normal period all through: a fault or a test, which must not set the limit."""
CAP: Final = 5.0
"""One frame counts at most this many times the limit, so that an alarm does not outlast its cause."""
LEAST: Final = 1e-12
"""Below this a statistic of normal frames is nothing but rounding."""
SHARES: Final = 6
"""Shares of variance from ``variance_low`` to ``variance``."""
LEAST_ROOT: Final = 0.02
"""Of what a member does the others explain no more than leaves this least root of their correlation."""
FLAT: Final = 1e-9
"""A member whose deviation is below this share of its mean did not move in the normal period and is left out."""


@dataclass
class Calibration:
    """Values seen in normal times, thinned to a bounded number, and the limit they give (NaN until ``close``)."""

    outputs: int
    values: NDArray[np.float64] = field(init=False)
    meta: NDArray[np.float64] = field(init=False)
    """[values kept, stride, values seen]"""
    limit: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        """Nothing seen."""
        self.values = np.zeros((NORMAL_KEPT, self.outputs))
        self.meta = np.array([0.0, 1.0, 0.0])
        self.limit = np.full(self.outputs, np.nan)

    def add(self, rows: NDArray[np.float64]) -> None:
        """Rows of outputs; those with NaN are skipped."""
        for row in rows[~np.isnan(rows).any(axis=1)]:
            kept, stride, seen = (int(x) for x in self.meta)
            self.meta[2] += 1
            if seen % stride:
                continue
            if kept == NORMAL_KEPT:
                self.values[: kept // 2] = self.values[:kept:2]
                kept, stride = kept // 2, stride * 2
                self.meta[:2] = kept, stride
                if seen % stride:
                    continue
            self.values[kept] = row
            self.meta[0] = kept + 1

    def clear(self) -> None:
        """Forget what was seen."""
        self.meta[:] = 0.0, 1.0, 0.0

    def close(self, tails: tuple[float, ...]) -> None:
        """What ``QUANTILE`` of normal values stays below, and at most so many times what ``USUAL`` of them does."""
        kept = int(self.meta[0])
        reached = np.full(self.outputs, np.nan)
        if kept:
            usual, reached = np.quantile(self.values[:kept], (USUAL, QUANTILE), axis=0)
            reached = np.where(usual > LEAST, np.minimum(reached, usual * tails), reached)
        self.limit = np.where(reached > LEAST, reached, np.nan)


class Residual:
    """``t2`` and ``q``: Hotelling's T² and the squared prediction error, each divided by what normal reaches."""

    outputs: Final = ("t2", "q")
    relative: Final = True
    """Outputs are divided by what normal reaches."""
    tails: Final = (np.inf, TAIL)
    """Of T² none is known: what moves seldom, as a pump that starts, is normal and far off."""
    later: Final[frozenset[str]] = frozenset()
    """State that older snapshots lack: it stays as in a new judge."""
    refit: Final = False
    """Whether it learns on while it is calibrated, to be fitted to the whole normal period in the end."""
    options: Final[Mapping[str, Bounds]] = {
        "lags": (2, 0, 16, "`t2`, `q`: frames before that belong to a vector"),
        "variance": (0.99, 0.1, 1, "`t2`, `q`: share of variance that the principal components explain"),
        "variance_low": (0, 0, 1, "`q`: geometric mean over shares from this one to `variance`; 0: `variance` alone"),
        "smooth_n": (4, 1, 1000, "`t2`, `q`: frames of smoothing"),
        "accuracy": (
            0,
            0,
            1,
            "`t2`, `q`: share of a member's mean by which its readings may be wrong and mean nothing",
        ),
    }

    def __init__(self, members: int, options: Mapping[str, float]) -> None:
        self.members = members
        self._lags = int(options["lags"])
        low, high = options["variance_low"], options["variance"]
        # evenly spaced by the logarithm of what is left over, as the components' variances fall
        self._shares = 1.0 - np.geomspace(1.0 - low, 1.0 - high, SHARES) if 0.0 < low < high < 1.0 else np.array([high])
        self._accuracy = options["accuracy"]
        self._smooth = 2.0 / (options["smooth_n"] + 1.0)
        width = members * (self._lags + 1)
        self.arrays: dict[str, NDArray[np.float64]] = {
            "clock": np.array([np.nan, np.nan, 0.0]),
            "history": np.full((self._lags, members), np.nan),
            "count": np.zeros(1),
            "most": np.full(1, np.inf),
            "mean": np.full(width, np.nan),
            "scatter": np.zeros((width, width)),
            "fit_mean": np.zeros(width),
            "scale": np.zeros(width),
            "axes": np.zeros((0, width)),
            "spread": np.zeros(0),
            "cuts": np.zeros(0),
            "precision": np.zeros((0, width)),
            "cap": np.full(2, np.inf),
            "smoothed": np.full(2, np.nan),
        }

    def _embed(self, ts: NDArray[np.float64], frames: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        vectors, whole = np.empty((len(ts), self.members * (self._lags + 1))), np.empty(len(ts))
        a = self.arrays
        residual_kernel.embed(ts, frames, self._lags, a["clock"], a["history"], vectors, whole)
        return vectors, whole

    def learn(self, ts: NDArray[np.float64], frames: NDArray[np.float64]) -> None:
        """Take normal frames in."""
        vectors, whole = self._embed(ts, frames)
        self._moments(vectors, whole, np.ones(len(ts)))

    def _moments(self, vectors: Any, whole: Any, take: Any) -> None:
        a = self.arrays
        residual_kernel.moments(vectors, whole, take, a["most"][0], a["count"], a["mean"], a["scatter"])

    def fit(self) -> None:
        """Components of what was learned."""
        a = self.arrays
        n = a["count"][0]
        deviation = np.sqrt(np.diag(a["scatter"]) / max(n - 1.0, 1.0))
        mean = np.nan_to_num(a["mean"])
        moved = deviation > FLAT * np.maximum(1.0, np.abs(mean))
        # what moves by less than its instrument can tell would otherwise count for as much as what moves by half
        told = np.hypot(deviation, self._accuracy * mean)
        scale = np.where(moved, 1.0 / np.where(moved, told, 1.0), 0.0)
        if not moved.any():
            return
        correlation = a["scatter"] / max(n - 1.0, 1.0) * np.outer(scale, scale)
        values, axes = np.linalg.eigh(correlation)
        values, axes = values[::-1], axes[:, ::-1]
        cuts = np.searchsorted(np.cumsum(values) / values.sum(), self._shares) + 1
        # one direction at least is left for Q: where all are taken, what is left is rounding
        cuts = np.maximum(1, np.minimum(cuts, np.count_nonzero(values > FLAT) - 1))
        kept = int(cuts[-1])
        axes[~moved] = 0.0
        a["fit_mean"], a["scale"] = mean, scale
        a["cuts"] = cuts.astype(np.float64)
        a["axes"], a["spread"] = np.ascontiguousarray(axes[:, :kept].T), values[:kept].copy()
        # outside of the components every direction is taken to be alike (probabilistic PCA; Tipping and Bishop 1999)
        rest = max(values[kept:].sum() / max(np.count_nonzero(moved) - kept, 1), FLAT)
        a["precision"] = (a["axes"].T * (1.0 / a["spread"] - 1.0 / rest)) @ a["axes"] + np.eye(len(scale)) / rest

    def judge(self, ts: NDArray[np.float64], frames: NDArray[np.float64], *, follow: bool) -> NDArray[np.float64]:
        """T², Q and the member that stands out, one row a frame. With ``follow`` normal frames go on being learned."""
        vectors, whole = self._embed(ts, frames)
        a, out = self.arrays, np.empty((len(ts), 3))
        if len(a["precision"]):
            residual_kernel.fill(vectors, whole, a["fit_mean"], a["scale"], a["precision"])
        residual_kernel.judge(
            vectors,
            whole,
            a["fit_mean"],
            a["scale"],
            a["axes"],
            a["spread"],
            a["cuts"],
            self._smooth,
            a["cap"],
            a["smoothed"],
            out,
        )
        out[:, 2] %= self.members
        if not a["scale"].any():
            out[:] = np.nan
        if follow:
            take = (out[:, :2] <= a["cap"] / CAP).all(axis=1).astype(np.float64)
            self._moments(vectors, whole, take)
        return out

    def calibrated(self, limit: NDArray[np.float64]) -> None:
        """Told what normal reaches: from now on what is learned is forgotten at the pace of the normal period."""
        self.arrays["most"] = self.arrays["count"].copy()
        self.arrays["cap"] = np.nan_to_num(limit * CAP, nan=np.inf)


class Drift:
    """``drift`` and ``drift_rms``: the largest and the mean distance of a member from its own level, in deviations."""

    outputs: Final = ("drift", "drift_rms")
    relative: Final = False
    tails: Final = (float(np.sqrt(TAIL)), float(np.sqrt(TAIL)))
    later: Final = frozenset({"freedom", "joint", "together"})
    refit: Final = True
    options: Final[Mapping[str, Bounds]] = {
        "block_n": (10, 2, 1000, "`drift`: frames in a block"),
        "gate": (4, 1, 1000, "`drift`: a level does not follow a block that is so many deviations away"),
        "patience": (0, 0, 1e6, "`drift`: but takes its place after so many such blocks in a row; 0: never"),
        "mutual": (0, 0, 1, "`drift`: 1: of each member is taken off what the steps of the others let expect"),
    }

    RECENT: Final = 64
    """Blocks from which the level is started."""

    def __init__(self, members: int, options: Mapping[str, float]) -> None:
        self.members = members
        self._n = max(2, int(options["block_n"]))
        self._gate, self._patience = options["gate"], options["patience"]
        self.arrays: dict[str, NDArray[np.float64]] = {"block": np.zeros((7, members)), "level": np.zeros((5, members))}
        self.arrays["freedom"] = np.zeros(members)
        many = members if options["mutual"] > 0 else 0
        self.arrays |= {"joint": np.zeros((2, many, many)), "together": np.zeros((0, 0))}
        self.arrays["block"][[0, 6]] = np.nan
        self.arrays["recent"] = np.full((self.RECENT, members), np.nan)
        self.arrays |= self._ring("learn") | self._ring("judge")

    def _ring(self, name: str) -> dict[str, NDArray[np.float64]]:
        zeros = np.zeros(self.members)
        ring = np.full((self._n, self.members), np.nan)
        clock = np.array([0.0, np.nan, np.nan])
        return {f"{name}_clock": clock, f"{name}_ring": ring, f"{name}_sum": zeros, f"{name}_count": zeros.copy()}

    def learn(self, ts: NDArray[np.float64], frames: NDArray[np.float64]) -> None:
        """Take normal frames in."""
        a = self.arrays
        drift_kernel.learn(
            ts, frames, a["learn_clock"], a["learn_ring"], a["learn_sum"], a["learn_count"], a["block"], a["recent"],
            a["joint"],
        )  # fmt: skip

    def fit(self) -> None:
        """Noise and walk of each member, and its level at the end of what was learned."""
        a = self.arrays
        _, blocks, within, steps, n_steps, mean, quantum = a["block"]
        noise = within / np.maximum(blocks, 1) / self._n
        walk = np.maximum(0.0, steps / np.maximum(n_steps, 1) - 2.0 * noise)
        # a signal that mostly rests and then moves by its last digit: half a digit is its noise, for no average helps
        resting = within / np.maximum(blocks, 1) < quantum**2 / 12.0
        noise = np.where(resting, np.maximum(noise, quantum**2 / 4.0), noise)
        moved = (blocks > 1) & (noise + walk > (FLAT * np.maximum(1.0, np.abs(mean))) ** 2)
        # a member that only steps between blocks, never within one, has noise all the same: a block's share of its walk
        noise = np.where(moved, np.maximum(noise, walk / self._n), 0.0)
        level, variance = self._level(noise, walk, moved)
        moved &= ~np.isnan(level)
        level = np.where(walk > 0, level, mean)
        variance = np.where(walk > 0, variance, noise / np.maximum(blocks, 1))
        a["level"] = np.stack(
            [np.nan_to_num(level), variance, np.where(moved, noise, 0.0), walk, np.zeros(self.members)]
        )
        # Satterthwaite (1946): of a sum of variances, each known from so many blocks or steps; what is known less well
        # than it says, a walk of few steps, may not call its own wandering a fault
        doubt = walk**2 / np.maximum(n_steps, 1) + noise**2 / np.maximum(blocks * (self._n - 1), 1)
        a["freedom"] = np.divide((walk + noise) ** 2, doubt, out=np.zeros(self.members), where=doubt > 0)
        if a["joint"].size:
            a["together"] = self._together(a["joint"])

    @staticmethod
    def _together(joint: NDArray[np.float64]) -> NDArray[np.float64]:
        """Correlation of the steps of each two members, shrunk to none by as much as so few steps are worth."""
        products, steps = joint
        size = np.sqrt(np.diag(products) / np.maximum(np.diag(steps), 1.0))
        both = np.outer(size, size) * np.maximum(steps, 1.0)
        alike = np.divide(products, both, out=np.zeros_like(products), where=both > 0)
        own = np.eye(len(alike))
        # pairs that were seen at different times could leave no correlation at all: its least root is bounded
        shrunk = (len(alike) + 1.0) / (len(alike) + 1.0 + steps.max())
        alike = (1.0 - own) * (1.0 - shrunk) * alike
        least = np.linalg.eigvalsh(alike + own)[0]
        together: NDArray[np.float64] = own + alike * min(1.0, (1.0 - LEAST_ROOT) / max(1.0 - least, LEAST_ROOT))
        return together

    def _level(self, noise: Any, walk: Any, moved: Any) -> tuple[Any, Any]:
        """Level of each member at the end of what was learned, and its variance, by Kalman's filter over the blocks.

        The last step is over the frames of the block that is not whole yet: where blocks begin must not matter.
        """
        a = self.arrays
        level, variance = np.full(self.members, np.nan), noise.copy()
        frames = int(a["learn_clock"][0])
        order, begun = divmod(frames, self._n)
        steps = [(a["recent"][k % self.RECENT], noise, walk) for k in range(max(0, order - self.RECENT), order)]
        count = np.count_nonzero(~np.isnan(a["learn_ring"][:begun]), axis=0)
        part = np.where(count > 1, np.nansum(a["learn_ring"][:begun], axis=0) / np.maximum(count, 1), np.nan)
        steps.append((part, noise * self._n / np.maximum(count, 1), walk * begun / self._n))
        for seen, doubt, wander in steps:
            known, first = ~np.isnan(seen), np.isnan(level)
            variance = np.where(first, variance, variance + wander)
            gain = np.divide(variance, variance + doubt, out=np.zeros_like(noise), where=moved & known)
            level = np.where(known, np.where(first, seen, level + gain * (seen - level)), level)
            variance = np.where(known & ~first, variance * (1.0 - gain), variance)
        return level, variance

    def judge(self, ts: NDArray[np.float64], frames: NDArray[np.float64], *, follow: bool) -> NDArray[np.float64]:
        """The two distances and the member with the largest, one row a frame."""
        out, a = np.empty((len(ts), 3)), self.arrays
        drift_kernel.judge(
            ts, frames, follow, self._gate, self._patience,
            a["judge_clock"], a["judge_ring"], a["judge_sum"], a["judge_count"], a["level"], a["freedom"],
            a["together"], out,
        )  # fmt: skip
        return out

    def calibrated(self, limit: NDArray[np.float64]) -> None:
        """The distance is in deviations already."""


JUDGES: Final[tuple[Any, ...]] = (Residual, Drift, Habit)
JUDGE_OF: Final = {output: judge for judge in JUDGES for output in judge.outputs}
OPTIONS: Final[dict[str, Bounds]] = {
    "median_n": (
        1,
        1,
        15,
        "judges: values of a member whose median is taken for the last, so that one wild one is none",
    )
} | {name: bounds for judge in JUDGES for name, bounds in judge.options.items()}
