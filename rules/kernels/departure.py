"""How far the last minutes of each member of a group are from its own level, whatever the interval of its readings.

A window of so many *seconds* ends with each frame. Its trimmed mean (Tukey 1962), in which one wild reading of three or
more is none, is compared with the member's level, which follows the windows before with a fixed weight. The deviation
of that comparison is followed as well, bounded as by Huber (1964): an instrument that stood still while normal was
learned does not stay so, and a window of fifteen readings and one of a single reading each have the deviation that they
have. What the other members let expect is taken off (``partial``). And where it is wanted, how uneasy a member is
within its window is judged beside the distance of its mean (``unrest``). Of a signal in steps most of a step is no
distance: it may have lain next to the edge (``digit``).

What a real instrument does now and then has no bell's shape, so deviations promise no number of alarms. The *limit* of
a member is ``least`` deviations at first. When a departure of the group is over, that of the member that departed first
rises by ``STEP``, and limits fall as fast as keeps ``daily`` departures a day in balance.
"""

import numpy as np
from numba import njit

from rules.kernels import digit as of_digits
from rules.kernels import unrest as of_steps
from rules.kernels.partial import apart
from rules.kernels.types import F64, Mask

NEXT, HELD, BLOCK, BLOCKS, SINCE, UNTIL, CALM, AWAY = range(8)
"""Places in ``clock``: where the next frame goes, frames in the ring; time of the last block, blocks so far, since when
levels stand (NaN: they follow); limits were followed until, how long the group has been calm, the member that departed
last (-1: its limit has risen for it)."""
LEVEL, SPREAD, LIMIT, DIGIT, VALUE, USUAL, SEEN = range(7)
"""Rows of ``member``: level (NaN: none), mean square of what a window differs from it, limit in multiples of ``least``,
last digit (``digit``), last value, usual number of values in a window, windows that it was learned from."""
WALK = 0.6
"""Share of the mean square that is the level's own walk, for each window further that passed unheard."""
BOUND = 9.0
"""A square counts at most so many times the mean square (three deviations)."""
ROUNDED = 1.0 / 12.0
"""Variance of what a last digit hides, in squares of the digit."""
EDGE = 0.75
"""Share of the last digit that is no distance: a value on its edge may tell now one and now the other, for hours."""
HOLD = 1.5
"""Beyond so many limits no level follows: water that stays changed for an hour is to be seen for that hour. No level of
all: after a change of source one that stood alone would be left behind."""
FADE = 0.02
"""Weight of a window in the usual number of its values."""
STEP = 0.07
"""Logarithm by which a limit rises. Events come in swarms, of which a larger one hides the later ones."""
SHARED = 4
"""A limit falls no faster than if so many were raised: what one member tells all the time is not told twice a day."""
QUIET = 0.85
"""Share of the limit below which a member is calm."""
JOINT = 4.0
"""How distances go together is followed so many times more slowly than deviations."""
FAR = 4.0
"""Distances are taken to be at most so far where it is learned how they go together."""
DIAGONAL = 0.02
"""Least share of a member that no other one explains."""
COPY = 0.97
"""Who goes with an earlier member as closely as this is the same told twice (dissolved solids from conductivity)."""
WHOLE = 0.95
"""A block is over after such a share of it: clocks jitter."""
HOUR = 3_600_000.0
DAY = 24.0 * HOUR


