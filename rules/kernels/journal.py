"""Reading order, and the way back: which rows come in order, which must be put in their place, which come too late.

A *unit* is what must be judged in one order: a point, or the points of a device that rules compare with each other; it
is named by its first point. Rows of all units go into one ring in order of arrival; each remembers the row of its unit
before it, so a unit's past is walked without touching any other.

Event times take four bytes in the ring and times of receipt two: they are told from the bases of a *stretch* of rows,
which begins with each record and wherever a time is too far from them (24 days, 32 s). ``stretches`` has one column a
stretch: its first row, its log record, and the bases of ``ts`` and ``received``. Of its point a row tells the place
among those of the unit.

What members of a unit want to be told of one another: member ``m`` of all (a place in ``members``) has the *wants* from
``wants[m]`` up to ``wants[m + 1]``, each the point whose newest value is told and how old (ms) it may be.
"""

import numpy as np
from numba import njit

from lifeline.core.kernels.fetch import fetch
from lifeline.core.kernels.index import index
from rules.kernels.types import F64, I16, I32, I64, U8

NEVER = np.iinfo(np.int64).min
UNWATCHED, ORDERED, JOURNALLED = 0, 1, 2
"""What is wanted of a point: nothing, its rows in order and as evidence, or that late ones are put in their place."""
BEGIN, LSN, TS, RECEIVED = 0, 1, 2, 3
NEWEST, LAST, HEAD, UNIT = 0, 1, 4, 5
"""What is known of a point lies together, in one or two lines of the cache, for points come in random order: 24 bytes
as three numbers of 64 bits (``NEWEST``, ``LAST``) or six of 32 (``HEAD``, ``UNIT``)."""
FAR, FAR_RECEIVED = 1 << 31, 1 << 15
WALK_MAX = 20_000
"""Rows of one unit that are looked back through at most: with more since the checkpoint, late ones are too late."""


AHEAD = 16
"""Rows whose points' records are on their way while one is taken in."""


@njit(cache=True, nogil=True)
def stretch_of(stretches: I64, count: int, row: int) -> int:
    """The stretch that a ring row belongs to, of the first ``count``."""
    low = 0
    high = count
    while high - low > 1:
        middle = (low + high) // 2
        if stretches[BEGIN, middle] <= row:
            low = middle
        else:
            high = middle
    return low


@njit(cache=True, nogil=True)
def _ring_place(row: int, lap: int, size: int) -> np.uintp:
    """Where a row is in the ring, at the beginning of which is row ``lap``: a remainder would take the time of all."""
    return index(row - lap if row >= lap else row - lap + size)


@njit(cache=True, nogil=True)
def _tell(
    m: int,
    wants: I32,
    carriers: I32,
    limits: I64,
    times: I64,
    values: F64,
    p: int,
    t: int,
    v: float,
    n: int,
    out: F64,
) -> None:
    """Tell row n, of member m at point p, what it wants; NaN for what is not known or too old."""
    first = wants[m]
    for k in range(wants[m + index(1)] - first):
        w = index(first + k)
        of = index(carriers[w])
        then, value = (t, v) if of == p else (times[of, NEWEST], values[of, LAST])
        out[n, k] = value if then != NEVER and t - then <= limits[w] else np.nan


