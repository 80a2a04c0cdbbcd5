"""Hotelling's T² and Q of a group's frames, by principal components of the frame and the frames before it.

T² is the distance within the space that the normal period spans, Q the squared distance from it (squared prediction
error): Jackson and Mudholkar (1979), "Control procedures for residuals associated with principal component analysis".
Loops run in one fixed order, without BLAS: the bits do not depend on how many frames come at once.
"""

import numpy as np
from numba import njit

from rules.kernels.types import F64

GAP = 5.0
"""A frame that comes after this many usual spacings begins anew: what was before it says nothing."""


@njit(cache=True, nogil=True)
def embed(ts: F64, frames: F64, lags: int, clock: F64, history: F64, out: F64, whole: F64) -> None:
    """Each frame with the ``lags`` frames before it, side by side.

    ``history`` (lags x members) and ``clock`` [time of the last frame, usual spacing, frames in the history] are state.
    ``whole[i]`` is 1 where the history is complete.
    """
    m = frames.shape[1]
    for i in range(len(ts)):
        spacing = ts[i] - clock[0]
        if spacing > GAP * clock[1]:
            clock[2] = 0.0
        if np.isnan(clock[1]):
            clock[1] = spacing
        elif spacing <= GAP * clock[1]:
            clock[1] += 0.05 * (spacing - clock[1])
        clock[0] = ts[i]
        for j in range(m):
            out[i, j] = frames[i, j]
            for k in range(lags):
                out[i, m * (k + 1) + j] = history[k, j]
        whole[i] = 1.0 if clock[2] >= lags else 0.0
        clock[2] += 1.0
        for k in range(lags - 1, 0, -1):
            for j in range(m):
                history[k, j] = history[k - 1, j]
        if lags > 0:
            for j in range(m):
                history[0, j] = frames[i, j]


@njit(cache=True, nogil=True)
def moments(vectors: F64, whole: F64, take: F64, n_max: float, count: F64, mean: F64, scatter: F64) -> None:
    """Running mean and scatter (sum of outer products of deviations) of the vectors with ``whole`` and ``take``.

    Welford's update; a missing value deviates by nothing. Past ``n_max`` vectors the oldest are forgotten
    exponentially. State: ``count`` [n], ``mean``, ``scatter``.
    """
    d = np.empty(vectors.shape[1])
    for i in range(len(vectors)):
        if whole[i] == 0.0 or take[i] == 0.0:
            continue
        n = count[0] + 1.0
        if n > n_max:
            n = n_max
            scatter *= 1.0 - 1.0 / n_max
        count[0] = n
        for j in range(len(d)):
            v = vectors[i, j]
            if n == 1.0 and not np.isnan(v):
                mean[j] = v
            d[j] = 0.0 if np.isnan(v) or np.isnan(mean[j]) else v - mean[j]
            if np.isnan(mean[j]) and not np.isnan(v):
                mean[j] = v
        for j in range(len(d)):
            if d[j] != 0.0:
                for k in range(len(d)):
                    scatter[j, k] += d[j] * d[k] * (n - 1.0) / n
                mean[j] += d[j] / n


@njit(cache=True, nogil=True)
def judge(
    vectors: F64,
    whole: F64,
    mean: F64,
    scale: F64,
    axes: F64,
    spread: F64,
    smooth: float,
    cap: F64,
    state: F64,
    out: F64,
) -> None:
    """T² and Q of each vector, smoothed with weight ``smooth``; NaN where the history is not complete.

    ``scale`` is 1/deviation (0: left out), ``axes`` (components x width) the principal axes, ``spread`` their variance.
    ``cap`` bounds both before smoothing, so that one wild frame does not last; ``state`` are the smoothed values.
    ``out[i]`` = T², Q, and the member with the largest share of Q, as a place in the vector.
    """
    w = vectors.shape[1]
    z = np.empty(w)
    for i in range(len(vectors)):
        out[i, 0] = out[i, 1] = out[i, 2] = np.nan
        if whole[i] == 0.0:
            state[:] = np.nan
            continue
        for j in range(w):
            v = (vectors[i, j] - mean[j]) * scale[j]
            z[j] = 0.0 if np.isnan(v) else v
        t2 = 0.0
        for k in range(len(axes)):
            p = 0.0
            for j in range(w):
                p += axes[k, j] * z[j]
            t2 += p * p / spread[k]
            for j in range(w):
                z[j] -= p * axes[k, j]
        q = 0.0
        most = -1.0
        for j in range(w):
            q += z[j] * z[j]
            if z[j] * z[j] > most:
                most = z[j] * z[j]
                out[i, 2] = j
        t2 = min(t2, cap[0])
        q = min(q, cap[1])
        state[0] = t2 if np.isnan(state[0]) else state[0] + smooth * (t2 - state[0])
        state[1] = q if np.isnan(state[1]) else state[1] + smooth * (q - state[1])
        out[i, 0] = state[0]
        out[i, 1] = state[1]