@njit(cache=True, nogil=True)
def _take(
    now: float, frame: F64, block: float, trim: float, clock: F64, times: F64, ring: F64, member: F64, mean: F64,
    known: Mask,
) -> None:  # fmt: skip
    """Put a frame into the ring; ``mean`` of the window that ends with it, where it is ``known``.

    With less than half of a member's usual number of values, as after a gap, it is not: a mean of two readings is not
    what a mean of fifteen is.
    """
    n = len(times)
    at = int(clock[NEXT])
    times[at] = now
    ring[at] = frame
    clock[NEXT] = float((at + 1) % n)
    clock[HELD] = min(clock[HELD] + 1.0, float(n))
    frames = 0
    while frames < int(clock[HELD]) and now - times[(at - frames) % n] < block:
        frames += 1
    kept = np.empty(n)
    of_digits.follow(frame, member[VALUE], member[DIGIT])
    for j in range(len(frame)):
        count = 0
        for k in range(frames):
            value = ring[(at - k) % n, j]
            if not np.isnan(value):
                kept[count] = value
                count += 1
        if not np.isnan(frame[j]):
            usual = member[USUAL, j]
            member[USUAL, j] = count if usual == 0.0 else usual + FADE * (count - usual)
        known[j] = count > 0 and 2.0 * count >= member[USUAL, j] - 0.5
        mean[j] = of_steps.middle(kept, count, min(int(trim * count + 0.625), (count - 1) // 2)) if known[j] else np.nan


@njit(cache=True, nogil=True)
def _learn(
    now: float, block: float, stays: float, calm: float, heavy: float, most: float, wander: float, clock: F64,
    member: F64, unrest: F64, joint: F64, mean: F64, uneasy: F64, z: F64, known: Mask,
) -> None:  # fmt: skip
    """A block is over: levels, their deviations and how distances ``z`` go together follow it.

    ``most``: largest distance in limits; ``wander``: mean square that is expected after so long, by that of a block.
    ``heavy``: weight of a window in the level.
    """
    m = len(mean)
    weight = max(block / calm, 1.0 / (clock[BLOCKS] + 2.0))
    clock[BLOCKS] += 1.0
    clock[BLOCK] = now
    for j in range(m):
        a = min(max(z[j], -FAR), FAR) if known[j] else 0.0
        for k in range(m):
            b = min(max(z[k], -FAR), FAR) if known[k] else 0.0
            joint[j, k] += max(weight / JOINT, 1.0 / (clock[BLOCKS] + 1.0)) * (a * b - joint[j, k])
    stand = most > HOLD
    if not stand:
        clock[SINCE] = np.nan
    elif np.isnan(clock[SINCE]):
        clock[SINCE] = now
    over = stand and now - clock[SINCE] >= stays
    of_steps.learn(uneasy, member[DIGIT], weight, stand, over, unrest)
    for j in range(m):
        if not known[j]:
            continue
        if np.isnan(member[LEVEL, j]):
            member[LEVEL, j] = mean[j]
            continue
        square = (mean[j] - member[LEVEL, j]) ** 2 / wander
        if member[SEEN, j] > 0.0:
            square = min(square, BOUND * max(member[SPREAD, j], ROUNDED * member[DIGIT, j] ** 2))
        member[SEEN, j] += 1.0
        member[SPREAD, j] += max(weight, 1.0 / member[SEEN, j]) * (square - member[SPREAD, j])
        if over:
            member[LEVEL, j] = mean[j]
        elif not stand:
            member[LEVEL, j] += heavy * (mean[j] - member[LEVEL, j])


@njit(cache=True, nogil=True)
def _follow(now: float, most: float, worst: int, daily: float, clock: F64, limits: F64, others: F64) -> None:
    """Limits fall with time; that of the member with which a departure began rises once the group was calm for an hour.

    ``most``: distance of the ``worst`` member, in limits (-1: none is known). Past the members' own ``limits`` it
    counts the ``others``, those of unrest.
    """
    m = len(limits)
    elapsed = min(now - clock[UNTIL], DAY) if not np.isnan(clock[UNTIL]) else 0.0
    clock[UNTIL] = now
    above = 0
    for j in range(m):
        above += (limits[j] > 1.0) + (others[j] > 1.0)
    falls = np.exp(-STEP * daily * elapsed / (DAY * max(above, SHARED)))
    for j in range(m):
        limits[j], others[j] = max(1.0, limits[j] * falls), max(1.0, others[j] * falls)
    if worst < 0:
        return
    if most > 1.0:
        if clock[CALM] >= HOUR:
            clock[AWAY] = float(worst)
        clock[CALM] = 0.0
    elif most < QUIET:
        clock[CALM] += elapsed
        if clock[CALM] >= HOUR and clock[AWAY] >= 0.0:
            j = int(clock[AWAY])
            if j < m:
                limits[j] *= np.exp(STEP)
            else:
                others[j - m] *= np.exp(STEP)
            clock[AWAY] = -1.0


@njit(cache=True, nogil=True)
def _correlation(blocks: float, joint: F64, out: F64) -> None:
    """How distances go together, shrunk to nothing by as much as so few blocks are worth."""
    m = len(joint)
    shrunk = (1.0 - DIAGONAL) * blocks / (blocks + m + 1.0)
    for j in range(m):
        for k in range(m):
            both = joint[j, j] * joint[k, k]
            out[j, k] = shrunk * joint[j, k] / np.sqrt(both) if both > 0.0 else 0.0
        out[j, j] = 1.0


@njit(cache=True, nogil=True)
def _once(known: Mask, blocks: float, together: F64, out: Mask) -> None:
    """Who of those ``known`` is judged: of members that tell the same the first only, since each explains the other."""
    m = len(known)
    least = COPY * (1.0 - DIAGONAL) * blocks / (blocks + m + 1.0)
    for j in range(m):
        out[j] = known[j]
        for k in range(j):
            if out[k] and abs(together[j, k]) > least:
                out[j] = False


@njit(cache=True, nogil=True)
def walk(
    ts: F64, frames: F64, follow: bool, block: float, trim: float, stays: float, calm: float, heavy: float,
    least: float, uneasiest: float, daily: float, clock: F64, times: F64, ring: F64, member: F64, unrest: F64,
    joint: F64, out: F64,
) -> None:  # fmt: skip
    """Frames in order: how far the member is that departs most, 1 at its limit, and which it is.

    ``block``, ``stays`` and ``calm`` in ms. ``times`` and ``ring`` (frames, frames x members) hold what a window can.
    ``joint`` (members x members): mean products of distances. With ``follow`` all is learned on, else nothing.
    Levels stand while a member is beyond ``HOLD`` limits, for ``stays`` at most; else a window has the weight ``heavy``
    in them. ``trim``: share of a window that is left out on either side. ``least`` and ``uneasiest``: limits of
    distance and of unrest in deviations (0: unrest is not judged).
    """
    m = frames.shape[1]
    uneasy = np.full(m, np.nan)
    mean, z = np.zeros(m), np.zeros(m)
    known, of, once = np.zeros(m, np.bool_), np.zeros(m, np.bool_), np.zeros(m, np.bool_)
    inverse, together = np.zeros((m, m)), np.zeros((m, m))
    _correlation(clock[BLOCKS], joint, together)
    for i in range(len(ts)):
        _take(ts[i], frames[i], block, trim, clock, times, ring, member, mean, known)
        unheard = max(0.0, (ts[i] - clock[BLOCK]) / block - 1.0) if not np.isnan(clock[BLOCK]) else 0.0
        wander = 1.0 + WALK * min(unheard, DAY / block)
        for j in range(m):
            z[j] = 0.0
            if known[j] and member[SEEN, j] > 0.0 and member[DIGIT, j] < np.inf:
                square = max(member[SPREAD, j], ROUNDED * member[DIGIT, j] ** 2)
                if square > 0.0:  # of changes of 1e-170 it is nothing
                    off = mean[j] - member[LEVEL, j]
                    beyond = max(0.0, abs(off) - EDGE * member[DIGIT, j])
                    z[j] = np.copysign(beyond, off) / np.sqrt(square * wander)
        own = z.copy()
        _once(known, clock[BLOCKS], together, once)
        apart(z, once, of, together, inverse)
        worst = -1
        most = np.nan
        for j in range(m):
            far = abs(z[j]) / (least * member[LIMIT, j])
            if once[j] and not far <= most:
                worst, most = j, far
        if uneasiest > 0.0:
            last = (int(clock[NEXT]) - 1) % len(times)
            of_steps.take(last, int(clock[HELD]), ring, uneasy)
            most, worst = of_steps.far(uneasy, member[DIGIT], unrest, uneasiest, most, worst)
        out[i, 0] = most
        out[i, 1] = float(worst % m) if worst >= 0 else np.nan
        if follow:
            _follow(ts[i], most, worst, daily, clock, member[LIMIT], unrest[of_steps.LIMIT])
            if not ts[i] - clock[BLOCK] < WHOLE * block:
                _learn(
                    ts[i], block, stays, calm, heavy, most, wander, clock, member, unrest, joint, mean, uneasy, own,
                    known,
                )  # fmt: skip
                _correlation(clock[BLOCKS], joint, together)
                of[:] = False
