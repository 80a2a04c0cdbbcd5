"""Which lanes look at which rows: rows grouped by lane, in reading order.

A lane is a rule, or a rule's wish for another quantity of the device.
"""

from numba import njit

from rules.kernels.types import I16, I32, I64


@njit(cache=True, nogil=True)
def count_rows(point: I32, ptr: I32, pair_lane: I16, totals: I64) -> None:
    """Add to ``totals[k]`` how many rows lane k looks at. ``ptr`` (points + 1) delimits each point's pairs."""
    for i in range(len(point)):
        p = point[i]
        for k in range(ptr[p], ptr[p + 1]):
            totals[pair_lane[k]] += 1


@njit(cache=True, nogil=True)
def fill_rows(point: I32, ptr: I32, pair_lane: I16, pair_slot: I32, cursor: I64, rows: I32, slots: I32) -> None:
    """Write row index and slot of each (lane, row); ``cursor[k]`` begins at the lane's first place."""
    for i in range(len(point)):
        p = point[i]
        for k in range(ptr[p], ptr[p + 1]):
            lane = pair_lane[k]
            rows[cursor[lane]] = i
            slots[cursor[lane]] = pair_slot[k]
            cursor[lane] += 1
