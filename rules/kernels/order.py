"""Reading order: which rows move a point forward, and what came before each.

A point's *newest* reading is the one with the latest event time so far. A row is *fresh* when it is usable (not a
repeat, quality not bad, value not null) and later than the newest. Only fresh rows move state and are evaluated; what
arrives older than the newest is counted as stale and left alone.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lifeline.core.kernels.index import index
from rules.kernels.types import F64, I32, I64, U8, U32, U64

Column = NDArray[Any]
NEVER = np.iinfo(np.int64).min


@njit(cache=True, nogil=True)
def fresh_rows(
    point: I32,
    ts: I64,
    value: F64,
    quality: U8,
    flags: U8,
    newest: I64,
    last: F64,
    out_row: I32,
    out_prev: F64,
    out_dt: F64,
    counts: I64,
) -> int:
    """Pick the fresh rows; returns how many.

    Columns of the batch: ``point ts value quality flags``. State per point: ``newest`` (ms, NEVER), ``last`` (value).
    Out per fresh row: its index, the previous value and the seconds since the previous reading (NaN for the first).
    ``counts`` [4] grows by repeats, bad, null, stale.
    """
    n = 0
    for i in range(len(point)):
        if flags[i] & 8:  # Flag.DUPLICATE
            counts[0] += 1
            continue
        if quality[i] >= 2:  # Quality.BAD
            counts[1] += 1
            continue
        v = value[i]
        if np.isnan(v):
            counts[2] += 1
            continue
        p = point[i]
        before = newest[p]
        if ts[i] <= before:
            counts[3] += 1
            continue
        out_row[n] = i
        if before == NEVER:
            out_prev[n] = np.nan
            out_dt[n] = np.nan
        else:
            out_prev[n] = last[p]
            out_dt[n] = (ts[i] - before) / 1000.0
        newest[p] = ts[i]
        last[p] = v
        n += 1
    return n


@njit(cache=True, nogil=True)
def previous(slots: I32, ts: I64, value: F64, prior: F64, out_prev: F64, out_dt: F64) -> None:
    """Previous value and seconds since, per slot, of a column other than the reading itself.

    ``prior`` [time, value] a slot, NaN at first; rows in reading order, none of them NaN. Where it is [time] nobody
    asks for the previous value: ``out_prev`` is left alone.
    """
    valued = prior.shape[1] > 1
    for i in range(len(slots)):
        s = index(slots[i])
        out_dt[i] = (ts[i] - prior[s, 0]) / 1000.0
        prior[s, 0] = ts[i]
        if valued:
            out_prev[i] = prior[s, 1]
            prior[s, 1] = value[i]


@njit(cache=True, nogil=True)
def in_order(received: I64, point: I32, ts: I64, seq: U32) -> bool:
    """Whether rows come by time of receipt, then point, event time and number."""
    for i in range(1, len(point)):
        if received[i] != received[i - 1]:
            if received[i] < received[i - 1]:
                return False
        elif point[i] != point[i - 1]:
            if point[i] < point[i - 1]:
                return False
        elif ts[i] < ts[i - 1] or (ts[i] == ts[i - 1] and seq[i] < seq[i - 1]):
            return False
    return True


@njit(cache=True, nogil=True)
def pick(point: I32, bits: U64, out: I32) -> int:
    """The rows of points whose bit is set; returns how many."""
    n = 0
    for i in range(len(point)):
        p = point[i]
        if bits[index(p >> 6)] >> np.uint64(p & 63) & np.uint64(1):
            out[index(n)] = i
            n += 1
    return n


@njit(cache=True, nogil=True)
def twice(point: I32, instant: I64, bits: U64) -> bool:
    """Whether a point has two rows of one instant. ``bits``: one a point, none set; that holds again afterwards."""
    found = False
    start = 0
    while start < len(point) and not found:
        end = start
        while end < len(point) and instant[end] == instant[start]:
            word = point[end] >> 6
            bit = np.uint64(1) << np.uint64(point[end] & 63)
            found |= (bits[word] & bit) != 0
            bits[word] |= bit
            end += 1
        for i in range(start, end):
            bits[point[i] >> 6] = np.uint64(0)
        start = end
    return found


@njit(cache=True, nogil=True)
def places_among(chosen: I32, rows: I32, instant: I64, out: I64, out_instant: I64) -> int:
    """Of the rows that were chosen, their places among the chosen and their instants; both rise. Returns how many.

    A row's place is its number less how many before it were not chosen, which grows.
    """
    left_out = 0
    n = 0
    for i in range(len(rows)):
        k = rows[i] - left_out
        while k >= len(chosen) or (k >= 0 and chosen[k] > rows[i]):
            k -= 1
        left_out = rows[i] - max(k, 0)
        if k >= 0 and chosen[k] == rows[i]:
            out[n] = k
            out_instant[n] = instant[i]
            n += 1
    return n


@njit(cache=True, nogil=True)
def rising(received: I64, point: I32, ts: I64) -> bool:
    """``in_order`` for rows of which no two are told of one point at one time: their number decides nothing."""
    for i in range(1, len(point)):
        if received[i] != received[i - 1]:
            if received[i] < received[i - 1]:
                return False
        elif point[i] != point[i - 1]:
            if point[i] < point[i - 1]:
                return False
        elif ts[i] <= ts[i - 1]:
            return False
    return True


@njit(cache=True, nogil=True)
def count_windows(received: I64, first: int, shift: int, counts: I64) -> None:
    """Rows by window of 2^``shift`` ms since ``first``, added to ``counts`` [windows]."""
    for i in range(len(received)):
        counts[(received[i] - first) >> shift] += 1


@njit(cache=True, nogil=True)
def window_places(received: I64, first: int, shift: int, places: I64, out: I32) -> None:
    """Where each row goes when windows follow one another and the rows of each keep their order.

    ``places`` [windows], the next free place of each, moves on.
    """
    for i in range(len(received)):
        k = (received[i] - first) >> shift
        out[i] = places[k]
        places[k] += 1


@njit(cache=True, nogil=True)
def order_windows(received: I64, first: int, shift: int, ends: I64, out: I32) -> None:
    """Rows by time of receipt, equal ones as they come: a radix sort of each window, in the processor's caches.

    ``ends`` [windows]: where each window of ``received`` ends; ``out``: the row at each place.
    """
    longest, start = 0, 0
    for end in ends:
        longest = max(longest, end - start)
        start = end
    other = np.empty(longest, np.int32)
    passes = (shift + 9) // 10
    bits = (shift + passes - 1) // passes if passes else 0
    digit = (1 << bits) - 1
    places = np.empty(1 << bits, np.int32)
    start = 0
    for end in ends:
        for i in range(start, end):
            out[i] = i
        for k in range(passes):
            right = k * bits
            mask = (1 << min(bits, shift - right)) - 1 if k == passes - 1 else digit
            places[:] = 0
            for i in range(start, end):
                places[((received[i] - first) >> right) & mask] += 1
            total = 0
            for j in range(len(places)):
                n = places[j]
                places[j] = total
                total += n
            for i in range(start, end):
                row = out[i]
                j = ((received[row] - first) >> right) & mask
                other[places[j]] = row
                places[j] += 1
            for i in range(start, end):
                out[i] = other[i - start]
        start = end


@njit(cache=True, nogil=True)
def put(column: Column, places: I32, out: Column) -> None:
    """Each value to its place: numpy's takes twice as long."""
    for i in range(len(column)):
        out[index(places[i])] = column[i]


@njit(cache=True, nogil=True)
def put_within(column: Column, places: I32, first: int, out: Column) -> None:
    """Those whose place is within ``out``, which begins at place ``first``."""
    for i in range(len(column)):
        at = places[i] - first
        if 0 <= at < len(out):
            out[at] = column[i]


@njit(cache=True, nogil=True)
def take(column: Column, rows: I32, out: Column) -> None:
    """The values of these rows: numpy's takes five times as long."""
    for i in range(len(rows)):
        out[i] = column[index(rows[i])]


def taken(column: Column, rows: Column) -> Column:
    """The values of these rows, as a new column."""
    made = np.empty(len(rows), column.dtype)
    take(column, rows, made)
    return made
