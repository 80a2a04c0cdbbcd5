"""How far each member of a group is from what it did in the normal period: range, rests, and relations to the others.

Of the last W frames a *vector* is made: of each member the mean over the window, and the change from its first quarter
to its last. A tank's change follows from the means of the flows into it and out of it (a balance of masses), a flow
from its pump's state: what a component differs from that, by least squares over the normal period, is its residual.
"""

import numpy as np
from numba import njit

from rules.kernels.again import CHANGE, KINDS, MEAN, RANGE, REST, beside, note, told
from rules.kernels.types import F64

LAST, FRAMES, AT = range(3)
"""Places in ``clock``: time of the last frame, frames in the ring, where the next one goes."""

FEWEST = 4
"""Frames of a window at least, where so many of them take longer than it should last."""
END, TIMES, SPAN, LOW, HIGH, LONGEST = range(6)
"""Places in ``turns``: the end of its range at which a member was at last (-1, 1; 0: none), how often it went from one
to the other, and the span for which that is known. ``lately`` has these since the last fit alone, and besides its range
and its longest rest."""

WIDEST = 2.0
"""A component whose residual would be wider by more than that without the missing ones is not judged."""
GREW = 1.25
"""Of a range that grew by more than that since, nobody knows any longer how often it was gone through."""


@njit(cache=True, nogil=True)
def take(now: float, frame: F64, gap_ms: float, clock: F64, times: F64, ring: F64, rests: F64) -> None:
    """Put a frame into the ring, its time into ``times``; after a gap the ring begins anew, and so does every rest.

    ``rests`` (3 x members): value that stands (NaN: none), since when, changes seen. Of a member that says nothing in
    this frame nobody knows whether it rests: silence is another rule's.
    """
    if not now - clock[LAST] <= gap_ms:
        clock[FRAMES], clock[AT] = 0.0, 0.0
        rests[0] = np.nan
    clock[LAST] = now
    at = int(clock[AT])
    times[at] = now
    for j in range(len(frame)):
        ring[at, j] = frame[j]
        if frame[j] == rests[0, j]:
            continue
        if not np.isnan(rests[0, j]) and not np.isnan(frame[j]):
            rests[2, j] += 1.0
        rests[0, j], rests[1, j] = frame[j], now
    clock[AT] = float((at + 1) % len(ring))
    clock[FRAMES] = min(clock[FRAMES] + 1.0, float(len(ring)))


@njit(cache=True, nogil=True)
def window(clock: F64, times: F64, recent: float) -> int:
    """How many of the newest frames are judged: of the last ``recent`` ms, at least ``FEWEST``; 0: too few yet."""
    n, known = len(times), int(clock[FRAMES])
    used = 0
    for k in range(known):
        if used >= FEWEST and clock[LAST] - times[(int(clock[AT]) - 1 - k) % n] >= recent:
            break
        used += 1
    return used if used == n or FEWEST <= used < known else 0


