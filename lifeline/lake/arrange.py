"""Columns of several batches in file order: sorted by (point, ts), equal keys as they came.

One column after the other, so that of a million rows never more than two of them are held beside the result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lifeline.lake.kernels.arrange import count_buckets, gather, order_buckets, place_rows, scatter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Column = NDArray[Any]

BUCKETS_LOG2 = 8
"""So many places are written at a time, each a line of the cache; of a million rows a bucket has 4,000."""


class Arrangement:
    """File order of rows that come in parts.

    Args:
        points: Of each part, int32; at least one row in all.
        times: Event times of each part, int64.
    """

    def __init__(self, points: Sequence[Column], times: Sequence[Column]) -> None:
        self._rows = rows = sum(map(len, points))
        low = min(int(part.min()) for part in points if len(part))
        span = max(int(part.max()) for part in points if len(part)) - low + 1
        shift = max(0, (span - 1).bit_length() - BUCKETS_LOG2)
        counts = np.zeros((span - 1 >> shift) + 1, np.int64)
        for part in points:
            count_buckets(_sealed(part), low, shift, counts)
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        place = starts[:-1].copy()
        self._slot = np.empty(rows, np.int32)
        self._order = np.empty(rows, np.int32)
        at = 0
        for part in points:
            place_rows(_sealed(part), low, shift, place, self._slot[at : at + len(part)])
            at += len(part)
        order_buckets(self._by_bucket(points), self._by_bucket(times), low, shift, starts, self._order)

    def __call__(self, parts: Sequence[Column]) -> Column:
        """A column, given by the same parts, sorted."""
        kind = parts[0].dtype
        if kind.itemsize == 1:
            return self._small(parts)
        into = np.empty(self._rows, _carrier(kind))
        gather(self._by_bucket(parts).view(_carrier(kind)), self._order, into)
        return into.view(kind)

    def _by_bucket(self, parts: Sequence[Column]) -> Column:
        kind = parts[0].dtype
        into = np.empty(self._rows, _carrier(kind))
        at = 0
        for part in parts:
            scatter(_sealed(part).view(_carrier(kind)), self._slot[at : at + len(part)], into)
            at += len(part)
        return into.view(kind)

    def _small(self, parts: Sequence[Column]) -> Column:
        """Quality and flags: nearly always nothing but zeros, and then nothing is to be moved."""
        into = np.zeros(self._rows, parts[0].dtype)
        if any(part.any() for part in parts):
            into[self._slot] = np.concatenate(parts)
            into = into[self._order]
        return into


def _carrier(kind: np.dtype[Any]) -> type[np.generic]:
    """Bits are moved, whatever they mean: one compiled form a width."""
    return np.int64 if kind.itemsize == 8 else np.int32


def _sealed(column: Column) -> Column:
    """Read-only, as what comes from the log: compiled code is made for the one or for the other."""
    view = column.view()
    view.flags.writeable = False
    return view
