"""Native JSON of a whole batch, in one pass, straight into columns; and the lookup tables that it reads.

Rules of this file
- A kernel never reads outside ``[start, start + length)`` of a message, whatever the bytes are: every ``buf[i]`` stands
  behind ``i < end``.
- It decides only what it is sure of: good objects, and objects of plain shape that are ``unknown_device``,
  ``unknown_quantity``, ``out_of_span``, ``future_timestamp`` or ``too_old``. Anything else (an escape, an unknown
  non-ASCII name, a nested or wrong value, a huge number, broken JSON) marks the whole message for the slow path,
  ``ingest/payload/native.py``, and takes back whatever the message had written.
- All of it is one file on purpose: numba's cache looks at the file of the function it compiled only, so a helper that
  moved would be stale in the caller.

Lookup tables (built by ``ingest/payload/index.py``)
- ``slots`` int64 (n, 4), n a power of two at least twice the keys, linear probing: hash (0 = empty), the key's first
  eight bytes, its last eight, and ``payload << 16 | length``: for a device ``first row << 16 | rows``, for a quantity
  its number. A key of up to 16 bytes is compared without leaving its slot, which is half a cache line; of a longer one
  the third number is where it begins in ``keys``.
- ``rows_int`` int64 (points, 4), grouped by device: quantity << 32 | point, span low, span high (float64 bits, seen
  through ``rows_real``), and the lateness limit in ms. One row is half a cache line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from ingest.payload.kernels.words import borrow, load8, zeros

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEYS_MAX = 64
"""Quantities of one object that the kernel holds; more go to the slow path (= limits.POINTS_PER_DEVICE_MAX)."""
ID_BYTES_MAX = 128
"""= limits.DEVICE_ID_BYTES_MAX (a test compares)."""

INSIDE_BYTES = 16
"""Of a key that a slot holds whole."""
LENGTH_MAX = 0xFFFF
"""No key that is looked up is so long."""

BLOCK = 256
"""Objects staged before their devices are looked up: 256 x 104 bytes stay in the first-level cache's reach."""

UNKNOWN_DEVICE, UNKNOWN_QUANTITY, OUT_OF_SPAN, FUTURE_TIMESTAMP, TOO_OLD = 2, 3, 5, 6, 7
"""= schema.Reason (a test compares)."""
LATE, NO_SEQ, RETAINED = 1, 2, 16
"""= schema.Flag (a test compares)."""

_U0 = np.uint64(0)
_U1 = np.uint64(1)
_TEN = np.uint64(10)
_U32 = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_SEED = np.uint64(0xCBF29CE484222325)
_ONES = np.uint64(0x0101010101010101)
_HIGHS = np.uint64(0x8080808080808080)
_QUOTES = np.uint64(0x2222222222222222)
_SLASHES = np.uint64(0x5C5C5C5C5C5C5C5C)
_HIGH_HALVES = np.uint64(0xF0F0F0F0F0F0F0F0)
_SIXES = np.uint64(0x0606060606060606)
_DIGITS = np.uint64(0x3333333333333333)
_BLANKS = np.uint64(0x2020202020202020)
_MIX = np.uint64(0x9E3779B97F4A7C15)
_EXACT = np.uint64(1 << 53)

_P10 = 10.0 ** np.arange(23)
"""Every power of ten that a double holds exactly."""

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


# --- numbers ---------------------------------------------------------------------------------------------------


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
def parse_number(  # noqa: PLR0911  # each return is one way to leave a number to the slow path
    buf: NDArray[np.uint8], i: int, end: int, bits: NDArray[np.uint64], real: NDArray[np.float64]
) -> tuple[int, float]:
    """JSON number at ``i``: (index after it, the nearest double), or (-1, 0) for what the slow path must judge.

    ``bits`` and ``real`` are one scratch cell under two types. What follows the number is the caller's to check.
    """
    negative = buf[i] == 45  # -
    if negative:
        i += 1
        if i >= end:
            return -1, 0.0
    m = _U0
    digits = 0
    c = buf[i]
    if c == 48:  # 0, and no digit after it
        i += 1
        if i < end and 48 <= buf[i] <= 57:
            return -1, 0.0
    elif 49 <= c <= 57:
        first = i
        while i < end and 48 <= buf[i] <= 57:
            m = m * _TEN + np.uint64(buf[i] - 48)
            i += 1
        digits = i - first
    else:
        return -1, 0.0
    exponent = 0
    if i < end and buf[i] == 46:  # .
        i += 1
        first = i
        while i < end and 48 <= buf[i] <= 57:
            m = m * _TEN + np.uint64(buf[i] - 48)
            if m != _U0:
                digits += 1
            i += 1
        if i == first:
            return -1, 0.0
        exponent = first - i
    if digits > 19:
        return -1, 0.0
    if i < end and (buf[i] | 32) == 101:  # e E
        i += 1
        down = False
        if i < end and (buf[i] == 43 or buf[i] == 45):
            down = buf[i] == 45
            i += 1
        first = i
        power: Any = 0
        while i < end and 48 <= buf[i] <= 57 and i - first < 5:
            power = power * 10 + np.int64(buf[i] - 48)
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
        bits[0] = double_bits(m, exponent)
        if bits[0] == _U0:
            return -1, 0.0
        value = real[0]
    return i, -value if negative else value


