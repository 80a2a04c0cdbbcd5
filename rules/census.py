"""The points of a registry as ``where`` sees them: which of them satisfy a condition.

Conditions of ``where`` ask for columns of few values (kind, quantity, utility). Points with the same values are of one
*sort*, of which a city has some hundreds, and such conditions are asked once for each sort, not for each point, and all
together; so binding the library to 624,800 points takes tenths of a second. Columns of many values (asset, zone) make
sorts for the one condition that asks for them, and are compared point by point where these are too many.
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
from rules.kernels import select
from rules.kernels import sorts as kernels
from rules.named import about as named_after

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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
        self.of: NDArray[np.uint16] = np.zeros(points, np.uint16)
        """The sort of each point."""
        self.codes: dict[str, NDArray[np.int64]] = {}
        """By column, the code of each sort's value."""
        self.answers: dict[str, NDArray[np.bool_]] = {}
        """By condition, which sorts satisfy it."""
        self._points: dict[bytes, NDArray[np.int32]] = {}
        """By answer."""
        self._extents: tuple[NDArray[np.int64], ...] | None = None
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
        there = np.zeros(room, bool)
        kernels.meet(self.of, codes, size, there)
        found = np.flatnonzero(there)
        if len(found) > SORTS_MAX:
            return False
        number = np.zeros(room, np.uint16)
        number[found] = np.arange(len(found))
        kernels.rename(self.of, codes, size, number)
        self._count = len(found)
        self.codes = {known: column[found // size] for known, column in self.codes.items()}
        self.codes[name] = found % size
        self.answers = {where: answer[found // size] for where, answer in self.answers.items()}
        self._points, self._extents = {}, None
        return True

    def __len__(self) -> int:
        """How many sorts there are; one without any point when there are no points."""
        return self._count

    def at(self, where: str, points: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Whether some points satisfy a condition that was answered."""
        found = np.empty(len(points), np.bool_)
        kernels.wanted_at(self.of, self.answers[where], points, found)
        return found

    def points(self, where: str) -> NDArray[np.int32]:
        """The points that satisfy a condition that was answered, rising; the same array for the same points."""
        answer = self.answers[where]
        known = self._points.get(answer.tobytes())
        if known is None:
            if self._extents is None:
                self._extents = (
                    np.zeros(len(self), np.int64),
                    np.zeros(len(self), np.int64),
                    np.zeros(len(self), np.int64),
                )
                kernels.extents(self.of, *self._extents)
            counts, first, last = (one[answer] for one in self._extents)
            room = np.empty(int(counts.sum()) + 1, np.int32)
            known = room[:-1]
            if len(known):
                kernels.points_of(self.of, answer, int(first.min()), int(last.max()), room)
            self._points[answer.tobytes()] = known
        return known


class Census:
    """The points from ``start`` on. Made for one use: what was computed is kept."""

    def __init__(self, registry: Registry, start: int = 0) -> None:
        self.start = start
        self._registry = registry
        self._codes: dict[str, tuple[NDArray[np.int32], pa.Array | None]] = {}
        self._shared = Sorts(len(self))
        self._own: dict[tuple[str, ...], Sorts | None] = {}
        self._answered: dict[str, Sorts | NDArray[np.bool_]] = {}
        """By condition, who answers it, or which points satisfy it."""
        self._tables: dict[str, NDArray[np.float64]] = {}

    def __len__(self) -> int:
        """Number of points."""
        return len(self._registry) - self.start

    def ask(self, wheres: Iterable[str]) -> None:
        """Find out about several conditions at once: half a millisecond less for each than one by one."""
        together: dict[str, Condition] = {}
        for where in dict.fromkeys(wheres):
            if where not in self._answered:
                condition = conditions.accepted(where, vocabulary.WHERE)
                names = tuple(sorted(condition.names))
                sorts = self._sorts(names)
                if sorts is self._shared:
                    together[where] = condition
                elif sorts is not None:
                    self._answer(sorts, {where: condition})
                else:
                    frame = pl.DataFrame([self._series(name) for name in names])
                    self._answered[where] = conditions.evaluate(frame, len(self), [condition.expression({})])[0]
        if together:
            self._answer(self._shared, together)

    def at(self, where: str, rows: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Whether some of the points satisfy a condition that ``load`` has accepted before."""
        found = self._found(where)
        return found.at(where, rows) if isinstance(found, Sorts) else found[rows]

    def points(self, where: str) -> NDArray[np.int32]:
        """The points that satisfy one, rising, by place; often the same array for the same points, so not to change."""
        found = self._found(where)
        return found.points(where) if isinstance(found, Sorts) else np.flatnonzero(found).astype(np.int32)

    def points_at(self, rows: NDArray[np.int32]) -> NDArray[np.int32]:
        """Which points of the registry these are."""
        return rows + np.int32(self.start) if self.start else rows

    def _found(self, where: str) -> Sorts | NDArray[np.bool_]:
        if where not in self._answered:
            self.ask([where])
        return self._answered[where]

    def numbers(self, name: str, rows: NDArray[np.int32]) -> NDArray[np.float64]:
        """A column of numbers at some of the points, NaN where it is unknown."""
        codes, values = self._coded(name)
        if name not in self._tables:
            assert values is not None
            known = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
            self._tables[name] = np.append(known, np.nan)
        found = np.empty(len(rows))
        select.decode(rows, codes, self._tables[name], found)
        return found

    def texts(self, name: str, rows: NDArray[np.int32]) -> list[str | None]:
        """A column of texts at some rows."""
        texts: list[str | None] = self._registry.rows(rows + self.start, [name])[name].to_pylist()
        return texts

    def known(self, name: str) -> NDArray[np.bool_]:
        """Where a column has a value."""
        column = self._registry.coded(name, self.start)
        known: NDArray[np.bool_] = column.is_valid().to_numpy(zero_copy_only=False)
        return known

    def _answer(self, sorts: Sorts, asked: Mapping[str, Condition]) -> None:
        names = sorted(frozenset().union(*(condition.names for condition in asked.values())))
        frame = pl.DataFrame([self._values(name).gather(sorts.codes[name]) for name in names])
        masks = conditions.evaluate(frame, len(sorts), [condition.expression({}) for condition in asked.values()])
        for where, mask in zip(asked, masks, strict=True):
            sorts.answers[where] = np.array(mask)
            self._answered[where] = sorts

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
                codes = column.indices.fill_null(len(column.dictionary)) if column.null_count else column.indices
                found = codes.to_numpy(zero_copy_only=False).astype(np.int32), column.dictionary
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
