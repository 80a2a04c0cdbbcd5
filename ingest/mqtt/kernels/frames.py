"""All PUBLISH packets of a buffer as columns, in one compiled pass.

Rules. The kernel never decides that a packet is wrong and never accepts one that ``ingest.mqtt.publish`` would
refuse: whatever is not plainly right is listed as *special* for the strict path in Python. A special PUBLISH keeps
its row, so that the order of acknowledgements is the order of arrival. The walk stops at an incomplete packet, at
a broken or too large length, and when a column is full; where it stops depends on the bytes only, so any chunking
gives the same packets.

    fixed header   type|DUP|QoS|RETAIN, remaining length (1-4 bytes, shortest form)
    PUBLISH        topic length 2, topic, [packet id 2 if QoS > 0], [MQTT 5: property length, properties], payload
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from ingest.payload.kernels.words import load8

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NONE = np.uint64(0)
_ONES = np.uint64(0x0101010101010101)
_HIGHS = np.uint64(0x8080808080808080)
_MANY = np.uint64(0x2323232323232323)
"""# in every byte."""
_ONE = np.uint64(0x2B2B2B2B2B2B2B2B)
"""+ in every byte."""

CONTROL = 0
"""Special: a complete packet that is not a PUBLISH."""
PUBLISH = 1
"""Special: a complete PUBLISH for the strict path; its row is reserved and zero."""
OVERSIZED = 2
"""Special, and the end of the walk: the header announces more than ``packet_bytes_max``."""
BAD_LENGTH = 3
"""Special, and the end of the walk: the remaining length is no variable byte integer."""


@njit(cache=True, nogil=True, inline="always")
def varint(buf: NDArray[np.uint8], at: int, end: int) -> tuple[int, int]:
    """Value and the position after it; value -1: more bytes needed, -2: ill-formed (five bytes or not shortest)."""
    value = 0
    shift = 0
    while shift < 28:
        if at >= end:
            return -1, at
        byte = int(buf[at])
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0 and shift > 0:
                return -2, at
            return value, at
        shift += 7
    return -2, at


@njit(cache=True, nogil=True)
def utf8_wide(buf: NDArray[np.uint8], at: int, end: int, is_topic: bool) -> bool:
    """Well-formed UTF-8 (Unicode 15, table 3-7) without U+0000 and, in a topic, without wildcards."""
    while at < end:
        c = buf[at]
        if c < 0x80:
            if c == 0 or (is_topic and (c == 0x23 or c == 0x2B)):  # noqa: PLR1714 - a set is slow in a kernel
                return False
            at += 1
            continue
        low = 0x80
        high = 0xBF
        if 0xC2 <= c <= 0xDF:
            follow = 1
        elif 0xE0 <= c <= 0xEF:
            follow = 2
            if c == 0xE0:
                low = 0xA0
            elif c == 0xED:  # surrogates
                high = 0x9F
        elif 0xF0 <= c <= 0xF4:
            follow = 3
            if c == 0xF0:
                low = 0x90
            elif c == 0xF4:  # past U+10FFFF
                high = 0x8F
        else:
            return False
        if at + follow >= end:
            return False
        for i in range(1, follow + 1):
            d = buf[at + i]
            if d < low or d > high:
                return False
            low = 0x80
            high = 0xBF
        at += follow + 1
    return True


@njit(cache=True, nogil=True)
def topic_slow(buf: NDArray[np.uint8], at: int, end: int) -> bool:
    """``utf8_wide`` for a topic, byte by byte while it is ASCII."""
    for i in range(at, end):
        c = buf[i]
        if c >= 0x80:
            return bool(utf8_wide(buf, i, end, is_topic=True))
        if c == 0 or c == 0x23 or c == 0x2B:  # U+0000 # +  # noqa: PLR1714 - a set is slow in a kernel
            return False
    return True


@njit(cache=True, nogil=True, forceinline=True)
def topic_ok(buf: NDArray[np.uint8], at: int, end: int) -> bool:
    """The same in a hurry: nearly every topic is plain ASCII, and eight bytes are looked at in one step.

    ``marked`` is 0 only if no byte is above 0x7F, U+0000, # or + (Mycroft's test never misses one). The last step looks
    at some bytes again.
    """
    i = at
    while i < end:
        if end - at < 8:
            return bool(topic_slow(buf, at, end))
        word = load8(buf, min(i, end - 8))
        many = word ^ _MANY
        one = word ^ _ONE
        marked = word | ((word - _ONES) & ~word) | ((many - _ONES) & ~many) | ((one - _ONES) & ~one)
        if marked & _HIGHS != _NONE:
            return bool(topic_slow(buf, at, end))
        i += 8
    return True


