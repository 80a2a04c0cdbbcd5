"""What a rule remembers of its points: the state of its features, one row a slot.

State belongs to the rule: two rules with the same feature each keep their own, which costs a few bytes a point and
lets every kernel walk only the rule's own rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rules.instances import VALUE
from rules.kernels import order
from rules.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from lifeline.core.batch import Readings
    from rules.feature import Form
    from rules.instances import Instance


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows to evaluate, in reading order. ``prev`` and ``dt`` (s) are NaN for a point's first reading."""

    readings: Readings
    row: NDArray[np.int32]
    """Index in ``readings``."""
    point: NDArray[np.int32]
    ts: NDArray[np.int64]
    value: NDArray[np.float64]
    prev: NDArray[np.float64]
    dt: NDArray[np.float64]
    lsn: NDArray[np.int64]
    """Log position, one entry for each of ``readings``."""
    beside: NDArray[np.float64]
    """[rows, what one point wants at most]: what was newest of the quantities of the device that the point wants and
    has, in order (``rules/beside.py``)."""

    @property
    def received_at(self) -> NDArray[np.int64]:
        """When each row was received."""
        return self.readings.received_at[self.row]

    @classmethod
    def join(cls, parts: Sequence[Rows], readings: Readings) -> Rows:
        """The rows of records that follow one another; ``readings`` are those of all of them."""
        if len(parts) == 1:
            return parts[0]
        starts = np.cumsum([0, *(len(part.readings) for part in parts)])
        row = [part.row + np.int32(start) for part, start in zip(parts, starts, strict=False)]
        names = ("point", "ts", "value", "prev", "dt", "lsn", "beside")
        rest = (np.concatenate([getattr(part, name) for part in parts]) for name in names)
        return cls(readings, np.concatenate(row), *rest)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp] | slice) -> Rows:
        """The chosen rows."""

        def chosen(column: NDArray[Any]) -> NDArray[Any]:
            if isinstance(rows, np.ndarray) and rows.dtype == np.intp:
                return order.taken(column, rows)
            found: NDArray[Any] = column[rows]
            return found

        own = chosen(self.row), chosen(self.point), chosen(self.ts), chosen(self.value)
        beside = chosen(self.beside) if self.beside.shape[1] else np.empty((len(own[0]), 0))
        return Rows(self.readings, *own, chosen(self.prev), chosen(self.dt), self.lsn, beside)

    @property
    def alone(self) -> Rows:
        """The same without what was beside."""
        return replace(self, beside=self.beside[:, :0])


@dataclass(frozen=True, slots=True)
class Walk:
    """One rule's rows, as its features walk over them: what a kernel takes."""

    slots: NDArray[np.int32]
    ts: NDArray[np.int64]
    local: NDArray[np.int64]
    """Wall clock (ms); empty when no feature of the rule wants it."""
    value: NDArray[np.float64]
    prev: NDArray[np.float64]
    dt: NDArray[np.float64]
    limit: NDArray[np.float64]
    """Empty likewise."""

    def take(self, rows: NDArray[np.intp], value: NDArray[np.float64], prior: NDArray[np.float64]) -> Walk:
        """The chosen rows with another column as the value, and what came before of it: no value where none is kept."""
        prev, dt = np.empty(len(rows) if prior.shape[1] > 1 else 0), np.empty(len(rows))
        slots, ts = self.slots[rows], self.ts[rows]
        order.previous(slots, ts, value[rows], prior, prev, dt)
        local = self.local[rows] if len(self.local) else self.local
        limit = self.limit[rows] if len(self.limit) else self.limit
        return replace(self, slots=slots, ts=ts, local=local, value=value[rows], prev=prev, dt=dt, limit=limit)


Known = tuple["NDArray[np.intp]", Walk]
"""The rows at which a column has a value, and the walk over them."""


