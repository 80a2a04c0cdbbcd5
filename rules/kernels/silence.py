"""Life signs: when each point and device was last heard of, and how long it is silent at given instants."""

import numpy as np
from numba import njit

from lifeline.core.kernels.fetch import fetch
from lifeline.core.kernels.index import index
from rules.kernels.types import F64, I32, I64, U8, Mask

NEVER = np.iinfo(np.int64).min
OVERDUE_MIN = 3.0
"""Fewer overdue devices say nothing about their gateway."""
AHEAD = 12
"""Rows whose devices are on their way while one is heard; the numbers of the devices were, twice as far ahead."""


@njit(cache=True, nogil=True)
def never_falls(received: I64) -> bool:
    """Whether each time is that of the row before or later."""
    falls = False
    for i in range(1, len(received)):
        falls |= received[i] < received[i - 1]
    return not falls


@njit(cache=True, nogil=True)
def longest_gap(received: I64) -> int:
    """The most by which a time is later than that of the row before."""
    gap = 0
    for i in range(1, len(received)):
        gap = max(gap, received[i] - received[i - 1])
    return gap


@njit(cache=True, nogil=True)
def hear(
    point: I32,
    received: I64,
    flags: U8,
    device: I32,
    gateway: I32,
    quiet: I64,
    last_point: I64,
    last_device: I64,
    last_gateway: I64,
    start: int,
    end: int,
) -> None:
    """Rows ``start`` to ``end`` were heard: any row is a sign of life except a repeat (old news).

    ``gateway`` of each device is -1 for none. ``last_gateway[g]`` are the last sign of life of any device behind it and
    the end of its last silence of more than ``quiet[g]`` ms.
    """
    for i in range(start, end):
        far = point[index(min(i + 2 * AHEAD, end - 1))]
        fetch(device, far)
        fetch(last_point, far)
        near = device[index(point[index(min(i + AHEAD, end - 1))])]
        fetch(last_device, near)
        fetch(gateway, near)
        row = index(i)
        if flags[row] & 8:  # Flag.DUPLICATE
            continue
        p = index(point[row])
        d = index(device[p])
        t = received[row]
        last_point[p] = max(last_point[p], t)
        last_device[d] = max(last_device[d], t)
        g = gateway[d]
        if g >= 0:
            heard = last_gateway[index(g), 0]
            if heard != NEVER and t - heard > quiet[index(g)]:
                last_gateway[index(g), 1] = t
            last_gateway[index(g), 0] = max(heard, t)


@njit(cache=True, nogil=True)
def silences(
    point: I32,
    received: I64,
    flags: U8,
    device: I32,
    gateway: I32,
    quiet: I64,
    last_point: I64,
    last_device: I64,
    last_gateway: I64,
    start: int,
    instants: I64,
    ends: I64,
    who: I32,
    out_point: F64,
    out_device: F64,
    allowed: I64,
    steady: I64,
    out_counts: F64,
    out_gateways: F64,
) -> int:
    """For each instant k: hear rows up to ``ends[k]``, then write the silence of each point of ``who`` in seconds.

    Instants are epoch ms in rising order; ``ends[k]`` is the first row that was received at or after the instant.
    ``out_*[k, j]`` belongs to ``who[j]``; NaN for a point that was never heard. ``out_counts[k]`` is a census: devices
    that ever reported and are overdue, and all that did; ``allowed`` is the longest silence of each device
    in ms, 0 where its interval is unknown, and empty when no census is wanted. ``out_gateways[k, g]`` is of the devices
    behind gateway g: how many ever reported, seconds since any was heard, since its last long silence ended (inf when
    there was none), and how many are overdue. While half of them are, three at least, its silence has not ended.
    ``steady`` is empty, or tells of each device that need not be heard since when (ms) it never is overdue.
    Returns the first row not heard.
    """
    at = start
    for k in range(len(instants)):
        hear(
            *(point, received, flags, device, gateway, quiet, last_point, last_device, last_gateway),
            *(at, ends[k]),
        )
        at = ends[k]
        for j in range(len(who)):
            p = who[j]
            if last_point[p] == NEVER:
                out_point[k, j] = np.nan
                out_device[k, j] = np.nan
            else:
                out_point[k, j] = (instants[k] - last_point[p]) / 1000.0
                out_device[k, j] = (instants[k] - last_device[device[p]]) / 1000.0
        known = late = 0
        for d in range(len(allowed)):
            last = last_device[d]
            if len(steady) and steady[d] != NEVER:
                last = instants[k] if steady[d] < instants[k] else NEVER
            if last == NEVER:
                continue
            overdue = allowed[d] > 0 and instants[k] - last > allowed[d]
            known += allowed[d] > 0
            late += overdue
            g = gateway[d]
            if g >= 0:
                out_gateways[k, g, 0] += 1.0
                if overdue:
                    out_gateways[k, g, 3] += 1.0
        out_counts[k, 0] = late
        out_counts[k, 1] = known
        for g in range(out_gateways.shape[1]):
            if out_gateways[k, g, 3] >= max(OVERDUE_MIN, out_gateways[k, g, 0] / 2.0):
                last_gateway[g, 1] = instants[k]
            heard = last_gateway[g, 0] != NEVER
            back = last_gateway[g, 1] != NEVER
            out_gateways[k, g, 1] = (instants[k] - last_gateway[g, 0]) / 1000.0 if heard else np.nan
            out_gateways[k, g, 2] = (instants[k] - last_gateway[g, 1]) / 1000.0 if back else np.inf
    return at


@njit(cache=True, nogil=True)
def overdue(
    points: I32,
    device: I32,
    last_point: I64,
    last_device: I64,
    point_codes: U8,
    point_floors: F64,
    device_codes: U8,
    device_floors: F64,
    instant: int,
    out: Mask,
) -> None:
    """Which of some points are silent at an instant (epoch ms) for longer than their floor, and their device than its.

    Floors are in seconds, coded (``rules.coded``), one a point of ``points``; none of what was never heard.
    """
    for j in range(len(points)):
        p = index(points[j])
        last = last_point[p]
        out[j] = (
            last != NEVER
            and (instant - last) / 1000.0 > point_floors[index(point_codes[j])]
            and (instant - last_device[index(device[p])]) / 1000.0 > device_floors[index(device_codes[j])]
        )


@njit(cache=True, nogil=True)
def kth_least(values: I64, known: Mask, k: int, enough: int) -> int:
    """The k-th smallest of the positive values that are known, -1 where they are fewer.

    None is smaller than ``enough``: where it comes down to that, the rest is not looked at.
    """
    kept = np.empty(k, np.int64)
    n = 0
    for d in range(len(values)):
        value = values[d]
        if value <= 0 or not known[d] or (n == k and value >= kept[k - 1]):
            continue
        j = min(n, k - 1)
        while j > 0 and kept[j - 1] > value:
            kept[j] = kept[j - 1]
            j -= 1
        kept[j] = value
        n = min(n + 1, k)
        if n == k and kept[k - 1] <= enough:
            break
    return kept[k - 1] if n == k else -1
