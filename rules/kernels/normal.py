# ruff: noqa: ARG001 - every kernel has the same arguments and few need all
"""What is normal here at this time: a baseline by time of day and week, and the minimum of the night.

The signature is that of ``kernels/features.py``. State is float32: an eighth of a per mille is finer than any sensor,
and there is much of it.
"""

import numpy as np
from numba import njit

from lifeline.core.kernels.index import index
from rules.kernels.types import F64, I32, I64

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
SLOT = 3
"""Numbers that a slot of the baseline keeps."""
CLIP = 3.0
"""A day farther away than this many mean deviations pulls no harder than one at that distance (Huber 1964)."""
CLIP_FROM = 4
"""Days before anything is clipped: the scale of fewer is not known."""
CLIP_LEAST = 0.05
"""Share of its distance that a clipped day keeps at least: a lasting change is learned in the end."""
DEVIATION_TO_SIGMA = 1.2533
"""Mean absolute deviation of a normal distribution times this, sqrt(pi / 2), is its standard deviation."""


@njit(cache=True, nogil=True)
def slot_of(key: int, slots_a_day: int, days: int) -> int:
    """The slot of slot number ``key`` since 1970 (local): by time of day, and by kind of day as ``days`` says."""
    weekday = (key // slots_a_day + 3) % 7  # 1970 began on a Thursday; Monday is 0
    part = 0
    if days == 7:
        part = weekday
    elif days == 2 and weekday >= 5:
        part = 1
    return int(part * slots_a_day + key % slots_a_day)


@njit(cache=True, nogil=True)
def baseline_noting(
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
    """``baseline``, noting what it overwrites of the slots: [state row, column] and the numbers that stood there.

    There must be room for a note a row; returns how many were made. Without room nothing is noted.
    """
    notes = 0
    per_day = int(options[0])
    days = int(options[1])
    end = SLOT * per_day * days
    step = DAY_MS // per_day
    for i in range(len(slots)):
        s = index(slots[i])
        v = value[i]
        key = local[i] // step
        k = SLOT * slot_of(key, per_day, days)
        if state[s, end] != key:
            if state[s, end + 3] > 0:
                j = SLOT * slot_of(int(state[s, end]), per_day, days)
                mean = float(state[s, end + 1])
                deviation = float(state[s, end + 2])
                if len(noted_at):
                    noted_at[notes, 0] = s
                    noted_at[notes, 1] = j
                    for c in range(SLOT):
                        noted[notes, c] = state[s, j + c]
                    notes += 1
                n = 0.0 if np.isnan(state[s, j + 2]) else float(state[s, j + 2])
                if n == 0.0:
                    state[s, j] = mean
                elif n == 1.0:
                    state[s, j + 1] = deviation
                    state[s, j] += (mean - state[s, j]) / 2.0
                else:
                    w = 1.0 / min(n + 1.0, options[2])
                    d = mean - float(state[s, j])
                    if n >= CLIP_FROM:
                        bound = max(CLIP * float(state[s, j + 1]), CLIP_LEAST * abs(d))
                        d = min(max(d, -bound), bound)
                        deviation = min(deviation, max(CLIP * float(state[s, j + 1]), CLIP_LEAST * deviation))
                    state[s, j] += w * d
                    state[s, j + 1] += w * (deviation - float(state[s, j + 1]))
                state[s, j + 2] = min(n + 1.0, 1e6)
            state[s, end] = key
            state[s, end + 1] = 0.0
            state[s, end + 2] = 0.0
            state[s, end + 3] = 0.0
        centre = float(state[s, k])
        sigma = DEVIATION_TO_SIGMA * float(state[s, k + 1])
        out[0, i] = centre
        out[1, i] = sigma
        out[2, i] = (v - centre) / sigma if sigma > 0.0 else np.nan
        out[3, i] = 0.0 if np.isnan(state[s, k + 2]) else state[s, k + 2]
        if ts[i] < until:
            count = float(state[s, end + 3]) + 1.0
            away = 0.0 if np.isnan(centre) else abs(v - centre)
            state[s, end + 1] += (v - float(state[s, end + 1])) / count
            state[s, end + 2] += (away - float(state[s, end + 2])) / count
            state[s, end + 3] = count
    return notes


@njit(cache=True, nogil=True)
def baseline(
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
    """``baseline``, ``baseline_sigma``, ``baseline_z``, ``trained``: what this slot of the day was on days before.

    A day has ``options[0]`` slots, of which there are ``options[1]`` kinds: 1 every day alike, 2 weekdays and
    weekends, 7 each day of the week. When a slot of a day is over, its mean is learned as one observation with weight
    1 / min(days learned, ``options[2]``); values far out are clipped (Huber's location and scale, learned online). So
    a reading is always judged by the days before its own. ``trained`` is the number of days learned in the slot.
    State: [centre, mean deviation, days] a slot, then [slot number, mean, mean deviation, readings] of the one at hand.
    """
    baseline_noting(
        *(slots, ts, local, value, prev, dt, limit, options, until, state, out),
        *(np.empty((0, 2), np.int32), np.empty((0, SLOT), np.float32)),
    )


@njit(cache=True, nogil=True)
def quantile(ordered: F64, n: int, q: float) -> float:
    """The ``q`` quantile of the first ``n`` of ``ordered``, linear between neighbours (as numpy does)."""
    at = q * (n - 1)
    low = int(np.floor(at))
    high = min(low + 1, n - 1)
    return float(ordered[low] + (at - low) * (ordered[high] - ordered[low]))


@njit(cache=True, nogil=True)
def night(
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
    """``night_min``, ``night_median``, ``night_low``, ``night_high``, ``nights``: the last night and those before it.

    The least value between ``options[0]`` and ``options[1]`` o'clock local; a night is over with the first reading
    after it. The quantiles (1 - q, a half, q; q = ``options[3]``) are over up to ``options[2]`` nights before the last,
    ``nights`` says how many; NaN before there are any. Minima are not normally distributed: no deviation is used.
    State: ring of minima, then [night at hand, its minimum, nights in the ring, place in it, last minimum, median, low,
    high].
    """
    size = int(options[2])
    begin = int(options[0] * HOUR_MS)
    width = int(options[1] * HOUR_MS) - begin
    if width <= 0:
        width += DAY_MS
    ordered = np.empty(size)
    for i in range(len(slots)):
        s = index(slots[i])
        shifted = local[i] - begin
        day = shifted // DAY_MS
        inside = shifted % DAY_MS < width
        open_day = state[s, size]
        if not np.isnan(open_day) and (not inside or day != open_day):
            last = state[s, size + 4]
            if not np.isnan(last) and ts[i] < until:
                n = 0 if np.isnan(state[s, size + 2]) else int(state[s, size + 2])
                at = 0 if np.isnan(state[s, size + 3]) else int(state[s, size + 3])
                state[s, at] = last
                state[s, size + 3] = (at + 1) % size
                n = min(n + 1, size)
                state[s, size + 2] = n
                for a in range(n):
                    v = state[s, a]
                    b = a
                    while b > 0 and ordered[b - 1] > v:
                        ordered[b] = ordered[b - 1]
                        b -= 1
                    ordered[b] = v
                state[s, size + 5] = quantile(ordered, n, 0.5)
                state[s, size + 6] = quantile(ordered, n, 1.0 - options[3])
                state[s, size + 7] = quantile(ordered, n, options[3])
            state[s, size + 4] = state[s, size + 1]
            state[s, size] = np.nan
        if inside:
            if np.isnan(state[s, size]):
                state[s, size] = day
                state[s, size + 1] = value[i]
            else:
                state[s, size + 1] = min(state[s, size + 1], value[i])
        out[0, i] = state[s, size + 4]
        out[1, i] = state[s, size + 5]
        out[2, i] = state[s, size + 6]
        out[3, i] = state[s, size + 7]
        out[4, i] = 0.0 if np.isnan(state[s, size + 2]) else state[s, size + 2]
