"""Row order of a lake file: by (point, ts), rows with equal keys in arrival order.

A counting sort by point (points are dense int32), then a repair of each point's run: arrivals of one point are nearly
always in time order already, so the repair is one comparison a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

RUN_BY_HAND = 32
"""Runs up to this length are repaired by insertion; longer unordered ones by a merge sort."""


@njit(cache=True, nogil=True)
def repair(order: NDArray[np.signedinteger], ts: NDArray[np.int64], first: int, end: int) -> None:
    """Bring the rows ``order[first:end]`` into the order of their times; equal times stay as they are."""
    ordered = True
    for j in range(first + 1, end):
        if ts[order[j]] < ts[order[j - 1]]:
            ordered = False
            break
    if ordered:
        return
    if end - first <= RUN_BY_HAND:
        for j in range(first + 1, end):
            row = order[j]
            when = ts[row]
            hole = j
            while hole > first and ts[order[hole - 1]] > when:
                order[hole] = order[hole - 1]
                hole -= 1
            order[hole] = row
    else:
        run = order[first:end].copy()
        rank = np.argsort(ts[run], kind="mergesort")
        for j in range(end - first):
            order[first + j] = run[rank[j]]


@njit(cache=True, nogil=True)
def order_rows(point: NDArray[np.int32], ts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices that sort rows by (point, ts), stable. ``point`` and ``ts`` have equal length; points are >= 0."""
    rows = len(point)
    order = np.empty(rows, np.int64)
    if rows == 0:
        return order
    low = point[0]
    high = point[0]
    for i in range(rows):
        low = min(low, point[i])
        high = max(high, point[i])
    start = np.zeros(high - low + 2, np.int64)
    for i in range(rows):
        start[point[i] - low + 1] += 1
    for k in range(1, len(start)):
        start[k] += start[k - 1]
    place = start.copy()
    for i in range(rows):
        k = point[i] - low
        order[place[k]] = i
        place[k] += 1
    for k in range(len(start) - 1):
        repair(order, ts, start[k], start[k + 1])
    return order