@njit(cache=True, nogil=True)
def admit(
    point: I32,
    ts: I64,
    received: I64,
    value: F64,
    quality: U8,
    flags: U8,
    times: I64,
    values: F64,
    links: I32,
    couple: I32,
    members: I32,
    ptr: I64,
    newest_couple: I64,
    before: I64,
    before_couple: I64,
    wants: I32,
    want_carriers: I32,
    want_limits: I64,
    dirty: U8,
    ring_member: U8,
    ring_back: I32,
    ring_ts: I32,
    ring_value: F64,
    ring_received: I16,
    ring_marks: U8,
    stretches: I64,
    known_stretches: int,
    first: int,
    at: int,
    within: int,
    within_ms: int,
    ends: I64,
    lsns: I64,
    stop_at: int,
    counted: U8,
    skipped: int,
    left_out: I64,
    ring_skipped: I64,
    out_row: I32,
    out_point: I32,
    out_ts: I64,
    out_value: F64,
    out_prev: F64,
    out_dt: F64,
    out_beside: F64,
    out_unit: I32,
    counts: I64,
    out_sizes: I64,
) -> None:
    """Find the rows later than all before of their point (``out_row`` … ``out_beside``) and units to judge anew.

    State per point, the same memory three times: ``times[:, NEWEST]`` (ms, NEVER), ``values[:, LAST]``,
    ``links[:, HEAD]`` (newest ring row of the unit, from ``first`` on; negative for none) and ``links[:, UNIT]``, four
    times the unit and what is wanted of the point. The unit is the point itself or, for a point of couple k, -1 - k:
    ``couple`` names it, ``members`` from ``ptr[k]`` on are its points, ``newest_couple`` is its newest time. ``before``
    and ``before_couple`` are the times at the checkpoint, behind which nothing can be put in its place. ``first`` is
    the ring row after the checkpoint, ``at`` the next one; a row is put in its place when the first newer one of its
    unit is at most ``within`` rows and ``within_ms`` of log time back. ``counts`` [6] grows by repeats, bad, null,
    stale (same time as one before), placed, too late. ``dirty`` marks the units; their rows of this record are judged
    with those of before, in the order of event time; what points of a unit tell of one time at one
    instant of receipt, in the order of points, as a lake tells it.

    Rows of points that are ``counted`` (empty for none) are nothing but that, those of a history that has no late rows
    there and nothing to tell (``rules/narrowing.py``): ``skipped`` so many until now, and ``ring_skipped`` until each
    row of the ring, as the bound is counted in readings of all points. Of a history that was thinned, ``left_out``
    (else empty) tells how many more there were before each row (``rules/thinned.py``).

    Record k ends before row ``ends[k]`` and is ``lsns[k]`` of the log. The first record with a unit to judge anew, or
    after which the next ring row is ``stop_at`` or later, is the last that is looked at. ``out_sizes``: rows, units
    (``out_unit``), next ring row, records taken, stretches, skipped; there must be room for one more stretch a row.
    """
    here = known_stretches - 1
    own = False  # whether the last stretch is of this record
    base = base_received = 0
    size = len(ring_member)
    lap = at - at % size  # the row at the beginning of the ring
    n = 0
    units = 0
    record = 0
    rows = len(point)
    ends_of = links[:, UNIT]  # one record in four lies across two lines
    narrowed = len(counted) > 0
    for i in range(rows):
        ahead = point[min(i + AHEAD, rows - 1)]
        if not narrowed or not counted[index(ahead)]:
            fetch(times, ahead)
            fetch(ends_of, ahead)
        while i == ends[record]:
            if units or at >= stop_at:
                break
            record += 1
            own = False
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
        p = index(point[i])
        if narrowed and counted[p]:
            skipped += 1
            continue
        word = links[p, UNIT]
        watched = word & 3
        if watched == UNWATCHED:
            continue
        t = ts[i]
        known = times[p, NEWEST]
        coupled = word < 0
        u, c = p, index(0)  # the unit by its first point, and its couple where it is one
        newest_unit = known
        member = place = 0
        if coupled:
            c = index(-1 - (word >> 2))
            u = index(couple[c])
            newest_unit = newest_couple[c]
            place = ptr[c]
            while members[index(place + member)] != point[i]:
                member += 1
        if t == known:
            counts[3] += 1
            continue
        if t > known:
            new = index(n)
            out_row[new] = i
            out_point[new] = point[i]
            out_ts[new] = t
            out_value[new] = v
            if known == NEVER:
                out_prev[new] = np.nan
                out_dt[new] = np.nan
            else:
                out_prev[new] = values[p, LAST]
                out_dt[new] = (t - known) / 1000.0
            if coupled:
                _tell(index(place + member), wants, want_carriers, want_limits, times, values, p, t, v, new, out_beside)
            n += 1
        beside = False  # whether a later point of its device was told first, of the same time and at the same instant
        if coupled and known < t == newest_unit:
            others = ptr[c + index(1)] - place - 1
            head = links[u, HEAD]
            k = first + head if head >= 0 else -1
            while k >= first and others and not beside:
                r = _ring_place(k, lap, size)
                if ring_member[r] > member:  # seldom: by far the most messages name quantities in one order
                    stretch = stretch_of(stretches, here + 1, k)
                    beside = (
                        stretches[TS, stretch] + ring_ts[r] == t
                        and stretches[RECEIVED, stretch] + ring_received[r] == received[i]
                    )
                others -= 1
                k = k - ring_back[r] if ring_back[r] > 0 else -1
        if t < known or t < newest_unit or beside or (units and dirty[u]):
            if before[p] == t:
                counts[3] += 1
                continue
            late = before[p] > t or (coupled and before_couple[c] > t)
            same = False
            newer = at
            head = links[u, HEAD]
            k = first + head if head >= 0 else -1
            steps = 0
            while k >= first and not late:
                r = _ring_place(k, lap, size)
                then = stretches[TS, stretch_of(stretches, here + 1, k)] + ring_ts[r]
                if then > t:
                    newer = k
                elif then == t and ring_member[r] == member:
                    same = True
                    break
                steps += 1
                late = steps > WALK_MAX
                k = k - ring_back[r] if ring_back[r] > 0 else -1
            if same:
                counts[3] += 1
                continue
            apart = at - newer
            if narrowed and newer < at:
                among = skipped + left_out[i] if len(left_out) else skipped
                apart += among - ring_skipped[_ring_place(newer, lap, size)]
            late |= apart > within
            heard = received[i]
            if newer < at and not late:
                r = _ring_place(newer, lap, size)
                heard = stretches[RECEIVED, stretch_of(stretches, here + 1, newer)] + ring_received[r]
                late = received[i] - heard > within_ms
            if late:
                counts[5] += 1
                if t < known:
                    continue
                # too late beside the other points of its unit, but the newest of its own: judged as it comes
            elif watched == ORDERED:
                # rules over groups saw it if it came with the newer one; others look not at such a point
                counts[4 if heard == received[i] else 5] += newer < at
            else:
                counts[4] += newer < at
                if not dirty[u]:
                    dirty[u] = 1
                    out_unit[units] = u
                    units += 1
        if not (own and -FAR <= t - base < FAR and -FAR_RECEIVED <= received[i] - base_received < FAR_RECEIVED):
            own = True
            here += 1
            base, base_received = t, received[i]
            stretches[BEGIN, here] = at
            stretches[LSN, here] = lsns[record]
            stretches[TS, here] = base
            stretches[RECEIVED, here] = base_received
        r = index(at - lap)
        ring_member[r] = member
        head = links[u, HEAD]
        ring_back[r] = at - first - head if head >= 0 else 0
        ring_ts[r] = t - base
        ring_value[r] = v
        ring_received[r] = received[i] - base_received
        ring_marks[r] = quality[i] << 5 | (flags[i] & 31)
        if narrowed:
            ring_skipped[r] = skipped + left_out[i] if len(left_out) else skipped
        links[u, HEAD] = at - first
        at += 1
        if at - lap == size:
            lap = at
        if t > known:
            times[p, NEWEST] = t
            values[p, LAST] = v
        if coupled:
            newest_couple[c] = max(newest_unit, t)
    out_sizes[0] = n
    out_sizes[1] = units
    out_sizes[2] = at
    out_sizes[3] = record + 1
    out_sizes[4] = here + 1
    out_sizes[5] = skipped


