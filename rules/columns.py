"""Columns of readings for the conditions of one rule: what needs no memory, and what features remember.

By far the most rules go another way (``rules/sweep.py``), of which this is the naive twin: here only their hits are
asked about, and rules over groups and those that take no part there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lifeline.core.schema import Flag
from rules import vocabulary
from rules.kernels import order
from rules.memory import Known, Rows, Walk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from lifeline.core.batch import Readings
    from rules.bound import BoundRule
    from rules.chosen import Chosen
    from rules.localtime import LocalClock
    from rules.own_rows import OwnRows
    from rules.sweep import Hits

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


def columns_at(columns: Mapping[str, NDArray[np.float64]], rows: NDArray[np.intp]) -> Mapping[str, NDArray[np.float64]]:
    """Columns at some rows; what is not asked for is not made."""
    return _Lazy(lambda name: columns[name][rows])


class Columns:
    """Computes them, by the site's clock. Features advance: every row of a rule exactly once, in order."""

    def __init__(self, clock: LocalClock) -> None:
        self._clock = clock

    def of(
        self, rule: BoundRule, rows: Chosen, beside: dict[str, NDArray[np.float64]]
    ) -> Mapping[str, NDArray[np.float64]]:
        """All columns that the rule's conditions over readings may ask for, ``beside`` (those of siblings) among them.

        What needs no memory is computed when it is asked for: mostly never.
        """
        columns = _Lazy(lambda name: self._column(name, rule, rows))
        columns.update(beside)
        if rule.tracks:
            walk = self._walk(rule, rows)
            walks: dict[str, Known] = {}
            for track in rule.tracks:
                columns.update(track.compute(walk, columns, rule.until, walks))
        return columns

    def beside(
        self, rule: BoundRule, rows: Hits | OwnRows, known: dict[str, NDArray[np.float64]]
    ) -> Mapping[str, NDArray[np.float64]]:
        """The same for rows at which features have advanced already: their columns are ``known``."""
        columns = _Lazy(lambda name: self._column(name, rule, rows))
        columns.update(known)
        return columns

    def _walk(self, rule: BoundRule, rows: Chosen) -> Walk:
        ts = rows.column("ts")
        local = rows.once("local", lambda: self._clock.local_ms(ts)) if rule.wants_local else ts[:0]
        value, prev, dt = (rows.column(name) for name in ("value", "prev", "dt"))
        limit = rule.limits(rows.slots, _times(rule, rows)) if rule.wants_limit else value[:0]
        return Walk(rows.slots, ts, local, value, prev, dt, limit)

    def _column(self, name: str, rule: BoundRule, rows: Chosen | Hits | OwnRows) -> NDArray[np.float64]:
        """A column without memory, for the rows of one rule."""
        if name in rule.by_slot:
            return rule.column(name, rows.slots, _times(rule, rows))
        if name in _STORED:
            return rows.column(_STORED[name])
        if name == "gap_n":
            return _per_interval(rows.column("dt"), rule, rows.slots)
        if vocabulary.is_sibling(name):
            return np.full(len(rows), np.nan)
        return rows.once(f"made {name}", lambda: self._shared(name, rows))

    def _shared(self, name: str, rows: Chosen | Hits | OwnRows) -> NDArray[np.float64]:
        """One that is the same for all rules of a set."""
        made: Any
        if name == "step":
            made = rows.column("value") - rows.column("prev")
        elif name == "late":
            made = (order.taken(rows.readings.flags, rows.row) & np.uint8(Flag.LATE)) != 0
        elif name == "age_s":
            made = (rows.received_at - rows.column("ts")) / 1000.0
        elif name == "quality":
            made = order.taken(rows.readings.quality, rows.row)
        else:
            made = self._clock.column(name, rows.column("ts"))
        return np.asarray(made, np.float64)


def _times(rule: BoundRule, rows: Chosen | Hits | OwnRows) -> NDArray[np.int64]:
    """When the rows were received; empty where no parameter of the rule changes with time."""
    return rows.received_at if rule.overlaid else _NO_TIMES


def all_rows(readings: Readings, lsn: NDArray[np.int64]) -> Rows:
    """Every row but repeats; without what came before. ``lsn`` of each reading."""
    nothing = np.zeros(0)
    repeated = (readings.flags & np.uint8(Flag.DUPLICATE)) != 0
    if not repeated.any():
        row = np.arange(len(readings), dtype=np.int32)
        point = readings.point.copy()  # the log's are read-only: to numba another type, for which it would compile anew
        return Rows(readings, row, point, readings.ts, readings.value, nothing, nothing, lsn, np.empty((len(row), 0)))
    row = np.flatnonzero(~repeated).astype(np.int32)
    own = (readings.point[row], readings.ts[row], readings.value[row])
    return Rows(readings, row, *own, nothing, nothing, lsn, np.empty((len(row), 0)))


def _per_interval(seconds: NDArray[np.float64], rule: BoundRule, slots: NDArray[np.int32]) -> NDArray[np.float64]:
    interval = rule.by_slot["interval_s"][slots]
    return np.where(interval > 0, seconds / np.where(interval > 0, interval, 1.0), np.nan)
