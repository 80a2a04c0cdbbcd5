"""Hotelling's T² and Q of a group's frames, by principal components of the frame and the frames before it.

T² is the distance within the space that the normal period spans, Q the squared distance from it (squared prediction
error): Jackson and Mudholkar (1979), "Control procedures for residuals associated with principal component analysis".
How many components span that space nobody knows, and a fault shows in Q of few of them or in Q of many: so Q may be the
geometric mean over several numbers of components.
Loops run in one fixed order, without BLAS: the bits do not depend on how many frames come at once.
"""

import numpy as np
from numba import njit

from rules.kernels.turning import pull
from rules.kernels.types import F64

GAP = 5.0
"""A frame that comes after this many usual spacings begins anew: what was before it says nothing."""

NOTHING = 1e-18
"""A squared distance below this is rounding."""


@njit(cache=True, nogil=True)
def embed(ts: F64, frames: F64, lags: int, clock: F64, history: F64, out: F64, whole: F64) -> None:
    """Each frame with the ``lags`` frames before it, side by side.

    ``history`` (lags x members) and ``clock`` [time of the last frame, usual spacing, frames in the history] are state.
    A frame that is left out between two counts as one of which nothing is known (NaN), so that a lag stays a lag.
    ``whole[i]`` is 1 where the history is complete.
    """
    m = frames.shape[1]
    for i in range(len(ts)):
        spacing = ts[i] - clock[0]
        left_out = 0
        if spacing > GAP * clock[1]:
            clock[2] = 0.0
        elif spacing > 0.0 and clock[1] > 0.0:
            left_out = min(lags, int(np.floor(spacing / clock[1] + 0.5)) - 1)
        if np.isnan(clock[1]):
            clock[1] = spacing
        elif spacing > 0.0:
            clock[1] += pull(spacing, clock[1])
        clock[0] = ts[i]
        for _ in range(left_out):
            clock[2] += 1.0
            for k in range(lags - 1, 0, -1):
                for j in range(m):
                    history[k, j] = history[k - 1, j]
            for j in range(m):
                history[0, j] = np.nan
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
        if whole[i] <= 0.0 or take[i] == 0.0:
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
def fill(vectors: F64, whole: F64, mean: F64, scale: F64, precision: F64) -> None:
    """Put what the others let expect in the place of missing values; ``whole`` becomes -1 where too much is missing.

    ``precision`` is the inverse of the covariance of the scaled vector, so given the known part o the missing part m is
    expected at ``-inv(P_mm) P_mo z_o``: conditional mean replacement (Nelson, Taylor and MacGregor 1996, "Missing data
    methods in PCA and PLS"). With fewer than half of the values that move there is nothing to judge.
    """
    w = vectors.shape[1]
    at = np.empty(w, np.int64)
    for i in range(len(vectors)):
        if whole[i] <= 0.0:
            continue
        m = 0
        known = 0
        for j in range(w):
            if scale[j] == 0.0:
                continue
            if np.isnan(vectors[i, j]):
                at[m] = j
                m += 1
            else:
                known += 1
        if m == 0:
            continue
        if known < m:
            whole[i] = -1.0
            continue
        lower = np.zeros((m, m))
        x = np.zeros(m)
        for a in range(m):
            for j in range(w):
                if scale[j] != 0.0 and not np.isnan(vectors[i, j]):
                    x[a] -= precision[at[a], j] * (vectors[i, j] - mean[j]) * scale[j]
        # by Cholesky's factor, in a fixed order
        for a in range(m):
            for b in range(a + 1):
                total = precision[at[a], at[b]]
                for k in range(b):
                    total -= lower[a, k] * lower[b, k]
                lower[a, b] = np.sqrt(total) if a == b else total / lower[b, b]
        for a in range(m):
            for k in range(a):
                x[a] -= lower[a, k] * x[k]
            x[a] /= lower[a, a]
        for a in range(m - 1, -1, -1):
            for k in range(a + 1, m):
                x[a] -= lower[k, a] * x[k]
            x[a] /= lower[a, a]
        for a in range(m):
            vectors[i, at[a]] = mean[at[a]] + x[a] / scale[at[a]]


@njit(cache=True, nogil=True)
def judge(
    vectors: F64,
    whole: F64,
    mean: F64,
    scale: F64,
    axes: F64,
    spread: F64,
    cuts: F64,
    smooth: float,
    cap: F64,
    state: F64,
    out: F64,
) -> None:
    """T² and Q of each vector, smoothed with weight ``smooth``; NaN where ``whole`` is not 1 (0: begin anew).

    ``scale`` is 1/deviation (0: left out), ``axes`` (components x width) the principal axes, ``spread`` their variance.
    ``cuts``, rising to the number of axes: Q is the geometric mean of the squared distances from so many axes.
    ``cap`` bounds both before smoothing, so that one wild frame does not last; ``state`` are the smoothed values.
    ``out[i]`` = T², Q, and the member with the largest share of Q, as a place in the vector.
    """
    w = vectors.shape[1]
    z = np.empty(w)
    for i in range(len(vectors)):
        out[i, 0] = out[i, 1] = out[i, 2] = np.nan
        if whole[i] <= 0.0:
            if whole[i] == 0.0:
                state[:] = np.nan
            continue
        for j in range(w):
            v = (vectors[i, j] - mean[j]) * scale[j]
            z[j] = 0.0 if np.isnan(v) else v
        t2 = 0.0
        logs = 0.0
        cut = 0
        for k in range(len(axes)):
            p = 0.0
            for j in range(w):
                p += axes[k, j] * z[j]
            t2 += p * p / spread[k]
            for j in range(w):
                z[j] -= p * axes[k, j]
            if cut < len(cuts) and cuts[cut] == k + 1:
                q = 0.0
                for j in range(w):
                    q += z[j] * z[j]
                while cut < len(cuts) and cuts[cut] == k + 1:
                    logs += np.log(max(q, NOTHING))
                    cut += 1
        q = np.exp(logs / len(cuts)) if len(cuts) else 0.0
        most = -1.0
        for j in range(w):
            if z[j] * z[j] > most:
                most = z[j] * z[j]
                out[i, 2] = j
        t2 = min(t2, cap[0])
        q = min(q, cap[1])
        state[0] = t2 if np.isnan(state[0]) else state[0] + smooth * (t2 - state[0])
        state[1] = q if np.isnan(state[1]) else state[1] + smooth * (q - state[1])
        out[i, 0] = state[0]
        out[i, 1] = state[1]
