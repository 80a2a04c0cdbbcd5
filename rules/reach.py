"""Where a history can make a rule raise: what comes before judging it, so that the rest need not be judged.

By far the most points of a city have nothing to tell for months: no reading of theirs comes near a limit. All readings
are *looked at* once (``kernels/reach.py``): least and largest value and step, how long it stood still, how many there
were. From these ranges follow those of the columns of a rule (``rules/bounds.py``), and from them whether its ``raise``
can be true at a point at all (``rules/possible.py``). Where it cannot, the rule is not bound to the point: it would
have said nothing there. Everything else is judged as ever, by the same machine.

What late readings do is not foreseen: a device with a row out of order keeps all of its rules. Clock rules are bound
by what is known of silences (``rules/hearing.py``). Rows of which nothing is asked then need not be told at all
(``rules/thinned.py``), but for their number: what is counted in readings of all points is counted as ever
(``Journal.grow``).
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from rules import vocabulary
from rules.hearing import Hearing
from rules.instances import VALUE
from rules.kernels import order
from rules.kernels import reach as kernel
from rules.machine_code import parts_of
from rules.possible import UNKNOWN, Range, possible
from rules.siblings import carriers_of
from rules.thinned import Thinning

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from numpy.typing import NDArray

    from lifeline.core.batch import Readings
    from lifeline.core.registry import Registry
    from rules.bound import BoundRule, Numbers
    from rules.instances import Instance


class Reach:
    """The ranges of what each point told, by readings in the order of receipt. It is the same for all rules."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._records = np.empty((len(registry), kernel.WIDTH))
        self._devices = np.empty((registry.device_count, kernel.WIDTH), np.int64)
        kernel.clear(self._records, self._records.view(np.int64), self._devices)
        self._heard = kernel.NEVER
        self.ordered = True
        """Whether all came in the order of receipt."""
        self.others = np.zeros(len(registry), np.int32)
        """Rows of each point that rules over single readings are not asked about, without repeats."""
        self._carriers: dict[str, NDArray[np.int32]] = {}

    def look(self, readings: Readings) -> None:
        """Take in a batch; all come before anything is asked."""
        records = self._records
        if len(readings) and int(readings.point.max()) >= len(records):
            raise AssertionError(f"point {int(readings.point.max())} is not in the registry of {len(records)} points")
        falls = kernel.look(
            *(readings.point, readings.ts, readings.received_at, readings.value, readings.quality, readings.flags),
            *(self.registry.point_device, records, records.view(np.int64), records.view(np.int32)),
            *(records.view(np.int16), self._devices, self.others),
        )
        if len(readings):
            self.ordered &= not falls and int(readings.received_at[0]) >= self._heard
            self._heard = int(readings.received_at[-1])

    def hearing(self, end: int | None) -> Hearing | None:
        """Life signs up to log time ``end``, or to the last; None for a history in another order."""
        return Hearing(self.registry, self._devices, max(self._heard, end or 0)) if self.ordered else None

    @cached_property
    def odd(self) -> NDArray[np.bool_] | None:
        """Points of devices of which nothing is foreseen; None where there are none."""
        odd = self._devices[:, kernel.ODD] != 0
        return odd[self.registry.point_device] if odd.any() else None

    def column(self, number: int) -> NDArray[np.float64]:
        """A column of the records, one entry a point."""
        if number not in self._columns:
            self._columns[number] = np.ascontiguousarray(self._records[:, number])
        return self._columns[number]

    @cached_property
    def _columns(self) -> dict[int, NDArray[np.float64]]:
        return {}

    @cached_property
    def count(self) -> NDArray[np.int32]:
        """Readings of each point."""
        return np.ascontiguousarray(self._records.view(np.int32)[:, kernel.COUNT])

    @cached_property
    def longest(self) -> NDArray[np.float64]:
        """How often in a row each value stood still, at most."""
        found = self._records.view(np.int16)[:, kernel.LONGEST]
        return np.where(found == kernel.MANY, np.inf, found)

    @cached_property
    def span_s(self) -> NDArray[np.float64]:
        """From the first reading of each point to its last."""
        times = self._records.view(np.int64)
        return np.where(self.count > 0, times[:, kernel.NEWEST] - times[:, kernel.FIRST], 0) / 1000.0

    @cached_property
    def age_s(self) -> Range:
        """Of the rows of each device, from time to receipt; bad ones too."""
        told = self._devices[:, kernel.HEARD_LAST] != kernel.NEVER
        low, high = (np.where(told, self._devices[:, end], 0) / 1000.0 for end in (kernel.YOUNGEST, kernel.OLDEST))
        return Range(low, high)

    def carriers(self, quantity: str) -> NDArray[np.int32]:
        """The point of each device that carries a quantity; -1 for none."""
        if quantity not in self._carriers:
            carriers = carriers_of(self.registry, quantity)
            of = np.full(self.registry.device_count, -1, np.int32)
            of[self.registry.point_device[carriers]] = carriers
            self._carriers[quantity] = of
        return self._carriers[quantity]


