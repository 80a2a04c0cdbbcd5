"""Byte slices of a buffer into one Arrow-shaped (offsets, bytes) pair, and which topic filter a topic matches first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def gather(
    buf: NDArray[np.uint8], starts: NDArray[np.int64], lengths: NDArray[np.int64], offsets: NDArray[np.int32]
) -> NDArray[np.uint8]:
    """Copy the slices one after another; fills ``offsets`` (slices + 1)."""
    offsets[0] = 0
    for k in range(len(starts)):
        offsets[k + 1] = offsets[k] + lengths[k]
    out = np.empty(offsets[len(starts)], np.uint8)
    for k in range(len(starts)):
        at = offsets[k]
        start = starts[k]
        for i in range(lengths[k]):
            out[at + i] = buf[start + i]
    return out


@njit(cache=True, nogil=True)
def matches(topic: NDArray[np.uint8], t: int, t_end: int, pattern: NDArray[np.uint8], p: int, p_end: int) -> bool:
    """Whether an MQTT topic matches a filter (MQTT 5, 4.7): ``+`` is one level, ``#`` the parent and all below.

    A wildcard at the start does not match topics that begin with ``$`` (4.7.2). The filter is well formed.
    """
    if t < t_end and topic[t] == 36 and p < p_end and (pattern[p] == 43 or pattern[p] == 35):
        return False
    while p < p_end:
        c = pattern[p]
        if c == 35:  # #
            return True
        if c == 43:  # +
            while t < t_end and topic[t] != 47:
                t += 1
            p += 1
            continue
        if t < t_end and topic[t] == c:
            t += 1
            p += 1
            continue
        # "a/#" matches "a" too
        return t == t_end and c == 47 and p + 2 == p_end and pattern[p + 1] == 35
    return t == t_end


@njit(cache=True, nogil=True)
def first_match(
    topics: NDArray[np.uint8],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int32],
    filters: NDArray[np.uint8],
    bounds: NDArray[np.int64],
    out: NDArray[np.int32],
) -> None:
    """For each topic the number of the first filter ``filters[bounds[f]:bounds[f + 1]]`` that it matches, else -1."""
    for k in range(len(starts)):
        out[k] = -1
        for f in range(len(bounds) - 1):
            if matches(topics, starts[k], starts[k] + lengths[k], filters, bounds[f], bounds[f + 1]):
                out[k] = f
                break
