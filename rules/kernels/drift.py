"""How far each member of a group is from its own level, where the level may drift as it did in the normal period.

Each member is a *local level*: a level that walks at random, seen through noise (the structural model behind the
exponential average; Harvey 1989). Noise and walk are measured on blocks of n frames of the normal period. The distance
of the mean of the last n frames from the expected level, in standard deviations of that prediction, is small for a
temperature that wanders all day and large for a flow that steps by one of its own deviations.

Both variances are estimates, and of a walk a short normal period shows few steps: so a distance is Student's t, told as
the normal deviation that is as rare. And whoever left its level in the normal period already, though its fit said that
it would not, is further off only beyond that: its distances are divided by what they reached (``reach``).

Who went far comes back to about where it was, not to the fourth digit: a pump that was out of balance, a valve that was
shut. A member that has come back by D, beyond what noise alone lets go (a gate of it), is judged as if its level were
known to a share of that only (``back``), and this is forgotten as slowly as a new level is taken. Where a new one was
taken meanwhile, the former is remembered as long.
"""

import numpy as np
from numba import njit

from rules.kernels.types import F64

MISSED = 0.8
"""A frame is missing where the next comes so many spacings later than it was due: clocks that jitter come late, too."""
UNSURE = 8.0
"""Frames before which the spacing is not known well enough to say that one is missing."""
FORGOTTEN = 20.0
"""How far a member was is forgotten by one part in so many a block, or in ``patience`` where that is more."""
LAGS = (2, 4, 8)
"""Over so many blocks steps are measured too: of a member that only trembles they are no larger than over one."""
NOW, LAST, BEFORE, SCALE = range(4)
"""Rows of ``reach``: largest distance of a member since the last fit, up to it, up to the one before; and what its
distances are divided by."""
LEVEL, VARIANCE, NOISE, WALK, GATED = range(5)
"""Rows of ``level``: where a member is, how well that is known, noise of a block's mean (0: left out), walk of a block,
blocks in a row that were away from it."""
FURTHEST, FORMER, FORMER_VARIANCE, USUAL = range(4)
"""Rows of ``home``: how far a member was from its level at most, in its own unit, less what is forgotten; the level it
had before a new one was taken, and how well that is known; blocks of the new one so far, from 1 (0: no former one)."""


@njit(cache=True, nogil=True)
def _push(frame: F64, ring: F64, at: int, sums: F64, counts: F64) -> None:
    """Put a frame into the ring in place of the oldest; ``sums`` and ``counts`` follow."""
    for j in range(len(frame)):
        old = ring[at, j]
        if not np.isnan(old):
            counts[j] -= 1.0
        ring[at, j] = frame[j]
        if not np.isnan(frame[j]):
            counts[j] += 1.0
        # summed anew, not updated: no error creeps in over years
        total = 0.0
        for k in range(ring.shape[0]):
            if not np.isnan(ring[k, j]):
                total += ring[k, j]
        sums[j] = total


@njit(cache=True, nogil=True)
def _left_out(now: float, clock: F64) -> float:
    """How many frames are missing before the one of time ``now``, by the usual spacing of those before.

    ``clock`` [frames seen, time of the last, usual spacing (NaN: unknown)]. The spacing becomes the median, by steps
    that shrink (Robbins and Monro 1951): of the first two frames of a clock that jitters it could be a fifth of what is
    usual, and four would seem to be missing before every one.
    """
    spacing = now - clock[1]
    clock[1] = now
    if np.isnan(spacing) or spacing <= 0.0:
        return 0.0
    if np.isnan(clock[2]):
        clock[2] = spacing
        return 0.0
    usual = clock[2]
    missing = max(0.0, np.floor(spacing / usual + 1.0 - MISSED) - 1.0) if clock[0] >= UNSURE else 0.0
    step = 1.0 / (clock[0] + 1.0)
    step = usual * (step if missing > 0.0 else max(0.02, step))
    clock[2] += min(max(spacing - usual, -step), step)
    return float(missing)


@njit(cache=True, nogil=True)
def learn(
    ts: F64, frames: F64, clock: F64, ring: F64, sums: F64, counts: F64, block: F64, recent: F64, lagged: F64
) -> None:
    """Measure noise and walk of each member over blocks; a block that is not half full is none, nor is a step over it.

    ``clock`` as in ``_left_out``. ``block`` (7 x members): mean of the last block, blocks, sum of variances within
    blocks, sum of squared steps between blocks, steps, mean of all blocks, smallest change from frame
    to frame (NaN: none yet).
    ``recent`` is a ring of the means of blocks. ``lagged`` (2 x lags x members): sums of squared steps over ``LAGS``
    blocks, and how many.
    """
    n = ring.shape[0]
    none = np.full(frames.shape[1], np.nan)
    for i in range(len(frames)):
        # of more than two blocks nothing would be learned but that they are empty
        for _ in range(int(min(_left_out(ts[i], clock), 2.0 * n))):
            _learn_one(none, clock, ring, sums, counts, block, recent, lagged)
        _learn_one(frames[i], clock, ring, sums, counts, block, recent, lagged)


