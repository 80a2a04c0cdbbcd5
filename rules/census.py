"""The points of a registry as ``where`` sees them: which of them satisfy a condition.

Conditions of ``where`` ask for columns of few values (kind, quantity, utility). Points with the same values are of one
*sort*, of which a city has some hundreds, and such a condition is asked once for each sort, not for each point; so
binding the library to 624,800 points takes tenths of a second. Columns of many values (asset, zone) make sorts for the
one condition that asks for them, and are compared point by point where these are too many.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
import pyarrow as pa

from lifeline.core.registry import REPEATING
from lifeline.core.schema import POINTS
from rules import conditions, vocabulary
from rules.named import about as named_after

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lifeline.core.registry import Registry
    from rules.conditions import Condition

MADE: Final = frozenset({"lead", "gateway_lead", "foreign"})
"""Columns that are no column of the registry."""
PLAIN: Final = frozenset(f.name for f in POINTS if not pa.types.is_string(f.type) and f.name not in REPEATING)
"""Columns in which hardly any value stands twice."""
FEW: Final = 256
"""Values of a column that makes sorts for all conditions."""
SORTS_MAX: Final = 1 << 15
"""More sorts than that, and the points themselves are asked."""
ROOM_MAX: Final = 1 << 20
"""Combinations of values, of which the sorts are those that there are."""


class Sorts:
    """Points by the values of some columns: all that have the same are of one sort."""

    def __init__(self, points: int) -> None:
        self.of: NDArray[np.int64] = np.zeros(points, np.int64)
        """The sort of each point."""
        self.codes: dict[str, NDArray[np.int64]] = {}
        """By column, the code of each sort's value."""
        self.values: dict[str, pl.Series] = {}
        """By column, the values of the sorts that somebody asked for."""
        self._count = 1

    def split(self, name: str, codes: NDArray[np.int32], size: int) -> bool:
        """Tell sorts apart by one more column; False, and nothing is done, where they would be too many.

        Args:
            name: the column.
            codes: int32 [points], the number of each one's value.
            size: how many numbers there are.
        """
        if name in self.codes:
            return True
        room = self._count * size
        if room > ROOM_MAX:
            return False
        both = self.of * size + codes
        there = np.zeros(room, bool)
        there[both] = True
        found = np.flatnonzero(there)
        if len(found) > SORTS_MAX:
            return False
        number = np.zeros(room, np.int64)
        number[found] = np.arange(len(found))
        self.of, self._count = number[both], len(found)
        self.codes = {known: column[found // size] for known, column in self.codes.items()}
        self.codes[name] = found % size
        self.values = {}
        return True

    def __len__(self) -> int:
        """How many sorts there are; one without any point when there are no points."""
        return self._count


class Census:
    """The points from ``start`` on. Made for one use: what was computed is kept."""

    def __init__(self, registry: Registry, start: int = 0) -> None:
        self.start = start
        self._registry = registry
        self._codes: dict[str, tuple[NDArray[np.int32], pa.Array | None]] = {}
        self._shared = Sorts(len(self))
        self._own: dict[tuple[str, ...], Sorts | None] = {}
        self._masks: dict[str, NDArray[np.bool_]] = {}
        self._floats: dict[str, NDArray[np.float64]] = {}

    def __len__(self) -> int:
        """Number of points."""
        return len(self._registry) - self.start

    def mask(self, where: str) -> NDArray[np.bool_]:
        """Which points satisfy a condition that ``load`` has accepted before; the same array for the same text."""
        found = self._masks.get(where)
        if found is None:
            found = self._masks[where] = self._satisfied(conditions.accepted(where, vocabulary.WHERE))
        return found

    def floats(self, name: str) -> NDArray[np.float64]:
        """A column of numbers, NaN where it is unknown."""
        found = self._floats.get(name)
        if found is None:
            column = self._registry.select([name], self.start)[name].combine_chunks()
            found = column.cast(pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False)
            self._floats[name] = found
        return found

    def texts(self, name: str, rows: NDArray[np.intp]) -> list[str | None]:
        """A column of texts at some rows."""
        texts: list[str | None] = self._registry.rows(rows + self.start, [name])[name].to_pylist()
        return texts

    def known(self, name: str) -> NDArray[np.bool_]:
        """Where a column has a value."""
        column = self._registry.coded(name, self.start)
        known: NDArray[np.bool_] = column.is_valid().to_numpy(zero_copy_only=False)
        return known

    def _satisfied(self, condition: Condition) -> NDArray[np.bool_]:
        names = tuple(sorted(condition.names))
        sorts = self._sorts(names)
        if sorts is None:
            frame = pl.DataFrame([self._series(name) for name in names])
            return conditions.evaluate(frame, len(self), [condition.expression({})])[0]
        for name in names:
            if name not in sorts.values:
                sorts.values[name] = self._values(name).gather(sorts.codes[name])
        frame = pl.DataFrame([sorts.values[name] for name in names])
        mask = conditions.evaluate(frame, len(sorts), [condition.expression({})])[0]
        if not mask.any():  # rules for foreign history in a city, and the other way round
            return np.zeros(len(self), bool)
        return mask[sorts.of]

    def _sorts(self, names: tuple[str, ...]) -> Sorts | None:
        """Points by these columns at least, None where they are as good as all different."""
        if not PLAIN.isdisjoint(names):
            return None
        if all(self._size(name) <= FEW for name in names) and self._split(self._shared, names):
            return self._shared
        if names not in self._own:
            own = Sorts(len(self))
            self._own[names] = own if self._split(own, names) else None
        return self._own[names]

    def _split(self, sorts: Sorts, names: tuple[str, ...]) -> bool:
        return all(sorts.split(name, self._coded(name)[0], self._size(name)) for name in names)

    def _coded(self, name: str) -> tuple[NDArray[np.int32], pa.Array | None]:
        """Each point's value of a column as a number, and the values (None: false and true); unknown comes last."""
        found = self._codes.get(name)
        if found is None:
            if name in MADE:
                found = self._made[name].astype(np.int32), None
            elif name == "about":
                found = self._about()
            else:
                column = self._registry.coded(name, self.start)
                codes = column.indices.fill_null(len(column.dictionary)).to_numpy(zero_copy_only=False)
                found = codes.astype(np.int32, copy=False), column.dictionary
            self._codes[name] = found
        return found

    def _about(self) -> tuple[NDArray[np.int32], pa.Array]:
        """What each point's quantity is about by its name, as ``_coded``."""
        quantity, named = self._coded("quantity")
        assert named is not None
        told = [named_after(name) for name in named.to_pylist()]
        known = sorted({subject for subject in told if subject is not None})
        place = {subject: number for number, subject in enumerate(known)}
        codes = np.array([*(place.get(subject or "", len(known)) for subject in told), len(known)], np.int32)
        return codes[quantity], pa.array(known, pa.string())

    def _size(self, name: str) -> int:
        values = self._coded(name)[1]
        return 2 if values is None else len(values) + 1

    def _values(self, name: str) -> pl.Series:
        values = self._coded(name)[1]
        known = [False, True] if values is None else [*values.to_pylist(), None]
        return pl.Series(name, known, dtype=vocabulary.WHERE[name])

    def _series(self, name: str) -> pl.Series:
        if name in MADE:
            return pl.Series(name, self._made[name])
        if name == "about":
            return self._values(name).gather(self._coded(name)[0])
        column = pl.from_arrow(self._registry.select([name], self.start)[name].combine_chunks())
        assert isinstance(column, pl.Series)
        return column.alias(name)

    @cached_property
    def _made(self) -> dict[str, NDArray[np.bool_]]:
        """The first point of each device, and of each gateway (of all points, whatever ``start`` is); foreign kinds."""
        registry = self._registry
        lead, gateway_lead = np.zeros(len(registry), bool), np.zeros(len(registry), bool)
        lead[registry.device_points[registry.device_ptr[:-1]]] = True
        gateway = registry.coded("gateway")
        codes = gateway.indices.fill_null(len(gateway.dictionary)).to_numpy(zero_copy_only=False)
        first = np.zeros(len(gateway.dictionary) + 1, np.intp)
        first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)  # the last to be written stays: the first point
        gateway_lead[first[: len(gateway.dictionary)]] = True
        kind = registry.coded("kind", self.start)
        known = np.array([*(name in vocabulary.FOREIGN for name in kind.dictionary.to_pylist()), False])
        foreign = known[kind.indices.fill_null(len(kind.dictionary)).to_numpy(zero_copy_only=False)]
        return {"lead": lead[self.start :], "gateway_lead": gateway_lead[self.start :], "foreign": foreign}
