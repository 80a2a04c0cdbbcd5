# ruff: noqa: ARG001 - every kernel has the same arguments and few need all
"""Features of meters and frozen probes: counters, and values that stay within their own resolution.

The signature is that of ``kernels/features.py``.
"""

import numpy as np
from numba import njit

from lifeline.core.kernels.index import index
from rules.kernels.types import F64, I32, I64

FORWARD, RESET, ROLLOVER, REVERSE = 0.0, 1.0, 2.0, 3.0
NEAR_END = 0.1
"""A rollover begins in the last tenth of the counter and ends in the first; a reset falls by nine tenths or more."""
FAINT_GAIN = 0.1
"""What one value moves the faint by: forty in a row divide it by fifty."""


@njit(cache=True, nogil=True)
def counter(
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
    """``increment``, ``increment_h``, ``counter_event``, ``reversed_by``: a cumulative meter.

    ``increment`` since the previous reading (NaN for the first and at a reset), ``increment_h`` the same per hour,
    ``counter_event`` 0 forward, 1 reset or exchange of the meter, 2 rollover at ``options[0]``, 3 reverse flow;
    ``reversed_by`` how far the counter now stands below its highest. A fall by nine tenths or more is a reset, a
    smaller one is reverse flow. State: [reversed_by].
    """
    modulus = options[0]
    for i in range(len(slots)):
        s = index(slots[i])
        d = value[i] - prev[i]
        behind = 0.0 if np.isnan(state[s, 0]) else state[s, 0]
        event = FORWARD
        if d < 0.0:
            if modulus > 0.0 and prev[i] >= (1.0 - NEAR_END) * modulus and value[i] <= NEAR_END * modulus:
                event = ROLLOVER
                d += modulus
            elif prev[i] > 0.0 and value[i] <= NEAR_END * prev[i]:
                event = RESET
                d = np.nan
            else:
                event = REVERSE
        # spelled out: a set of two is built anew for every reading
        counts_on = event != RESET and event != ROLLOVER and not np.isnan(d)  # noqa: PLR1714
        behind = max(0.0, behind - d) if counts_on else 0.0
        state[s, 0] = behind
        out[0, i] = d
        out[1, i] = d / dt[i] * 3600.0
        out[2, i] = event
        out[3, i] = behind


@njit(cache=True, nogil=True)
def still(
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
    """``still_s``, ``still_n``, ``quantum``: a value that only flickers in its last digit is still.

    ``quantum`` is the smallest change ever seen at the point (NaN before the first): its resolution. The value is
    still while it stays within max(``options[0]``, quantum) of the value at which it came to rest; ``still_s`` and
    ``still_n`` are seconds and readings since then. State: [anchor, its time, readings since, quantum].
    """
    for i in range(len(slots)):
        s = index(slots[i])
        v = value[i]
        step = abs(v - prev[i])
        if step > 0.0 and (np.isnan(state[s, 3]) or step < state[s, 3]):
            state[s, 3] = step
        band = options[0] if np.isnan(state[s, 3]) else max(options[0], state[s, 3])
        # the slack forgives decimal fractions that binary cannot say
        if abs(v - state[s, 0]) <= band * (1.0 + 1e-9):
            state[s, 2] += 1.0
        else:
            state[s, 0] = v
            state[s, 1] = ts[i]
            state[s, 2] = 0.0
        out[0, i] = (ts[i] - state[s, 1]) / 1000.0
        out[1, i] = state[s, 2]
        out[2, i] = state[s, 3]


@njit(cache=True, nogil=True)
def faint(
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
    """``faint``, ``faint_n``: what only a small share of the values above nothing stays under, and how many those were.

    A quantile by stochastic approximation (Robbins and Monro 1951) on the logarithm: values below it lower it by
    ``FAINT_GAIN (1 - share)``, others raise it by ``FAINT_GAIN share``. Both are taken before this reading, NaN before
    the first above nothing. ``options``: share. State: [faint, readings].
    """
    down, up = np.exp(FAINT_GAIN * (options[0] - 1.0)), np.exp(FAINT_GAIN * options[0])
    for i in range(len(slots)):
        s = slots[i]
        out[0, i] = state[s, 0]
        out[1, i] = state[s, 1]
        if not value[i] > 0.0:
            continue
        if np.isnan(state[s, 0]):
            state[s, 0] = value[i]
            state[s, 1] = 1.0
        else:
            state[s, 0] *= down if value[i] < state[s, 0] else up
            state[s, 1] += 1.0