@njit(cache=True, nogil=True, forceinline=True)
def parse_integer(buf: NDArray[np.uint8], i: int, end: int) -> tuple[int, int]:
    """JSON integer of at most 18 digits at ``i``: (index after it, value), or (-1, 0) for the slow path."""
    negative = i < end and buf[i] == 45
    if negative:
        i += 1
    first = i
    value: Any = 0
    if i + 8 <= end:
        word = load8(buf, i)
        if (word & _HIGH_HALVES) | (((word + _SIXES) & _HIGH_HALVES) >> np.uint64(4)) == _DIGITS:  # eight digits
            word = (word & np.uint64(0x0F0F0F0F0F0F0F0F)) * np.uint64(2561) >> np.uint64(8)
            word = (word & np.uint64(0x00FF00FF00FF00FF)) * np.uint64(6553601) >> np.uint64(16)
            value = np.int64((word & np.uint64(0x0000FFFF0000FFFF)) * np.uint64(42949672960001) >> _U32)
            i += 8
    while i < end and 48 <= buf[i] <= 57 and i - first < 19:
        value = value * 10 + np.int64(buf[i] - 48)
        i += 1
    digits = i - first
    if digits == 0 or digits > 18 or (digits > 1 and buf[first] == 48):
        return -1, 0
    return i, -value if negative else value  # "1.0" and "1e3" fail at the caller: neither , } nor blank follows


# --- names and tables ------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _stir(h: Any, word: Any) -> Any:
    h = (h ^ word) * _MIX
    return h ^ (h >> _U32)


@njit(cache=True, nogil=True)
def _finish(h: Any, length: int) -> Any:
    h = (h ^ np.uint64(length)) * _MIX
    h ^= h >> np.uint64(29)
    return np.int64(h | _U1)  # 0 means an empty slot


@njit(cache=True, nogil=True)
def _tail(buf: NDArray[np.uint8], start: int, end: int) -> Any:
    """Up to seven bytes as one little-endian word."""
    word = _U0
    for i in range(start, end):
        word |= np.uint64(buf[i]) << np.uint64(8 * (i - start))
    return word


@njit(cache=True, nogil=True)
def hash_bytes(buf: NDArray[np.uint8], start: int, end: int) -> Any:
    """A multiplicative hash of eight-byte words and the length; never 0. ``_string`` makes the same on its way."""
    h = _SEED
    i = start
    while i + 8 <= end:
        h = _stir(h, load8(buf, i))
        i += 8
    if i < end:
        h = _stir(h, _tail(buf, i, end))
    return _finish(h, end - start)


@njit(cache=True, nogil=True)
def build_slots(
    keys: NDArray[np.uint8], offsets: NDArray[np.int64], payload: NDArray[np.int64], slots: NDArray[np.int64]
) -> None:
    """Fill the empty ``slots`` with key k = ``keys[offsets[k]:offsets[k + 1]]`` and its ``payload[k]``, below 2^47."""
    mask = len(slots) - 1
    for k in range(len(offsets) - 1):
        length = offsets[k + 1] - offsets[k]
        h = hash_bytes(keys, offsets[k], offsets[k + 1])
        s = (h >> 1) & mask
        while slots[s, 0] != 0:
            s = (s + 1) & mask
        slots[s, 0] = h
        slots[s, 1] = _word(keys, offsets[k], length)
        slots[s, 2] = _last_word(keys, offsets[k], length) if length <= INSIDE_BYTES else offsets[k]
        slots[s, 3] = payload[k] << 16 | min(length, LENGTH_MAX)


