"""In which order rules over groups take what is received at one instant: by event time, then point, then number.

A lake does not know in which order the rows of one instant came, so a rule that looks at several points must not depend
on it: a gateway tells what it kept for an hour newest first, oldest first or point by point, and it is the same hour.
Rules over single points need no such care: a reading that comes after a newer one is put in its place anyway.

An instant is what one record tells with one time of receipt. What collectors receive with one time in two records (two
reads of sockets within a millisecond) is taken record by record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rules.bits import packed
from rules.kernels import order as kernels
from rules.memory import Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lifeline.core.batch import Readings


class _Before(NamedTuple):
    """Time and value of the newest reading of some points."""

    points: NDArray[np.int32]
    newest: NDArray[np.int64]
    last: NDArray[np.float64]


class Told(NamedTuple):
    """Rows of some points, before they are taken in."""

    rows: NDArray[np.int32]
    """Which of the readings."""
    instant: NDArray[np.int64]
    """A number that rises, of each."""
    before: _Before | None
    """What was known of their points; None where no point has two rows of one instant."""


class Instants:
    """Knows the points that some rule compares with others."""

    def __init__(self) -> None:
        self._bits = self._none = np.zeros(0, np.uint64)

    def grow(self, compared: NDArray[np.bool_]) -> None:
        """Take in all points of a registry: whether each is compared."""
        self._bits = packed(compared)
        self._none = np.zeros(len(self._bits) if compared.any() else 0, np.uint64)

    def told(
        self, readings: Readings, ends: NDArray[np.int64], newest: NDArray[np.int64], last: NDArray[np.float64]
    ) -> Told | None:
        """What records (each ends before a row of ``ends``) tell of compared points; ``newest`` and ``last``: by point.

        None when no point is compared.
        """
        if not len(self._none):
            return None
        rows = np.empty(len(readings), np.int32)
        rows = rows[: kernels.pick(readings.point, self._bits, rows)]
        points, received = readings.point[rows], readings.received_at[rows]
        begins = np.ones(len(rows), np.int64)
        begins[1:] = received[1:] != received[:-1]
        first = np.searchsorted(rows, ends[:-1])
        begins[first[first < len(rows)]] = 1
        instant = np.cumsum(begins)
        if not kernels.twice(points, instant, self._none):
            return Told(rows, instant, None)
        some = np.unique(points)
        return Told(rows, instant, _Before(some, newest[some], last[some]))

    @property
    def nbytes(self) -> int:
        """Memory."""
        return self._bits.nbytes + self._none.nbytes


def in_time(told: Told, ordered: Rows) -> Rows:
    """Their rows in the order of instants and, within each, of event time: those later than all before of their point.

    ``ordered``: the same of the rows as they came. The readings may be fewer than those that were looked at.
    """
    readings = ordered.readings
    n = int(np.searchsorted(told.rows, len(readings)))
    rows, instant = told.rows[:n], told.instant[:n]
    if told.before is None:
        at, theirs = np.empty(n, np.intp), np.empty(n, np.int64)
        found = kernels.places_among(ordered.row, rows, instant, at, theirs)
        at, instant = at[:found], theirs[:found]
        sort = _sorted(instant, ordered.ts[at], ordered.point[at])
        return ordered.take(at if sort is None else at[sort])
    ts, point = readings.ts[rows], readings.point[rows]
    rows = rows[np.lexsort((readings.seq[rows], point, ts, instant))]
    row, prev, dt = np.empty(n, np.int32), np.empty(n), np.empty(n)
    known = told.before
    found = kernels.fresh_rows(
        *(np.searchsorted(known.points, readings.point[rows]).astype(np.int32), readings.ts[rows]),
        *(readings.value[rows], readings.quality[rows], readings.flags[rows]),
        *(known.newest, known.last, row, prev, dt, np.zeros(4, np.int64)),
    )
    rows = rows[row[:found]]
    own = (readings.point[rows], readings.ts[rows], readings.value[rows])
    return Rows(readings, rows, *own, prev[:found], dt[:found], ordered.lsn, np.empty((found, 0)))


def _sorted(instant: NDArray[np.int64], ts: NDArray[np.int64], point: NDArray[np.int32]) -> NDArray[np.intp] | None:
    """The order by these; None for rows that come in it."""
    same = instant[1:] == instant[:-1]
    back = (ts[1:] < ts[:-1]) | ((ts[1:] == ts[:-1]) & (point[1:] < point[:-1]))
    if not (same & back).any():
        return None
    bits, first, start = int(point.max()).bit_length(), ts.min(), instant[0]
    ts_bits = bits + int(ts.max() - first).bit_length()
    if ts_bits + int(instant[-1] - start).bit_length() <= 63:  # one sort of one number: a third of the time
        return np.argsort((instant - start) << ts_bits | (ts - first) << bits | point)
    return np.lexsort((point, ts, instant))
