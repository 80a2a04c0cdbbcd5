"""The receiving side of a publisher: CONNACK, PUBACK and PINGRESP in a stream of bytes that is cut anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from numba import njit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

IDENTIFIERS = 65535


@njit(cache=True, nogil=True)
def take_acks(
    data: NDArray[np.uint8], length: int, low: int, high: int, acked: NDArray[np.uint8]
) -> tuple[int, int, int, int]:
    """Read whole packets of ``data[:length]`` and mark what they acknowledge.

    Packets in flight are numbered ``low .. high``; number n travels as identifier n % 65535 + 1 and is marked in the
    ring ``acked`` (uint8 [65535]). Returns (bytes consumed, newly acknowledged, new low, first byte of a packet that a
    publisher must not get, or 0). ``low`` moves over what is acknowledged without a gap and clears it.
    """
    at = 0
    count = 0
    while at + 2 <= length:
        kind = data[at]
        size = data[at + 1]
        if size > 127:
            return at, count, low, int(kind)
        if at + 2 + size > length:
            break
        if kind == 0x40 and size == 2:
            identifier = (int(data[at + 2]) << 8) | int(data[at + 3])
            number = low + (identifier - 1 - low) % IDENTIFIERS
            if identifier == 0:
                return at, count, low, int(kind)
            if number < high and acked[identifier - 1] == 0:
                acked[identifier - 1] = 1
                count += 1
        elif not (kind == 0xD0 and size == 0):
            return at, count, low, int(kind)
        at += 2 + int(size)
    while low < high and acked[low % IDENTIFIERS] == 1:
        acked[low % IDENTIFIERS] = 0
        low += 1
    return at, count, low, 0