@dataclass
class Track:
    """One feature of one rule."""

    instance: Instance
    asked: frozenset[str]
    """Its columns that somebody asks for."""
    leads: bool = True
    """Whether it is the first of the rule on its column: those after it go by what it knows of the row before."""
    steps: bool = False
    """Whether any of the rule on its column compares with the value before."""
    form: Form = field(init=False)
    state: NDArray[Any] = field(init=False)
    outputs: tuple[str, ...] = field(init=False)
    prior: NDArray[np.float64] = field(init=False)
    """Time of the newest row and, with ``steps``, its value, for a feature on another column than the value; no columns
    otherwise."""
    seldom: int = field(init=False)
    """So many columns of the state, the first ones, change seldom: checkpoints hold what became of them instead."""
    turns: Turns = field(init=False)

    def __post_init__(self) -> None:
        """No points yet."""
        instance = self.instance
        self.options = np.array(instance.options, np.float64)
        self.form, self.outputs = instance.form(self.asked)
        self.state = np.zeros((0, len(self.form.keeps)), instance.feature.dtype)
        self.seldom = self.form.seldom
        self.turns = Turns(instance.feature.dtype, self.form.turn)
        self.prior = np.zeros((0, (2 if self.steps else 1) if self._on_column else 0))

    @property
    def name(self) -> str:
        """Its name in a snapshot."""
        return "+".join(self.instance.outputs)

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """What each reading changes, by the end of a name."""
        own = self.state[:, self.seldom :]
        return {"": own, "+prior": self.prior} if self._on_column else {"": own}

    @property
    def _on_column(self) -> bool:
        return self.leads and self.instance.on != VALUE

    def fitting(self, name: str, array: Any) -> Any:
        """An array of a snapshot as it is held here: those of before hold more."""
        if name.endswith("+prior"):
            return np.ascontiguousarray(array[:, : self.prior.shape[1]])
        return self.form.part(array)

    def before(self, own: NDArray[Any]) -> NDArray[Any]:
        """The whole state at the older checkpoint, which holds ``own`` of it; a copy."""
        state = self.state.copy()
        self.turns.undo(state)
        state[:, self.seldom :] = own
        return state

    @property
    def nbytes(self) -> int:
        """Memory."""
        return self.state.nbytes + self.prior.nbytes + self.turns.nbytes

    def grow(self, slots: int) -> None:
        """Append empty state up to ``slots`` rows."""
        for name in ("state", "prior"):
            array = getattr(self, name)
            more = np.full((slots - len(array), array.shape[1]), np.nan, array.dtype)
            setattr(self, name, np.concatenate([array, more]) if len(array) else more)

    def compute(
        self, walk: Walk, columns: Mapping[str, NDArray[np.float64]], until: float, walks: dict[str, Known]
    ) -> dict[str, NDArray[np.float64]]:
        """Advance over the rule's rows; columns by name. Every row exactly once, in order.

        ``columns`` holds the one that the feature is computed on; ``walks`` those over such columns, made so far.
        """
        if self.instance.on == VALUE:
            return self._run(walk, until)
        value = columns[self.instance.on]
        if self.leads:
            rows = np.flatnonzero(~np.isnan(value))
            walks[self.instance.on] = rows, walk.take(rows, value, self.prior)
        known, own = walks[self.instance.on]
        found = self._run(own, until)
        wide = {name: np.full(len(value), np.nan) for name in found}
        for name, column in found.items():
            wide[name][known] = column
        return wide

    def _run(self, walk: Walk, until: float) -> dict[str, NDArray[np.float64]]:
        out = np.empty((len(self.outputs), len(walk.slots)))
        given = (walk.slots, walk.ts, walk.local, walk.value, walk.prev, walk.dt, walk.limit)
        if self.form.noting is None:
            self.form.kernel(*given, self.options, until, self.state, out)
        else:
            self.turns.note(self.form.noting, (*given, self.options, until, self.state, out))
        return dict(zip(self.outputs, out, strict=True))
