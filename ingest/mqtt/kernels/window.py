"""Packet identifiers in flight: received at QoS 1 and not yet acknowledged by us.

``held`` counts how often each of the 65,536 identifiers waits. The receive window counts *distinct* identifiers:
a broker that sends a packet again on a live connection (EMQX does, after its retry interval) is answered twice, but
not accused of exceeding the window.

These kernels keep Python's lock: at most 65,535 identifiers take 0.1 ms, and for the twenty of a broker's window it
costs more to let the lock go than to count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from numba import njit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@njit(cache=True)
def admit(
    packet_id: NDArray[np.uint16],
    qos: NDArray[np.uint8],
    held: NDArray[np.int32],
    distinct: int,
    receive_maximum: int,
) -> tuple[int, int]:
    """Enter the identifiers of QoS 1 rows until the window is exceeded; returns (rows entered, distinct held)."""
    for row in range(len(packet_id)):
        if qos[row]:
            identifier = packet_id[row]
            if held[identifier] == 0:
                if distinct >= receive_maximum:
                    return row, distinct
                distinct += 1
            held[identifier] += 1
    return len(packet_id), distinct


@njit(cache=True)
def release(packet_id: NDArray[np.uint16], held: NDArray[np.int32], distinct: int) -> int:
    """Take identifiers out; returns how many distinct ones are still held."""
    for identifier in packet_id:
        held[identifier] -= 1
        if held[identifier] == 0:
            distinct -= 1
    return distinct
