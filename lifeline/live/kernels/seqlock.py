"""Writer and reader of the last values under sequence locks.

The fences keep compiler and processor from moving the stores of a record out of its odd-to-even span, and the loads of
a reader out of its two looks at the version (Boehm, "Can seqlocks get along with programming language memory models?",
MSPC 2012). On x86-64 they cost no instruction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from lifeline.core.kernels.fetch import fetch

if TYPE_CHECKING:
    from numpy.typing import NDArray

AHEAD = 16
"""Rows whose records are on their way while one is written: one that no cache holds costs half as much so."""

TRIES = 1000
"""Looks at one record before it is reported as unreadable: its writer died (or sleeps) in the middle."""


@intrinsic
def _release(typingctx: Any) -> Any:  # noqa: ARG001 (numba's signature)
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001 (numba's signature)
        builder.fence("release")
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def _acquire(typingctx: Any) -> Any:  # noqa: ARG001 (numba's signature)
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001 (numba's signature)
        builder.fence("acquire")
        return context.get_dummy_value()

    return types.void(), codegen


@njit(cache=True, nogil=True)
def write_rows(
    point: NDArray[np.int32],
    ts: NDArray[np.int64],
    received_at: NDArray[np.int64],
    value: NDArray[np.float64],
    quality: NDArray[np.uint8],
    flags: NDArray[np.uint8],
    skip_flags: int,
    version: NDArray[np.uint32],
    to_ts: NDArray[np.int64],
    to_received_at: NDArray[np.int64],
    to_value: NDArray[np.float64],
    to_quality: NDArray[np.uint8],
    to_flags: NDArray[np.uint8],
) -> int:
    """Apply rows in order; how many changed a record.

    A row with a flag of ``skip_flags`` is passed over, and so is one whose (ts, received_at) is below the record's:
    an older event time never overwrites a newer one, and applying rows again changes nothing in the end.
    """
    applied = 0
    n = len(point)
    for i in range(n):
        fetch(version, point[min(i + AHEAD, n - 1)])
        if flags[i] & skip_flags:
            continue
        k = point[i]
        seen = version[k]
        if seen != 0 and (ts[i] < to_ts[k] or (ts[i] == to_ts[k] and received_at[i] < to_received_at[k])):
            continue
        version[k] = np.uint32(seen + np.uint32(1))
        _release()
        to_ts[k] = ts[i]
        to_received_at[k] = received_at[i]
        to_value[k] = value[i]
        to_quality[k] = quality[i]
        to_flags[k] = flags[i]
        _release()
        after = np.uint32(seen + np.uint32(2))
        version[k] = after if after != 0 else np.uint32(2)
        applied += 1
    return applied


@njit(cache=True, nogil=True)
def read_rows(
    chosen: NDArray[np.int32],
    version: NDArray[np.uint32],
    from_ts: NDArray[np.int64],
    from_received_at: NDArray[np.int64],
    from_value: NDArray[np.float64],
    from_quality: NDArray[np.uint8],
    from_flags: NDArray[np.uint8],
    ts: NDArray[np.int64],
    received_at: NDArray[np.int64],
    value: NDArray[np.float64],
    quality: NDArray[np.uint8],
    flags: NDArray[np.uint8],
    seen: NDArray[np.bool_],
) -> int:
    """Copy the chosen records (all when ``chosen`` is empty), none of them torn; how many could not be read.

    ``seen`` is False where a point was never written or could not be read; the other columns are then 0 and NaN.
    """
    unreadable = 0
    everything = len(chosen) == 0
    for i in range(len(ts)):
        k = i if everything else chosen[i]
        whole = False
        for _ in range(TRIES):
            before = version[k]
            _acquire()
            ts[i] = from_ts[k]
            received_at[i] = from_received_at[k]
            value[i] = from_value[k]
            quality[i] = from_quality[k]
            flags[i] = from_flags[k]
            _acquire()
            if before == version[k] and before & 1 == 0:
                whole = True
                seen[i] = before != 0
                break
        if not whole:
            unreadable += 1
            seen[i] = False
        if not seen[i]:
            ts[i] = 0
            received_at[i] = 0
            value[i] = np.nan
            quality[i] = 0
            flags[i] = 0
    return unreadable
