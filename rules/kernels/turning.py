"""The turn of a group: the stretch of event time in which each of its members reports once.

A plant that is read every hour tells all of it at the full hour, or one station after the other, or each sensor by a
clock of its own. Frames of the clock tear such a turn apart, and then no two values stand beside each other. So the
turn is learned: its *spacing* is what a quarter of the members stay below, its *boundary* lies opposite of the circular
mean of their times, in the middle of the silence between two turns (Mardia 1972, "Statistics of directional data").
Where reports are spread over all of the turn there is no silence, and any boundary that stays is as good; but there it
wanders when some are missing.
"""

import numpy as np
from numba import njit

from rules.kernels.types import F64, I32, I64

SPACING, END, CENTRE, OPENED, REVIEWED, FOUND = range(6)
"""State of a group: spacing in ms (0: frames are stretches of the clock), end of the present turn, middle of the one
before, frames opened, time of the last review, and 1 where a turn was just found after frames that tore it apart."""
COLUMNS = 6
REVIEW = 64
"""Frames after which it is asked anew whether there is a turn."""
EARLY = 8
"""The first time; then after twice as many each time."""
REGULAR = 0.5
"""A member is regular where more than this share of its spacings are near the median (half of it to 1.6 times)."""
SLOW = 1.5
"""A member whose spacing is longer than so many turns is not expected in each."""
LEAST = 0.75
"""A turn is no shorter than this share of ``frame_ms``: where a frame of the clock holds several, the clock decides."""
WHOLE = 0.9
"""Frames that come faster than this share of the turns are no whole turns."""
PULL = 0.5
"""Share of the way that the boundary goes at once to where it should be."""
SHORTEST = 0.25
"""Of a turn that a reading opens at least such a share is to come."""
FOLLOW = 0.05
"""Weight of one turn in the spacing."""


@njit(cache=True, nogil=True)
def pull(spacing: float, usual: float) -> float:
    """What one more spacing changes of the usual one: a fiftieth of it at most, so that it is the median in the end.

    A mean would follow gaps; what follows no gap at all would never again leave a first spacing that was too short.
    """
    return min(max(spacing - usual, -0.02 * usual), 0.02 * usual)


@njit(cache=True, nogil=True)
def keep_regular(s: int, spacing: float, regular: F64) -> None:
    """Follow a member's spacing: ``regular[s]`` = [median in ms (NaN: unknown), share of regular ones, how many].

    The median goes up or down by a step that shrinks (stochastic approximation; Robbins and Monro 1951): a clock that
    jitters and readings that are left out do not move it.
    """
    median = regular[s, 0]
    regular[s, 2] += 1.0
    if np.isnan(median):
        regular[s, 0] = spacing
        return
    now = 1.0 if 0.5 * median <= spacing <= 1.6 * median else 0.0
    weight = max(0.1, 1.0 / (regular[s, 2] - 1.0))
    regular[s, 1] += weight * (now - regular[s, 1])
    step = median * max(0.01, 0.5 / regular[s, 2])
    if spacing < median:
        regular[s, 0] -= min(step, median - spacing)
    elif spacing > median:
        regular[s, 0] += min(step, spacing - median)


@njit(cache=True, nogil=True)
def frame_of(g: int, ts: int, frame: int, whole: bool, again: bool, last: int, turn: F64) -> int:
    """Which frame a reading belongs to: the present one, one before (``frame`` - 1), or one that it opens (its time).

    ``again``: its member was heard of in the present frame, at ``last``. Half a turn later that is the next, and a
    quarter where the present one is ``whole``: the clock may jitter, but there is nobody left to wait for.
    """
    spacing = turn[g, SPACING]
    if frame < 0:
        return ts
    if ts > frame and (ts >= turn[g, END] or (again and ts - last > (SHORTEST if whole else 0.5) * spacing)):
        return ts
    return frame if ts >= min(float(frame), turn[g, END] - spacing) else frame - 1


@njit(cache=True, nogil=True)
def _middle(g: int, now: int, end: float, spacing: float, ptr: I32, members: I32, last_ts: I64) -> tuple[float, float]:
    """When the members last reported, and how close together that was (0: all over the turn, 1: at one time).

    The first is their circular mean, as a share of the turn before (-) or after the time half a turn before ``end``.
    Of all that were heard in the last turns, not of those of one: a boundary that cuts through them leaves some out.
    """
    x = 0.0
    y = 0.0
    n = 0
    for j in range(ptr[g], ptr[g + 1]):
        s = members[j]
        if now - 2.0 * spacing < last_ts[s]:
            angle = 2.0 * np.pi * ((last_ts[s] - end) / spacing + 0.5)
            x += np.cos(angle)
            y += np.sin(angle)
            n += 1
    if n == 0:
        return 0.0, 0.0
    return float(np.arctan2(y, x) / (2.0 * np.pi)), float(np.hypot(x, y) / n)


@njit(cache=True, nogil=True)
def _usual(g: int, ptr: I32, members: I32, regular: F64) -> float:
    """Spacing that a quarter of the members stay below, 0 where most of them have no regular one."""
    spacings = np.empty(ptr[g + 1] - ptr[g])
    n = 0
    for j in range(ptr[g], ptr[g + 1]):
        s = members[j]
        if regular[s, 1] >= REGULAR:
            spacings[n] = regular[s, 0]
            n += 1
    if 2 * n <= ptr[g + 1] - ptr[g]:
        return 0.0
    return float(np.sort(spacings[:n])[n // 4])


@njit(cache=True, nogil=True)
def follow(
    g: int, ts: int, frame_ms: int, ptr: I32, members: I32, last_ts: I64, regular: F64, turn: F64
) -> bool:  # fmt: skip
    """A frame of group g is over and a reading of time ``ts`` opens another: learn the turn and when this one ends.

    Returns True where a turn was found after frames that tore it apart (``FOUND``).
    """
    if turn[g, OPENED] == 0.0:
        turn[g, REVIEWED] = ts
    turn[g, OPENED] += 1.0
    spacing = turn[g, SPACING]
    if spacing > 0.0:
        off, close = _middle(g, ts, turn[g, END], spacing, ptr, members, last_ts)
        middle = turn[g, END] + (off - 0.5) * spacing
        apart = middle - turn[g, CENTRE]
        turn[g, CENTRE] = middle
        turn[g, END] += PULL * close * off * spacing
        if 0.5 * spacing < apart < 1.5 * spacing:
            turn[g, SPACING] += FOLLOW * (apart - spacing)
        spacing = turn[g, SPACING]
        turn[g, END] += spacing * np.ceil((ts - turn[g, END]) / spacing + SHORTEST)
    opened = int(turn[g, OPENED])
    if opened % REVIEW and (opened > REVIEW or opened < EARLY or opened & (opened - 1)):
        return False
    usual = _usual(g, ptr, members, regular)
    since = REVIEW if opened > REVIEW else opened // 2 if opened > EARLY else EARLY - 1
    torn = ts - turn[g, REVIEWED] < WHOLE * since * usual
    turn[g, REVIEWED] = ts
    if usual < LEAST * frame_ms:
        turn[g, SPACING] = 0.0
    elif not 0.8 * usual <= spacing <= 1.25 * usual:
        turn[g, SPACING] = usual
        off, _ = _middle(g, ts, float(ts), usual, ptr, members, last_ts)
        turn[g, END] = ts + off * usual + (usual if off < SHORTEST else 0.0)
        turn[g, CENTRE] = turn[g, END] - 0.5 * usual
        turn[g, FOUND] = 1.0 if torn else 0.0
        return bool(torn)
    return False
