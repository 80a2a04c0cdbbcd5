"""Columns of readings for the conditions of one rule: what needs no memory, and what features remember."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lifeline.core.schema import Flag
from rules import features
from rules.kernels import select
from rules.memory import Known, Rows, Walk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from lifeline.core.batch import Readings
    from rules.localtime import LocalClock
    from rules.plan import BoundRule

_NO_TIMES: Final = np.zeros(0, np.int64)
_STORED: Final = {"value": "value", "prev": "prev", "gap_s": "dt"}


class _Lazy(dict[str, "NDArray[np.float64]"]):
    """Columns by name; one that is not there is made."""

    def __init__(self, make: Callable[[str], NDArray[np.float64]]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, name: str) -> NDArray[np.float64]:
        made = self[name] = self._make(name)
        return made


class Columns:
    """Computes them, by the site's clock. Features advance: every row of a rule exactly once, in order."""

    def __init__(self, clock: LocalClock) -> None:
        self._clock = clock

    def of(
        self,
        rule: BoundRule,
        rows: Rows,
        places: NDArray[np.int32],
        slots: NDArray[np.int32],
        beside: dict[str, NDArray[np.float64]],
    ) -> Mapping[str, NDArray[np.float64]]:
        """All columns that the rule's conditions over readings may ask for, ``beside`` (those of siblings) among them.

        What needs no memory is computed when it is asked for: mostly never.
        """
        columns = _Lazy(lambda name: self._column(name, rule, rows, places, slots))
        columns.update(beside)
        if rule.tracks:
            walk = self._walk(rule, rows, places, slots)
            columns["value"] = walk.value
            walks: dict[str, Known] = {}
            for track in rule.tracks:
                columns.update(track.compute(walk, columns, rule.until, walks))
        return columns

    def _walk(self, rule: BoundRule, rows: Rows, places: NDArray[np.int32], slots: NDArray[np.int32]) -> Walk:
        n = len(places)
        ts, value, prev, dt = np.empty(n, np.int64), np.empty(n), np.empty(n), np.empty(n)
        select.take(places, rows.ts, rows.value, rows.prev, rows.dt, ts, value, prev, dt)
        local = self._clock.local_ms(ts) if rule.wants_local else ts[:0]
        limit = rule.limits(slots, self._times(rule, rows, places)) if rule.wants_limit else value[:0]
        return Walk(slots, ts, local, value, prev, dt, limit)

    @staticmethod
    def _times(rule: BoundRule, rows: Rows, places: NDArray[np.int32]) -> NDArray[np.int64]:
        """When the rows were received; empty where no parameter of the rule changes with time."""
        return rows.readings.received_at[rows.row[places]] if rule.overlaid else _NO_TIMES

    def _column(
        self, name: str, rule: BoundRule, rows: Rows, places: NDArray[np.int32], slots: NDArray[np.int32]
    ) -> NDArray[np.float64]:
        """A column without memory, for the rows of one rule."""
        made: Any
        if name in rule.by_slot:
            made = rule.column(name, slots, self._times(rule, rows, places))
        elif name in _STORED:
            made = _picked(getattr(rows, _STORED[name]), places)
        elif name == "step":
            made = _picked(rows.value, places) - _picked(rows.prev, places)
        elif name == "gap_n":
            made = _per_interval(_picked(rows.dt, places), rule, slots)
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


def all_rows(readings: Readings, lsn: NDArray[np.int64]) -> Rows:
    """Every row but repeats; without what came before. ``lsn`` of each reading."""
    nothing = np.zeros(0)
    repeated = (readings.flags & np.uint8(Flag.DUPLICATE)) != 0
    if not repeated.any():
        row = np.arange(len(readings), dtype=np.int32)
        point = readings.point.copy()  # the log's are read-only: to numba another type, for which it would compile anew
        return Rows(readings, row, point, readings.ts, readings.value, nothing, nothing, lsn)
    row = np.flatnonzero(~repeated).astype(np.int32)
    return Rows(readings, row, readings.point[row], readings.ts[row], readings.value[row], nothing, nothing, lsn)


def _picked(column: NDArray[np.float64], places: NDArray[np.int32]) -> NDArray[np.float64]:
    if not column.flags.writeable:  # the log's own: to numba another type
        return column[places]
    made = np.empty(len(places))
    select.pick(places, column, made)
    return made


def _per_interval(seconds: NDArray[np.float64], rule: BoundRule, slots: NDArray[np.int32]) -> NDArray[np.float64]:
    interval = rule.by_slot["interval_s"][slots]
    return np.where(interval > 0, seconds / np.where(interval > 0, interval, 1.0), np.nan)