@njit(cache=True, nogil=True)
def _learn_one(frame: F64, clock: F64, ring: F64, sums: F64, counts: F64, block: F64, recent: F64, lagged: F64) -> None:
    n = ring.shape[0]
    at = int(clock[0]) % n
    for j in range(len(frame)):
        change = abs(frame[j] - ring[(at - 1) % n, j])
        if change > 0.0 and not change >= block[6, j]:
            block[6, j] = change
    _push(frame, ring, at, sums, counts)
    clock[0] += 1.0
    if at == n - 1:
        for j in range(len(frame)):
            here = (int(clock[0]) // n - 1) % recent.shape[0]
            recent[here, j] = np.nan
            if counts[j] < max(2.0, n / 2):
                block[0, j] = np.nan
                continue
            mean = sums[j] / counts[j]
            within = 0.0
            for k in range(n):
                if not np.isnan(ring[k, j]):
                    within += (ring[k, j] - mean) ** 2
            block[1, j] += 1.0
            block[2, j] += within / (counts[j] - 1.0)
            block[5, j] += (mean - block[5, j]) / block[1, j]
            if not np.isnan(block[0, j]):
                block[3, j] += (mean - block[0, j]) ** 2
                block[4, j] += 1.0
            block[0, j] = mean
            recent[here, j] = mean
            for k in range(len(LAGS)):
                step = mean - recent[(here - LAGS[k]) % recent.shape[0], j]
                if not np.isnan(step):
                    lagged[0, k, j] += step * step
                    lagged[1, k, j] += 1.0


@njit(cache=True, nogil=True)
def as_normal(t: float, freedom: float) -> float:
    """The normal deviation that is as rare as Student's ``t`` with so many degrees of freedom (0: t itself).

    Wallace's approximation (1959, "Bounds on normal approximations to Student's and the chi-square distributions"): for
    t up to 7 and three degrees of freedom or more the chance beyond it is right to 15 %.
    """
    if freedom <= 0.0:
        return t
    shrunk = (8.0 * freedom + 1.0) / (8.0 * freedom + 3.0) * np.sqrt(freedom * np.log1p(t * t / freedom))
    return float(shrunk if t >= 0.0 else -shrunk)


@njit(cache=True, nogil=True)
def _unsure(gone: float, furthest: float, back: float, spared: float) -> float:
    """Variance of the level of a member that came back from ``furthest`` to ``gone`` beside it; noise is ``spared``."""
    return float((back * max(0.0, furthest - abs(gone) - spared)) ** 2)


@njit(cache=True, nogil=True)
def judge(
    ts: F64, frames: F64, follow: bool, gate: float, patience: float, back: float,
    clock: F64, ring: F64, sums: F64, counts: F64, level: F64, home: F64, freedom: F64, blocks: F64, reach: F64,
    out: F64, far: F64,
) -> None:  # fmt: skip
    """Distance of each frame: ``out[i]`` = the largest, the root mean square, and the member with the largest.

    ``far`` (members): how far each is at the last frame, before it is divided by its ``reach`` (NaN: nothing is known).

    ``level`` (5 x members) and ``home`` (4 x members): rows as named above.
    ``freedom`` of each member: degrees of freedom of these variances, as in ``as_normal``; ``blocks`` that they and its
    level are known from.
    The distance is in deviations of what is to come: variance of the level, one walk and the noise. After each block
    the variance grows by the walk; with ``follow`` the level learns from the block unless the member
    is further than ``gate`` away, at most ``patience`` blocks in a row and no more than it is known from: then it takes
    the new level (0: never).
    """
    n = ring.shape[0]
    none = np.full(frames.shape[1], np.nan)
    for i in range(len(frames)):
        missing = _left_out(ts[i], clock)
        for _ in range(int(min(missing, 2.0 * n))):
            _judge_one(
                none, follow, gate, patience, back, clock, ring, sums, counts, level, home, freedom, blocks, reach,
                out[i], far,
            )  # fmt: skip
        if missing > 2.0 * n:
            more = np.floor((missing - 2.0 * n) / n)
            level[VARIANCE] += level[WALK] * more
            home[FORMER_VARIANCE] += level[WALK] * more
        _judge_one(
            frames[i], follow, gate, patience, back, clock, ring, sums, counts, level, home, freedom, blocks, reach,
            out[i], far,
        )  # fmt: skip


@njit(cache=True, nogil=True)
def _judge_one(
    frame: F64, follow: bool, gate: float, patience: float, back: float,
    clock: F64, ring: F64, sums: F64, counts: F64,
    level: F64, home: F64, freedom: F64, blocks: F64, reach: F64, out: F64, far: F64,
) -> None:  # fmt: skip
    n = ring.shape[0]
    at = int(clock[0]) % n
    _push(frame, ring, at, sums, counts)
    clock[0] += 1.0
    known = np.zeros(len(frame), np.bool_)
    z = np.zeros(len(frame))
    for j in range(len(frame)):
        if level[NOISE, j] <= 0.0 or counts[j] < max(1.0, n / 2):
            continue
        known[j] = True
        z[j] = _distance(sums[j] / counts[j], level[NOISE, j] * n / counts[j], gate, back, level, home, j)
    most = np.nan
    square = 0.0
    members = 0
    out[2] = np.nan
    for j in range(len(frame)):
        far[j] = np.nan
        if not known[j]:
            continue
        z[j] = as_normal(z[j], freedom[j])
        far[j] = abs(z[j])
        reach[NOW, j] = max(reach[NOW, j], far[j])
        beyond = far[j] / reach[SCALE, j]
        members += 1
        square += beyond * beyond
        if np.isnan(most) or beyond > most:
            most = beyond
            out[2] = j
    out[0] = most
    out[1] = np.sqrt(square / members) if members else np.nan
    if at != n - 1:
        return
    for j in range(len(frame)):
        level[VARIANCE, j] += level[WALK, j]
        home[FORMER_VARIANCE, j] += level[WALK, j]
        if follow and known[j]:
            noise = level[NOISE, j] * n / counts[j]
            _follow(sums[j] / counts[j], noise, gate, patience, back, level, home, freedom[j], blocks[j], j)


@njit(cache=True, nogil=True)
def _distance(mean: float, noise: float, gate: float, back: float, level: F64, home: F64, j: int) -> float:
    """How far member j is from its level, or from its former one where that is nearer."""
    gone, doubt, spared = mean - level[LEVEL, j], noise + level[WALK, j], gate * np.sqrt(level[NOISE, j])
    if home[USUAL, j] <= 0.0:
        return float(gone / np.sqrt(level[VARIANCE, j] + doubt + _unsure(gone, home[FURTHEST, j], back, spared)))
    z = gone / np.sqrt(level[VARIANCE, j] + doubt)
    gone = mean - home[FORMER, j]
    former = gone / np.sqrt(home[FORMER_VARIANCE, j] + doubt + _unsure(gone, home[FURTHEST, j], back, spared))
    return float(z if abs(z) <= abs(former) else former)


@njit(cache=True, nogil=True)
def _follow(
    mean: float, noise: float, gate: float, patience: float, back: float, level: F64, home: F64,
    freedom: float, blocks: float, j: int,
) -> None:  # fmt: skip
    """Let the level of member j learn from a block with such a mean, unless it is away."""
    gone, spared = mean - level[LEVEL, j], gate * np.sqrt(level[NOISE, j])
    if home[USUAL, j] > 0.0 and abs(as_normal(gone / np.sqrt(level[VARIANCE, j] + noise), freedom)) > gate:
        gone = mean - home[FORMER, j]
        unsure = _unsure(gone, home[FURTHEST, j], back, spared)
        if abs(as_normal(gone / np.sqrt(home[FORMER_VARIANCE, j] + noise + unsure), freedom)) <= gate:
            level[LEVEL, j], level[VARIANCE, j], level[GATED, j] = home[FORMER, j], home[FORMER_VARIANCE, j], 0.0
            home[USUAL, j] = 0.0
        gone = mean - level[LEVEL, j]
    unsure = 0.0 if home[USUAL, j] > 0.0 else _unsure(gone, home[FURTHEST, j], back, spared)
    off = as_normal(gone / np.sqrt(level[VARIANCE, j] + noise + unsure), freedom)
    if abs(off) > gate:
        level[GATED, j] += 1.0
        place = home[FORMER, j] if home[USUAL, j] > 0.0 else level[LEVEL, j]
        home[FURTHEST, j] = max(home[FURTHEST, j], abs(mean - place))
        if patience <= 0.0 or level[GATED, j] < min(patience, blocks):
            return
        if back > 0.0 and home[USUAL, j] <= 0.0:
            home[FORMER, j], home[FORMER_VARIANCE, j], home[USUAL, j] = level[LEVEL, j], level[VARIANCE, j], 1.0
        level[LEVEL, j], level[VARIANCE, j], level[GATED, j] = mean, noise, 0.0
        return
    doubt = level[VARIANCE, j] + unsure
    gain = doubt / (doubt + noise)
    level[LEVEL, j] += gain * gone
    level[VARIANCE, j] = doubt * (1.0 - gain)
    level[GATED, j] = 0.0
    if home[USUAL, j] <= 0.0:
        home[FURTHEST, j] *= 1.0 - 1.0 / max(patience, FORGOTTEN)
        return
    home[USUAL, j] += 1.0
    if home[USUAL, j] > patience:
        home[USUAL, j] = home[FURTHEST, j] = 0.0
