"""The recent past in order of arrival: what lets a late reading be put in its place.

The ring holds every usable reading of watched points since the older of two checkpoints. A reading that is older than
one of its unit that was judged already makes the unit *dirty*: its state is taken back to the checkpoint and its
readings since then are judged again in the order of event time (``rules/revision.py``).

Declared bound: a reading is put in its place when it comes at most an hour, and at most ``within`` readings of all
points together, after the first newer one of its unit. The hour bounds what a restart replays, the readings bound the
memory; neither depends on how the log was cut into records. How *old* the reading is does not matter: a meter that
uploads yesterday's values in any order is put right.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from lifeline.core.batch import Readings
from rules.kernels import journal as kernels
from rules.kernels import order
from rules.memory import Rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

COUNTERS: Final = ("repeats", "bad", "null", "stale", "placed", "too_late")
WITHIN_PER_POINT: Final = 2
"""Readings of every point that the bound spans at least."""
WITHIN_ROWS_MIN: Final = 1 << 16
FORGET_RECORDS: Final = 1024
WITHIN_MS: Final = 3_600_000
"""Log time."""

_RING: Final = {
    "point": np.int32,
    "back": np.int32,
    "ts": np.int64,
    "value": np.float64,
    "received": np.int64,
    "marks": np.uint8,
}


class Admitted(NamedTuple):
    """Rows of records to judge as they come, and units (by their first point) to judge again."""

    readings: Readings
    taken: int
    """Records."""
    ordered: Rows
    """Later than all before of their point."""
    fresh: Rows
    """The same without those of dirty units in the last record."""
    dirty: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Evidence:
    """A reading behind an alarm."""

    lsn: int
    ts: int
    value: float


class Journal:
    """The ring with what it needs to know of each point. Arrays per point grow with the registry."""

    def __init__(self, within: int | None) -> None:
        self._wanted = within
        self.within = WITHIN_ROWS_MIN if within is None else within
        """The declared bound in readings."""
        self.next = 0
        """Number of the next row."""
        self.first = 0
        """First row after the older checkpoint."""
        self.newest = np.zeros(0, np.int64)
        self.last = np.zeros(0)
        self.newest_unit = np.zeros(0, np.int64)
        self.counts = np.zeros(len(COUNTERS), np.int64)
        self.before = np.zeros(0, np.int64)
        """``newest`` at the older checkpoint; ``before_unit`` likewise."""
        self.before_unit = np.zeros(0, np.int64)
        self._head = np.zeros(0, np.int64)
        self._dirty = np.zeros(0, np.uint8)
        self.unit = np.zeros(0, np.int32)
        self._watched = np.zeros(0, np.uint8)
        self._members = self._member_units = np.zeros(0, np.int32)
        self._begins, self._lsns = array("q"), array("q")
        """Number of the first row of each record, and the record's place in the log: by the row it would be a fifth of
        the ring."""
        self._ring: dict[str, NDArray[Any]] = {name: np.zeros(1, dtype) for name, dtype in _RING.items()}

    def grow(self, watched: NDArray[np.uint8], unit: NDArray[np.int32]) -> None:
        """Take in the points of a registry: what is wanted of each (``kernels.journal``), and its unit."""
        more = len(watched) - len(self.newest)
        for name in ("newest", "newest_unit", "before", "before_unit"):
            setattr(self, name, np.concatenate([getattr(self, name), np.full(more, order.NEVER)]))
        self.last = np.concatenate([self.last, np.zeros(more)])
        self._head = np.concatenate([self._head, np.full(more, -1)])
        self._dirty = np.zeros(len(watched), np.uint8)
        self._watched, self.unit = watched, unit
        if self._wanted is None:
            journalled = int(np.count_nonzero(watched == kernels.JOURNALLED))
            self.within = max(WITHIN_ROWS_MIN, WITHIN_PER_POINT * journalled)
        self._members = np.argsort(self.unit, kind="stable").astype(np.int32)
        self._member_units = self.unit[self._members]

    def admit(self, readings: Readings, lsns: Sequence[int], ends: NDArray[np.int64], stop_at: int) -> Admitted:
        """Take in the rows of records as if record by record.

        The first record that has units to judge again, or after which ``next`` is at least ``stop_at``, is the last.

        Args:
            readings: of all the records.
            lsns: of each; at least one, and if there are more, each has rows.
            ends: int64, the row behind each record's last.
            stop_at: a number of a row.
        """
        rows = len(readings)
        self._reserve(rows)
        row, prev, dt = np.empty(rows, np.int32), np.empty(rows), np.empty(rows)
        unit, sizes, begins = np.empty(rows, np.int32), np.zeros(4, np.int64), np.empty(len(lsns), np.int64)
        kernels.admit(
            *(readings.point, readings.ts, readings.received_at, readings.value, readings.quality, readings.flags),
            *(self._watched, self.unit, self.newest, self.last, self.newest_unit, self.before, self.before_unit),
            *(self._head, self._dirty, *self._ring.values()),
            *(self.first, self.next, self.within, WITHIN_MS, ends, stop_at, begins),
            *(row, prev, dt, unit, self.counts, sizes),
        )
        n, units, self.next, taken = sizes.tolist()
        self._number(begins[:taken].tolist(), lsns[:taken])
        row, prev, dt, dirty = row[:n], prev[:n], dt[:n], unit[:units]
        if taken < len(lsns):
            readings = readings.take(slice(0, int(ends[taken - 1])))
        values = (readings.point[row], readings.ts[row], readings.value[row])
        ordered = fresh = Rows(readings, row, *values, prev, dt, _by_row(lsns[:taken], ends[:taken]))
        if units:
            start = int(ends[taken - 2]) if taken > 1 else 0  # of the record with the late ones
            fresh = ordered.take((self._dirty[self.unit[ordered.point]] == 0) | (ordered.row < start))
            self._dirty[dirty] = 0
        return Admitted(readings, taken, ordered, fresh, dirty)

    def points_of(self, units: NDArray[np.int32]) -> NDArray[np.int32]:
        """All points of some units, units in rising order."""
        units = np.sort(units)
        start = np.searchsorted(self._member_units, units, side="left")
        end = np.searchsorted(self._member_units, units, side="right")
        return np.concatenate([self._members[a:b] for a, b in zip(start, end, strict=True)])

    def collect(self, units: NDArray[np.int32]) -> Rows:
        """The readings of some units since the checkpoint, in the order of event time (equal times as they arrived).

        ``newest`` and ``last`` of their points must be those of the checkpoint; they are moved on.
        """
        numbers = self._walk(units)
        slots = numbers % len(self._ring["point"])
        sort = np.lexsort((numbers, self._ring["ts"][slots]))
        taken = {name: column[slots[sort]] for name, column in self._ring.items()}
        n = len(numbers)
        readings = Readings(
            taken["point"],
            taken["ts"],
            taken["received"],
            taken["value"],
            np.zeros(n, np.uint32),
            np.asarray(taken["marks"] >> 5, np.uint8),
            np.asarray(taken["marks"] & 31, np.uint8),
        )
        row, prev, dt = np.empty(n, np.int32), np.empty(n), np.empty(n)
        found = order.fresh_rows(  # what was put in its place before the checkpoint is not fresh
            *(readings.point, readings.ts, readings.value, readings.quality, readings.flags),
            *(self.newest, self.last, row, prev, dt, np.zeros(4, np.int64)),
        )
        row = row[:found]
        points, ts, value = readings.point[row], readings.ts[row], readings.value[row]
        return Rows(readings, row, points, ts, value, prev[:found], dt[:found], self._lsn_of(numbers[sort]))

    def evidence(self, point: int, start: int, end: int, detected_at: int, rows_max: int) -> list[Evidence]:
        """The newest readings of a point with start ≤ ts ≤ end, oldest first: those heard by ``detected_at``.

        How far back they reach is the declared bound, though more may be held: what is told must not depend on how the
        log was cut into records.
        """
        numbers = self._walk(self.unit[[point]])
        ring, slots = self._ring, numbers % len(self._ring["point"])
        ts, received = ring["ts"][slots], ring["received"][slots]
        told = (ring["point"][slots] == point) & (ts >= start) & (ts <= end)
        numbers = numbers[told & (received <= detected_at) & (received > detected_at - WITHIN_MS)]
        numbers = numbers[numbers > numbers.max(initial=0) - self.within]
        numbers = numbers[np.argsort(ring["ts"][numbers % len(ring["point"])], kind="stable")][-rows_max:]
        slots, lsns = numbers % len(ring["point"]), self._lsn_of(numbers)
        return [Evidence(int(n), int(ring["ts"][s]), float(ring["value"][s])) for n, s in zip(lsns, slots, strict=True)]

    def _number(self, begins: Sequence[int], lsns: Sequence[int]) -> None:
        """Rows from these on are of these log records."""
        if len(self._begins) >= FORGET_RECORDS and self._begins[len(self._begins) // 2] <= self.first:
            del self._begins[: len(self._begins) // 2], self._lsns[: len(self._lsns) // 2]
        self._begins.extend(begins)
        self._lsns.extend(lsns)

    def _lsn_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """The log records of rows since the checkpoint."""
        record = np.searchsorted(np.array(self._begins), numbers, side="right") - 1
        return np.asarray(np.array(self._lsns)[record])

    def _walk(self, units: NDArray[np.int32]) -> NDArray[np.int64]:
        numbers = np.empty(1024, np.int64)
        found = kernels.walk(units, self._head, self._ring["back"], self.first, numbers)
        if found > len(numbers):
            numbers = np.empty(found, np.int64)
            kernels.walk(units, self._head, self._ring["back"], self.first, numbers)
        return numbers[:found]

    def _reserve(self, rows: int) -> None:
        """Make room, so that nothing since the checkpoint is overwritten."""
        held = self.next - self.first
        size = len(self._ring["point"])
        if held + rows <= size:
            return
        larger = max(held + rows, 2 * self.within + rows)
        larger += max(rows, larger // 64)  # records differ in size: without some room each larger one moves everything
        numbers = np.arange(self.first, self.next)
        for name, column in self._ring.items():
            grown = np.zeros(larger, column.dtype)
            grown[numbers % larger] = column[numbers % size]
            self._ring[name] = grown

    @property
    def nbytes(self) -> int:
        """Memory."""
        own: tuple[NDArray[Any], ...] = (self.newest, self.last, self.newest_unit, self._head)
        own += (self.unit, self._members, self._watched)
        return sum(column.nbytes for column in (*own, *self._ring.values())) + 16 * len(self._begins)


def _by_row(lsns: Sequence[int], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """The log record of each row."""
    if len(lsns) == 1:
        return np.broadcast_to(np.int64(lsns[0]), int(ends[0]))
    return np.repeat(np.array(lsns, np.int64), np.diff(ends, prepend=0))
