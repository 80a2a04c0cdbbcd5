"""How long devices and gateways of a whole history were silent at most, by the records of devices."""

import numpy as np
from numba import njit

from lifeline.core.kernels.index import index
from rules.kernels.reach import HEARD_FIRST, HEARD_LAST, NEVER, SILENT
from rules.kernels.types import F64, I32, I64, Mask

NONE = -1


@njit(cache=True, nogil=True)
def longest(devices: I64, allowed: I64, end: int, out_ms: I64, out_overdue: Mask) -> None:
    """The longest silence of each device up to ``end`` (ms, ``NONE`` if never heard): whether it is not ``allowed``.

    ``devices`` [devices, 8] as ``kernels.reach``; ``allowed`` is 0 where nothing is known.
    """
    for d in range(len(devices)):
        silent = NONE
        if devices[d, HEARD_FIRST] != NEVER:
            silent = max(devices[d, SILENT], end - devices[d, HEARD_LAST])
        out_ms[d] = silent
        out_overdue[d] = 0 < allowed[d] < silent


@njit(cache=True, nogil=True)
def behind(devices: I64, gateway: I32, silent_ms: I64, overdue: Mask, out: F64) -> None:
    """Of each gateway: how many devices are behind it, how many are ever overdue, and seconds of silence at most.

    ``out`` [3, gateways + 1], the last for what is behind none (-1). A gateway is silent no longer than any device
    behind it from that one's first sign of life on, and until then no longer than since its own.
    """
    never = np.iinfo(np.int64).max
    begin = np.full(out.shape[1], never)
    for d in range(len(gateway)):
        g = index(gateway[d] if gateway[d] >= 0 else out.shape[1] - 1)
        out[0, g] += 1.0
        out[1, g] += overdue[d]
        if silent_ms[d] != NONE:
            begin[g] = min(begin[g], devices[d, HEARD_FIRST])
    least = np.full(out.shape[1], never)
    for d in range(len(gateway)):
        g = index(gateway[d] if gateway[d] >= 0 else out.shape[1] - 1)
        if silent_ms[d] != NONE:
            least[g] = min(least[g], max(silent_ms[d], devices[d, HEARD_FIRST] - begin[g]))
    for k in range(out.shape[1]):
        out[2, k] = least[k] / 1000.0
