"""Alarm state of one rule: arrays over its slots, and the changes that a batch of rows makes.

The machine itself is ``kernels/alarm.py``. State a slot: phase (1 byte), run length (4), time of the run's first
reading (8), onset of the alarm that is up (8).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rules.kernels import alarm as kernel
from rules.kernels import select

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rules.spec import RuleSpec

COLUMNS = ("phase", "count", "run", "onset")
_DTYPES = (np.uint8, np.int32, np.int64, np.int64)


class Change(NamedTuple):
    """One change: ``row`` of the batch that completed it, ``slot``, whether raised, and the alarm's onset (ms)."""

    row: int
    slot: int
    raised: bool
    onset: int


@dataclass
class AlarmState:
    """Phases and runs, one entry a slot; a new slot is NORMAL."""

    phase: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))
    count: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    run: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    onset: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def grow(self, slots: int) -> None:
        """Append NORMAL slots up to ``slots``."""
        for name, dtype in zip(COLUMNS, _DTYPES, strict=True):
            grown = np.zeros(slots, dtype)  # pages that no alarm touches are never given to us by the system
            before = getattr(self, name)
            grown[: len(before)] = before
            setattr(self, name, grown)

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
        n = kernel.advance(
            *(slots, raised, clear, ts, self.phase, self.count, self.run, self.onset),
            *(on.samples, on_ms, off.samples, off_ms, rule.latch, rows, kinds, onsets),
        )
        return [
            Change(int(row), int(slots[row]), bool(kind == kernel.RAISED), int(onset))
            for row, kind, onset in zip(rows[:n], kinds[:n], onsets[:n], strict=True)
        ]

    def rests(self, slots: NDArray[np.int32]) -> bool:
        """Whether nothing is up, latched or pending at these slots: rows that do not raise change nothing then."""
        return bool(select.at_rest(slots, self.phase, self.count))

    def acknowledge(self, slot: int, onset: int) -> bool:
        """An operator saw the alarm of this onset. True when it was latched and is cleared by that."""
        if self.onset[slot] != onset:
            return False
        if self.phase[slot] == kernel.LATCHED:
            self.phase[slot], self.count[slot] = kernel.NORMAL, 0
            return True
        if self.phase[slot] == kernel.ACTIVE:
            self.phase[slot] = kernel.ACKED
        return False

    @property
    def up(self) -> NDArray[np.bool_]:
        """Slots with an alarm that was raised and not cleared."""
        return np.asarray(self.phase != kernel.NORMAL)

    @property
    def nbytes(self) -> int:
        """Memory of the state."""
        return sum(getattr(self, name).nbytes for name in COLUMNS)
