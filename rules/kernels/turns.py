"""Undoing what was noted of a state (``rules/turns.py``)."""

from numba import njit

from rules.kernels.types import F64, I32


@njit(cache=True, nogil=True)
def undo(at: I32, before: F64, state: F64) -> None:
    """Put back what stood at [row, column …] of the state, the newest note first."""
    for i in range(len(at) - 1, -1, -1):
        for c in range(before.shape[1]):
            state[at[i, 0], at[i, 1] + c] = before[i, c]
