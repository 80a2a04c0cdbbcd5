"""The last digit of each signal: the step that it tells, of what lies between two of them it tells nothing."""

import numpy as np
from numba import njit

from rules.kernels.types import F64

SAME = 1e-9
"""A change by less than this share of the value is rounding of the computer, no digit."""
SHARE = 0.05
"""So many of a signal's changes are less than its digit: a value that was interpolated makes no finer digit of it."""
STEP = 0.05
"""Logarithm by which a digit follows the changes."""


@njit(cache=True, nogil=True)
def follow(frame: F64, values: F64, digits: F64) -> None:
    """Take a frame's changes since the last ``values`` into the ``digits`` (infinite: none yet).

    A quantile followed change by change (Robbins and Monro 1951); down to what changed at most and up likewise, so that
    a signal of whole steps has just one of them.
    """
    for j in range(len(frame)):
        if np.isnan(frame[j]):
            continue
        change = abs(frame[j] - values[j])
        values[j] = frame[j]
        if not change > SAME * abs(frame[j]):  # also where there was none before
            continue
        digit = digits[j]
        if not digit < np.inf:
            digits[j] = change
        elif change < digit * (1.0 - SAME):
            digits[j] = max(change, digit * np.exp(-STEP * (1.0 - SHARE)))
        else:
            digits[j] = min(change, digit * np.exp(STEP * SHARE))
