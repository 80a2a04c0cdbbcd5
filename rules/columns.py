"""Columns of readings for the conditions of one rule: what needs no memory, and what features remember."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lifeline.core.schema import Flag
from rules import features
from rules.memory import Rows, Walk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lifeline.core.batch import LogRecord
    from rules.localtime import LocalClock
    from rules.plan import BoundRule

_STORED: Final = {"value": "value", "prev": "prev", "gap_s": "dt"}


class Columns:
    """Computes them, by the site's clock. Features advance: every row of a rule exactly once, in order."""

    def __init__(self, clock: LocalClock) -> None:
        self._clock = clock

    def fill(
        self,
        columns: dict[str, NDArray[np.float64]],
        rule: BoundRule,
        rows: Rows,
        places: NDArray[np.int32],
        slots: NDArray[np.int32],
    ) -> None:
        """All columns that the rule's conditions over readings need."""
        if rule.tracks:
            walk = self._walk(rule, rows, places, slots)
            columns["value"] = walk.value
            for track in rule.tracks:
                on = track.instance.on
                if on not in columns:
                    columns[on] = self._column(on, rule, rows, places, slots)
                columns.update(track.compute(walk, columns, rule.until))
        for name in rule.names:
            if name not in columns:
                columns[name] = self._column(name, rule, rows, places, slots)

    def _walk(self, rule: BoundRule, rows: Rows, places: NDArray[np.int32], slots: NDArray[np.int32]) -> Walk:
        ts = rows.ts[places]
        kinds = [track.instance.feature for track in rule.tracks]
        local = self._clock.local_ms(ts) if any(kind.local for kind in kinds) else ts[:0]
        limited = any(kind.limit for kind in kinds)
        limit = rule.limits(slots, rows.received_at[places]) if limited else rows.value[:0]
        return Walk(slots, ts, local, rows.value[places], rows.prev[places], rows.dt[places], limit)

    def _column(
        self, name: str, rule: BoundRule, rows: Rows, places: NDArray[np.int32], slots: NDArray[np.int32]
    ) -> NDArray[np.float64]:
        """A column without memory, for the rows of one rule."""
        made: Any
        if name in rule.by_slot:
            made = rule.column(name, slots, rows.received_at[places])
        elif name in _STORED:
            made = getattr(rows, _STORED[name])[places]
        elif name == "step":
            made = rows.value[places] - rows.prev[places]
        elif name == "gap_n":
            made = _per_interval(rows.dt[places], rule, slots)
        elif name == "late":
            made = (rows.readings.flags[rows.row[places]] & np.uint8(Flag.LATE)) != 0
        elif name == "age_s":
            made = (rows.readings.received_at[rows.row[places]] - rows.ts[places]) / 1000.0
        elif name == "quality":
            made = rows.readings.quality[rows.row[places]]
        elif features.is_sibling(name):
            made = np.full(len(places), np.nan)
        else:
            made = self._clock.column(name, rows.ts[places])
        return np.asarray(made, np.float64)


def all_rows(record: LogRecord) -> Rows:
    """Every row but repeats; without what came before."""
    readings = record.readings
    row = np.flatnonzero((readings.flags & np.uint8(Flag.DUPLICATE)) == 0).astype(np.int32)
    nothing = np.zeros(0)
    lsn = np.broadcast_to(np.int64(record.lsn), len(readings))
    return Rows(readings, row, readings.point[row], readings.ts[row], readings.value[row], nothing, nothing, lsn)


def _per_interval(seconds: NDArray[np.float64], rule: BoundRule, slots: NDArray[np.int32]) -> NDArray[np.float64]:
    interval = rule.by_slot["interval_s"][slots]
    return np.where(interval > 0, seconds / np.where(interval > 0, interval, 1.0), np.nan)
