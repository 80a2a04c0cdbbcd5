"""What a rule remembers of its points: the state of its features, one row a slot.

State belongs to the rule: two rules with the same feature each keep their own, which costs a few bytes a point and
lets every kernel walk only the rule's own rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rules import vocabulary
from rules.coded import Coded
from rules.instances import VALUE
from rules.kernels import features as kernels
from rules.kernels import order
from rules.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from lifeline.core.batch import Readings
    from lifeline.core.registry import Registry
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
        names = ("point", "ts", "value", "prev", "dt", "lsn")
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
        return Rows(self.readings, *own, chosen(self.prev), chosen(self.dt), self.lsn)


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


class Sibling:
    """``device_<quantity>`` of one rule: the newest value of that quantity on the same device.

    A slot for each device that has both a point that carries the quantity and one that wants it.
    """

    def __init__(self, quantity: str) -> None:
        self.quantity = quantity
        self.state = np.zeros((0, 2))
        self._device = np.zeros(0, np.int32)
        self._limit_ms = Coded()
        self.points = np.zeros(0, np.int32)
        """Those that carry or want it, rising; the code of each (``kernels.sibling``) is in ``_codes``."""
        self._codes = np.zeros(0, np.int32)

    def grow(
        self,
        registry: Registry,
        wanting: NDArray[np.int32],
        newest: NDArray[np.int64],
        last: NDArray[np.float64],
    ) -> None:
        """Take in new points; ``wanting`` are all of the rule's.

        What was newest of carriers before is in ``newest`` and ``last``, by point. Older points may be new to
        it as well: a device got the other half of a comparison.
        """
        carriers, device = self.carriers(registry), registry.point_device
        slots = self._slots(registry)
        carried = np.zeros(len(slots), bool)
        carried[device[carriers]] = True
        wanted = np.zeros(len(slots), bool)
        wanted[device[wanting]] = True
        new = np.flatnonzero(carried & wanted & (slots < 0)).astype(np.int32)
        first = len(self._device)
        slots[new] = np.arange(first, first + len(new), dtype=np.int32)
        self._device = np.concatenate([self._device, new])
        self.state = np.concatenate([self.state, np.full((len(new), 2), np.nan)])
        limit_ms = np.full(len(self.state), float(vocabulary.SIBLING_MS_UNKNOWN))
        of = slots[device[carriers]]
        limits = registry.interval_ms[carriers] * vocabulary.SIBLING_INTERVALS
        limit_ms[of[(limits > 0) & (of >= 0)]] = limits[(limits > 0) & (of >= 0)]
        self._limit_ms = Coded(limit_ms)
        self.recall(registry, newest, last, first)
        coded = np.zeros(len(registry), np.int32)
        for some, bit in ((carriers, kernels.CARRIES), (wanting, kernels.WANTS)):
            of = slots[device[some]]
            coded[some[of >= 0]] |= (of[of >= 0] << 2) | bit
        self.points = np.flatnonzero(coded).astype(np.int32)
        self._codes = coded[self.points]

    def carriers(self, registry: Registry) -> NDArray[np.int32]:
        """The points of the quantity."""
        if self.quantity not in registry.quantities:
            return np.zeros(0, np.int32)
        return np.flatnonzero(registry.point_quantity == registry.quantities.index(self.quantity)).astype(np.int32)

    def recall(self, registry: Registry, newest: NDArray[np.int64], last: NDArray[np.float64], first: int = 0) -> None:
        """Know the newest reading of each carrier, by point, for the slots from ``first`` on."""
        carriers = self.carriers(registry)
        carriers = carriers[carriers < len(newest)]
        carriers = carriers[newest[carriers] != order.NEVER]
        of = self._slots(registry)[registry.point_device[carriers]]
        carriers, of = carriers[of >= first], of[of >= first]
        self.state[of, 0], self.state[of, 1] = newest[carriers], last[carriers]

    def _slots(self, registry: Registry) -> NDArray[np.int32]:
        """The slot of each device, -1 for none."""
        slots = np.full(len(registry.devices), -1, np.int32)
        slots[self._device] = np.arange(len(self._device), dtype=np.int32)
        return slots

    def compute(
        self, slots: NDArray[np.int32], ts: NDArray[np.int64], value: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Advance over the rows of ``points`` (slots are places there), in the order of reading.

        NaN where it is not known, and at rows that do not want it.
        """
        codes, found = self._codes[slots], np.empty(len(slots))
        kernels.sibling(codes, ts, value, self._limit_ms[codes >> 2], self.state, found)
        return found

    def devices(self, slots: NDArray[np.int32]) -> NDArray[np.int32]:
        """The rows of the state behind some of ``points``, each once."""
        return np.unique(self._codes[slots] >> 2).astype(np.int32)

    @property
    def nbytes(self) -> int:
        """Memory."""
        return self.state.nbytes + self._device.nbytes + self._limit_ms.nbytes + self.points.nbytes + self._codes.nbytes