@njit(cache=True, nogil=True)
def properties_plain(buf: NDArray[np.uint8], at: int, end: int) -> bool:  # noqa: PLR0911 - a gate with many ways out
    """True when every PUBLISH property is one that changes nothing for a subscriber, and is well formed."""
    seen = 0
    while at < end:
        key = buf[at]  # identifiers are varints, but all of PUBLISH's are below 128
        at += 1
        if key == 38:  # user property
            for _ in range(2):
                if at + 2 > end:
                    return False
                stop = at + 2 + ((int(buf[at]) << 8) | int(buf[at + 1]))
                if stop > end or not utf8_wide(buf, at + 2, stop, is_topic=False):
                    return False
                at = stop
            continue
        if key == 11:  # subscription identifier
            value, at = varint(buf, at, end)
            if value <= 0:
                return False
            continue
        if key == 1 or key == 2:  # payload format, message expiry  # noqa: PLR1714
            width = 1 if key == 1 else 4
            if at + width > end or (key == 1 and buf[at] > 1):
                return False
            at += width
        elif key == 3 or key == 9:  # content type, correlation data  # noqa: PLR1714
            if at + 2 > end:
                return False
            stop = at + 2 + ((int(buf[at]) << 8) | int(buf[at + 1]))
            if stop > end or (key == 3 and not utf8_wide(buf, at + 2, stop, is_topic=False)):
                return False
            at = stop
        else:  # topic alias, response topic, unknown
            return False
        if seen & (1 << key):
            return False
        seen |= 1 << key
    return True


@njit(cache=True, nogil=True)
def walk(
    buf: NDArray[np.uint8],
    at: int,
    end: int,
    is_v5: bool,
    packet_bytes_max: int,
    topic_bytes_max: int,
    topic_start: NDArray[np.int64],
    topic_len: NDArray[np.int32],
    payload_start: NDArray[np.int64],
    payload_len: NDArray[np.int32],
    packet_id: NDArray[np.uint16],
    qos: NDArray[np.uint8],
    retain: NDArray[np.uint8],
    special_kind: NDArray[np.uint8],
    special_at: NDArray[np.int64],
    special_body: NDArray[np.int64],
    special_end: NDArray[np.int64],
    special_row: NDArray[np.int64],
) -> tuple[int, int, int, bool]:
    """Walk ``buf[at:end]``; returns (position after the last whole packet, rows, specials, True when a column is full).

    ``special_*`` of one packet: kind, offset of its first byte, of its body, after its end (beyond ``end`` for
    OVERSIZED), and the number of rows before it.
    """
    rows = 0
    specials = 0
    rows_max = len(topic_start)
    specials_max = len(special_kind)
    while at < end:
        if rows == rows_max or specials == specials_max:
            return at, rows, specials, True
        length, body = varint(buf, at + 1, end)
        if length == -1:
            break
        stop = body + length
        if length == -2 or stop - at > packet_bytes_max:
            special_kind[specials] = BAD_LENGTH if length == -2 else OVERSIZED
            special_at[specials] = at
            special_body[specials] = body
            special_end[specials] = stop
            special_row[specials] = rows
            return at, rows, specials + 1, False
        if stop > end:
            break
        first = int(buf[at])
        plain = False
        if first >> 4 == 3:
            level = (first >> 1) & 3
            if (level == 1 or (level == 0 and not first & 8)) and length >= 2:
                name = body + 2
                name_len = (int(buf[body]) << 8) | int(buf[body + 1])
                cursor = name + name_len
                identifier = 0
                if 0 < name_len <= topic_bytes_max and cursor + 2 * level <= stop and topic_ok(buf, name, cursor):
                    plain = True
                    if level:
                        identifier = (int(buf[cursor]) << 8) | int(buf[cursor + 1])
                        cursor += 2
                        plain = identifier != 0
                    if is_v5 and plain:
                        if cursor < stop and buf[cursor] == 0:
                            cursor += 1
                        else:
                            size, cursor = varint(buf, cursor, stop)
                            plain = size >= 0 and cursor + size <= stop and properties_plain(buf, cursor, cursor + size)
                            cursor += size
                if plain:
                    topic_start[rows] = name
                    topic_len[rows] = name_len
                    payload_start[rows] = cursor
                    payload_len[rows] = stop - cursor
                    packet_id[rows] = identifier
                    qos[rows] = level
                    retain[rows] = first & 1
        if not plain:
            special_kind[specials] = PUBLISH if first >> 4 == 3 else CONTROL
            special_at[specials] = at
            special_body[specials] = body
            special_end[specials] = stop
            special_row[specials] = rows
            specials += 1
            if first >> 4 == 3:
                topic_start[rows] = topic_len[rows] = payload_start[rows] = payload_len[rows] = 0
                packet_id[rows] = qos[rows] = retain[rows] = 0
        rows += first >> 4 == 3
        at = stop
    return at, rows, specials, False