class Narrowing:
    """Binds the rules of one machine to the points at which they must be judged."""

    def __init__(self, reach: Reach, whole: Collection[str] = (), end: int | None = None) -> None:
        """``whole``: ids of rules that keep all of their points. ``end``: log time up to which silence is judged."""
        self._reach, self._whole = reach, frozenset(whole)
        self._hearing = reach.hearing(end)
        self._asked = np.zeros(len(reach.registry), np.bool_)
        """Points that some rule looks at, where it must or not."""
        self._wanted = np.zeros(len(reach.registry), np.bool_) if reach.odd is None else reach.odd.copy()
        """Points at which some rule must be judged, or that such a rule is told of."""
        self._raw = np.zeros(len(reach.registry), np.bool_)
        """Points at which some rule must be judged that sees every row as it came."""
        self._counts: dict[tuple[int, bool], tuple[NDArray[np.int32], int]] = {}
        """By the array of a rule's points, which is held so that no other takes its place, and by ``every``."""

    def kept(self, rule: BoundRule, points: NDArray[np.int32], numbers: Numbers) -> NDArray[np.intp]:
        """At which of a rule's points it must be judged, by place.

        Readings of the others count as judged. ``numbers``: the rule's parameters and numbers of the registry, by name.
        """
        if rule.spec.evaluate == "clock":
            return self._silent(rule, points, numbers)
        reach, kept = self._reach, self._left(rule, points, numbers)
        every = rule.spec.evaluate == "every"
        rule.evaluated += self._of_all(points, every=every) - self._count(points[kept], every=every)
        if every:  # what it sees is as it came: no past of it is asked for
            self._raw[points[kept]] = True
            return kept
        self._wanted[points[kept]] = True
        device = reach.registry.point_device[points[kept]]
        for quantity in rule.beside:
            carriers = reach.carriers(quantity)[device]
            self._wanted[carriers[carriers >= 0]] = True
        return kept

    def _of_all(self, points: NDArray[np.int32], *, every: bool) -> int:
        """``_count`` of a rule's points: many rules have the same ones, as the same array."""
        known = self._counts.get((id(points), every))
        if known is None:
            known = self._counts[id(points), every] = points, self._count(points, every=every)
            if not every:
                self._asked[points] = True
        return known[1]

    def _count(self, points: NDArray[np.int32], *, every: bool) -> int:
        """Readings that rules look at; of those over every row all that are no repeats."""
        count = int(order.taken(self._reach.count, points).sum())
        return count + int(self._reach.others[points].sum()) if every else count

    def parted(self, watched: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Of points that rules watch those whose readings are wanted, and those that are only counted."""
        all_ = watched | self._asked
        return all_ & self._wanted, all_ & ~self._wanted

    def steady(self) -> NDArray[np.int64] | None:
        """Devices that clock rules need not hear (``Hearing.steady``); None where they must hear all."""
        return None if self._hearing is None else self._hearing.steady()

    def thinning(self, wanted: NDArray[np.bool_], counted: NDArray[np.bool_]) -> Thinning | None:
        """What of the history must be told, when all rules are bound; None for all of it.

        ``wanted``: points whose readings are; those of ``counted`` points count, and no more.
        """
        if self._hearing is None:
            return None
        return Thinning(wanted | self._raw | self._hearing.heard()[self._reach.registry.point_device], counted)

    def _silent(self, rule: BoundRule, points: NDArray[np.int32], numbers: Numbers) -> NDArray[np.intp]:
        if self._hearing is None or rule.spec.id in self._whole:
            return np.arange(len(points))
        return self._hearing.kept(rule, points, numbers)

    def _left(self, rule: BoundRule, points: NDArray[np.int32], numbers: Numbers) -> NDArray[np.intp]:
        tree, odd = rule.tests[0].tree, self._reach.odd
        left = np.arange(len(points))
        if tree is None or rule.spec.id in self._whole or not len(points):
            return left
        theirs, sure = points, left[:0]
        if odd is not None:
            sure, left = np.flatnonzero(odd[points]), np.flatnonzero(~odd[points])
            theirs = points[left]
        for part, wanted in parts_of(tree, wanted=True):
            whole = len(left) == len(points)
            ranges = _Ranges(self._reach, rule, theirs, numbers, None if whole else left)
            found = np.flatnonzero(np.broadcast_to(possible(part, ranges.of, wanted=wanted), len(left)))
            left, theirs = left[found], theirs[found]
            if not len(left):
                break
        left = left[(self._reach.count[theirs] > 0) | (self._reach.others[theirs] > 0)]
        return np.union1d(sure, left) if len(sure) else left


class _Told:
    """What some points told: ``bounds.Seen``."""

    def __init__(self, reach: Reach, points: NDArray[np.int32]) -> None:
        self._reach, self._points = reach, points

    @cached_property
    def value(self) -> Range:
        """Its range; of a point without readings there is none, and nothing asks."""
        low, high = (self._reach.column(k) for k in (kernel.LOW, kernel.HIGH))
        return Range(order.taken(low, self._points), order.taken(high, self._points))

    @cached_property
    def step(self) -> Range:
        """The first reading has none."""
        low, high = (self._reach.column(k) for k in (kernel.STEP_LOW, kernel.STEP_HIGH))
        return Range(order.taken(low, self._points), order.taken(high, self._points), null=True)

    @cached_property
    def count(self) -> NDArray[np.int32]:
        """Readings."""
        return order.taken(self._reach.count, self._points)

    @cached_property
    def longest(self) -> NDArray[np.float64]:
        """In a row of one value."""
        return order.taken(self._reach.longest, self._points)

    @cached_property
    def span_s(self) -> NDArray[np.float64]:
        """From first to last."""
        return order.taken(self._reach.span_s, self._points)


class _On(NamedTuple):
    """What is known of a column that a feature is computed on: ``bounds.Seen``."""

    value: Range
    step: Range
    count: Any
    longest: Any
    span_s: Any


class _Ranges:
    """The ranges of one rule's columns at some of its points, each made when it is asked for."""

    def __init__(
        self,
        reach: Reach,
        rule: BoundRule,
        points: NDArray[np.int32],
        numbers: Numbers,
        places: NDArray[np.intp] | None,
    ) -> None:
        """``places``: of these points among all for which there are ``numbers``; None where they are the same."""
        self._reach, self._rule, self._points, self._numbers, self._places = reach, rule, points, numbers, places
        self._told = _Told(reach, points)
        self._known: dict[str, Range] = {}
        self._instances = {name: track.instance for track in rule.tracks for name in track.instance.outputs}

    def of(self, name: str) -> Range:
        """The range of a column."""
        if name not in self._known:
            self._known.update(self._made(name))
        return self._known[name]

    def _made(self, name: str) -> dict[str, Range]:
        """The range of a column, and those that come with it."""
        if name in self._instances:
            return {name: UNKNOWN} | self._of_feature(self._instances[name])
        if name in self._rule.by_slot:
            found = self._of_slots(name)
        elif vocabulary.is_sibling(name):
            found = self._beside(name.removeprefix(vocabulary.SIBLING))
        else:
            found = self._of_row(name)
        return {name: found}

    def _of_row(self, name: str) -> Range:
        """A column that a row tells. Of bad ones, which rules over every row see too, the age alone is known."""
        if name == "age_s":
            age_s = self._reach.age_s
            device = self._reach.registry.point_device[self._points]
            return Range(age_s.low[device], age_s.high[device])
        return _OWN[name](self._told) if name in _OWN and self._rule.spec.evaluate == "reading" else UNKNOWN

    def _of_slots(self, name: str) -> Range:
        """A parameter or a number of the registry."""
        numbers = self._numbers(name)
        numbers = numbers if self._places is None else numbers[self._places]
        none = np.isnan(numbers)
        return Range(numbers, numbers, none) if none.any() else Range(numbers, numbers)

    def _of_feature(self, instance: Instance) -> dict[str, Range]:
        bounds = instance.feature.bounds
        if bounds is None:
            return {}
        if instance.on == VALUE:
            found = bounds(self._told)
        else:
            on = self.of(instance.on)
            width = on.high - on.low
            step = Range(-width, width, null=True)
            found = bounds(_On(on, step, self._told.count, self._told.count, self._told.span_s))
        names = dict(zip(instance.feature.outputs, instance.outputs, strict=True))
        return {names[name]: range_ for name, range_ in found.items()}

    def _beside(self, quantity: str) -> Range:
        """What was newest of another quantity of the device."""
        carrier = self._reach.carriers(quantity)[self._reach.registry.point_device[self._points]]
        there = carrier >= 0
        value = _Told(self._reach, np.maximum(carrier, 0)).value
        return Range(np.where(there, value.low, 0.0), np.where(there, value.high, 0.0), null=True)


_OWN: Final[dict[str, Callable[[_Told], Range]]] = {
    "value": lambda told: told.value,
    "prev": lambda told: told.value._replace(null=True),
    "step": lambda told: told.step,
    "gap_s": lambda told: Range(0.0, told.span_s, null=True),
}
"""Columns of which something is known besides those of features."""
