"""Reading order, and the way back: which rows come in order, which must be put in their place, which come too late.

A *unit* is what must be judged in one order: a point, or the points of a device that rules compare with each other; it
is named by its first point. Rows of all units go into one ring in order of arrival; each remembers the row of its unit
before it, so a unit's past is walked without touching any other.
"""

import numpy as np
from numba import njit

from rules.kernels.types import F64, I32, I64, U8

NEVER = np.iinfo(np.int64).min
UNWATCHED, ORDERED, JOURNALLED = 0, 1, 2
"""What is wanted of a point: nothing, its rows in order, or that late ones are put in their place."""
WALK_MAX = 20_000
"""Rows of one unit that are looked back through at most: with more since the checkpoint, late ones are too late."""


@njit(cache=True, nogil=True)
def admit(
    point: I32,
    ts: I64,
    received: I64,
    value: F64,
    quality: U8,
    flags: U8,
    watched: U8,
    unit: I32,
    newest: I64,
    last: F64,
    newest_unit: I64,
    before: I64,
    before_unit: I64,
    head: I64,
    dirty: U8,
    ring_point: I32,
    ring_back: I32,
    ring_ts: I64,
    ring_value: F64,
    ring_received: I64,
    ring_marks: U8,
    first: int,
    at: int,
    within: int,
    within_ms: int,
    ends: I64,
    stop_at: int,
    begins: I64,
    out_row: I32,
    out_prev: F64,
    out_dt: F64,
    out_unit: I32,
    counts: I64,
    out_sizes: I64,
) -> None:
    """Find the rows later than all before of their point (``out_row out_prev out_dt``) and units to judge anew.

    State per point: ``newest`` (ms, NEVER), ``last`` (value), ``head`` (newest ring row of the unit, -1),
    ``newest_unit``; ``before`` and ``before_unit`` are the two times at the checkpoint, behind which nothing can be put
    in its place. ``first`` is the ring row after the checkpoint, ``at`` the next one; a row is put in its place when
    the first newer one of its unit is at most ``within`` rows and ``within_ms`` of log time back. ``counts`` [6] grows
    by repeats, bad, null, stale (same time as one before), placed, too late. ``dirty`` marks the units; their rows of
    this record are judged with those of before, in the order of event time.

    Record k ends before row ``ends[k]``; ``begins[k]`` is its first ring row. The first record with a unit to judge
    anew, or after which the next ring row is ``stop_at`` or later, is the last that is looked at. ``out_sizes``: rows,
    units (``out_unit``), next ring row, records taken.
    """
    size = len(ring_point)
    n = 0
    units = 0
    record = 0
    begins[0] = at
    for i in range(len(point)):
        while i == ends[record]:
            if units or at >= stop_at:
                break
            record += 1
            begins[record] = at
        if i == ends[record]:
            break
        if flags[i] & 8:  # Flag.DUPLICATE
            counts[0] += 1
            continue
        if quality[i] >= 2:  # Quality.BAD
            counts[1] += 1
            continue
        v = value[i]
        if np.isnan(v):
            counts[2] += 1
            continue
        p = point[i]
        if not watched[p]:
            continue
        t = ts[i]
        u = unit[p]
        known = newest[p]
        if t == known:
            counts[3] += 1
            continue
        if t > known:
            out_row[n] = i
            if known == NEVER:
                out_prev[n] = np.nan
                out_dt[n] = np.nan
            else:
                out_prev[n] = last[p]
                out_dt[n] = (t - known) / 1000.0
            n += 1
        if watched[p] == ORDERED:
            if t > known:
                newest[p] = t
                last[p] = v
            else:
                counts[5] += 1
            continue
        if t < known or t < newest_unit[u] or dirty[u]:
            if before[p] == t:
                counts[3] += 1
                continue
            late = before[p] > t or before_unit[u] > t
            same = False
            newer = at
            k = head[u]
            steps = 0
            while k >= first and not late:
                r = k % size
                if ring_ts[r] > t:
                    newer = k
                elif ring_ts[r] == t and ring_point[r] == p:
                    same = True
                    break
                steps += 1
                late = steps > WALK_MAX
                k = k - ring_back[r] if ring_back[r] > 0 else -1
            if same:
                counts[3] += 1
                continue
            late |= at - newer > within or (newer < at and received[i] - ring_received[newer % size] > within_ms)
            if late:
                if t < known:
                    counts[5] += 1
                    continue
                # too late beside the other points of its unit, but the newest of its own: judged as it comes
            else:
                counts[4] += newer < at
                if not dirty[u]:
                    dirty[u] = 1
                    out_unit[units] = u
                    units += 1
        r = at % size
        ring_point[r] = p
        ring_back[r] = at - head[u] if head[u] >= first else 0
        ring_ts[r] = t
        ring_value[r] = v
        ring_received[r] = received[i]
        ring_marks[r] = quality[i] << 5 | (flags[i] & 31)
        head[u] = at
        at += 1
        if t > known:
            newest[p] = t
            last[p] = v
        newest_unit[u] = max(newest_unit[u], t)
    out_sizes[0] = n
    out_sizes[1] = units
    out_sizes[2] = at
    out_sizes[3] = record + 1


@njit(cache=True, nogil=True)
def walk(units: I32, head: I64, ring_back: I32, first: int, out: I64) -> int:
    """Ring rows of some units since ``first``, newest first within a unit; returns how many (``out`` may be empty)."""
    size = len(ring_back)
    n = 0
    for u in units:
        k = head[u]
        while k >= first:
            if n < len(out):
                out[n] = k
            n += 1
            back = ring_back[k % size]
            k = k - back if back > 0 else -1
    return n
