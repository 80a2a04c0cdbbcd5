"""What devices declare: how often they report, how long they may be silent, through which gateway they are heard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lifeline.core.registry import Registry

DAILY_MS: Final = 6 * 3_600_000
"""Devices that report this seldom are judged after 2 missed reports, the others after 3 (domain facts, 2.1)."""
ALLOWED_MS_MIN: Final = 30_000


def interval_ms_of(registry: Registry) -> NDArray[np.int64]:
    """The longest interval that each device declares for one of its points, 0 where none is known."""
    interval = np.zeros(registry.device_count, np.int64)
    np.maximum.at(interval, registry.point_device, registry.interval_ms)
    return interval


def allowed_ms(interval_ms: NDArray[np.int64]) -> NDArray[np.int64]:
    """How long devices of these intervals may be silent before the census counts them; 0 where that is unknown."""
    allowed = np.where(interval_ms >= DAILY_MS, 2 * interval_ms, np.maximum(3 * interval_ms, ALLOWED_MS_MIN))
    return np.where(interval_ms > 0, allowed, 0)


def gateways_of(registry: Registry) -> tuple[NDArray[np.int32], int]:
    """Number of each device's gateway (that of its first point), -1 for none, and how many there are.

    Numbers are in the order in which points name gateways first: snapshots know them by these.
    """
    named = registry.coded("gateway")
    codes = named.indices.fill_null(len(named.dictionary)).to_numpy(zero_copy_only=False)
    first = np.full(len(named.dictionary) + 1, len(codes), np.intp)
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)  # the last to be written stays: the first point
    order = np.argsort(first[:-1], kind="stable")
    numbers = np.full(len(first), -1, np.int32)
    numbers[order] = np.arange(len(order), dtype=np.int32)
    lead = registry.device_points[registry.device_ptr[:-1]] if len(registry) else np.zeros(0, np.int32)
    return numbers[codes[lead]], int(np.count_nonzero(first[:-1] < len(codes)))
