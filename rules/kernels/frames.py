"""Groups: readings of many members gathered into *frames*, and what a frame says of its group as a whole.

A frame is a stretch of event time. It closes when every member has reported in it, or when a reading of a later frame
arrives; without frames (``frame_ms`` = 0) every reading closes one. A reading of a frame that is over moves its
member's newest value and closes nothing.

A stretch is ``frame_ms`` of the clock, or a *turn* of the group (``kernels/turning.py``): where members that judges
look at report at a spacing of their own that is no shorter, a frame is one report of each, however they are spread over
the turn and however their clocks jitter.

Counts and terms take a member's last value for as long as it holds. Judges look at relations between values of one
moment, and a value that only holds breaks them: a member that reports at even spacing has no value for them in a frame
in which it missed its turn.
"""

import numpy as np
from numba import njit

from lifeline.core.kernels.index import index
from rules.kernels import turning
from rules.kernels.types import F64, I32, I64, U8

NEVER = np.iinfo(np.int64).min
COUNTS = 3
"""Columns of every frame: members, reporting, hits."""
TERM = 7
"""Columns of each term: sum, mean, min, max, n, rate (change of the mean per second since the frame before), hits."""
EVEN = 0.25
"""A spacing that differs from the usual one by less than this share of it is even."""
TURN = 0.9
"""A member that is heard of again later than this share of its usual spacing has missed its turn."""


@njit(cache=True, nogil=True)
def _keep_time(s: int, spacing: float, cadence: F64, regular: F64) -> None:
    """Follow a member's spacing: ``cadence[s]`` = [usual spacing in ms (NaN: unknown), share of even ones lately].

    Usual is a low expectile: readings that are left out make longer spacings, nothing makes shorter ones.
    """
    turning.keep_regular(s, spacing, regular)
    usual = cadence[s, 0]
    if np.isnan(usual):
        cadence[s, 0] = spacing
        return
    even = 1.0 if abs(spacing - usual) <= EVEN * usual else 0.0
    cadence[s, 1] += 0.1 * (even - cadence[s, 1])
    if spacing < usual:
        cadence[s, 0] += 0.3 * (spacing - usual)
    else:
        cadence[s, 0] += 0.02 * (min(spacing, 2.0 * usual) - usual)


@njit(cache=True, nogil=True)
def _describe(
    g: int,
    now: int,
    frame_ms: int,
    hold_ms: int,
    window_ms: int,
    ptr: I32,
    members: I32,
    terms: U8,
    n_terms: int,
    last_ts: I64,
    last_value: F64,
    hit_ts: I64,
    before: F64,
    cadence: F64,
    regular: F64,
    turn: float,
    frame: int,
    seen_in: I64,
    stats: F64,
    values: F64,
) -> int:
    """Write one frame of group g; returns the slot that it is about: the latest hit, else the first member.

    ``turn``: length of the frame where it is a turn, else 0; ``frame``: which it is, as in ``seen_in``.
    """
    reporting = 0
    hits = 0
    worst = members[ptr[g]]
    newest = NEVER
    for t in range(n_terms):
        stats[COUNTS + TERM * t] = 0.0
        stats[COUNTS + TERM * t + 1] = np.nan
        stats[COUNTS + TERM * t + 2] = np.inf
        stats[COUNTS + TERM * t + 3] = -np.inf
        stats[COUNTS + TERM * t + 4] = 0.0
        stats[COUNTS + TERM * t + 6] = 0.0
    for j in range(ptr[g], ptr[g + 1]):
        s = members[j]
        if hit_ts[s] != NEVER and now - hit_ts[s] <= window_ms:
            hits += 1
            for t in range(n_terms):
                stats[COUNTS + TERM * t + 6] += terms[s] >> t & 1
            if hit_ts[s] > newest:
                newest = hit_ts[s]
                worst = s
        heard = turn > 0.0 and seen_in[s] == frame
        known = heard or (last_ts[s] != NEVER and now - last_ts[s] <= hold_ms)
        reporting += known
        if values.shape[0] > 0:
            if turn > 0.0:
                slow = regular[s, 0] > turning.SLOW * turn and now - last_ts[s] < TURN * regular[s, 0]
                fresh = heard or slow or regular[s, 1] < turning.REGULAR
            else:
                fresh = cadence[s, 1] < 0.5 or now - last_ts[s] < max(TURN * cadence[s, 0], float(frame_ms))
            values[j - ptr[g]] = last_value[s] if known and fresh else np.nan
        if not known:
            continue
        v = last_value[s]
        for t in range(n_terms):
            if terms[s] >> t & 1:
                at = COUNTS + TERM * t
                stats[at] += v
                stats[at + 2] = min(stats[at + 2], v)
                stats[at + 3] = max(stats[at + 3], v)
                stats[at + 4] += 1.0
    stats[0] = ptr[g + 1] - ptr[g]
    stats[1] = reporting
    stats[2] = hits
    for t in range(n_terms):
        at = COUNTS + TERM * t
        if stats[at + 4] == 0.0:
            for k in range(4):
                stats[at + k] = np.nan
        else:
            stats[at + 1] = stats[at] / stats[at + 4]
        elapsed = now - before[g, 2 * t]
        stats[at + 5] = (stats[at + 1] - before[g, 2 * t + 1]) * 1000.0 / elapsed if elapsed > 0.0 else np.nan
        before[g, 2 * t] = now
        before[g, 2 * t + 1] = stats[at + 1]
    return int(worst)


