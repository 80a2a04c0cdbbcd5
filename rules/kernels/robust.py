# ruff: noqa: ARG001 - every kernel has the same arguments and few need all
"""Features that outliers do not carry away: median and MAD of the last readings, fences on a smoothed value.

The signature is that of ``kernels/features.py``.
"""

import numpy as np
from numba import njit

from lifeline.core.kernels.index import index
from rules.kernels.types import F64, I32, I64

MAD_TO_SIGMA = 1.4826
"""MAD of a normal distribution times this is its standard deviation (Hampel 1974)."""
READINGS_MOST = 1e9
"""Readings are counted up to here: no memory is longer."""
FENCE_WARM = 20
"""Readings before there are fences: quartiles of fewer say little."""
QUARTILE_GAIN = 4.0
"""1 / density at the quartile of a normal distribution is 3.15 sigma = 3.9 mean absolute deviations: the best gain of
a stochastic approximation (Robbins and Monro 1951)."""


@njit(cache=True, nogil=True)
def robust(
    slots: I32,
    ts: I64,
    local: I64,
    value: F64,
    prev: F64,
    dt: F64,
    limit: F64,
    options: F64,
    until: float,
    state: F64,
    out: F64,
) -> None:
    """``median``, ``mad`` and ``robust_z`` of the ``options[0]`` readings before this one; NaN with fewer.

    The MAD of an even number of readings is the upper of the two middle ones. z = (value - median) / (1.4826 mad), NaN
    where mad is 0. State: a ring of the readings, then how many were seen.
    """
    n = int(options[0])
    ring = np.empty(n)
    for i in range(len(slots)):
        s = index(slots[i])
        seen = 0 if np.isnan(state[s, n]) else int(state[s, n])
        if seen >= n:
            for k in range(n):  # insertion sort: n is small
                v = state[s, k]
                j = k
                while j > 0 and ring[j - 1] > v:
                    ring[j] = ring[j - 1]
                    j -= 1
                ring[j] = v
            median = ring[n // 2] if n % 2 else (ring[n // 2 - 1] + ring[n // 2]) / 2.0
            # distances from the median grow outwards on both sides: merge them up to the middle one
            up = n // 2
            down = up - 1
            mad = 0.0
            for _ in range(n // 2 + 1):
                above = ring[up] - median if up < n else np.inf
                below = median - ring[down] if down >= 0 else np.inf
                if above <= below:
                    mad = above
                    up += 1
                else:
                    mad = below
                    down -= 1
            out[0, i] = median
            out[1, i] = mad
            out[2, i] = (value[i] - median) / (MAD_TO_SIGMA * mad) if mad > 0.0 else np.nan
        else:
            out[0, i] = np.nan
            out[1, i] = np.nan
            out[2, i] = np.nan
        state[s, seen % n] = value[i]
        # twice the ring is where the count turns: a float stays exact for ever
        state[s, n] = seen + 1.0 if seen + 1 < 2 * n else float(n)


@njit(cache=True, nogil=True)
def tukey(
    slots: I32,
    ts: I64,
    local: I64,
    value: F64,
    prev: F64,
    dt: F64,
    limit: F64,
    options: F64,
    until: float,
    state: F64,
    out: F64,
) -> None:
    """``smooth``, ``fence_low``, ``fence_high``: an EWMA of the value and Tukey's fences around its usual range.

    The fences come from what was before this reading: quartiles of the smoothed value, tracked by stochastic
    approximation, minus and plus ``options[1]`` interquartile ranges; NaN for the first 20 readings. An outlier moves
    a quartile by no more than any other reading does. ``options``: lambda of the EWMA, fence factor, readings of
    memory, and by time instead: time constant of the EWMA and memory in seconds (0: none). State: [smoothed, lower
    quartile, upper quartile, mean absolute deviation, readings].
    """
    tau_s = options[3]
    for i in range(len(slots)):
        s = index(slots[i])
        v = value[i]
        n = state[s, 4]
        if np.isnan(n):
            state[s, 0] = v
            state[s, 1] = v
            state[s, 2] = v
            state[s, 3] = 0.0
            state[s, 4] = 1.0
            out[0, i] = v
            out[1, i] = np.nan
            out[2, i] = np.nan
            continue
        q1 = state[s, 1]
        q3 = state[s, 2]
        gain = 1.0 - np.exp(-dt[i] / tau_s) if tau_s > 0.0 else options[0]
        x = state[s, 0] + gain * (v - state[s, 0])
        out[0, i] = x
        warm = n >= FENCE_WARM
        out[1, i] = q1 - options[1] * (q3 - q1) if warm else np.nan
        out[2, i] = q3 + options[1] * (q3 - q1) if warm else np.nan
        state[s, 0] = x
        if ts[i] >= until:
            continue
        w = 1.0 / min(n + 1.0, max(options[2], options[4] / dt[i]))
        mad = state[s, 3] + w * (abs(x - (q1 + q3) / 2.0) - state[s, 3])
        q1 += w * QUARTILE_GAIN * mad * (0.25 - (1.0 if x < q1 else 0.0))
        q3 += w * QUARTILE_GAIN * mad * (0.75 - (1.0 if x < q3 else 0.0))
        state[s, 1] = min(q1, q3)
        state[s, 2] = max(q1, q3)
        state[s, 3] = mad
        state[s, 4] = min(n + 1.0, READINGS_MOST)
