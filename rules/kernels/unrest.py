"""How uneasy the last readings of each member of a group are, beside how uneasy they mostly are.

A probe that jumps to and fro, or air in its water, leaves the mean of a window where it was. *Unrest* is the mean step
between readings that follow one another, over the last ``STEPS`` of them, without the ``OUT`` largest and smallest: one
wild reading makes two steps. Its usual value and its deviation are followed as those of levels are (``departure``).
"""

import numpy as np
from numba import njit

from rules.kernels.types import F64

USUAL, SPREAD, HEARD, LIMIT = range(4)
"""Rows of ``unrest``: usual unrest, mean square of what it differs from that, windows that it was learned from, limit
in multiples of the least one."""
STEPS = 9
ENOUGH = 7
"""So many of ``STEPS`` must be known."""
OUT = 2
BEGUN = 4.0
"""After so many windows a deviation is known."""
BOUND = 9.0
"""A square counts at most so many times the mean square (three deviations)."""
TOSSED = 0.25
"""Least mean square, in squares of the last digit: a value between two digits tells now one and now the other."""


@njit(cache=True, nogil=True)
def middle(kept: F64, n: int, out: int) -> float:
    """Mean of n values (which are put in order) without the ``out`` least and the ``out`` largest."""
    for a in range(1, n):
        v = kept[a]
        b = a
        while b > 0 and kept[b - 1] > v:
            kept[b] = kept[b - 1]
            b -= 1
        kept[b] = v
    total = 0.0
    for k in range(out, n - out):
        total += kept[k]
    return total / (n - 2 * out)


@njit(cache=True, nogil=True)
def take(at: int, held: int, ring: F64, uneasy: F64) -> None:
    """Unrest of each member in the last frames of a ring that ends at ``at``; NaN where too few of them tell it."""
    n, m = ring.shape
    kept = np.empty(STEPS)
    for j in range(m):
        uneasy[j] = np.nan
        later = ring[at, j]
        if np.isnan(later):
            continue
        count = 0
        for k in range(1, min(held, STEPS + 1)):
            value = ring[(at - k) % n, j]
            if not np.isnan(value):
                kept[count] = abs(later - value)
                count += 1
                later = value
        if count >= ENOUGH:
            uneasy[j] = middle(kept, count, OUT)


@njit(cache=True, nogil=True)
def far(uneasy: F64, digit: F64, unrest: F64, least: float, most: float, worst: int) -> tuple[float, int]:
    """The larger of ``most`` (that of ``worst``; NaN: none) and the furthest unrest, 1 at its limit, and whose it is.

    Members count from the group's size on: the limits of unrest are their own.
    """
    for j in range(len(uneasy)):
        if np.isnan(uneasy[j]) or unrest[HEARD, j] <= BEGUN or not digit[j] < np.inf:
            continue
        square = max(unrest[SPREAD, j], TOSSED * digit[j] ** 2)
        if square > 0.0:
            distance = (uneasy[j] - unrest[USUAL, j]) / np.sqrt(square) / (least * unrest[LIMIT, j])
            if not distance <= most:
                most, worst = distance, j + len(uneasy)
    return most, worst


@njit(cache=True, nogil=True)
def learn(uneasy: F64, digit: F64, weight: float, stand: bool, over: bool, unrest: F64) -> None:
    """A window is over: what is usual follows it, unless it is to ``stand``; or is that from now on (``over``)."""
    for j in range(len(uneasy)):
        if np.isnan(uneasy[j]):
            continue
        unrest[HEARD, j] += 1.0
        if unrest[HEARD, j] == 1.0:
            unrest[USUAL, j] = uneasy[j]
            continue
        share = max(weight, 1.0 / unrest[HEARD, j])
        off = uneasy[j] - unrest[USUAL, j]
        if unrest[HEARD, j] > BEGUN + 1.0:
            most = np.sqrt(BOUND * max(unrest[SPREAD, j], TOSSED * digit[j] ** 2))
            off = min(max(off, -most), most)
        unrest[SPREAD, j] += share * (off * off - unrest[SPREAD, j])
        if over:
            unrest[USUAL, j] = uneasy[j]
        elif not stand:
            unrest[USUAL, j] += share * off
