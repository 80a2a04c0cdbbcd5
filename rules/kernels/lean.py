# ruff: noqa: ARG001 - every kernel has the same arguments and few need all
"""Features of which only some columns are asked for: the same numbers to the bit, from less memory.

The signature is that of ``kernels/features.py``; what is computed is told at the whole feature's kernel.
"""

import numpy as np
from numba import njit

from lifeline.core.kernels.index import index
from rules.kernels.background import FALLS_MAX, METER_WARM
from rules.kernels.normal import DAY_MS, slot_of
from rules.kernels.types import F64, I32, I64


@njit(cache=True, nogil=True)
def mean(
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
    """``ewma`` alone. State: [mean]."""
    a, spell = options[1], np.nan
    for i in range(len(slots)):
        s = index(slots[i])
        m = state[s, 0]
        out[0, i] = m
        if np.isnan(m):
            state[s, 0] = value[i]
        elif ts[i] < until:
            if options[1] <= 0.0 and dt[i] != spell:
                spell = dt[i]
                a = 1.0 - np.exp(-spell / options[0])
            state[s, 0] = m + a * (value[i] - m)


@njit(cache=True, nogil=True)
def unchanged_s(
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
    """``flat_s`` alone. State: [time]."""
    for i in range(len(slots)):
        s = index(slots[i])
        if value[i] != prev[i]:
            state[s, 0] = ts[i]
        out[0, i] = (ts[i] - state[s, 0]) / 1000.0


@njit(cache=True, nogil=True)
def unchanged_n(
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
    """``flat_n`` alone. State: [count]."""
    for i in range(len(slots)):
        s = index(slots[i])
        state[s, 0] = state[s, 0] + 1.0 if value[i] == prev[i] else 0.0
        out[0, i] = state[s, 0]


@njit(cache=True, nogil=True)
def quantum(
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
    """``quantum`` alone. State: [quantum]."""
    for i in range(len(slots)):
        s = index(slots[i])
        step = abs(value[i] - prev[i])
        if step > 0.0 and (np.isnan(state[s, 0]) or step < state[s, 0]):
            state[s, 0] = step
        out[0, i] = state[s, 0]


@njit(cache=True, nogil=True)
def delivered(
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
    """``used`` and ``used_h`` without ``busy_s``. State: [readings, falls, rises, where it fell from]."""
    for i in range(len(slots)):
        s = index(slots[i])
        n = 1.0 if np.isnan(state[s, 0]) else state[s, 0] + 1.0
        falls = 0.0 if np.isnan(state[s, 1]) else state[s, 1]
        rises = 0.0 if np.isnan(state[s, 2]) else state[s, 2]
        if value[i] < prev[i]:
            falls += 1.0
        elif value[i] > prev[i]:
            rises += 1.0
        state[s, 0] = n
        state[s, 1] = falls
        state[s, 2] = rises
        used = value[i]
        if falls <= FALLS_MAX * rises:
            used = value[i] - prev[i] if value[i] >= prev[i] else np.nan
            if value[i] >= state[s, 3]:
                used = value[i] - state[s, 3]
        if value[i] > prev[i]:
            state[s, 3] = np.nan
        elif value[i] < prev[i] and np.isnan(state[s, 3]):
            state[s, 3] = prev[i]
        if n <= METER_WARM:
            used = np.nan
        out[0, i] = used
        out[1, i] = used / dt[i] * 3600.0


@njit(cache=True, nogil=True)
def days_noting(
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
    noted_at: I32,
    noted: F64,
) -> int:
    """``trained`` alone, noting what it overwrites. State: [days] a slot, then [slot number, readings] at hand."""
    notes = 0
    per_day = int(options[0])
    kinds = int(options[1])
    end = per_day * kinds
    step = DAY_MS // per_day
    for i in range(len(slots)):
        s = index(slots[i])
        key = local[i] // step
        k = slot_of(key, per_day, kinds)
        if state[s, end] != key:
            if state[s, end + 1] > 0:
                j = slot_of(int(state[s, end]), per_day, kinds)
                if len(noted_at):
                    noted_at[notes, 0] = s
                    noted_at[notes, 1] = j
                    noted[notes, 0] = state[s, j]
                    notes += 1
                n = 0.0 if np.isnan(state[s, j]) else float(state[s, j])
                state[s, j] = min(n + 1.0, 1e6)
            state[s, end] = key
            state[s, end + 1] = 0.0
        out[0, i] = 0.0 if np.isnan(state[s, k]) else state[s, k]
        if ts[i] < until:
            state[s, end + 1] = float(state[s, end + 1]) + 1.0
    return notes


@njit(cache=True, nogil=True)
def days(
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
    """``trained`` alone; see ``days_noting``."""
    days_noting(
        *(slots, ts, local, value, prev, dt, limit, options, until, state, out),
        *(np.empty((0, 2), np.int32), np.empty((0, 1), np.float32)),
    )