@njit(cache=True, nogil=True)
def vector(clock: F64, ring: F64, n: int, out: F64) -> bool:
    """Means (members), changes (members) and newest means (members) of the ``n`` newest frames; False: of too few (0).

    A change is that from the first quarter to the last. Where values of a member are missing it is that from its first
    to its last that are known, as much more as they are nearer to each other, and the mean is that of the whole time by
    the same slope. NaN where half of them are missing, the newest mean where all are.
    """
    room, members = ring.shape
    if n < FEWEST:
        return False
    part = max(1, n // 4)
    first = int(clock[AT]) - n
    at = np.empty(n, np.int64)
    for j in range(members):
        known, total, place = 0, 0.0, 0.0
        for k in range(n):
            value = ring[(first + k) % room, j]
            if not np.isnan(value):
                at[known] = k
                known += 1
                total += value
                place += k
        early, late, apart = 0.0, 0.0, 0
        few = min(part, known)
        for k in range(few):
            early += ring[(first + at[k]) % room, j]
            late += ring[(first + at[known - few + k]) % room, j]
            apart += at[known - few + k] - at[k]
        out[j] = out[members + j] = out[2 * members + j] = np.nan
        if known > 0:
            out[2 * members + j] = late / few
        if 2 * known > n and known >= 2 * part:
            slope = (late - early) / apart
            out[j] = total / known + slope * ((n - 1) / 2.0 - place / known)
            out[members + j] = slope * (n - part)
    return True


@njit(cache=True, nogil=True)
def residuals(found: F64, mean: F64, scale: F64, precision: F64, out: F64, wider: F64) -> bool:
    """What each component differs from what all others let expect, in its deviations; False: some are missing.

    ``scale`` is 0 where a component is left out. Conditional mean of a normal vector: (P z)_c / P_cc. Where some are
    missing P is that of the others, P_oo - P_om P_mm^-1 P_mo: they know less, and normal residuals are ``wider`` by so
    many times. With fewer than half there is nothing to tell (0).
    """
    n = len(scale)
    z = np.zeros(n)
    at = np.empty(n, np.int64)
    m, live = 0, 0
    out[:], wider[:] = 0.0, 1.0
    for c in range(n):
        if scale[c] > 0.0:
            live += 1
            if np.isnan(found[c]):
                at[m] = c
                m += 1
            else:
                z[c] = (found[c] - mean[c]) * scale[c]
    if 2 * m > live:
        return False
    lower = np.zeros((m, m))
    y = np.zeros(m)
    for a in range(m):
        for b in range(a + 1):
            total = precision[at[a], at[b]]
            for k in range(b):
                total -= lower[a, k] * lower[b, k]
            lower[a, b] = np.sqrt(total) if a == b else total / lower[b, b]
    for c in range(n):
        own = precision[c, c]
        if scale[c] <= 0.0 or np.isnan(found[c]):
            continue
        for a in range(m):
            total = precision[at[a], c]
            for k in range(a):
                total -= lower[a, k] * y[k]
            y[a] = total / lower[a, a]
            own -= y[a] * y[a]
        wider[c] = np.sqrt(precision[c, c] / own)
        # what the missing ones were needed for nobody knows now: a flow without its valve
        out[c] = own if wider[c] <= WIDEST else 0.0
    # the missing ones as the others let expect them: then (P z)_c is that of the others alone
    for a in range(m):
        total = 0.0
        for k in range(n):
            total -= precision[at[a], k] * z[k]
        for k in range(a):
            total -= lower[a, k] * y[k]
        y[a] = total / lower[a, a]
    for a in range(m - 1, -1, -1):
        for k in range(a + 1, m):
            y[a] -= lower[k, a] * y[k]
        y[a] /= lower[a, a]
    for a in range(m):
        z[at[a]] = y[a]
    for c in range(n):
        if out[c] > 0.0:
            total = 0.0
            for k in range(n):
                total += precision[c, k] * z[k]
            out[c] = total / out[c]
    return m == 0


@njit(cache=True, nogil=True)
def traverse(value: float, low: float, high: float, turns: F64) -> None:
    """Count how often a member went from the lower third of its range to the upper one or back."""
    span = high - low
    if span > GREW * turns[SPAN]:
        turns[END], turns[TIMES], turns[SPAN] = 0.0, 0.0, span
    end = 1.0 if value > high - span / 3.0 else -1.0 if value < low + span / 3.0 else 0.0
    if end != 0.0 and end != turns[END]:
        turns[TIMES] += 1.0 if turns[END] != 0.0 else 0.0
        turns[END] = end


@njit(cache=True, nogil=True)
def learn(
    found: F64, now: float, rests: F64, bounds: F64, grown: F64, longest: F64, turns: F64, lately: F64, count: F64,
    mean: F64, scatter: F64, fit_mean: F64, scale: F64, precision: F64, reach: F64, left: F64, wider: F64,
) -> None:  # fmt: skip
    """Take a vector of the normal period in.

    ``bounds`` (4 x members): least and most of the newest means, and what they were at the last fit; ``grown``: how far
    they went beyond since. ``longest``: longest rest of each member. ``reach``: largest residual since the last fit.
    """
    members, n = len(longest), len(scale)
    for j in range(members):
        if not np.isnan(rests[0, j]):
            longest[j] = max(longest[j], now - rests[1, j])
            lately[LONGEST, j] = max(lately[LONGEST, j], now - rests[1, j])
        value = found[2 * members + j]
        if np.isnan(value):
            continue
        if bounds[0, j] > bounds[1, j]:  # first heard of: nothing is known of how it goes with the others
            count[0], mean[:], scatter[:] = 0.0, 0.0, 0.0
        bounds[0, j], bounds[1, j] = min(bounds[0, j], value), max(bounds[1, j], value)
        traverse(value, bounds[0, j], bounds[1, j], turns[:, j])
        lately[LOW, j], lately[HIGH, j] = min(lately[LOW, j], value), max(lately[HIGH, j], value)
        traverse(value, lately[LOW, j], lately[HIGH, j], lately[:, j])
        if bounds[2, j] <= bounds[3, j]:
            grown[j] = max(grown[j], bounds[2, j] - value, value - bounds[3, j])
    if len(precision) and residuals(found, fit_mean, scale, precision, left, wider):
        for c in range(n):
            reach[c] = max(reach[c], abs(left[c]))
    for c in range(n):
        if np.isnan(found[c]):
            if bounds[0, c % members] <= bounds[1, c % members]:
                return
            found[c] = mean[c]  # a member that never said anything yet moves nothing
    count[0] += 1.0
    for c in range(n):
        left[c] = found[c] - mean[c]
    for c in range(n):
        mean[c] += left[c] / count[0]
    share = (count[0] - 1.0) / count[0]
    for c in range(n):
        if left[c] != 0.0:
            for k in range(n):
                scatter[c, k] += share * left[c] * left[k]


@njit(cache=True, nogil=True)
def unusual(
    found: F64, now: float, rests: F64, low: F64, high: F64, rest_max: F64,
    fit_mean: F64, scale: F64, precision: F64, reach: F64, left: F64, wider: F64, odd: F64,
) -> None:  # fmt: skip
    """By kind and member what is unusual, 1 at its bound (``odd``)."""
    members = odd.shape[1]
    fitted = len(precision) > 0
    odd[:] = 0.0
    if fitted:
        residuals(found, fit_mean, scale, precision, left, wider)
    for j in range(members):
        value = found[2 * members + j]
        if low[j] < high[j] and not np.isnan(value):
            odd[RANGE, j] = abs(2.0 * value - low[j] - high[j]) / (high[j] - low[j])
        if not np.isnan(rests[0, j]):
            odd[REST, j] = (now - rests[1, j]) / rest_max[j]
        if fitted and scale[j] > 0.0:
            odd[MEAN, j] = abs(left[j]) / (reach[j] * wider[j])
        if fitted and scale[members + j] > 0.0:
            odd[CHANGE, j] = abs(left[members + j]) / (reach[members + j] * wider[members + j])


@njit(cache=True, nogil=True)
def walk(
    ts: F64, frames: F64, follow: bool, apart: float, stays: float, recent: float, clock: F64, times: F64, ring: F64,
    rests: F64, bounds: F64, grown: F64, longest: F64, turns: F64, lately: F64, count: F64, mean: F64, scatter: F64,
    reached: F64, low: F64, high: F64, rest_max: F64, fit_mean: F64, scale: F64, precision: F64, reach: F64,
    spells: F64, peaks: F64, when: F64, way: F64, out: F64,
) -> None:  # fmt: skip
    """Frames in order: how unusual the most unusual member is, and which it is."""
    members = frames.shape[1]
    found, left, odd = np.empty(3 * members), np.empty(2 * members), np.empty((KINDS, members))
    new = np.empty((KINDS, members))
    wider, where = np.empty(2 * members), np.empty(members)
    for i in range(len(ts)):
        out[i] = np.nan
        take(ts[i], frames[i], apart, clock, times, ring, rests)
        used = window(clock, times, recent)
        if not vector(clock, ring, used, found):
            continue
        unusual(found, ts[i], rests, low, high, rest_max, fit_mean, scale, precision, reach, left, wider, odd)
        beside(odd, spells, new)
        for j in range(members):
            where[j] = max(new[RANGE, j], new[MEAN, j])
        told(ts[i], used, where, way)
        worst, most, of = 0, 0.0, RANGE
        for j in range(members):
            one = max(where[j], new[REST, j], new[CHANGE, j])
            if one > most:
                worst, most = j, one
                of = REST if one == new[REST, j] else CHANGE if one == new[CHANGE, j] else RANGE
        if of == RANGE and new[MEAN, worst] > new[RANGE, worst]:
            of = MEAN
        note(ts[i], stays, worst if most > 1.0 else -1, of, odd, spells, peaks, when)
        out[i, 0], out[i, 1] = most, float(worst)
        if follow:
            learn(
                found, ts[i], rests, bounds, grown, longest, turns, lately, count, mean, scatter, fit_mean, scale,
                precision, reached, left, wider,
            )  # fmt: skip