@njit(cache=True, nogil=True, forceinline=True)
def _word(buf: NDArray[np.uint8], start: int, length: int) -> Any:
    """The first eight of ``length`` bytes at ``start``, or all of fewer."""
    return np.int64(load8(buf, start) if length >= 8 else _tail(buf, start, start + length))


@njit(cache=True, nogil=True, forceinline=True)
def _last_word(buf: NDArray[np.uint8], start: int, length: int) -> Any:
    """The last eight of more than eight bytes; 0 for eight and fewer."""
    return np.int64(load8(buf, start + length - 8)) if length > 8 else 0


@njit(cache=True, nogil=True, forceinline=True)
def _find(
    slots: NDArray[np.int64], keys: NDArray[np.uint8], h: int, buf: NDArray[np.uint8], start: int, length: int
) -> Any:
    """Payload of the key ``buf[start:start + length]`` whose hash is ``h``, or -1. Compares every byte."""
    mask = len(slots) - 1
    s = (h >> 1) & mask
    if slots[s, 0] == 0 or length >= LENGTH_MAX:
        return -1
    first = _word(buf, start, length)
    last = _last_word(buf, start, length)
    while slots[s, 0] != 0:
        if slots[s, 0] == h and slots[s, 1] == first and slots[s, 3] & LENGTH_MAX == length:
            same = slots[s, 2] == last
            if length > INSIDE_BYTES:
                offset = slots[s, 2]
                same = True
                for i in range(8, length):
                    if keys[offset + i] != buf[start + i]:
                        same = False
                        break
            if same:
                return slots[s, 3] >> 16
        s = (s + 1) & mask
    return -1


@njit(cache=True, nogil=True)
def find_bytes(slots: NDArray[np.int64], keys: NDArray[np.uint8], name: NDArray[np.uint8]) -> Any:
    """Payload of the key ``name``, or -1 (the slow path's way in)."""
    return _find(slots, keys, hash_bytes(name, 0, len(name)), name, 0, len(name))


@njit(cache=True, nogil=True)
def find_row(rows_int: NDArray[np.int64], device: int, quantity: int) -> int:
    """Row of a device's quantity, or -1; ``device`` is the payload of the device's slot."""
    first = device >> 16
    for row in range(first, first + (device & 0xFFFF)):
        if rows_int[row, 0] >> 32 == quantity:
            return row
    return -1


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


# --- the pass over a batch -------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _blank(buf: NDArray[np.uint8], i: int, end: int) -> int:
    if i < end and buf[i] > 32:
        return i
    while i < end and (buf[i] == 32 or buf[i] == 10 or buf[i] == 13 or buf[i] == 9):
        i += 1
    return i


@njit(cache=True, nogil=True, forceinline=True)
def _string(buf: NDArray[np.uint8], i: int, end: int) -> tuple[int, int, bool]:
    """String whose first byte is ``i``: (index of the closing quote, hash, all ASCII), or (-1, 0, False).

    Eight bytes a step; the lowest marked byte of ``stop`` is the first quote, backslash or control character
    (Mycroft's test: a borrow can only mark bytes above a true one).
    """
    first = i
    h = _SEED
    high = _U0
    while i + 8 <= end:
        word = load8(buf, i)
        quote = word ^ _QUOTES
        slash = word ^ _SLASHES
        stop = ((quote - _ONES) & ~quote) | ((slash - _ONES) & ~slash) | ((word - _BLANKS) & ~word)
        stop &= _HIGHS
        if stop == _U0:
            h = _stir(h, word)
            high |= word
            i += 8
            continue
        n = zeros(stop) >> 3
        i += n
        if buf[i] != 34:
            return -1, 0, False
        if n > 0:
            word &= _ALL >> np.uint64(64 - 8 * n)
            h = _stir(h, word)
            high |= word
        return i, _finish(h, i - first), high & _HIGHS == _U0
    tail = i
    while i < end:
        c = buf[i]
        if c == 34:
            if i > tail:
                word = _tail(buf, tail, i)
                h = _stir(h, word)
                high |= word
            return i, _finish(h, i - first), high & _HIGHS == _U0
        if c == 92 or c < 32:
            break
        i += 1
    return -1, 0, False


OTHER, ID, TS, SEQ, QUALITY = 0, 1, 2, 3, 4
"""What a key of an object is."""
_FIELD_BYTES = np.array([0, 5, 5, 6, 4])
_ID_WORD = np.uint64(int.from_bytes(b'"id":', "little"))
_TS_WORD = np.uint64(int.from_bytes(b'"ts":', "little"))
_SEQ_WORD = np.uint64(int.from_bytes(b'"seq":', "little"))
_Q_WORD = np.uint64(int.from_bytes(b'"q":', "little"))


