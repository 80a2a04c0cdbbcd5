"""How far each member of a group is from its own level, where the level may drift as it did in the normal period.

Each member is a *local level*: a level that walks at random, seen through noise (the structural model behind the
exponential average; Harvey 1989). Noise and walk are measured on blocks of n frames of the normal period. The distance
of the mean of the last n frames from the expected level, in standard deviations of that prediction, is small for a
temperature that wanders all day and large for a flow that steps by one of its own deviations.
"""

import numpy as np
from numba import njit

from rules.kernels.types import F64


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
def learn(frames: F64, clock: F64, ring: F64, sums: F64, counts: F64, block: F64, recent: F64) -> None:
    """Measure noise and walk of each member over blocks.

    ``clock`` [frames seen]. ``block`` (7 x members): mean of the last block, blocks, sum of variances within blocks,
    sum of squared steps between blocks, steps, mean of all blocks, smallest change from frame to frame (NaN: none yet).
    ``recent`` is a ring of the means of blocks.
    """
    n = ring.shape[0]
    for i in range(len(frames)):
        at = int(clock[0]) % n
        for j in range(frames.shape[1]):
            change = abs(frames[i, j] - ring[(at - 1) % n, j])
            if change > 0.0 and not change >= block[6, j]:
                block[6, j] = change
        _push(frames[i], ring, at, sums, counts)
        clock[0] += 1.0
        if at != n - 1:
            continue
        for j in range(frames.shape[1]):
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


@njit(cache=True, nogil=True)
def judge(
    frames: F64, follow: bool, gate: float, patience: float,
    clock: F64, ring: F64, sums: F64, counts: F64, level: F64, out: F64,
) -> None:  # fmt: skip
    """Distance of each frame: ``out[i]`` = the largest, the root mean square, and the member with the largest.

    ``level`` (5 x members): level, its variance, noise of a block's mean (0: left out), walk of a block, blocks gated.
    The distance is in deviations of what is to come: variance of the level, one walk and the noise. After each block
    the variance grows by the walk; with ``follow`` the level learns from the block unless the member
    is further than ``gate`` away, at most ``patience`` blocks in a row (then it takes the new level; 0: never).
    """
    n = ring.shape[0]
    for i in range(len(frames)):
        at = int(clock[0]) % n
        _push(frames[i], ring, at, sums, counts)
        clock[0] += 1.0
        most = np.nan
        square = 0.0
        members = 0
        out[i, 2] = np.nan
        for j in range(frames.shape[1]):
            if level[2, j] <= 0.0 or counts[j] < max(1.0, n / 2):
                continue
            noise = level[2, j] * n / counts[j]
            z = (sums[j] / counts[j] - level[0, j]) / np.sqrt(level[1, j] + level[3, j] + noise)
            members += 1
            square += z * z
            if np.isnan(most) or abs(z) > most:
                most = abs(z)
                out[i, 2] = j
        out[i, 0] = most
        out[i, 1] = np.sqrt(square / members) if members else np.nan
        if at != n - 1:
            continue
        for j in range(frames.shape[1]):
            level[1, j] += level[3, j]
            if not follow or level[2, j] <= 0.0 or counts[j] < max(1.0, n / 2):
                continue
            mean = sums[j] / counts[j]
            noise = level[2, j] * n / counts[j]
            z = (mean - level[0, j]) / np.sqrt(level[1, j] + noise)
            if abs(z) > gate:
                level[4, j] += 1.0
                if patience <= 0.0 or level[4, j] < patience:
                    continue
                level[0, j] = mean
                level[1, j] = noise
            else:
                gain = level[1, j] / (level[1, j] + noise)
                level[0, j] += gain * (mean - level[0, j])
                level[1, j] *= 1.0 - gain
            level[4, j] = 0.0
