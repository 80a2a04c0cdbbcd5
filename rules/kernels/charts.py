# ruff: noqa: ARG001 - every kernel has the same arguments and few need all
"""Control charts and trends: CUSUM, and a straight line through the recent past.

The signature is that of ``kernels/features.py``.
"""

import numpy as np
from numba import njit

from lifeline.core.kernels.index import index
from rules.kernels.types import F64, I32, I64

CUSUM_WARM = 16
"""Readings from which mean and deviation are learned before sums begin to grow."""
AHEAD_S_MAX = 6e7
"""What is two years off is not on its way: the slope is 0 but for rounding."""
TREND_WARM = 3
"""A line through two readings fits always and says nothing."""


@njit(cache=True, nogil=True)
def cusum(
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
    """``cusum_high`` and ``cusum_low``: Page's two sums of standardised deviations, this reading included.

    z = (value - mean) / deviation, no farther from 0 than ``z_max``; high = max(0, high + z - k), low = max(0, low - z
    - k), neither over ``cap`` (so that the way back has an end). Mean and deviation are time-weighted over ``tau_s``
    (at first the plain ones of all readings), taken before this reading; the deviation is at least ``sd_min``, and
    where it is 0 the sums rest. NaN for the first 16 readings. ``options``: tau_s, k, cap, sd_min, z_max.
    State: [mean, variance, high, low, readings].
    """
    for i in range(len(slots)):
        s = index(slots[i])
        v = value[i]
        n = state[s, 4]
        if np.isnan(n):
            state[s, 0] = v
            state[s, 1] = 0.0
            state[s, 2] = 0.0
            state[s, 3] = 0.0
            state[s, 4] = 1.0
            out[0, i] = np.nan
            out[1, i] = np.nan
            continue
        d = v - state[s, 0]
        sd = max(np.sqrt(state[s, 1]), options[3])
        if n >= CUSUM_WARM:
            if sd > 0.0:
                z = min(max(d / sd, -options[4]), options[4])
                state[s, 2] = min(max(0.0, state[s, 2] + z - options[1]), options[2])
                state[s, 3] = min(max(0.0, state[s, 3] - z - options[1]), options[2])
            out[0, i] = state[s, 2]
            out[1, i] = state[s, 3]
        else:
            out[0, i] = np.nan
            out[1, i] = np.nan
        if ts[i] < until:
            a = max(1.0 - np.exp(-dt[i] / options[0]), 1.0 / (n + 1.0))
            state[s, 0] += a * d
            state[s, 1] = (1.0 - a) * (state[s, 1] + a * d * d)
        state[s, 4] = n + 1.0


@njit(cache=True, nogil=True)
def trend(
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
    """``trend`` (per second), ``trend_value`` (the line now), ``minutes_to_limit``: least squares, weighted by age.

    A reading of age x s weighs exp(-x / options[0]); this one is included. NaN before the third reading.
    ``minutes_to_limit`` is NaN when the line does not lead towards the rule's parameter ``limit`` (or not within two
    years), or is past it.
    State: [weight, mean time before now in s, mean value, weighted squares of time, of time x value, readings].
    """
    for i in range(len(slots)):
        s = index(slots[i])
        v = value[i]
        n = state[s, 5]
        if np.isnan(n):
            state[s, 0] = 1.0
            state[s, 1] = 0.0
            state[s, 2] = v
            state[s, 3] = 0.0
            state[s, 4] = 0.0
            state[s, 5] = 1.0
            out[0, i] = np.nan
            out[1, i] = np.nan
            out[2, i] = np.nan
            continue
        decay = np.exp(-dt[i] / options[0])
        before = state[s, 0] * decay
        weight = before + 1.0
        t = state[s, 1] - dt[i]  # now is 0, so all that was moves back
        d = v - state[s, 2]
        state[s, 3] = decay * state[s, 3] + before / weight * t * t
        state[s, 4] = decay * state[s, 4] - before / weight * t * d
        state[s, 1] = t - t / weight
        state[s, 2] += d / weight
        state[s, 0] = weight
        state[s, 5] = n + 1.0
        if n + 1.0 < TREND_WARM or state[s, 3] <= 0.0:
            out[0, i] = np.nan
            out[1, i] = np.nan
            out[2, i] = np.nan
            continue
        slope = state[s, 4] / state[s, 3]
        now = state[s, 2] - slope * state[s, 1]
        out[0, i] = slope
        out[1, i] = now
        ahead = (limit[i] - now) / slope if slope != 0.0 else np.nan
        out[2, i] = ahead / 60.0 if 0.0 < ahead <= AHEAD_S_MAX else np.nan