@njit(cache=True, nogil=True, forceinline=True)
def _plain_field(word: Any) -> int:
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
def _field(text: NDArray[np.uint8], name: int, length: int) -> int:
    """The same of a name alone, whatever stands around it."""
    if length == 2 and text[name] == 105 and text[name + 1] == 100:
        return ID
    if length == 2 and text[name] == 116 and text[name + 1] == 115:
        return TS
    if length == 3 and text[name] == 115 and text[name + 1] == 101 and text[name + 2] == 113:
        return SEQ
    return QUALITY if length == 1 and text[name] == 113 else OTHER


@njit(cache=True, nogil=True)
def decode_native(
    buf: NDArray[np.uint8],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int32],
    retained: NDArray[np.uint8],
    select: NDArray[np.int64],
    first: int,
    received_at: int,
    ts_min: int,
    ts_max: int,
    payload_max: int,
    objects_max: int,
    device_slots: NDArray[np.int64],
    device_keys: NDArray[np.uint8],
    quantity_slots: NDArray[np.int64],
    quantity_keys: NDArray[np.uint8],
    rows_int: NDArray[np.int64],
    rows_real: NDArray[np.float64],
    o_point: NDArray[np.int32],
    o_ts: NDArray[np.int64],
    o_value: NDArray[np.float64],
    o_seq: NDArray[np.uint32],
    o_quality: NDArray[np.uint8],
    o_flags: NDArray[np.uint8],
    o_object: NDArray[np.int64],
    b_message: NDArray[np.int64],
    b_start: NDArray[np.int64],
    b_length: NDArray[np.int64],
    b_values: NDArray[np.int32],
    b_reason: NDArray[np.int8],
    j_int: NDArray[np.int64],
    j_value: NDArray[np.float64],
    s_int: NDArray[np.int64],
    k_int: NDArray[np.int64],
    k_value: NDArray[np.float64],
    slow: NDArray[np.int64],
) -> tuple[int, int, int, int, int]:
    """Decode messages ``select[first:]`` until done or until the outputs might not hold the next one.

    ``o_*`` are rows (``o_object``: which object), ``b_*`` objects (``b_reason`` -1: kept), ``j_*`` details of rejected
    ones: ``j_int`` (n, 7) = object, id start, id length, key start, key length, ts, row of the index; ``j_value`` the
    value out of its span. ``s_int`` (n, 13) and ``k_int`` (n, 4), ``k_value`` stage objects and their keys: message,
    start, length, id start, id length (negative: not ASCII), id hash, ts, seq, quality, first key, key end, device,
    scratch; and key start, length (negative likewise), hash, row. ``slow`` gets the messages left to the slow path.
    ``objects`` and ``rejects`` are numbered from 0 in each call.

    Returns:
        (next position in ``select``, rows, objects, rejects, slow messages).
    """
    cell = np.empty(1, np.uint64)
    bits = borrow(cell)
    real = borrow(cell.view(np.float64))
    text = borrow(buf)
    device_table = borrow(device_slots)
    device_names = borrow(device_keys)
    quantity_table = borrow(quantity_slots)
    quantity_names = borrow(quantity_keys)
    rows = borrow(rows_int)
    capacity = len(o_point)
    n_rows = 0
    n_objects = 0
    n_rejects = 0
    n_slow = 0
    position = first
    full = False
    while position < len(select) and not full:
        # --- 1. read: whole messages, until a block of objects is staged
        n_staged = 0
        n_keys = 0
        while position < len(select) and n_staged < BLOCK:
            message = select[position]
            i = starts[message]
            end = i + lengths[message]
            # A quantity with its value is at least 5 bytes ("":1), and an object has one at least: neither rows nor
            # objects can outgrow this.
            most = min(lengths[message], payload_max) // 5 + 1
            if n_rows + n_keys + most > capacity or n_objects + n_staged + most > capacity:
                full = True
                break
            position += 1
            staged_before = n_staged
            keys_before = n_keys
            good = lengths[message] <= payload_max
            i = _blank(text, i, end)
            pack = i < end and text[i] == 91  # [
            if pack:
                i = _blank(text, i + 1, end)
            while good:
                good = False  # until this object is read to its end
                if n_staged - staged_before >= objects_max or i >= end or text[i] != 123:  # {
                    break
                object_start = i
                key_first = n_keys
                id_start = -1
                id_length = 0
                id_hash = 0
                id_ascii = True
                ts = 0
                has_ts = False
                seq = -1
                quality = -1
                closed = False
                i += 1
                while True:
                    i = _blank(text, i, end)
                    if i >= end or text[i] != 34:  # "
                        break
                    field = _plain_field(load8(text, i)) if i + 8 <= end else OTHER
                    name = i + 1
                    name_hash = 0
                    name_ascii = True
                    length = 0
                    if field != OTHER:
                        i += _FIELD_BYTES[field]
                    else:
                        i, name_hash, name_ascii = _string(text, name, end)
                        if i < 0:
                            break
                        length = i - name
                        i = _blank(text, i + 1, end)
                        if i >= end or text[i] != 58:  # :
                            break
                        i += 1
                        field = _field(text, name, length)
                    i = _blank(text, i, end)
                    if i >= end:
                        break
                    if field == ID:
                        if id_start >= 0 or text[i] != 34:
                            break
                        id_start = i + 1
                        i, id_hash, id_ascii = _string(text, id_start, end)
                        id_length = i - id_start
                        if i < 0 or id_length == 0 or id_length > ID_BYTES_MAX:
                            break
                        i += 1
                    elif field == TS:
                        if has_ts:
                            break
                        has_ts = True
                        i, ts = parse_integer(text, i, end)
                        if i < 0:
                            break
                    elif field == SEQ:
                        if seq >= 0:
                            break
                        i, seq = parse_integer(text, i, end)
                        if i < 0 or seq < 0 or seq > 0xFFFFFFFF:
                            break
                    elif field == QUALITY:
                        if quality >= 0:
                            break
                        i, quality = parse_integer(text, i, end)
                        if i < 0 or quality < 0 or quality > 2:
                            break
                    else:
                        if n_keys - key_first == KEYS_MAX:
                            break
                        if text[i] == 110:  # null
                            if i + 4 > end or text[i + 1] != 117 or text[i + 2] != 108 or text[i + 3] != 108:
                                break
                            i += 4
                            value = np.nan
                        else:
                            i, value = parse_number(text, i, end, bits, real)
                            if i < 0:
                                break
                        again = False
                        for k in range(key_first, n_keys):
                            # equal hashes of unlike names go to the slow path too, which knows better
                            again |= k_int[k, 2] == name_hash
                        if again:
                            break
                        k_int[n_keys, 0] = name
                        k_int[n_keys, 1] = length if name_ascii else -length
                        k_int[n_keys, 2] = name_hash
                        k_value[n_keys] = value
                        n_keys += 1
                    i = _blank(text, i, end)
                    if i >= end:
                        break
                    if text[i] == 44:  # ,
                        i += 1
                    elif text[i] == 125:  # }
                        i += 1
                        closed = True
                        break
                    else:
                        break
                if not closed or id_start < 0 or not has_ts or n_keys == key_first:
                    break
                s_int[n_staged, 0] = message
                s_int[n_staged, 1] = object_start
                s_int[n_staged, 2] = i - object_start
                s_int[n_staged, 3] = id_start
                s_int[n_staged, 4] = id_length if id_ascii else -id_length
                s_int[n_staged, 5] = id_hash
                s_int[n_staged, 6] = ts
                s_int[n_staged, 7] = seq
                s_int[n_staged, 8] = quality
                s_int[n_staged, 9] = key_first
                s_int[n_staged, 10] = n_keys
                n_staged += 1
                i = _blank(text, i, end)
                if not pack:
                    good = i == end
                    break
                if i >= end:
                    break
                if text[i] == 44:  # ,
                    i = _blank(text, i + 1, end)
                    good = True
                else:
                    good = text[i] == 93 and _blank(text, i + 1, end) == end  # ]
                    break
            if not good:
                n_staged = staged_before
                n_keys = keys_before
                slow[n_slow] = message
                n_slow += 1

        # --- 2. look the devices up. Three short loops of independent loads: the processor overlaps their cache
        # misses, which it cannot do across the hundreds of instructions of reading an object.
        mask = len(device_table) - 1
        for k in range(n_staged):
            s_int[k, 11] = device_table[(s_int[k, 5] >> 1) & mask, 0]
        for k in range(n_staged):
            s_int[k, 11] = _find(device_table, device_names, s_int[k, 5], text, s_int[k, 3], abs(s_int[k, 4]))
        touched = 0
        for k in range(n_staged):
            if s_int[k, 11] >= 0:
                touched ^= rows[s_int[k, 11] >> 16, 0]
        s_int[0, 12] = touched  # so that the loop is not dropped

        # --- 3. judge, in the order of the reasons, and write
        k = 0
        while k < n_staged:
            message = s_int[k, 0]
            rows_before = n_rows
            objects_before = n_objects
            rejects_before = n_rejects
            sure = True
            while k < n_staged and s_int[k, 0] == message:
                device = s_int[k, 11]
                sure &= device >= 0 or s_int[k, 4] > 0
                ts = s_int[k, 6]
                key_first = s_int[k, 9]
                key_end = s_int[k, 10]
                reason = -1
                at = key_first  # which key is at fault
                for key in range(key_first, key_end):
                    length = k_int[key, 1]
                    row = -1
                    quantity = _find(quantity_table, quantity_names, k_int[key, 2], text, k_int[key, 0], abs(length))
                    if quantity < 0:
                        sure &= length >= 0  # not ASCII and not known: is it even UTF-8?
                    elif device >= 0:
                        row = find_row(rows, device, quantity)
                    k_int[key, 3] = row
                    if row < 0 and reason < 0:
                        reason = UNKNOWN_QUANTITY
                        at = key
                if device < 0:
                    reason = UNKNOWN_DEVICE
                if reason < 0:
                    for key in range(key_first, key_end):
                        row = k_int[key, 3]
                        if k_value[key] < rows_real[row, 1] or k_value[key] > rows_real[row, 2]:
                            reason = OUT_OF_SPAN
                            at = key
                            break
                if reason < 0 and ts > ts_max:
                    reason = FUTURE_TIMESTAMP
                if reason < 0 and ts < ts_min:
                    reason = TOO_OLD

                b_message[n_objects] = message
                b_start[n_objects] = s_int[k, 1]
                b_length[n_objects] = s_int[k, 2]
                b_values[n_objects] = key_end - key_first
                b_reason[n_objects] = reason
                if reason >= 0:
                    j_int[n_rejects, 0] = n_objects
                    j_int[n_rejects, 1] = s_int[k, 3]
                    j_int[n_rejects, 2] = abs(s_int[k, 4])
                    j_int[n_rejects, 3] = k_int[at, 0]
                    j_int[n_rejects, 4] = abs(k_int[at, 1])
                    j_int[n_rejects, 5] = ts
                    j_int[n_rejects, 6] = k_int[at, 3]
                    j_value[n_rejects] = k_value[at]
                    n_rejects += 1
                else:
                    seq = s_int[k, 7]
                    common = RETAINED if retained[message] != 0 else 0
                    if seq < 0:
                        common |= NO_SEQ
                    own = n_rows
                    for key in range(key_first, key_end):
                        row = k_int[key, 3]
                        point = rows[row, 0] & 0xFFFFFFFF
                        place = n_rows
                        while place > own and o_point[place - 1] > point:  # most senders name quantities in one order
                            o_point[place] = o_point[place - 1]
                            o_value[place] = o_value[place - 1]
                            o_flags[place] = o_flags[place - 1]
                            place -= 1
                        o_point[place] = point
                        o_value[place] = k_value[key]
                        o_flags[place] = common | (LATE if received_at - ts > rows[row, 3] else 0)
                        o_ts[n_rows] = ts
                        o_seq[n_rows] = max(seq, 0)
                        o_quality[n_rows] = max(s_int[k, 8], 0)
                        o_object[n_rows] = n_objects
                        n_rows += 1
                n_objects += 1
                k += 1
            if not sure:
                n_rows = rows_before
                n_objects = objects_before
                n_rejects = rejects_before
                slow[n_slow] = message
                n_slow += 1
    return position, n_rows, n_objects, n_rejects, n_slow


def outputs(capacity: int, messages: int) -> tuple[Any, ...]:
    """Uninitialised outputs and staging for ``capacity`` rows and objects, in argument order."""
    rows = (np.int32, np.int64, np.float64, np.uint32, np.uint8, np.uint8, np.int64)
    objects = (np.int64, np.int64, np.int64, np.int32, np.int8)
    return (
        *(np.empty(capacity, t) for t in rows + objects),
        np.empty((capacity, 7), np.int64),
        np.empty(capacity, np.float64),
        np.empty((capacity, 13), np.int64),
        np.empty((capacity, 4), np.int64),
        np.empty(capacity, np.float64),
        np.empty(messages, np.int64),
    )
