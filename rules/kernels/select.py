"""Which rules look at which rows: rows grouped by rule, in reading order."""

from numba import njit

from rules.kernels.types import I16, I32, I64


@njit(cache=True, nogil=True)
def count_rows(
    point: I32,
    ptr: I64,
    pair_rule: I16,
    totals: I64,
) -> None:
    """Add to ``totals[r]`` how many rows rule r looks at. ``ptr`` (points + 1) delimits each point's pairs."""
    for i in range(len(point)):
        for k in range(ptr[point[i]], ptr[point[i] + 1]):
            totals[pair_rule[k]] += 1


@njit(cache=True, nogil=True)
def fill_rows(
    point: I32,
    ptr: I64,
    pair_rule: I16,
    pair_slot: I32,
    cursor: I64,
    rows: I32,
    slots: I32,
) -> None:
    """Write row index and state slot of each (rule, row); ``cursor[r]`` begins at the rule's first place."""
    for i in range(len(point)):
        for k in range(ptr[point[i]], ptr[point[i] + 1]):
            r = pair_rule[k]
            rows[cursor[r]] = i
            slots[cursor[r]] = pair_slot[k]
            cursor[r] += 1
