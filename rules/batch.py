"""Small records judged together: they are taken into the journal, then all their rows are judged as one.

Judging costs by the record as well as by the row: at 4,000 rows a record half of it. How rows are cut changes nothing
that rules say; only a late reading and a new checkpoint must be met where they are, so they end a batch
(``RuleMachine.process_all``). Taking in costs 40 µs a record, ten times what twenty rows cost: a *run* of small records
that reaches no instant of the clock rules is taken in at once, up to a record that ends the batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from lifeline.core.batch import Readings
from rules.instants import in_time
from rules.memory import Rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lifeline.core.alarm import AlarmChange
    from lifeline.core.batch import LogRecord
    from rules.instants import Instants
    from rules.journal import Admitted, Journal

BATCH_ROWS: Final = 1 << 16
"""Rows judged at once. Fewer pay more by the record; beyond that it matters little since rows are sorted by band: ticks
of the city's 624,800 points in pieces of 16,384 to 180,000 rows differ by less than a busy machine's noise."""

RUN_ROWS: Final = 1 << 13
"""Rows of a run at most; a record of so many gains nothing from company."""

Keyed = tuple[tuple[int, int], "AlarmChange"]
"""A change with its place among those of a batch."""


class Joined(NamedTuple):
    """The records of a batch as one: their readings, the rows in order, and those of them to judge as they come."""

    readings: Readings
    ordered: Rows
    fresh: Rows
    compared: Rows
    """Those of points that rules over groups look at, in the order of event time within an instant of receipt."""


class Batch:
    """Records that were taken in and wait to be judged, and what clock rules have said of them already."""

    def __init__(self) -> None:
        self.rows = 0
        self.said: list[Keyed] = []
        self._readings: list[Readings] = []
        self._ordered: list[Rows] = []
        self._fresh: list[Rows] = []
        self._compared: list[Rows] = []

    def take(
        self, records: Sequence[LogRecord], readings: Readings, journal: Journal, instants: Instants, stop_at: int
    ) -> Admitted:
        """Take in records with readings, and how many: see ``Journal.admit``.

        After units that must be judged again nothing more may come.
        """
        ends = np.cumsum([len(record.readings) for record in records])
        told = instants.told(readings, ends, journal.newest, journal.last)
        admitted = journal.admit(readings, [record.lsn for record in records], ends, stop_at)
        self._readings.append(admitted.readings)
        self._ordered.append(admitted.ordered)
        self._fresh.append(admitted.fresh)
        alone = admitted.ordered.alone
        self._compared.append(alone.take(slice(0, 0)) if told is None else in_time(told, alone))
        self.rows += len(admitted.readings)
        return admitted

    def joined(self) -> Joined:
        """All of it; there must be something."""
        readings = Readings.concat(self._readings)
        ordered = Rows.join(self._ordered, readings)
        same = all(a is b for a, b in zip(self._ordered, self._fresh, strict=True))
        fresh = ordered if same else Rows.join(self._fresh, readings)
        return Joined(readings, ordered, fresh, Rows.join(self._compared, readings))
