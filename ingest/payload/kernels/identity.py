"""Which rows have been seen before: fingerprints in two generations of an open-addressing table.

See ``ingest/identity.py`` for what a repeat is and why. ``table`` uint64 (2, slots): a power of two of slots each, 0 is
empty; ``state`` int64 (3): which of the two is the current generation, how many fingerprints it holds, and scratch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from ingest.payload.kernels.words import borrow

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 512
"""Rows whose fingerprints are made and touched together, so that their cache misses overlap."""

_A = np.uint64(0x9E3779B97F4A7C15)
_B = np.uint64(0xBF58476D1CE4E5B9)
_C = np.uint64(0x94D049BB133111EB)
_S1 = np.uint64(30)
_S2 = np.uint64(27)
_S3 = np.uint64(31)
_PLACE = np.uint64(20)
"""The slot comes from bits above these."""


@njit(cache=True, nogil=True)
def _mix(x: np.uint64) -> np.uint64:
    """Finalizer of splitmix64 (Steele, Lea, Flood 2014): a bijection whose every output bit depends on every input."""
    x = (x ^ (x >> _S1)) * _B
    x = (x ^ (x >> _S2)) * _C
    return x ^ (x >> _S3)


@njit(cache=True, nogil=True, forceinline=True)
def fingerprint(point: int, ts: int, seq: int, bits: np.uint64) -> np.uint64:
    """64 bits of (point, ts, seq, value bits); never 0."""
    h = _mix(np.uint64(point) * _A + np.uint64(seq))
    h = _mix(h + _A + np.uint64(ts))
    h = _mix(h + _A + bits)
    return max(h, np.uint64(1))


@njit(cache=True, nogil=True, forceinline=True)
def _contains(table: NDArray[np.uint64], generation: int, f: np.uint64) -> bool:
    mask = table.shape[1] - 1
    s = np.int64(f >> _PLACE) & mask
    while table[generation, s] != np.uint64(0):
        if table[generation, s] == f:
            return True
        s = (s + 1) & mask
    return False


@njit(cache=True, nogil=True, forceinline=True)
def _insert(table: NDArray[np.uint64], generation: int, f: np.uint64) -> bool:
    """True when it was not there."""
    mask = table.shape[1] - 1
    s = np.int64(f >> _PLACE) & mask
    while table[generation, s] != np.uint64(0):
        if table[generation, s] == f:
            return False
        s = (s + 1) & mask
    table[generation, s] = f
    return True


@njit(cache=True, nogil=True)
def mark_rows(
    point: NDArray[np.int32],
    ts: NDArray[np.int64],
    seq: NDArray[np.uint32],
    bits: NDArray[np.uint64],
    row_object: NDArray[np.int64],
    newest: NDArray[np.int64],
    table: NDArray[np.uint64],
    state: NDArray[np.int64],
    capacity: int,
    repeated: NDArray[np.bool_],
) -> int:
    """Set ``repeated`` for the rows of objects of which every row was seen; remember all rows; how many objects."""
    slots = borrow(table)
    last = borrow(newest)
    prints = np.empty(BLOCK, np.uint64)
    mask = slots.shape[1] - 1
    n = len(point)
    kept = np.uint64(0)
    count = 0
    object_first = 0
    all_seen = True
    start = 0
    while start < n:
        end = min(start + BLOCK, n)
        touched = np.uint64(0)
        for i in range(start, end):
            prints[i - start] = fingerprint(point[i], ts[i], seq[i], bits[i])
        for i in range(start, end):  # nothing but loads: the shorter the loop, the more of them are under way at once
            touched ^= slots[state[0], np.int64(prints[i - start] >> _PLACE) & mask] ^ np.uint64(last[point[i]])
        kept ^= touched
        for i in range(start, end):
            if i > 0 and row_object[i] != row_object[i - 1]:
                if all_seen:
                    repeated[object_first:i] = True
                    count += 1
                object_first = i
                all_seen = True
            f = prints[i - start]
            # A row newer than anything of its point cannot be a repeat: the older generation is not asked.
            fresh = ts[i] > last[point[i]]
            if fresh:
                last[point[i]] = ts[i]
            seen = True
            if _insert(slots, state[0], f):
                seen = not fresh and _contains(slots, 1 - state[0], f)
                state[1] += 1
                if state[1] >= capacity:
                    state[0] = 1 - state[0]
                    slots[state[0], :] = np.uint64(0)
                    state[1] = 0
            all_seen &= seen
        start = end
    if n > 0 and all_seen:
        repeated[object_first:n] = True
        count += 1
    state[2] = np.int64(kept >> np.uint64(1))  # nobody reads it; without it the touching would be dropped
    return count
