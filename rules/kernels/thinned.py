"""Which rows of a history must be told, where most are of points that nothing is asked of."""

import numpy as np
from numba import njit

from lifeline.core.kernels.index import index
from rules.kernels.types import F64, I32, I64, U8

LEFT_OUT, COUNTED, TOLD = 0, 1, 2
"""What is wanted of a point's rows: nothing, to be counted, all of them."""
APART_MS = 10_000
"""Rows that are told are no farther apart than rows that come one after the other, or than twice this.

So the times at which nothing at all is heard for more than twice this are the same (``rules/deaf.py``).
"""
REPEATS, BAD, NULL, USABLE = range(4)


@njit(cache=True, nogil=True)
def thin(
    point: I32,
    received: I64,
    value: F64,
    quality: U8,
    flags: U8,
    wanted: U8,
    out_row: I32,
    out_before: I64,
    counts: I64,
) -> int:
    """The rows to tell (``out_row``) of rows in the order of receipt, the first and the last among them; how many.

    ``wanted`` is of each point. Of the rest ``counts`` [4] grows by repeats, bad and null ones, and by usable ones of
    ``COUNTED`` points; ``out_before`` are these last before each row that is told.
    """
    rows = len(point)
    told = received[0] if rows else 0
    n = 0
    for i in range(rows):
        heard = received[i]
        of = wanted[index(point[i])]
        if of == TOLD or heard - told > APART_MS or received[min(i + 1, rows - 1)] - heard > APART_MS:
            out_row[n] = i
            out_before[n] = counts[USABLE]
            told = heard
            n += 1
        elif i == 0 or i == rows - 1:
            out_row[n] = i
            out_before[n] = counts[USABLE]
            n += 1
        elif flags[i] & 8:  # Flag.DUPLICATE
            counts[REPEATS] += 1
        elif quality[i] >= 2:  # Quality.BAD
            counts[BAD] += 1
        elif np.isnan(value[i]):
            counts[NULL] += 1
        else:
            counts[USABLE] += of == COUNTED
    return n
