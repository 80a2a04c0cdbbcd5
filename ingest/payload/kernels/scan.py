"""What stands where in JSON text: blanks, strings, the four fields of the native payload, and how deep brackets go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from ingest.payload.kernels.names import SEED, finish, stir
from ingest.payload.kernels.words import byte, tail8, zeros

if TYPE_CHECKING:
    from numpy.typing import NDArray

OTHER, ID, TS, SEQ, QUALITY = 0, 1, 2, 3, 4
"""What a key of an object is."""

_U0 = np.uint64(0)
_U1 = np.uint64(1)
_BYTE = np.uint64(0xFF)
_QUOTE = np.uint64(34)
_LOW = np.uint64(0xFFFFFFFF)
_ONES = np.uint64(0x0101010101010101)
_HIGHS = np.uint64(0x8080808080808080)
_QUOTES = np.uint64(0x2222222222222222)
_SLASHES = np.uint64(0x5C5C5C5C5C5C5C5C)
_BLANKS = np.uint64(0x2020202020202020)
_ID_WORD = np.uint64(int.from_bytes(b'"id":', "little"))
_TS_WORD = np.uint64(int.from_bytes(b'"ts":', "little"))
_SEQ_WORD = np.uint64(int.from_bytes(b'"seq":', "little"))
_Q_WORD = np.uint64(int.from_bytes(b'"q":', "little"))


@njit(cache=True, nogil=True)
def nesting(buf: NDArray[np.uint8]) -> int:
    """Deepest level of brackets outside strings: asked before a recursive parser sees the bytes."""
    depth = 0
    deepest = 0
    quoted = False
    i = 0
    while i < len(buf):
        c = buf[i]
        if quoted:
            if c == 92:  # backslash
                i += 1
            elif c == 34:
                quoted = False
        elif c == 34:
            quoted = True
        elif c in {91, 123}:  # [ {
            depth += 1
            deepest = max(deepest, depth)
        elif c in {93, 125}:
            depth -= 1
        i += 1
    return deepest


@njit(cache=True, nogil=True)
def _blanks(buf: Any, i: int, end: int) -> int:
    while i < end and (byte(buf, i) == 32 or byte(buf, i) == 10 or byte(buf, i) == 13 or byte(buf, i) == 9):
        i += 1
    return i


@njit(cache=True, nogil=True, forceinline=True)
def blank(buf: Any, i: int, end: int) -> Any:
    """The first index from ``i`` on that is no blank, or ``end``."""
    if i < end and byte(buf, i) > 32:
        return i
    return _blanks(buf, i, end)


@njit(cache=True, nogil=True, forceinline=True)
def string(buf: Any, i: int, end: int) -> Any:
    """String whose first byte is ``i``: (index of the closing quote, hash, first eight bytes, all ASCII), or (-1, …).

    Eight bytes a step; the lowest marked byte of ``stop`` is the first quote, backslash or control character
    (Mycroft's test: a borrow can only mark bytes above a true one). The zeros behind ``end`` are control characters.
    At least eight bytes lie before ``end``.
    """
    begin = i
    h = SEED
    high = _U0
    first = _U0
    while i < end:
        word = tail8(buf, i, end)
        quote = word ^ _QUOTES
        slash = word ^ _SLASHES
        stop = ((quote - _ONES) & ~quote) | ((slash - _ONES) & ~slash) | ((word - _BLANKS) & ~word)
        stop &= _HIGHS
        if stop == _U0:
            if i == begin:
                first = word
            h = stir(h, word)
            high |= word
            i += 8
            continue
        bits = zeros(stop) & 56
        if (word >> np.uint64(bits)) & _BYTE != _QUOTE:
            break
        word &= (_U1 << np.uint64(bits)) - _U1
        if i == begin:
            first = word
        i += bits >> 3
        return i, finish(stir(h, word), i - begin), np.int64(first), (high | word) & _HIGHS == _U0
    return -1, 0, 0, False


@njit(cache=True, nogil=True, forceinline=True)
def plain_field(word: Any) -> int:
    """Which field begins these eight bytes, quotes and colon included as every encoder writes them."""
    five = word & np.uint64(0xFFFFFFFFFF)
    if five == _ID_WORD:
        return ID
    if five == _TS_WORD:
        return TS
    if word & np.uint64(0xFFFFFFFFFFFF) == _SEQ_WORD:
        return SEQ
    return QUALITY if word & _LOW == _Q_WORD else OTHER


@njit(cache=True, nogil=True, forceinline=True)
def field_of(name: int, length: int) -> int:
    """The same of a name alone, whatever stands around it; ``name`` are its first eight bytes."""
    if length == 2:
        return ID if name == 0x6469 else TS if name == 0x7374 else OTHER
    if length == 3 and name == 0x716573:
        return SEQ
    return QUALITY if length == 1 and name == 0x71 else OTHER
