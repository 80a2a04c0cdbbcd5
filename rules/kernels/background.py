# ruff: noqa: ARG001 - every kernel has the same arguments and few need all
"""What lies under a signal: the background that plumes stand on, and what a meter delivers whatever it counts.

The signature is that of ``kernels/features.py``.
"""

import numpy as np
from numba import njit

from lifeline.core.kernels.index import index
from rules.kernels.types import F64, I32, I64

METER_WARM = 24
"""Readings after which it is known whether a meter counts up or tells each interval's use."""
FALLS_MAX = 0.1
"""A meter that falls at most so often for each time it rises counts up (and was reset or exchanged where it fell)."""


@njit(cache=True, nogil=True)
def floor(
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
    """``floor`` and ``excess``: a background that falls fast and rises slowly, and how far this reading is above it.

    Below the floor it moves with time constant ``fall_s``; above it with ``rise_s``, and by no more than if the reading
    were ``clip`` above, or ``share`` of the floor where that is more: hours of a plume lift it little. Both are taken
    before this reading. ``options``: fall_s, rise_s, clip, share. State: [floor].
    """
    for i in range(len(slots)):
        s = index(slots[i])
        f = state[s, 0]
        if np.isnan(f):
            out[0, i] = np.nan
            out[1, i] = np.nan
            state[s, 0] = value[i]
            continue
        d = value[i] - f
        out[0, i] = f
        out[1, i] = d
        tau = options[0] if d < 0.0 else options[1]
        state[s, 0] = f + (1.0 - np.exp(-dt[i] / tau)) * min(d, max(options[2], options[3] * f))


@njit(cache=True, nogil=True)
def usage(
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
    """``used``, ``used_h``, ``busy_s``: what a meter delivered, whether it counts up or tells each interval's use.

    A meter whose value rose ten times as often as it fell counts up: ``used`` is its growth, NaN where it fell, and
    counted from where it stood before once it is back there (what lay between was odd); else ``used`` is the value. NaN
    for the first 24 readings. ``used_h`` is the same per hour, ``busy_s`` the seconds since it last delivered at most
    ``idle`` an hour for ``pause_s``: a finely read meter rests between pulses. ``options``:
    idle, pause_s. State: [readings, falls, last idle time, rises, last time it delivered, where it fell from].
    """
    for i in range(len(slots)):
        s = index(slots[i])
        n = 1.0 if np.isnan(state[s, 0]) else state[s, 0] + 1.0
        falls = 0.0 if np.isnan(state[s, 1]) else state[s, 1]
        rises = 0.0 if np.isnan(state[s, 3]) else state[s, 3]
        if value[i] < prev[i]:
            falls += 1.0
        elif value[i] > prev[i]:
            rises += 1.0
        state[s, 0] = n
        state[s, 1] = falls
        state[s, 3] = rises
        used = value[i]
        if falls <= FALLS_MAX * rises:
            used = value[i] - prev[i] if value[i] >= prev[i] else np.nan
            if value[i] >= state[s, 5]:
                used = value[i] - state[s, 5]
        if value[i] > prev[i]:
            state[s, 5] = np.nan
        elif value[i] < prev[i] and np.isnan(state[s, 5]):
            state[s, 5] = prev[i]
        per_hour = used / dt[i] * 3600.0
        if n <= METER_WARM:
            used = np.nan
            per_hour = np.nan
        if per_hour > options[0]:
            state[s, 4] = ts[i]
        if np.isnan(state[s, 2]) or (not per_hour > options[0] and not ts[i] - state[s, 4] < 1000.0 * options[1]):
            state[s, 2] = ts[i]
        out[0, i] = used
        out[1, i] = per_hour
        out[2, i] = (ts[i] - state[s, 2]) / 1000.0
