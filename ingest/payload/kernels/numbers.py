"""Decimal text to numbers: eight digits in one step where a sender writes as senders do, byte by byte otherwise.

A number of up to seven digits, a point and up to seven more holds no loop and hardly a branch: how many digits stand
there is counted, not tried, so the processor has nothing to guess. Everything else is ``_number_slowly``'s, and what
that is not sure of is the slow path's (``ingest/payload/native.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from ingest.payload.kernels.words import as_double, byte, tail8, zeros

if TYPE_CHECKING:
    from numpy.typing import NDArray

_U0 = np.uint64(0)
_U1 = np.uint64(1)
_U8 = np.uint64(8)
_TEN = np.uint64(10)
_U32 = np.uint64(32)
_BYTE = np.uint64(0xFF)
_LOW = np.uint64(0xFFFFFFFF)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_HIGHS = np.uint64(0x8080808080808080)
_ZEROS = np.uint64(0x3030303030303030)
"""0 in every byte."""
_BEYOND_NINE = np.uint64(0x7676767676767676)
"""What makes a byte of 10 and more 0x80 and more."""
_EXACT = np.uint64(1 << 53)

_MINUS, _POINT, _NOUGHT, _E = np.uint64(45), np.uint64(46), np.uint64(48), np.uint64(101)
_CASE = np.uint64(32)

_P10 = 10.0 ** np.arange(23)
"""Every power of ten that a double holds exactly."""
_P10_INT = 10 ** np.arange(8, dtype=np.uint64)

Q_MIN, Q_MAX = -342, 308


def _powers_of_five() -> NDArray[np.uint64]:
    """5^q for q in -342..308 as 128-bit truncated significands (Lemire, "Number parsing at a gigabyte per second")."""
    table = np.zeros((Q_MAX - Q_MIN + 1, 2), np.uint64)
    for q in range(Q_MIN, Q_MAX + 1):
        power = 5 ** abs(q)
        if q < 0:
            z = (power - 1).bit_length()
            c = (1 << (z + 127 if q >= -27 else 2 * z + 128)) // power + 1
        else:
            c = power << max(0, 128 - power.bit_length())
        c >>= max(0, c.bit_length() - 128)
        table[q - Q_MIN] = c >> 64, c & 0xFFFFFFFFFFFFFFFF
    return table


_P5 = _powers_of_five()


@njit(cache=True, nogil=True)
def _multiply(a: Any, b: Any) -> tuple[Any, Any]:
    """High and low half of the 128-bit product."""
    a0 = a & _LOW
    a1 = a >> _U32
    b0 = b & _LOW
    b1 = b >> _U32
    p00 = a0 * b0
    p01 = a0 * b1
    p10 = a1 * b0
    middle = (p00 >> _U32) + (p01 & _LOW) + (p10 & _LOW)
    high = a1 * b1 + (p01 >> _U32) + (p10 >> _U32) + (middle >> _U32)
    return high, (middle << _U32) | (p00 & _LOW)


@njit(cache=True, nogil=True)
def double_bits(w: Any, q: int) -> Any:
    """Bits of the double nearest to w * 10^q for w > 0; 0 where this method cannot say (subnormal, overflow, a tie).

    Eisel and Lemire, https://arxiv.org/abs/2101.11408, as in the fast_float library.
    """
    if q < Q_MIN or q > Q_MAX:
        return _U0
    zeros = 0
    probe = w
    while probe >> np.uint64(63) == _U0:
        probe <<= _U1
        zeros += 1
    w = probe
    high, low = _multiply(w, _P5[q - Q_MIN, 0])
    if high & np.uint64(0x1FF) == np.uint64(0x1FF):
        more, _ = _multiply(w, _P5[q - Q_MIN, 1])
        low += more
        if more > low:
            high += _U1
    if low == _ALL and (q < -27 or q > 55):
        return _U0
    upper = np.int64(high >> np.uint64(63))
    shift = np.uint64(upper + 9)
    mantissa = high >> shift
    exponent = ((217706 * q) >> 16) + 63 + upper - zeros + 1023
    if exponent <= 0:
        return _U0
    if low <= _U1 and -4 <= q <= 23 and mantissa & np.uint64(3) == _U1 and (mantissa << shift) == high:
        mantissa &= ~_U1
    mantissa += mantissa & _U1
    mantissa >>= _U1
    if mantissa >= np.uint64(1 << 53):
        mantissa = np.uint64(1 << 52)
        exponent += 1
    if exponent >= 0x7FF:
        return _U0
    return (mantissa & ~np.uint64(1 << 52)) | (np.uint64(exponent) << np.uint64(52))


@njit(cache=True, nogil=True, forceinline=True)
def _digits_in(word: Any) -> Any:
    """How many digits a word begins with, 0 to 8. A carry marks only bytes above one that is no digit."""
    apart = word ^ _ZEROS
    return zeros((apart | (apart + _BEYOND_NINE)) & _HIGHS) >> 3


@njit(cache=True, nogil=True, forceinline=True)
def _eight(word: Any) -> Any:
    """The number of eight digits in text; the bytes hold 0 to 9 or the digits themselves."""
    word = (word & np.uint64(0x0F0F0F0F0F0F0F0F)) * np.uint64(2561) >> _U8
    word = (word & np.uint64(0x00FF00FF00FF00FF)) * np.uint64(6553601) >> np.uint64(16)
    return (word & np.uint64(0x0000FFFF0000FFFF)) * np.uint64(42949672960001) >> _U32


@njit(cache=True, nogil=True, forceinline=True)
def _leading(word: Any, digits: int) -> Any:
    """The number of the first 0 to 7 bytes: moved up, they have zeros in front."""
    return _eight((word << _U8) << np.uint64(56 - 8 * digits))


@njit(cache=True, nogil=True)
def _number_slowly(  # noqa: PLR0911  # each return is one way to leave a number to the slow path
    buf: Any, i: int, end: int
) -> Any:
    """``parse_number`` of any form, byte by byte."""
    negative = byte(buf, i) == 45  # -
    if negative:
        i += 1
        if i >= end:
            return -1, 0.0
    m = _U0
    digits = 0
    c = byte(buf, i)
    if c == 48:  # 0, and no digit after it
        i += 1
        if i < end and 48 <= byte(buf, i) <= 57:
            return -1, 0.0
    elif 49 <= c <= 57:
        first = i
        while i < end and 48 <= byte(buf, i) <= 57:
            m = m * _TEN + np.uint64(byte(buf, i) - 48)
            i += 1
        digits = i - first
    else:
        return -1, 0.0
    exponent = 0
    if i < end and byte(buf, i) == 46:  # .
        i += 1
        first = i
        while i < end and 48 <= byte(buf, i) <= 57:
            m = m * _TEN + np.uint64(byte(buf, i) - 48)
            if m != _U0:
                digits += 1
            i += 1
        if i == first:
            return -1, 0.0
        exponent = first - i
    if digits > 19:
        return -1, 0.0
    if i < end and (byte(buf, i) | 32) == 101:  # e E
        i += 1
        down = False
        if i < end and (byte(buf, i) == 43 or byte(buf, i) == 45):
            down = byte(buf, i) == 45
            i += 1
        first = i
        power: Any = 0
        while i < end and 48 <= byte(buf, i) <= 57 and i - first < 5:
            power = power * 10 + byte(buf, i) - 48
            i += 1
        if i == first or i - first > 4:
            return -1, 0.0
        exponent += -power if down else power
    if m == _U0:
        value = 0.0
    elif m <= _EXACT and -22 <= exponent <= 22:
        value = np.float64(np.int64(m))
        value = value * _P10[exponent] if exponent >= 0 else value / _P10[-exponent]
    else:
        bits = double_bits(m, exponent)
        if bits == _U0:
            return -1, 0.0
        value = as_double(bits)
    return i, -value if negative else value


@njit(cache=True, nogil=True, forceinline=True)
def parse_number(buf: Any, i: int, end: int) -> Any:
    """JSON number at ``i``: (index after it, the nearest double), or (-1, 0) for what the slow path must judge.

    What follows the number is the caller's to check. As for
    ``tail8``, ``i < end`` and eight bytes lie before ``end``.
    """
    word = tail8(buf, i, end)
    negative = word & _BYTE == _MINUS
    at = i
    if negative:
        word >>= _U8
        at += 1
    digits = _digits_in(word)
    if 0 < digits < 8 and (digits == 1 or word & _BYTE != _NOUGHT):
        whole = _leading(word, digits)
        at += digits
        follows = (word >> np.uint64(8 * digits)) & _BYTE
        if follows == _POINT and at + 1 < end:
            word = tail8(buf, at + 1, end)
            digits = _digits_in(word)
            follows = (word >> np.uint64(8 * (digits & 7))) & _BYTE
            if 0 < digits < 8 and follows | _CASE != _E:
                # below 10^14, and so exact; and so is the power: one division rounds once
                value = np.float64(np.int64(whole * _P10_INT[digits] + _leading(word, digits))) / _P10[digits]
                return at + 1 + digits, -value if negative else value
        elif follows != _U0 and follows | _CASE != _E and follows != _POINT:
            value = np.float64(np.int64(whole))
            return at, -value if negative else value
    return _number_slowly(buf, i, end)


@njit(cache=True, nogil=True)
def _integer_slowly(buf: Any, i: int, end: int) -> Any:
    """``parse_integer`` of any form, byte by byte."""
    negative = i < end and byte(buf, i) == 45
    if negative:
        i += 1
    first = i
    value: Any = 0
    while i < end and 48 <= byte(buf, i) <= 57 and i - first < 19:
        value = value * 10 + byte(buf, i) - 48
        i += 1
    digits = i - first
    if digits == 0 or digits > 18 or (digits > 1 and byte(buf, first) == 48):
        return -1, 0
    return i, -value if negative else value


@njit(cache=True, nogil=True, forceinline=True)
def parse_integer(buf: Any, i: int, end: int) -> Any:
    """JSON integer of at most 18 digits at ``i``: (index after it, value), or (-1, 0) for the slow path.

    "1.0" and "1e3" fail at the caller: neither , } nor blank follows. ``i`` and ``end`` as for ``parse_number``.
    """
    word = tail8(buf, i, end)
    digits = _digits_in(word)
    if digits == 1 or word & _BYTE != _NOUGHT:
        if 0 < digits < 8:
            return i + digits, np.int64(_leading(word, digits))
        if digits == 8 and i + 8 < end:  # an event time has 13
            value = _eight(word)
            word = tail8(buf, i + 8, end)
            digits = _digits_in(word)
            if digits < 8:
                return i + 8 + digits, np.int64(value * _P10_INT[digits] + _leading(word, digits))
    return _integer_slowly(buf, i, end)
