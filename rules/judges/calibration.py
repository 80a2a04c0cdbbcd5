"""What every judge shares: the bounds of options, and what its statistics reach in normal times."""

from __future__ import annotations

from dataclasses import dataclass, field
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
What reaches further was no normal period all through: a fault or a test, which must not set the limit."""
LEAST: Final = 1e-12
"""Below this a statistic of normal frames is nothing but rounding."""
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
