"""Rows into file order, (point, ts), without leaving the processor's cache for each of them.

    column ──scatter──► buckets of neighbouring points ──gather──► sorted column

A million rows come in any order of points. Sorting an index and fetching seven columns by it looks somewhere else for
each row and column. Here rows go to some hundred buckets first, each an own run that is written from its start, and are
sorted within a bucket, which a core's cache holds. What comes out is what ``order.order_rows`` says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from lifeline.lake.kernels.order import repair

if TYPE_CHECKING:
    from numpy.typing import NDArray


NEVER = np.iinfo(np.int64).min


@njit(cache=True, nogil=True)
def count_buckets(point: NDArray[np.int32], low: int, shift: int, counts: NDArray[np.int64]) -> None:
    """Add the rows of each bucket: bucket k holds the points from ``low + (k << shift)`` on."""
    for i in range(len(point)):
        counts[(point[i] - low) >> shift] += 1


@njit(cache=True, nogil=True)
def place_rows(
    point: NDArray[np.int32], low: int, shift: int, place: NDArray[np.int64], slot: NDArray[np.int32]
) -> None:
    """``slot``: where each row goes. ``place`` is where each bucket's next row does, and moves on."""
    for i in range(len(point)):
        bucket = (point[i] - low) >> shift
        slot[i] = place[bucket]
        place[bucket] += 1


@njit(cache=True, nogil=True)
def scatter(column: NDArray[np.generic], slot: NDArray[np.int32], into: NDArray[np.generic]) -> None:
    """``into[slot] = column``."""
    for i in range(len(column)):
        into[slot[i]] = column[i]


@njit(cache=True, nogil=True)
def gather(column: NDArray[np.generic], order: NDArray[np.int32], into: NDArray[np.generic]) -> None:
    """``into[:] = column[order]``."""
    for i in range(len(order)):
        into[i] = column[order[i]]


@njit(cache=True, nogil=True)
def order_buckets(
    point: NDArray[np.int32],
    ts: NDArray[np.int64],
    low: int,
    shift: int,
    starts: NDArray[np.int64],
    order: NDArray[np.int32],
) -> None:
    """``order``: rows of columns that lie by buckets, sorted by (point, ts), equal keys as they lie.

    Args:
        point: Of each row, by buckets.
        ts: Event time of each row.
        low: The first point of the first bucket.
        shift: A bucket holds ``1 << shift`` points.
        starts: Where each bucket begins, and the number of rows.
        order: (rows) the result.
    """
    width = 1 << shift
    place = np.empty(width + 1, np.int32)
    newest = np.empty(width, np.int64)
    for bucket in range(len(starts) - 1):
        first = starts[bucket]
        end = starts[bucket + 1]
        if first == end:
            continue
        base = low + (bucket << shift)
        place[:] = 0
        for i in range(first, end):
            place[point[i] - base + 1] += 1
        newest[:] = NEVER
        place[0] = first
        for k in range(1, width + 1):
            place[k] += place[k - 1]
        ordered = True
        for i in range(first, end):
            k = point[i] - base
            at = place[k]
            order[at] = i
            place[k] = at + 1
            ordered = ordered and newest[k] <= ts[i]
            newest[k] = ts[i]
        if ordered:
            continue
        run = first
        for j in range(first + 1, end + 1):
            if j == end or point[order[j]] != point[order[run]]:
                repair(order, ts, run, j)
                run = j
