"""Readings of several batches as columns in file order: sorted by (point, ts), equal keys as they came.

One column after the other, so that of a million rows never more than two of them are held beside the result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lifeline.lake.kernels.arrange import count_buckets, gather, order_buckets, place_rows, scatter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lifeline.core.batch import Readings

    Column = NDArray[Any]

BUCKETS_LOG2 = 8
"""So many places are written at a time, each a line of the cache; of a million rows a bucket has 4,000."""


class Arranged:
    """Readings in file order, a column at a time.

    Args:
        parts: One after the other; at least one row in all.
    """

    def __init__(self, parts: Sequence[Readings]) -> None:
        self._parts = [part for part in parts if len(part)]
        self._rows = rows = sum(map(len, self._parts))
        low = min(int(part.point.min()) for part in self._parts)
        span = max(int(part.point.max()) for part in self._parts) - low + 1
        shift = max(0, (span - 1).bit_length() - BUCKETS_LOG2)
        counts = np.zeros((span - 1 >> shift) + 1, np.int64)
        for part in self._parts:
            count_buckets(_sealed(part.point), low, shift, counts)
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        place = starts[:-1].copy()
        self._slot = np.empty(rows, np.int32)
        self._order = np.empty(rows, np.int32)
        at = 0
        for part in self._parts:
            place_rows(_sealed(part.point), low, shift, place, self._slot[at : at + len(part)])
            at += len(part)
        order_buckets(self._by_bucket("point"), self._by_bucket("ts"), low, shift, starts, self._order)

    def column(self, name: str) -> Column:
        """A column of ``Readings``, sorted."""
        kind = getattr(self._parts[0], name).dtype
        if kind.itemsize == 1:
            return self._small(name, kind)
        into = np.empty(self._rows, _carrier(kind))
        gather(self._by_bucket(name).view(_carrier(kind)), self._order, into)
        return into.view(kind)

    def _by_bucket(self, name: str) -> Column:
        kind = getattr(self._parts[0], name).dtype
        into = np.empty(self._rows, _carrier(kind))
        at = 0
        for part in self._parts:
            column = _sealed(getattr(part, name)).view(_carrier(kind))
            scatter(column, self._slot[at : at + len(part)], into)
            at += len(part)
        return into.view(kind)

    def _small(self, name: str, kind: np.dtype[Any]) -> Column:
        """Quality and flags: nearly always nothing but zeros, and then nothing is to be moved."""
        into = np.zeros(self._rows, kind)
        if any(getattr(part, name).any() for part in self._parts):
            into[self._slot] = np.concatenate([getattr(part, name) for part in self._parts])
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
