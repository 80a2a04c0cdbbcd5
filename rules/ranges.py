"""The ranges of a rule's columns over a whole history, by what was seen of each point (``rules/reach.py``)."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from rules import vocabulary
from rules.instances import VALUE
from rules.kernels import order
from rules.kernels import reach as kernel
from rules.possible import UNKNOWN, Range

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from rules.bound import BoundRule, Numbers
    from rules.instances import Instance
    from rules.reach import Reach


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


class Ranges:
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
