"""Alarm state of one rule: the slots that are not at rest, and the changes that a batch of rows makes.

The machine itself is ``kernels/alarm.py``. State a slot: phase (1 byte), run length (4), time of the run's first
reading (8), onset of the alarm that is up (8). Of two million slots of a city some thousands are not at rest, and only
those are held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from rules.kernels import alarm as kernel
from rules.sparse import Sparse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from rules.spec import RuleSpec

COLUMNS: Final = ("phase", "count", "run", "onset")
_DTYPES: Final = (np.uint8, np.int32, np.int64, np.int64)
_PLACES_MIN: Final = 16
_SIEVE_MIN: Final = 1 << 12
_FULL: Final = 2
"""At least one place in so many is free: a look for a slot that is not there ends soon."""


class Change(NamedTuple):
    """One change: ``row`` of the batch that completed it, ``slot``, whether raised, and the alarm's onset (ms)."""

    row: int
    slot: int
    raised: bool
    onset: int


class AlarmState:
    """Phases and runs of so many slots; a new slot is NORMAL."""

    def __init__(self) -> None:
        self._slots = 0
        self._keys = np.zeros(0, np.int32)
        self._table: list[NDArray[Any]] = []
        self._used = 0
        """Places that may be taken: those that came to rest since the table was made are among them."""
        self._make_room(0)

    def grow(self, slots: int) -> None:
        """Append NORMAL slots up to ``slots``."""
        self._slots = slots

    def advance(
        self,
        rule: RuleSpec,
        slots: NDArray[np.int32],
        raised: NDArray[np.bool_],
        clear: NDArray[np.bool_],
        ts: NDArray[np.int64],
    ) -> list[Change]:
        """Feed rows in reading order (equal-length columns; ``ts`` epoch ms); returns the changes in that order."""
        rows, kinds, onsets = (
            np.empty(2 * len(ts), np.int32),
            np.empty(2 * len(ts), np.int8),
            np.empty(2 * len(ts), np.int64),
        )
        on, off = rule.raise_after, rule.clear_after
        on_ms, off_ms = round(on.seconds * 1000), round(off.seconds * 1000)
        self._make_room(int(np.count_nonzero(raised)))
        n = kernel.advance(
            *(slots, raised, clear, ts, self._keys, *self._table),
            *(on.samples, on_ms, off.samples, off_ms, rule.latch, rows, kinds, onsets),
        )
        return [
            Change(int(row), int(slots[row]), bool(kind == kernel.RAISED), int(onset))
            for row, kind, onset in zip(rows[:n], kinds[:n], onsets[:n], strict=True)
        ]

    @property
    def rests(self) -> bool:
        """Whether nothing is up, latched or pending: rows that do not raise change nothing then."""
        return not self._used

    def concerned(self, slots: NDArray[np.int32], raised: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Places, rising, of all rows that can change anything: those that raise, and those of slots not at rest.

        Some more may be among them; ``advance`` over these rows alone does what it does over all.
        """
        out = np.empty(len(slots), np.intp)
        sieve = np.zeros(max(_SIEVE_MIN, 1 << (8 * self._used + 1).bit_length()), np.bool_)
        n = kernel.concerned(slots, raised, self._keys, *self._table[:2], sieve, out)
        return out[:n]

    def acknowledge(self, slot: int, onset: int) -> bool:
        """An operator saw the alarm of this onset. True when it was latched and is cleared by that."""
        at = kernel.place_of(self._keys, slot)
        phase, count, _, onsets = self._table
        if self._keys[at] == kernel.FREE or onsets[at] != onset:
            return False
        if phase[at] == kernel.LATCHED:
            phase[at], count[at], onsets[at] = kernel.NORMAL, 0, 0
            return True
        if phase[at] == kernel.ACTIVE:
            phase[at] = kernel.ACKED
        return False

    @property
    def up(self) -> NDArray[np.int32]:
        """Slots with an alarm that was raised and not cleared, rising."""
        return np.sort(self._keys[self._table[0] != kernel.NORMAL])

    @property
    def latched(self) -> NDArray[np.int32]:
        """Slots with an alarm whose condition is over, and which an acknowledgement would end, rising."""
        return np.sort(self._keys[self._table[0] == kernel.LATCHED])

    @property
    def restless(self) -> NDArray[np.int32]:
        """Those, and the slots with a run that has begun."""
        return np.sort(self._keys[self._stirring()])

    def onset_of(self, slot: int) -> int:
        """Onset of the alarm that is up at a slot, 0 when none is."""
        at = kernel.place_of(self._keys, slot)
        return int(self._table[3][at]) if self._keys[at] != kernel.FREE else 0

    def columns(self) -> dict[str, Sparse]:
        """A copy of the state, by column. Lets go what has come to rest."""
        if not self._used:
            nothing = np.zeros(0, np.int32)
            pairs = zip(COLUMNS, _DTYPES, strict=True)
            return {name: Sparse(self._slots, nothing, np.zeros(0, dtype)) for name, dtype in pairs}
        self._make_table(0)
        places = self._stirring()
        places = places[np.argsort(self._keys[places])]
        at = self._keys[places]
        made = {}
        for name, column in zip(COLUMNS, self._table, strict=True):
            some = column[places] != 0
            made[name] = Sparse(self._slots, at[some], column[places][some])
        return made

    def load(self, columns: Mapping[str, Sparse | NDArray[Any]]) -> None:
        """Take a copy back, in place of what is there."""
        self._keys, self._table, self._used = np.zeros(0, np.int32), [], 0
        self._make_room(0)
        slots = np.unique(np.concatenate([_places(columns[name]) for name in COLUMNS])).astype(np.int32)
        self.put(slots, columns)

    def put(self, slots: NDArray[np.int32], columns: Mapping[str, Sparse | NDArray[Any]]) -> None:
        """Let some slots be as they are in ``columns``."""
        values = np.empty((len(slots), len(COLUMNS)), np.int64)
        for k, name in enumerate(COLUMNS):
            values[:, k] = columns[name][slots]
        self._make_room(int(np.count_nonzero(values[:, :2].any(axis=1))))
        kernel.put(slots, values, self._keys, *self._table)

    def at(self, slots: NDArray[np.int32]) -> dict[str, NDArray[np.int64]]:
        """The states of some slots, by column."""
        made = {}
        for name, column in zip(COLUMNS, self._table, strict=True):
            made[name] = np.empty(len(slots), np.int64)
            kernel.fetch(slots, self._keys, column, made[name])
        return made

    def _stirring(self) -> NDArray[np.intp]:
        """Places of what is not at rest."""
        return np.flatnonzero((self._table[0] != kernel.NORMAL) | (self._table[1] != 0))

    def _make_room(self, more: int) -> None:
        """Let there be places for so many slots more."""
        if self._table and (self._used + more) * _FULL < len(self._keys):
            self._used += more
        else:
            self._make_table(more)

    def _make_table(self, more: int) -> None:
        """A table of what is not at rest, with room for so many slots more."""
        places = self._stirring() if self._table else np.zeros(0, np.intp)
        keys, table = self._keys[places], [column[places] for column in self._table]
        size = max(_PLACES_MIN, 1 << (2 * _FULL * (len(places) + more)).bit_length())
        self._keys = np.full(size, kernel.FREE, np.int32)
        self._table = [np.zeros(size, dtype) for dtype in _DTYPES]
        if len(places):
            kernel.put(keys, np.stack(table, axis=1).astype(np.int64), self._keys, *self._table)
        self._used = len(places) + more

    @property
    def nbytes(self) -> int:
        """Memory of the state."""
        return self._keys.nbytes + sum(column.nbytes for column in self._table)


def _places(column: Sparse | NDArray[Any]) -> NDArray[Any]:
    return column.at if isinstance(column, Sparse) else np.flatnonzero(column)
