"""Objects to MQTT 3.1.1 PUBLISH packets: JSON text and headers in one buffer.

Two passes over the same objects: ``measure`` counts the bytes of each, so that ``write`` can put every packet at its
final place with its exact remaining length. Texts that do not change (topics, ``{"id":"…","seq":``, ``,"ch4":``) come
as tables of bytes with offsets. Numbers are scaled integers with a fixed count of decimals: no float is ever printed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TS = np.frombuffer(b',"ts":', np.uint8)
_TS_BYTES = 6


@njit(cache=True, nogil=True, inline="always")
def digits(n: Any) -> Any:
    """Decimal digits of n >= 0."""
    count = 1
    while n >= 10:
        n //= 10
        count += 1
    return count


@njit(cache=True, nogil=True, inline="always")
def number_size(scaled: Any, decimals: Any) -> Any:
    """Bytes of a scaled integer in JSON."""
    sign = 0
    if scaled < 0:
        sign = 1
        scaled = -scaled
    count = digits(scaled)
    if decimals > 0:
        count = max(count, decimals + 1) + 1
    return sign + count


@njit(cache=True, nogil=True, inline="always")
def put_number(buffer: Any, at: Any, scaled: Any, decimals: Any) -> Any:
    """Write it; returns the position after it."""
    if scaled < 0:
        buffer[at] = 45  # -
        at += 1
        scaled = -scaled
    count = digits(scaled)
    if decimals > 0:
        count = max(count, decimals + 1) + 1
    end = at + count
    i = end - 1
    for _ in range(decimals):
        buffer[i] = 48 + scaled % 10
        scaled //= 10
        i -= 1
    if decimals > 0:
        buffer[i] = 46  # .
        i -= 1
    while i >= at:
        buffer[i] = 48 + scaled % 10
        scaled //= 10
        i -= 1
    return end


@njit(cache=True, nogil=True, inline="always")
def put_text(buffer: Any, at: Any, text: Any, start: Any, end: Any) -> Any:
    """Copy text[start:end]; returns the position after it."""
    for i in range(start, end):
        buffer[at] = text[i]
        at += 1
    return at


@njit(cache=True, nogil=True)
def measure(
    device: NDArray[np.int32],
    ts: NDArray[np.int64],
    seq: NDArray[np.uint32],
    ptr: NDArray[np.int64],
    scaled: NDArray[np.int64],
    device_ptr: NDArray[np.int64],
    point_model: NDArray[np.int16],
    decimals: NDArray[np.int64],
    head_ptr: NDArray[np.int64],
    key_ptr: NDArray[np.int64],
    sizes: NDArray[np.int64],
) -> None:
    """``sizes[row]`` = bytes of the row's JSON object."""
    for row in range(len(device)):
        d = device[row]
        size = head_ptr[d + 1] - head_ptr[d] + digits(np.int64(seq[row])) + _TS_BYTES + number_size(ts[row], 0) + 1
        p = device_ptr[d]
        for k in range(ptr[row], ptr[row + 1]):
            m = point_model[p]
            size += key_ptr[m + 1] - key_ptr[m] + number_size(scaled[k], decimals[m])
            p += 1
        sizes[row] = size


@njit(cache=True, nogil=True)
def write(
    device: NDArray[np.int32],
    ts: NDArray[np.int64],
    seq: NDArray[np.uint32],
    ptr: NDArray[np.int64],
    scaled: NDArray[np.int64],
    device_ptr: NDArray[np.int64],
    point_model: NDArray[np.int16],
    decimals: NDArray[np.int64],
    head: NDArray[np.uint8],
    head_ptr: NDArray[np.int64],
    key: NDArray[np.uint8],
    key_ptr: NDArray[np.int64],
    packet_row: NDArray[np.int64],
    packet_topic: NDArray[np.int32],
    packet_remaining: NDArray[np.int64],
    packet_at: NDArray[np.int64],
    topic: NDArray[np.uint8],
    topic_ptr: NDArray[np.int64],
    is_array: bool,
    qos: int,
    first_number: int,
    buffer: NDArray[np.uint8],
) -> None:
    """Packet i, of rows ``packet_row[i] .. packet_row[i + 1]``, at ``packet_at[i]``.

    With QoS 1 the packet identifier is (first_number + i) modulo 65,535, plus 1.
    """
    for i in range(len(packet_topic)):
        at = packet_at[i]
        buffer[at] = 0x30 | (qos << 1)
        at += 1
        left = packet_remaining[i]
        while left >= 128:
            buffer[at] = 0x80 | (left & 0x7F)
            left >>= 7
            at += 1
        buffer[at] = left
        at += 1
        name = packet_topic[i]
        length = topic_ptr[name + 1] - topic_ptr[name]
        buffer[at] = length >> 8
        buffer[at + 1] = length & 0xFF
        at = put_text(buffer, at + 2, topic, topic_ptr[name], topic_ptr[name + 1])
        if qos > 0:
            identifier = (first_number + i) % 65535 + 1
            buffer[at] = identifier >> 8
            buffer[at + 1] = identifier & 0xFF
            at += 2
        if is_array:
            buffer[at] = 91  # [
            at += 1
        for row in range(packet_row[i], packet_row[i + 1]):
            if row > packet_row[i]:
                buffer[at] = 44  # ,
                at += 1
            d = device[row]
            at = put_text(buffer, at, head, head_ptr[d], head_ptr[d + 1])
            at = put_number(buffer, at, np.int64(seq[row]), 0)
            at = put_text(buffer, at, _TS, 0, _TS_BYTES)
            at = put_number(buffer, at, ts[row], 0)
            p = device_ptr[d]
            for k in range(ptr[row], ptr[row + 1]):
                m = point_model[p]
                at = put_text(buffer, at, key, key_ptr[m], key_ptr[m + 1])
                at = put_number(buffer, at, scaled[k], decimals[m])
                p += 1
            buffer[at] = 125  # }
            at += 1
        if is_array:
            buffer[at] = 93  # ]
            at += 1
