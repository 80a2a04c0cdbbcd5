"""What the readings of each point reach in a whole history: extremes of value and step, times, counts.

A record of 64 bytes a point, one line of the cache, as 8 floats or times or 16 or 32 smaller whole numbers.
"""

import numpy as np
from numba import njit

from lifeline.core.kernels.fetch import fetch
from lifeline.core.kernels.index import index
from rules.kernels.types import F64, I16, I32, I64, U8

LOW, HIGH, STEP_LOW, STEP_HIGH, LAST, NEWEST, FIRST, WIDTH = 0, 1, 2, 3, 4, 5, 6, 8
COUNT, RUN, LONGEST = 14, 30, 31
NEVER = np.iinfo(np.int64).min
FAR = 1e30
"""What is as large or larger is not foreseen: sums and squares of it might not be numbers."""
MANY = np.iinfo(np.int16).max
"""A run of so many and more."""
AHEAD = 16
"""Rows whose points' records are on their way while one is looked at."""


@njit(cache=True, nogil=True)
def clear(floats: F64, times: I64) -> None:
    """Records of nothing seen, over memory of anything. A step that there is not is one of 0."""
    for p in range(len(floats)):
        floats[p] = 0.0
        times[p, NEWEST] = NEVER


@njit(cache=True, nogil=True)
def look(
    point: I32,
    ts: I64,
    received: I64,
    value: F64,
    quality: U8,
    flags: U8,
    device: I32,
    floats: F64,
    times: I64,
    counts: I32,
    runs: I16,
    newest: I64,
    told: I32,
    ages: I64,
    odd: U8,
    others: I32,
) -> None:
    """Take in rows in the order of receipt. Repeats are passed over; what is bad, null or late has an age alone.

    ``floats``, ``times``, ``counts`` and ``runs`` are the same records [points, 8, 8, 16, 32]: least and largest value
    and step, last value, newest and first time, readings, how many times in a row the value stood now and at most.
    ``newest`` [devices] is the newest time of any point of a device, ``told`` the point that told it, ``ages``
    [devices, 2] least and largest ms from time to receipt; ``others`` counts rows of nothing else. A device is
    ``odd`` when some row is not later than all before of its point, or comes before one of its device by time and
    point; or when a value is ``FAR``.
    """
    rows = len(point)
    for i in range(rows):
        fetch(times, point[min(i + AHEAD, rows - 1)])
        if flags[i] & 8:  # Flag.DUPLICATE
            continue
        p = index(point[i])
        d = index(device[p])
        t = ts[i]
        age = received[i] - t
        ages[d, 0] = min(ages[d, 0], age)
        ages[d, 1] = max(ages[d, 1], age)
        v = value[i]
        if quality[i] >= 2 or np.isnan(v):  # Quality.BAD
            others[p] += 1
            continue
        known = times[p, NEWEST]
        if t <= known or abs(v) >= FAR:
            odd[d] = 1
            others[p] += 1
            continue
        if t < newest[d] or (t == newest[d] and point[i] < told[d]):
            odd[d] = 1
        newest[d] = max(newest[d], t)
        told[d] = point[i]
        times[p, NEWEST] = t
        if known == NEVER:
            times[p, FIRST] = t
            floats[p, LOW] = v
            floats[p, HIGH] = v
        else:
            step = v - floats[p, LAST]
            if counts[p, COUNT] == 1:
                floats[p, STEP_LOW] = step
                floats[p, STEP_HIGH] = step
            if step == 0.0:
                run = min(runs[p, RUN] + 1, MANY)
                runs[p, RUN] = run
                runs[p, LONGEST] = max(run, runs[p, LONGEST])
            else:
                runs[p, RUN] = 0
                floats[p, LOW] = min(floats[p, LOW], v)
                floats[p, HIGH] = max(floats[p, HIGH], v)
            floats[p, STEP_LOW] = min(floats[p, STEP_LOW], step)
            floats[p, STEP_HIGH] = max(floats[p, STEP_HIGH], step)
        floats[p, LAST] = v
        counts[p, COUNT] += 1
