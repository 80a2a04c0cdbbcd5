"""Which lanes look at which rows: rows grouped by lane, in reading order.

A lane is a rule, or a rule's wish for another quantity of the device. The pairs of a point lie together in memory, each
as one number (lane << 32 | slot), and are fetched once: points come in random order, so each fetch is a cache miss.
"""

import numpy as np
from numba import njit

from rules.kernels.types import F64, I32, I64, U8, U16


@njit(cache=True, nogil=True)
def fetch_pairs(point: I32, ptr: I32, lanes: U16, of: I32, totals: I64, out_pair: I64, out_row: I32) -> int:
    """List the pairs of all rows; returns how many. ``ptr`` (points + 1) delimits the lanes and slots of each point.

    ``totals[k]`` grows by the rows that lane k looks at.
    """
    n = 0
    for i in range(len(point)):
        p = point[i]
        for k in range(ptr[p], ptr[p + 1]):
            lane = np.int64(lanes[k])
            out_pair[n] = lane << 32 | of[k]
            out_row[n] = i
            totals[lane] += 1
            n += 1
    return n


@njit(cache=True, nogil=True)
def group_pairs(pair: I64, row: I32, cursor: I64, rows: I32, slots: I32) -> None:
    """Counting sort by lane: row index and slot of each pair; ``cursor[k]`` begins at the lane's first place."""
    for i in range(len(pair)):
        at = cursor[pair[i] >> 32]
        cursor[pair[i] >> 32] += 1
        rows[at] = row[i]
        slots[at] = pair[i] & 0xFFFFFFFF


@njit(cache=True, nogil=True)
def pick(places: I32, column: F64, out: F64) -> None:
    """A column at some places; numpy would make the places 64 bits wide first."""
    for i in range(len(places)):
        out[i] = column[places[i]]


@njit(cache=True, nogil=True)
def decode(places: I32, codes: U8, table: F64, out: F64) -> None:
    """The numbers of a coded column at some places."""
    for i in range(len(places)):
        out[i] = table[codes[places[i]]]


@njit(cache=True, nogil=True)
def take(
    places: I32, ts: I64, value: F64, prev: F64, dt: F64, out_ts: I64, out_value: F64, out_prev: F64, out_dt: F64
) -> None:
    """The four columns that features walk over, at some places: one pass where numpy takes four."""
    for i in range(len(places)):
        at = places[i]
        out_ts[i] = ts[at]
        out_value[i] = value[at]
        out_prev[i] = prev[at]
        out_dt[i] = dt[at]
