"""What every judge shares: the bounds of options, and what its statistics reach in normal times."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Bounds = tuple[float, float, float, str]
"""Default, least and most of an option, and what it is."""

NORMAL_KEPT: Final = 8192
"""Calibration values kept; past that every second is dropped, so that they go on covering the whole time."""
QUANTILE: Final = 0.999
"""What normal reaches: a thousandth of normal frames lies above."""
USUAL: Final = 0.95
TAIL: Final = 10.83 / 3.84
"""How far ``QUANTILE`` of squared distances lies above ``USUAL`` at most where frames are normal: one squared normal
deviation (chi-square with one degree of freedom) has the longest tail, sums and means of several have shorter ones.
What reaches further was no normal period all through: a fault or a test, which must not set the limit; unless it
comes on most days, as a pump that starts (``DAYS_MIN``)."""
DAY_MS: Final = 86_400_000.0
DAYS_MIN: Final = 2
"""Days that can tell what comes every day from what came once."""
SLACK: Final = 0.05
"""Part of a day that may be missing of the first."""
LEAST: Final = 1e-12
"""Below this a statistic of normal frames is nothing but rounding."""
FLAT: Final = 1e-9
"""A member whose deviation is below this share of its mean did not move in the normal period and is left out."""


@dataclass
class Calibration:
    """Values seen in normal times, thinned to a bounded number, and the limit they give (NaN until ``close``)."""

    outputs: int
    values: NDArray[np.float64] = field(init=False)
    at: NDArray[np.float64] = field(init=False)
    """When each was (epoch ms; NaN where it is not known)."""
    meta: NDArray[np.float64] = field(init=False)
    """[values kept, stride, values seen, time of the last value before the last fit]"""
    limit: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        """Nothing seen."""
        self.values = np.zeros((NORMAL_KEPT, self.outputs))
        self.at = np.full(NORMAL_KEPT, np.nan)
        self.meta = np.array([0.0, 1.0, 0.0, -np.inf])
        self.limit = np.full(self.outputs, np.nan)

    def add(self, ts: NDArray[np.float64], rows: NDArray[np.float64]) -> None:
        """Rows of outputs at their times (epoch ms); those with NaN are skipped."""
        told = ~np.isnan(rows).any(axis=1)
        for at, row in zip(ts[told], rows[told], strict=True):
            kept, stride, seen = (int(x) for x in self.meta[:3])
            self.meta[2] += 1
            if seen % stride:
                continue
            if kept == NORMAL_KEPT:
                self.values[: kept // 2] = self.values[:kept:2]
                self.at[: kept // 2] = self.at[:kept:2]
                kept, stride = kept // 2, stride * 2
                self.meta[:2] = kept, stride
                if seen % stride:
                    continue
            self.values[kept], self.at[kept] = row, at
            self.meta[0] = kept + 1

    def fitted(self) -> None:
        """The judge was fitted anew: forget what lies before the fit before that."""
        kept = int(self.meta[0])
        newer = self.at[:kept] > self.meta[3]
        left = int(np.count_nonzero(newer))
        if kept:
            self.meta[3] = self.at[kept - 1]
        self.values[:left], self.at[:left] = self.values[:kept][newer], self.at[:kept][newer]
        self.meta[0] = left

    def close(self, tails: tuple[float, ...]) -> None:
        """What ``QUANTILE`` of normal values stays below, and at most so many times what ``USUAL`` of them does.

        A half of the time of which a twentieth lies beyond what a thousandth of the other half should exceed was no
        normal one: the other half says what is usual. What is reached on most days is normal whatever its tail is:
        the bound is never below that, nor is the limit where it lies beyond the tail.
        """
        kept = int(self.meta[0])
        reached = np.full(self.outputs, np.nan)
        if kept:
            usual, reached = np.quantile(self.values[:kept], (USUAL, QUANTILE), axis=0)
            low, high = np.sort([np.quantile(half, USUAL, axis=0) for half in self._halves(kept)], axis=0)
            with np.errstate(invalid="ignore"):  # what never moved, without a bound: 0 x inf, and no comparison holds
                usual = np.where(high > low * tails, low, usual)
                tail = usual * tails
                day, beyond = self._daily(kept, np.log(tails) / np.log(TAIL))
                bound = np.maximum(tail, beyond)
                reached = np.where(day > tail, np.maximum(reached, beyond), reached)
            reached = np.where(usual > LEAST, np.minimum(reached, bound), reached)
        self.limit = np.where(reached > LEAST, reached, np.nan)

    def _halves(self, kept: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        half = (kept + 1) // 2
        return self.values[:half], self.values[kept - half : kept]

    def _daily(self, kept: int, power: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The highest value of the usual day, and what ``QUANTILE`` of normal values with such a one would stay below.

        Both are 0 where they are not known.
        Of the days' highest values the middle one, of two the lower: what came once says nothing about the other days.
        Days are counted back from the last value and from half a day before it, since what came once may lie in two.
        ``power`` is 1 for squared distances, half of it for distances.
        """
        found = []
        for skipped in (0.0, 0.5):
            age = (self.at[kept - 1] - self.at[:kept]) / DAY_MS - skipped
            if not age[0] + SLACK >= DAYS_MIN:  # nor where times are not known
                continue
            days = int(age[0] + SLACK)
            each = [self.values[:kept][(age >= day) & (age < day + 1)] for day in range(days)]
            highest = np.sort([values.max(axis=0) for values in each if len(values)], axis=0)
            middle = (len(highest) - 1) // 2
            share = ((middle + 1) / (len(highest) + 1)) ** (len(highest) / sum(map(len, each)))
            beyond = (_squared(QUANTILE) / _squared(min(share, QUANTILE))) ** power
            found.append((highest[middle], highest[middle] * beyond))
        day, beyond = np.min(found, axis=0) if found else np.zeros((2, self.outputs))
        return day, beyond


def _squared(share: float) -> float:
    """What such a share of squared normal deviations stays below."""
    return float(NormalDist().inv_cdf((1 + share) / 2) ** 2)
