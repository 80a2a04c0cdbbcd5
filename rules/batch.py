"""Small records judged together: each is taken into the journal by itself, then all their rows are judged as one.

Judging costs by the record as well as by the row: at 4,000 rows a record half of it. How rows are cut changes nothing
that rules say; only a late reading and a new checkpoint must be met where they are, so they end a batch
(``RuleMachine.process_all``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from lifeline.core.batch import Readings
from rules.memory import Rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lifeline.core.alarm import AlarmChange
    from lifeline.core.batch import LogRecord
    from rules.journal import Journal

BATCH_ROWS: Final = 1 << 16
"""Rows judged at once: fewer pay more by the record, more no longer stay in the processor's cache (measured on the
city's 624,800 points: 294 ns a reading at 4,400 rows, 165 at 62,000, 190 at 624,800)."""

Keyed = tuple[tuple[int, int], "AlarmChange"]
"""A change with its place among those of a batch."""


class Joined(NamedTuple):
    """The records of a batch as one: their readings, the rows in order, and those of them to judge as they come."""

    readings: Readings
    ordered: Rows
    fresh: Rows


class Batch:
    """Records that were taken in and wait to be judged, and what clock rules have said of them already."""

    def __init__(self) -> None:
        self.rows = 0
        self.said: list[Keyed] = []
        self._readings: list[Readings] = []
        self._ordered: list[Rows] = []
        self._fresh: list[Rows] = []

    def take(self, record: LogRecord, journal: Journal) -> NDArray[np.int32]:
        """Take in a record with readings; returns the units that must be judged again (then nothing more may come)."""
        ordered, fresh, dirty = journal.admit(record.readings, record.lsn)
        self._readings.append(record.readings)
        self._ordered.append(ordered)
        self._fresh.append(fresh)
        self.rows += len(record.readings)
        return dirty

    def joined(self) -> Joined:
        """All of it; there must be something."""
        readings = Readings.concat(self._readings)
        ordered = Rows.join(self._ordered, readings)
        same = all(a is b for a, b in zip(self._ordered, self._fresh, strict=True))
        return Joined(readings, ordered, ordered if same else Rows.join(self._fresh, readings))
