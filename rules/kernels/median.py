"""The median of the last values of each member of a group: what one wild reading cannot move.

A probe that is rinsed, or a register that is read while it is written, tells nought for a single time. Squared, a
hundred such readings in a month outweigh all that the member ever did.
"""

import numpy as np
from numba import njit

from rules.kernels.types import F64


@njit(cache=True, nogil=True)
def calm(frames: F64, past: F64, out: F64) -> None:
    """``out``: medians of each value and the known ones before it; NaN stays NaN.

    ``past`` (frames x members) are the last known values, the newest first (NaN: none yet). Of an even number, before
    there are enough, the lower of the two in the middle counts: their mean would be half of a wild reading.
    """
    n = past.shape[0]
    kept = np.empty(n + 1)
    for i in range(len(frames)):
        for j in range(frames.shape[1]):
            value = frames[i, j]
            out[i, j] = value
            if np.isnan(value):
                continue
            known = 1
            kept[0] = value
            for k in range(n):
                if not np.isnan(past[k, j]):
                    kept[known] = past[k, j]
                    known += 1
            ordered = np.sort(kept[:known])
            out[i, j] = ordered[known // 2] if known % 2 else ordered[known // 2 - 1]
            for k in range(n - 1, 0, -1):
                past[k, j] = past[k - 1, j]
            past[0, j] = value
