# ruff: noqa: ARG001 - every kernel has the same arguments and few need all
"""Feature kernels, all with one signature, so that ``rules.features`` can list them in a table.

``kernel(slots, ts, local, value, prev, dt, limit, options, until, state, out)``: row i belongs to the state row
``slots[i]`` of ``state`` (slots x width, NaN at first). ``ts`` is event time and ``local`` the site's wall clock, both
in ms; ``prev`` and ``dt`` are the previous value and the seconds since (NaN for the first reading of a point);
``limit`` is the rule's parameter of that name at the point. ``options`` are the feature's options in the order of its
table entry; what is learned as normal is learned from readings before ``until`` only (ms). Results go to ``out[k, i]``.
``local`` and ``limit`` are empty unless the feature's table entry asks for them. Times in the state are epoch ms.
"""

import numpy as np
from numba import njit

from lifeline.core.kernels.index import index
from rules.kernels.types import F64, I32, I64


@njit(cache=True, nogil=True)
def count(
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
    """``samples``: readings of the point so far, this one included. State: [count]."""
    for i in range(len(slots)):
        s = index(slots[i])
        n = state[s, 0]
        n = 1.0 if np.isnan(n) else n + 1.0
        state[s, 0] = n
        out[0, i] = n


@njit(cache=True, nogil=True)
def rate(
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
    """``rate``: change per second since the previous reading, or over a window of ``options[0]`` seconds.

    The window keeps two anchors, A and B. When B is at least half a window old, A becomes B and B becomes this
    reading; the rate is taken over A. So the span it is measured over is between half a window and a window plus one
    interval, and NaN until there is one. State: [A time, A value, B time, B value].
    """
    window = options[0]
    half = window * 500.0
    for i in range(len(slots)):
        if window <= 0.0:
            out[0, i] = (value[i] - prev[i]) / dt[i]
            continue
        s = index(slots[i])
        t = float(ts[i])
        b = state[s, 2]
        if np.isnan(b):
            state[s, 2] = t
            state[s, 3] = value[i]
        elif t - b >= half:
            state[s, 0] = b
            state[s, 1] = state[s, 3]
            state[s, 2] = t
            state[s, 3] = value[i]
        a = state[s, 0]
        out[0, i] = (value[i] - state[s, 1]) * 1000.0 / (t - a) if not np.isnan(a) else np.nan


@njit(cache=True, nogil=True)
def ewma(
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
    """``ewma`` and ``ewstd`` of what came *before* this reading, weighted by time or by reading.

    a = 1 - exp(-dt / tau_s), or the option ``lambda`` where that is not 0; mean += a d; var = (1 - a) (var + a d^2),
    d = value - mean (West 1979 with a weight that varies). NaN for the first reading. State: [mean, variance].
    """
    a, spell = options[1], np.nan
    for i in range(len(slots)):
        s = index(slots[i])
        v = value[i]
        m = state[s, 0]
        if np.isnan(m):
            out[0, i] = np.nan
            out[1, i] = np.nan
            state[s, 0] = v
            state[s, 1] = 0.0
            continue
        var = state[s, 1]
        out[0, i] = m
        out[1, i] = np.sqrt(var)
        if ts[i] >= until:
            continue
        if options[1] <= 0.0 and dt[i] != spell:  # most readings come at the interval of the one before
            spell = dt[i]
            a = 1.0 - np.exp(-spell / options[0])
        d = v - m
        state[s, 0] = m + a * d
        state[s, 1] = (1.0 - a) * (var + a * d * d)


@njit(cache=True, nogil=True)
def flat(
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
    """``flat_s`` and ``flat_n``: seconds, and readings, since the last change of value. State: [time, count].

    Equality is exact: a frozen sensor repeats its last value bit by bit.
    """
    for i in range(len(slots)):
        s = index(slots[i])
        if value[i] == prev[i]:
            state[s, 1] += 1.0
        else:
            state[s, 0] = ts[i]
            state[s, 1] = 0.0
        out[0, i] = (ts[i] - state[s, 0]) / 1000.0
        out[1, i] = state[s, 1]


@njit(cache=True, nogil=True)
def steps(
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
    """``prev_step``: the change that led to the previous reading (a spike is a step and its way back)."""
    for i in range(len(slots)):
        s = index(slots[i])
        out[0, i] = state[s, 0]
        state[s, 0] = value[i] - prev[i]


CARRIES, WANTS = 1, 2


@njit(cache=True, nogil=True)
def sibling(codes: I32, ts: I64, value: F64, limit_ms: F64, state: F64, out: F64) -> None:
    """``device_<quantity>``: the newest value of another quantity of the same device.

    ``codes[i]`` is 4 s + CARRIES for a row of that quantity on the device of slot s, 4 s + WANTS for a row that wants
    it, and both for one that wants its own. ``out[i]`` is NaN for the others, and where older than ``limit_ms[i]``.
    State: [time, value].
    """
    for i in range(len(codes)):
        s = codes[i] >> 2
        if codes[i] & CARRIES:
            state[s, 0] = ts[i]
            state[s, 1] = value[i]
        out[i] = np.nan
        if codes[i] & WANTS and ts[i] - state[s, 0] <= limit_ms[i]:
            out[i] = state[s, 1]
