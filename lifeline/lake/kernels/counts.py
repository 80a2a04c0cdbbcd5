"""Counting readings per point and hour of event time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from numba import njit

from lifeline.core.kernels.fetch import fetch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HOUR_MS = 3_600_000

AHEAD = 16
"""Rows whose counters are on their way while one is counted."""


@njit(cache=True, nogil=True)
def count_rows(
    point: NDArray[np.int32],
    ts: NDArray[np.int64],
    received_at: NDArray[np.int64],
    flags: NDArray[np.uint8],
    duplicate: int,
    late: int,
    first_at: NDArray[np.int64],
    hot_first: int,
    hot: NDArray[np.int32],
    cold: NDArray[np.int64],
) -> int:
    """Count rows into the hot hours; the numbers of the rows of other hours go to ``cold``; how many those are.

    Args:
        point: Of each row, below ``len(first_at)``.
        ts: Event time, epoch ms.
        received_at: Receive time, epoch ms.
        flags: Of each row.
        duplicate: Bit of a repeat: counted as such and not as received.
        late: Bit of a late reading: counted as received and as late.
        first_at: (points) receive time of a point's first reading, 0 before it; updated.
        hot_first: Hour number (ts // HOUR_MS) of ``hot[0]``.
        hot: (hours, points, 3) received, duplicates, late; updated.
        cold: (rows) scratch for the result.
    """
    found = 0
    hours = hot.shape[0]
    n = len(point)
    width = hot.shape[1]
    counters = hot.reshape(hours * width, 3)
    row = 0  # of ``counters``, where the last counted row's hour begins: the next ones are of the same, nearly always
    for i in range(n):
        ahead = point[min(i + AHEAD, n - 1)]
        fetch(first_at, ahead)
        fetch(counters, row + ahead)
        k = point[i]
        repeat = flags[i] & duplicate
        if not repeat and first_at[k] == 0:
            first_at[k] = received_at[i]
        h = ts[i] // HOUR_MS - hot_first
        if h < 0 or h >= hours:
            cold[found] = i
            found += 1
            continue
        row = h * width
        if repeat:
            hot[h, k, 1] += 1
        else:
            hot[h, k, 0] += 1
            if flags[i] & late:
                hot[h, k, 2] += 1
    return found