@njit(cache=True, nogil=True)
def walk(
    slots: I32,
    ts: I64,
    value: F64,
    hit: U8,
    start: int,
    frame_ms: int,
    hold_ms: int,
    window_ms: int,
    group: I32,
    ptr: I32,
    members: I32,
    terms: U8,
    n_terms: int,
    last_ts: I64,
    last_value: F64,
    hit_ts: I64,
    seen_in: I64,
    frame: I64,
    newest: I64,
    seen: I32,
    before: F64,
    cadence: F64,
    regular: F64,
    turn: F64,
    out_row: I32,
    out_group: I32,
    out_ts: I64,
    out_worst: I32,
    out_stats: F64,
    out_values: F64,
) -> tuple[int, int]:
    """Feed rows from ``start`` until all are done or the output is full; returns (frames closed, next row).

    Rows: ``slots ts value hit``. Slots belong to ``group``; ``ptr`` and ``members`` list the slots of each group;
    bit t of ``terms`` says that the slot counts in term t. State of a slot: newest time and value, time of its last
    hit, the frame it last reported in. State of a group: its frame, the newest time in it, how many members were seen
    (-1 once it is closed), and time and mean of each term at the frame ``before``. ``cadence`` and ``regular`` are
    those of the slots, of length 0 where no values are wanted; ``turn`` is that of the groups (``kernels/turning.py``).
    When a group's turn is found after frames that tore it apart, the walk ends early so that somebody can forget what
    was learned of them (``turning.FOUND``). Out, a frame closed: the row that
    closed it, the group, its newest time, the slot it is about, ``out_stats`` and, unless of width 0, the values.
    """
    n = 0
    i = start
    while i < len(slots) and n + 2 <= len(out_row):
        s = index(slots[i])
        g = group[s]
        judged = out_values.shape[1] > 0 and frame_ms > 0
        if judged and turn[g, turning.SPACING] > 0.0:
            f = turning.frame_of(g, ts[i], frame[g], seen[g] < 0, seen_in[s] == frame[g], last_ts[s], turn)
        else:
            f = ts[i] // frame_ms * frame_ms if frame_ms > 0 else ts[i]
        if f > frame[g]:
            if frame[g] != NEVER and seen[g] >= 0 and frame_ms > 0:
                out_row[n] = i
                out_group[n] = g
                out_ts[n] = newest[g]
                out_worst[n] = _describe(
                    g, newest[g], frame_ms, hold_ms, window_ms, ptr, members, terms, n_terms,
                    last_ts, last_value, hit_ts, before, cadence, regular, turn[g, turning.SPACING], frame[g],
                    seen_in, out_stats[n], out_values[n],
                )  # fmt: skip
                n += 1
            if judged and frame[g] != NEVER:
                begun = turning.follow(g, ts[i], frame_ms, ptr, members, last_ts, regular, turn)
                if begun:
                    frame[g] = NEVER
                    return n, i
            frame[g] = f
            newest[g] = ts[i]
            seen[g] = 0
        if out_values.shape[1] > 0 and last_ts[s] != NEVER and ts[i] > last_ts[s]:
            _keep_time(s, float(ts[i] - last_ts[s]), cadence, regular)
        last_ts[s] = ts[i]
        last_value[s] = value[i]
        if hit[i]:
            hit_ts[s] = ts[i]
        newest[g] = max(newest[g], ts[i])
        if f == frame[g] and seen[g] >= 0 and seen_in[s] != f:
            seen_in[s] = f
            seen[g] += 1
        whole = seen[g] == ptr[g + 1] - ptr[g]
        if frame_ms <= 0 or (whole and f == frame[g]):
            out_row[n] = i
            out_group[n] = g
            out_ts[n] = newest[g]
            out_worst[n] = _describe(
                g, newest[g], frame_ms, hold_ms, window_ms, ptr, members, terms, n_terms,
                last_ts, last_value, hit_ts, before, cadence, regular, turn[g, turning.SPACING], frame[g],
                seen_in, out_stats[n], out_values[n],
            )  # fmt: skip
            n += 1
            if frame_ms > 0:
                seen[g] = -1
        i += 1
    return n, i
