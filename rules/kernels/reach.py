"""What the readings of each point reach in a whole history: extremes of value and step, times, counts.

A record of 64 bytes a point and one a device, each one line of the cache: 8 floats or times, or 16 or 32 smaller whole
numbers.
"""

import numpy as np
from numba import njit

from lifeline.core.kernels.fetch import fetch
from lifeline.core.kernels.index import index
from rules.kernels.types import F64, I16, I32, I64, U8

LOW, HIGH, STEP_LOW, STEP_HIGH, LAST, NEWEST, FIRST, WIDTH = 0, 1, 2, 3, 4, 5, 6, 8
COUNT, RUN, LONGEST = 14, 30, 31
"""Of the record of a point."""
LATEST, TELLER, YOUNGEST, OLDEST, HEARD_FIRST, HEARD_LAST, SILENT, ODD = range(8)
"""Of the record of a device: the newest time of any of its points and the point that told it, the least and largest ms
from time to receipt, when it was heard first and last, how long it was silent in between at most (ms), and whether
nothing of it is foreseen."""
NEVER = np.iinfo(np.int64).min
FAR = 1e30
"""What is as large or larger is not foreseen: sums and squares of it might not be numbers."""
MANY = np.iinfo(np.int16).max
"""A run of so many and more."""
AHEAD = 16
"""Rows whose points' records are on their way while one is looked at."""


@njit(cache=True, nogil=True)
def clear(floats: F64, times: I64, devices: I64) -> None:
    """Records of nothing seen, over memory of anything. A step that there is not is one of 0."""
    for p in range(len(floats)):
        floats[p] = 0.0
        times[p, NEWEST] = NEVER
    for d in range(len(devices)):
        devices[d] = NEVER
        devices[d, TELLER] = -1
        devices[d, YOUNGEST] = np.iinfo(np.int64).max
        devices[d, SILENT] = 0
        devices[d, ODD] = 0


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
    devices: I64,
    others: I32,
) -> bool:
    """Take in rows in the order of receipt; whether they are not.

    Repeats are passed over; what is bad, null or late has an age and is a sign of life, and no more. ``floats``,
    ``times``, ``counts`` and ``runs`` are the same records [points, 8, 8, 16, 32]: least and largest value and step,
    last value, newest and first time, readings, how many times in a row the value stood now and at most. ``devices``
    [devices, 8] are those of devices; ``others`` counts rows of nothing else. A device is ``ODD`` when some row is not
    later than all before of its point, or comes before one of its device by time and point; or when a value is ``FAR``.
    """
    rows = len(point)
    falls = False
    for i in range(rows):
        ahead = point[min(i + AHEAD, rows - 1)]
        fetch(times, ahead)
        fetch(devices, device[index(ahead)])
        heard = received[i]
        falls |= heard < received[max(i - 1, 0)]
        if flags[i] & 8:  # Flag.DUPLICATE
            continue
        p = index(point[i])
        d = index(device[p])
        t = ts[i]
        age = heard - t
        devices[d, YOUNGEST] = min(devices[d, YOUNGEST], age)
        devices[d, OLDEST] = max(devices[d, OLDEST], age)
        before = devices[d, HEARD_LAST]
        if before == NEVER:
            devices[d, HEARD_FIRST] = heard
        else:
            devices[d, SILENT] = max(devices[d, SILENT], heard - before)
        devices[d, HEARD_LAST] = heard
        v = value[i]
        if quality[i] >= 2 or np.isnan(v):  # Quality.BAD
            others[p] += 1
            continue
        known = times[p, NEWEST]
        if t <= known or abs(v) >= FAR:
            devices[d, ODD] = 1
            others[p] += 1
            continue
        latest = devices[d, LATEST]
        if t < latest or (t == latest and point[i] < devices[d, TELLER]):
            devices[d, ODD] = 1
        devices[d, LATEST] = max(latest, t)
        devices[d, TELLER] = point[i]
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
    return falls