@njit(cache=True, nogil=True)
def again(
    point: I32,
    ts: I64,
    value: F64,
    times: I64,
    values: F64,
    links: I32,
    members: I32,
    ptr: I64,
    wants: I32,
    want_carriers: I32,
    want_limits: I64,
    out_row: I32,
    out_prev: F64,
    out_dt: F64,
    out_beside: F64,
) -> int:
    """Of usable rows in the order of event time those later than all before of their point, as ``admit`` tells them.

    ``times`` and ``values`` are those from which to go on, and move on. Returns how many rows there are.
    """
    n = 0
    for i in range(len(point)):
        p, t, v = index(point[i]), ts[i], value[i]
        known = times[p, NEWEST]
        if t <= known:
            continue
        out_row[n] = i
        out_prev[n] = np.nan if known == NEVER else values[p, LAST]
        out_dt[n] = np.nan if known == NEVER else (t - known) / 1000.0
        k_couple = -1 - (links[p, UNIT] >> 2)
        if k_couple >= 0:
            m = ptr[k_couple]
            while members[m] != point[i]:
                m += 1
            _tell(index(m), wants, want_carriers, want_limits, times, values, p, t, v, index(n), out_beside)
        times[p, NEWEST] = t
        values[p, LAST] = v
        n += 1
    return n


@njit(cache=True, nogil=True)
def walk(
    units: I32,
    links: I32,
    members: I32,
    ptr: I64,
    ring_back: I32,
    ring_member: U8,
    first: int,
    out: I64,
    out_point: I32,
) -> int:
    """Ring rows of some units since ``first`` and their points, newest first within a unit.

    Returns how many; as many are written as there is room for.
    """
    size = len(ring_back)
    n = 0
    for u in units:
        head = links[u, HEAD]
        k = first + head if head >= 0 else -1
        while k >= first:
            if n < len(out):
                out[n] = k
                couple = -1 - (links[u, UNIT] >> 2)
                out_point[n] = u if couple < 0 else members[ptr[couple] + ring_member[k % size]]
            n += 1
            back = ring_back[k % size]
            k = k - back if back > 0 else -1
    return n
