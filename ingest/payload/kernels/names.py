"""Hash tables of names: which device or quantity some bytes name, and which rows of the index are a device's.

Built by ``ingest/payload/index.py``:
- ``slots`` int64 (n), n a power of two at least twice the keys, linear probing: the upper half of a key's hash, and its
  number + 1 in the lower half; 0 is empty. Eight slots share a cache line: whoever has to look on seldom waits again.
- ``entries`` int64 (keys, 4), half a cache line each: the key's first eight bytes, its last eight, ``payload << 16 |
  length``, and where it begins in ``keys``. Payload is for a device ``first row << 16 | rows``, for a quantity its
  number. A key of up to 16 bytes is compared without looking into ``keys``.
- ``rows_int`` int64 (points, 4), grouped by device: quantity << 32 | point, span low, span high (float64 bits, seen
  through ``rows_real``), and the lateness limit in ms. One row is half a cache line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from ingest.payload.kernels.words import byte, load8

if TYPE_CHECKING:
    from numpy.typing import NDArray

LENGTH_MAX = 0xFFFF
"""No key that is looked up is so long."""

SEED = np.uint64(0xCBF29CE484222325)
_U0 = np.uint64(0)
_U1 = np.uint64(1)
_U32 = np.uint64(32)
_MIX = np.uint64(0x9E3779B97F4A7C15)


@njit(cache=True, nogil=True, forceinline=True)
def stir(h: Any, word: Any) -> Any:
    """The hash with eight more bytes."""
    h = (h ^ word) * _MIX
    return h ^ (h >> _U32)


@njit(cache=True, nogil=True, forceinline=True)
def finish(h: Any, length: int) -> Any:
    """The hash of ``length`` bytes; never 0, which is an empty slot."""
    h = (h ^ np.uint64(length)) * _MIX
    h ^= h >> np.uint64(29)
    return np.int64(h | _U1)


@njit(cache=True, nogil=True)
def _tail(buf: Any, start: int, end: int) -> Any:
    """Up to seven bytes as one little-endian word."""
    word = _U0
    for i in range(start, end):
        word |= np.uint64(byte(buf, i)) << np.uint64(8 * (i - start))
    return word


@njit(cache=True, nogil=True)
def hash_bytes(buf: Any, start: int, end: int) -> Any:
    """A multiplicative hash of the whole words, of what is left (0 to 7 bytes) as one more, and of the length.

    ``scan.string`` makes the same on its way.
    """
    h = SEED
    i = start
    while i + 8 <= end:
        h = stir(h, load8(buf, i))
        i += 8
    return finish(stir(h, _tail(buf, i, end)), end - start)


@njit(cache=True, nogil=True)
def build_slots(
    keys: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    payload: NDArray[np.int64],
    slots: NDArray[np.int64],
    entries: NDArray[np.int64],
) -> None:
    """Fill the empty ``slots`` with key k = ``keys[offsets[k]:offsets[k + 1]]`` and its ``payload[k]``, below 2^47."""
    mask = len(slots) - 1
    for k in range(len(offsets) - 1):
        start = offsets[k]
        length = offsets[k + 1] - start
        h = hash_bytes(keys, start, start + length)
        s = (h >> 1) & mask
        while slots[s] != 0:
            s = (s + 1) & mask
        slots[s] = (h >> 32) << 32 | (k + 1)
        entries[k, 0] = _first_word(keys, start, length)
        entries[k, 1] = _last_word(keys, start, length)
        entries[k, 2] = payload[k] << 16 | min(length, LENGTH_MAX)
        entries[k, 3] = start


@njit(cache=True, nogil=True)
def _first_word(buf: Any, start: int, length: int) -> Any:
    """The first eight of ``length`` bytes at ``start``, or all of fewer."""
    return np.int64(load8(buf, start) if length >= 8 else _tail(buf, start, start + length))


@njit(cache=True, nogil=True, forceinline=True)
def _last_word(buf: Any, start: int, length: int) -> Any:
    """The last eight of more than eight bytes; 0 for eight and fewer."""
    return np.int64(load8(buf, start + length - 8)) if length > 8 else 0


@njit(cache=True, nogil=True, forceinline=True)
def candidate(slots: NDArray[np.int64], h: int) -> Any:
    """Number of the first key whose hash has the upper half of ``h``, or -1: nearly always the key itself."""
    mask = len(slots) - 1
    s = (h >> 1) & mask
    slot = slots[s]
    while slot != 0:
        if (slot ^ h) >> 32 == 0:
            return (slot & 0xFFFFFFFF) - 1
        s = (s + 1) & mask
        slot = slots[s]
    return -1


@njit(cache=True, nogil=True, forceinline=True)
def payload_of(entries: NDArray[np.int64], keys: Any, k: int, first: int, buf: Any, start: int, length: int) -> Any:
    """Payload of key ``k`` if it is ``buf[start:start + length]``, else -1. Compares every byte.

    ``first`` are the name's first eight bytes (zeros behind fewer).
    """
    word = entries[k, 2]
    if entries[k, 0] != first or word & LENGTH_MAX != length or length == LENGTH_MAX:
        return -1
    if entries[k, 1] != _last_word(buf, start, length):
        return -1
    for i in range(8, length - 8):
        if byte(keys, entries[k, 3] + i) != byte(buf, start + i):
            return -1
    return word >> 16


@njit(cache=True, nogil=True)
def find(
    slots: NDArray[np.int64],
    entries: NDArray[np.int64],
    keys: Any,
    h: int,
    first: int,
    buf: Any,
    start: int,
    length: int,
) -> Any:
    """Payload of the key ``buf[start:start + length]``, whose hash is ``h``, or -1."""
    mask = len(slots) - 1
    s = (h >> 1) & mask
    while slots[s] != 0:
        if (slots[s] ^ h) >> 32 == 0:
            payload = payload_of(entries, keys, (slots[s] & 0xFFFFFFFF) - 1, first, buf, start, length)
            if payload >= 0:
                return payload
        s = (s + 1) & mask
    return -1


@njit(cache=True, nogil=True, forceinline=True)
def find_soon(
    slots: NDArray[np.int64],
    entries: NDArray[np.int64],
    keys: Any,
    k: int,
    h: int,
    first: int,
    buf: Any,
    start: int,
    length: int,
) -> Any:
    """The same, given its ``candidate`` k, which is all that is looked at as a rule."""
    if k < 0:
        return -1
    payload = payload_of(entries, keys, k, first, buf, start, length)
    if payload < 0:  # another name of like hash may stand before it
        return find(slots, entries, keys, h, first, buf, start, length)
    return payload


@njit(cache=True, nogil=True)
def find_bytes(
    slots: NDArray[np.int64], entries: NDArray[np.int64], keys: NDArray[np.uint8], name: NDArray[np.uint8]
) -> Any:
    """Payload of the key ``name``, or -1 (the slow path's way in)."""
    length = len(name)
    return find(slots, entries, keys, hash_bytes(name, 0, length), _first_word(name, 0, length), name, 0, length)


@njit(cache=True, nogil=True, forceinline=True)
def find_row(rows_int: NDArray[np.int64], device: int, quantity: int) -> int:
    """Row of a device's quantity, or -1; ``device`` is the payload of the device's slot."""
    first = device >> 16
    for row in range(first, first + (device & 0xFFFF)):
        if rows_int[row, 0] >> 32 == quantity:
            return row
    return -1
