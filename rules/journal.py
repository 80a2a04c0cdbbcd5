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

import mmap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from lifeline.core.batch import Readings
from rules.kernels import journal as kernels
from rules.kernels import order
from rules.kernels import thinned as kernel
from rules.memory import Rows
from rules.thinned import Thinned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from rules.beside import Pairs

COUNTERS: Final = ("repeats", "bad", "null", "stale", "placed", "too_late")
WITHIN_PER_POINT: Final = 2
"""Readings of every point that the bound spans at least."""
WITHIN_ROWS_MIN: Final = 1 << 16
SELDOM_TIMES: Final = 2
SELDOM_ROWS: Final = 1 << 19
LIVE_ROWS: Final = 1 << 16
HISTORY_ROWS: Final = 1 << 18
"""Records of a log have fewer rows than the one; history is told in records of about the other."""
STRETCHES_SPARE: Final = 1024
WITHIN_MS: Final = 3_600_000
"""Log time."""

_RING: Final = {
    "member": np.uint8,
    "back": np.int32,
    "ts": np.int32,
    "value": np.float64,
    "received": np.int16,
    "marks": np.uint8,
}


_NONE: Final = np.zeros(0, np.int64)


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

    def __init__(self, within: int | None, *, seldom: bool = False) -> None:
        """``seldom``: checkpoints are farther apart than the bound asks for."""
        self._wanted = within
        self.within = WITHIN_ROWS_MIN if within is None else within
        """The declared bound in readings."""
        self._seldom = seldom
        self.next = 0
        """Number of the next row of the ring."""
        self.first = 0
        """First row after the older checkpoint."""
        self._times = np.zeros((0, 3), np.int64)
        """What is known of each point: see ``kernels.journal``."""
        self.counts = np.zeros(len(COUNTERS), np.int64)
        self._before = np.zeros(0, np.int64)
        """``newest`` at the older checkpoint."""
        self._dirty = np.zeros(0, np.uint8)
        self._counted, self._skipped = np.zeros(0, np.uint8), 0
        """Points whose readings are counted alone, and how many those were."""
        self._couple = np.zeros(0, np.int32)
        """Units of more than one point, by their first; the points of each in ``_members``."""
        self._members, self._ptr = np.zeros(0, np.int32), np.zeros(1, np.int64)
        self._newest_couple = self._before_couple = np.zeros(0, np.int64)
        """The newest time of each: the latest of its members."""
        self._told, self._wants = 0, _wants_of([], np.zeros(0, np.int64), 0)
        """How much is told beside a row at most, and what each of ``_members`` wants (``kernels.journal``)."""
        self._stretches, self._stretched = np.zeros((4, 1), np.int64), 0
        """Where each record's rows begin, and what their times are told from (``kernels.journal``)."""
        self._ring: dict[str, NDArray[Any]] = {name: np.zeros(1, dtype) for name, dtype in _RING.items()}

    def grow(
        self,
        watched: NDArray[np.uint8],
        unit: NDArray[np.int32],
        pairs: Sequence[Pairs],
        counted: NDArray[np.bool_] | None = None,
    ) -> None:
        """Take in the points of a registry: what is wanted of each (``kernels.journal``), and its unit.

        Points of ``pairs`` want to be told what is newest of the other; both are of one unit. Readings of points that
        are ``counted`` are nothing but counted, as if they were watched.
        """
        more = len(watched) - len(self._times)
        self._times = np.concatenate([self._times, np.zeros((more, 3), np.int64)])
        if more:
            self.newest[-more:] = order.NEVER
            self._links[-more:, kernels.HEAD] = -1
        self._dirty = np.zeros(len(watched), np.uint8)
        if counted is not None:
            self._counted = counted.view(np.uint8)
            self._ring.setdefault("skipped", np.zeros(len(self._ring["ts"]), np.int64))
        self._pair_off(unit, watched, pairs)
        self.look_back_to(self.first, np.concatenate([self._before, np.full(more, order.NEVER)]))
        if self._wanted is None:
            points = int(np.count_nonzero(watched)) + int(np.count_nonzero(self._counted))
            self.within = max(WITHIN_ROWS_MIN, WITHIN_PER_POINT * points)

    @property
    def apart(self) -> int:
        """Readings between two checkpoints, ``within`` at least: more take room in the ring and save copies."""
        return max(SELDOM_TIMES * self.within, SELDOM_ROWS) if self._seldom else self.within

    @property
    def newest(self) -> NDArray[np.int64]:
        """The newest time of each point (ms, NEVER)."""
        return self._times[:, kernels.NEWEST]

    @property
    def last(self) -> NDArray[np.float64]:
        """Its value then."""
        found: NDArray[np.float64] = self._times.view(np.float64)[:, kernels.LAST]
        return found

    @property
    def _links(self) -> NDArray[np.int32]:
        return self._times.view(np.int32)

    def _unit_word(self, points: NDArray[np.int32]) -> NDArray[np.int32]:
        found: NDArray[np.int32] = self._links[points, kernels.UNIT] >> 2
        return found

    def _pair_off(self, unit: NDArray[np.int32], watched: NDArray[np.uint8], pairs: Sequence[Pairs]) -> None:
        """Learn the unit of each point, and what is wanted of it."""
        sizes = np.bincount(unit, minlength=len(unit))
        couples = sizes > 1
        for one in pairs:
            couples[unit[one.points]] = True  # one that wants what it tells itself may be alone
        self._couple = np.flatnonzero(couples).astype(np.int32)
        number = np.zeros(len(unit), np.int32)
        number[self._couple] = np.arange(len(self._couple))
        coupled = np.flatnonzero(couples[unit]).astype(np.int32)
        self._members = coupled[np.argsort(unit[coupled], kind="stable")]
        self._ptr = np.concatenate([[0], np.cumsum(sizes[self._couple])]).astype(np.int64)
        word = unit.copy()
        word[coupled] = -1 - number[unit[coupled]]
        self._links[:, kernels.UNIT] = (word << 2) + watched
        at = np.zeros(len(unit), np.int64)
        at[self._members] = np.arange(len(self._members))
        self._wants = _wants_of(pairs, at, len(self._members))
        self._told = int(np.diff(self._wants[0]).max(initial=0))

    def look_back_to(self, first: int, newest: NDArray[np.int64]) -> None:
        """The older checkpoint is before row ``first``; ``newest`` was then the newest time of each point."""
        if first > self.first:
            head = self._links[:, kernels.HEAD]
            head[:] = np.maximum(head, first - self.first - 1) - (first - self.first)
        self.first, self._before = first, newest
        self._before_couple, self._newest_couple = self._newest_of_couples(newest), self._newest_of_couples(self.newest)

    def _newest_of_couples(self, newest: NDArray[np.int64]) -> NDArray[np.int64]:
        if not len(self._couple):
            return np.zeros(0, np.int64)
        found: NDArray[np.int64] = np.maximum.reduceat(newest[self._members], self._ptr[:-1])
        return found

    def newest_by_unit(self, newest: NDArray[np.int64], points: NDArray[np.int32]) -> NDArray[np.int64]:
        """The newest time in the unit of each of some points, by that of every point."""
        found, unit = newest[points], self._unit_word(points)
        coupled = unit < 0
        if coupled.any():
            found[coupled] = self._newest_of_couples(newest)[-1 - unit[coupled]]
        return found

    def unit_of(self, points: NDArray[np.int32]) -> NDArray[np.int32]:
        """The units of some points."""
        unit = self._unit_word(points)
        coupled = unit < 0
        unit[coupled] = self._couple[-1 - unit[coupled]]
        return unit

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
        thinned = readings if isinstance(readings, Thinned) else None
        self._reserve(rows)
        self._forget(rows)
        row, prev, dt = np.empty(rows, np.int32), np.empty(rows), np.empty(rows)
        point, ts, value = np.empty(rows, np.int32), np.empty(rows, np.int64), np.empty(rows)
        unit, sizes, beside = np.empty(rows, np.int32), np.zeros(6, np.int64), np.empty((rows, self._told))
        kernels.admit(
            *(readings.point, readings.ts, readings.received_at, readings.value, readings.quality, readings.flags),
            *(self._times, self._times.view(np.float64), self._links),
            *(self._couple, self._members, self._ptr, self._newest_couple, self._before, self._before_couple),
            *(*self._wants, self._dirty, *(self._ring[name] for name in _RING), self._stretches, self._stretched),
            *(self.first, self.next, self.within, WITHIN_MS, ends, np.array(lsns, np.int64), stop_at),
            *(self._counted, self._skipped, _NONE if thinned is None else thinned.before),
            *(self._ring.get("skipped", _NONE),),
            *(row, point, ts, value, prev, dt, beside, unit, self.counts, sizes),
        )
        n, units, self.next, taken, self._stretched, self._skipped = sizes.tolist()
        if thinned is not None:
            self.counts[: kernel.USABLE] += thinned.left_out[: kernel.USABLE]
            self._skipped += int(thinned.left_out[kernel.USABLE])
        row, prev, dt, dirty = row[:n], prev[:n], dt[:n], unit[:units]
        if taken < len(lsns):
            readings = readings.take(slice(0, int(ends[taken - 1])))
        own = (point[:n], ts[:n], value[:n])
        lsn = _by_row(lsns[:taken], ends[:taken])
        ordered = fresh = Rows(readings, row, *own, prev, dt, lsn, beside[:n])
        if units:
            start = int(ends[taken - 2]) if taken > 1 else 0  # of the record with the late ones
            fresh = ordered.take((self._dirty[self.unit_of(ordered.point)] == 0) | (ordered.row < start))
            self._dirty[dirty] = 0
        return Admitted(readings, taken, ordered, fresh, dirty)

    def points_of(self, units: NDArray[np.int32]) -> NDArray[np.int32]:
        """All points of some units, units in rising order."""
        units = np.sort(units)
        numbers = self._unit_word(units)
        parts = [
            units[k : k + 1] if unit >= 0 else self._members[self._ptr[-1 - unit] : self._ptr[-unit]]
            for k, unit in enumerate(numbers.tolist())
        ]
        return np.concatenate(parts)

    def collect(self, units: NDArray[np.int32]) -> Rows:
        """The readings of some units since the checkpoint, in the order of event time.

        Equal times are in the order of receipt; at one instant in that of points, which does not depend on the order
        in which a message names its quantities, and which a lake has too.

        ``newest`` and ``last`` of their points must be those of the checkpoint; they are moved on.
        """
        numbers, points = self._walk(units)
        slots, stretch = self._places(numbers)
        ts = self._stretches[kernels.TS, stretch] + self._ring["ts"][slots]
        received = self._stretches[kernels.RECEIVED, stretch] + self._ring["received"][slots]
        sort = np.lexsort((numbers, points, received, ts))
        numbers, slots, stretch = numbers[sort], slots[sort], stretch[sort]
        taken = {name: column[slots] for name, column in self._ring.items()}
        n = len(numbers)
        readings = Readings(
            points[sort],
            ts[sort],
            received[sort],
            taken["value"],
            np.zeros(n, np.uint32),
            np.asarray(taken["marks"] >> 5, np.uint8),
            np.asarray(taken["marks"] & 31, np.uint8),
        )
        row, prev, dt, beside = np.empty(n, np.int32), np.empty(n), np.empty(n), np.empty((n, self._told))
        found = kernels.again(  # what was put in its place before the checkpoint is not told
            *(readings.point, readings.ts, readings.value, self._times, self._times.view(np.float64), self._links),
            *(self._members, self._ptr, *self._wants, row, prev, dt, beside),
        )
        self._newest_couple = self._newest_of_couples(self.newest)
        row = row[:found]
        own = (readings.point[row], readings.ts[row], readings.value[row])
        lsn = self._stretches[kernels.LSN, stretch]
        return Rows(readings, row, *own, prev[:found], dt[:found], lsn, beside[:found])

    def evidence(self, point: int, start: int, end: int, detected_at: int, rows_max: int) -> list[Evidence]:
        """The newest readings of a point with start ≤ ts ≤ end, oldest first: those heard by ``detected_at``.

        How far back they reach is the declared bound, though more may be held: what is told must not depend on how the
        log was cut into records.
        """
        numbers, points = self._walk(self.unit_of(np.array([point], np.int32)))
        slots, stretch = self._places(numbers)
        ts = self._stretches[kernels.TS, stretch] + self._ring["ts"][slots]
        received = self._stretches[kernels.RECEIVED, stretch] + self._ring["received"][slots]
        told = (points == point) & (ts >= start) & (ts <= end)
        told &= (received <= detected_at) & (received > detected_at - WITHIN_MS)
        among_all = numbers + self._ring["skipped"][slots] if "skipped" in self._ring else numbers
        told &= among_all > among_all[told].max(initial=0) - self.within
        chosen = np.flatnonzero(told)
        chosen = chosen[np.argsort(ts[chosen], kind="stable")][-rows_max:]
        value, lsn = self._ring["value"][slots], self._stretches[kernels.LSN, stretch]
        return [Evidence(int(lsn[k]), int(ts[k]), float(value[k])) for k in chosen]

    def _places(self, numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
        """Where rows are in the ring, and the stretch of each."""
        begins = self._stretches[kernels.BEGIN, : self._stretched]
        return numbers % len(self._ring["member"]), np.searchsorted(begins, numbers, side="right") - 1

    def _forget(self, rows: int) -> None:
        """Room for the stretches of so many rows more; those before the older checkpoint go."""
        if self._stretched + rows <= self._stretches.shape[1]:
            return
        kept = int(np.searchsorted(self._stretches[kernels.BEGIN, : self._stretched], self.first, side="right")) - 1
        held = self._stretches[:, max(kept, 0) : self._stretched]
        larger = np.empty((4, 2 * held.shape[1] + rows + STRETCHES_SPARE), np.int64)  # pages not used take no memory
        larger[:, : held.shape[1]] = held
        self._stretches, self._stretched = larger, held.shape[1]

    def _walk(self, units: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """The rows of some units since the checkpoint and their points, newest first within a unit."""
        found = 1024
        while True:
            room = found
            numbers, points = np.empty(room, np.int64), np.empty(room, np.int32)
            found = kernels.walk(
                *(units, self._links, self._members, self._ptr, self._ring["back"], self._ring["member"]),
                *(self.first, numbers, points),
            )
            if found <= room:
                return numbers[:found], points[:found]

    def _reserve(self, rows: int) -> None:
        """Make room, so that nothing since the checkpoint is overwritten."""
        held = self.next - self.first
        size = len(self._ring["member"])
        if held + rows <= size:
            return
        room = spare = rows
        if rows > LIVE_ROWS:  # history, of which larger records will follow; each checkpoint is up to one of them late
            room = max(rows, HISTORY_ROWS)
            spare = 2 * room
        larger = max(held + rows, 2 * self.apart + room)
        larger += max(spare, larger // 64)  # records differ in size: without some room each larger one moves everything
        for name, column in self._ring.items():
            grown = _small_pages(larger, column.dtype)  # what was not written is never looked at
            copy_rows(column, grown, self.first, self.next)
            self._ring[name] = grown

    @property
    def nbytes(self) -> int:
        """Memory."""
        own: tuple[NDArray[Any], ...] = (self._times, self._dirty)
        own += (self._members, self._ptr, self._couple, self._newest_couple, self._before_couple)
        stretches = self._stretches[:, : self._stretched].nbytes
        return sum(column.nbytes for column in (*own, *self._ring.values())) + stretches


def copy_rows(ring: NDArray[Any], larger: NDArray[Any], first: int, end: int) -> None:
    """Rows ``first`` to ``end`` of a ring, to where they are in a larger one: a few stretches, each moved at once."""
    while first < end:
        here, there = first % len(ring), first % len(larger)
        rows = min(end - first, len(ring) - here, len(larger) - there)
        larger[there : there + rows] = ring[here : here + rows]
        first += rows


def _small_pages(rows: int, dtype: Any) -> NDArray[Any]:
    """Memory that is cleared by the page as it is reached: it is written once in order, and large pages gain nothing.

    numpy asks for large ones, each of which the system clears at once, in memory that it may have to get first: where
    a history is short that took more time than to judge it.
    """
    return np.frombuffer(
        mmap.mmap(-1, max(rows * np.dtype(dtype).itemsize, 1), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), dtype, rows
    )


def _wants_of(pairs: Sequence[Pairs], at: NDArray[np.int64], members: int) -> tuple[NDArray[Any], ...]:
    """What each of so many members of units wants (``kernels.journal``), by the place of each point among them."""
    places = np.concatenate([np.zeros(0, np.int64), *(at[one.points] for one in pairs)])
    sort = np.argsort(places, kind="stable")
    ends = np.cumsum(np.bincount(places, minlength=members))
    carriers = np.concatenate([np.zeros(0, np.int32), *(one.carriers for one in pairs)])
    limits = np.concatenate([np.zeros(0, np.int64), *(one.limit_ms for one in pairs)])
    first = np.concatenate([[0], ends]).astype(np.int32)
    return first, carriers[sort], limits[sort]


def _by_row(lsns: Sequence[int], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """The log record of each row."""
    if len(lsns) == 1:
        return np.broadcast_to(np.int64(lsns[0]), int(ends[0]))
    return np.repeat(np.array(lsns, np.int64), np.diff(ends, prepend=0))
