"""What a feature is: a kernel, the columns that it gives, its options, and what it remembers of each point.

All features stand in one table (``rules/features.py``). A rule mostly asks for some columns of a feature only; where
these need less memory than all of them, the feature has a *lean* form: the same numbers to the bit, from part of the
state. Which form a rule gets depends on what its conditions name and on nothing else, so that a snapshot fits whatever
other rules there are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rules.kernels.normal import SLOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rules.bounds import Bounds


@dataclass(frozen=True, slots=True)
class Option:
    """A number that a rule may choose. ``low`` itself is allowed unless ``above``."""

    name: str
    default: float
    note: str
    low: float = 0.0
    high: float = 1e9
    above: bool = False
    whole: bool = False
    choices: tuple[float, ...] = ()

    def fault(self, value: float) -> str | None:
        """What is wrong with a value, None when nothing is."""
        if self.choices and value not in self.choices:
            return f"is not one of {', '.join(f'{c:g}' for c in self.choices)}"
        if self.whole and value != int(value):
            return "is not a whole number"
        if not self.low <= value <= self.high or (self.above and value == self.low):
            return f"is not {'over' if self.above else 'from'} {self.low:g} to {self.high:g}"
        return None


class Lean(NamedTuple):
    """A feature of which only these columns are asked for."""

    outputs: tuple[str, ...]
    kernel: Callable[..., None]
    keeps: Callable[[tuple[float, ...]], Sequence[int]]
    """The columns of the whole state that are left, given the options; in this order."""
    seldom: Callable[[tuple[float, ...]], int] = lambda _: 0
    noting: Callable[..., int] | None = None
    turn: int = 0
    """As of ``Feature``."""


class Form(NamedTuple):
    """A feature as one rule uses it."""

    outputs: tuple[str, ...]
    """Columns by the feature's own names."""
    kernel: Callable[..., None]
    keeps: tuple[int, ...]
    """Columns of the whole state."""
    seldom: int
    noting: Callable[..., int] | None
    turn: int

    def part(self, whole: Any) -> Any:
        """What this form remembers of a whole state [slot, column], or of one that is as this already.

        A state of before a feature learned to remember more, in columns at its end, knows nothing of these yet.
        """
        width, own = whole.shape[1], len(self.keeps)
        if width == own:
            return whole
        lacks = (own if width < own else max(self.keeps) + 1) - width
        if lacks > 0:
            whole = np.pad(whole, ((0, 0), (0, lacks)), constant_values=np.nan)
        return whole if width < own else np.ascontiguousarray(whole[:, list(self.keeps)])


@dataclass(frozen=True, slots=True)
class Feature:
    """A kernel and what it gives: columns with one sentence on each."""

    name: str
    kernel: Callable[..., None]
    outputs: dict[str, str]
    width: Callable[[tuple[float, ...]], int]
    """Numbers of state for each point, given the options."""
    options: tuple[Option, ...] = ()
    local: bool = False
    """Wants the site's wall clock."""
    limit: bool = False
    """Wants the rule's parameter ``limit``."""
    learns: bool = False
    """Learns what is normal: frozen after the training period where the rule says so."""
    steps: bool = False
    """Compares with the value before: a feature on another column than the value must keep that too."""
    dtype: Any = field(default=np.float64)
    seldom: Callable[[tuple[float, ...]], int] = lambda _: 0
    """How many numbers of the state, the first ones, change seldom; ``noting`` tells what they were before."""
    noting: Callable[..., int] | None = None
    """The kernel once more: it notes what it overwrites of them, ``turn`` numbers each time (``rules/turns.py``)."""
    turn: int = SLOT
    lean: tuple[Lean, ...] = ()
    bounds: Bounds | None = None
    """What its columns can be (``rules/bounds.py``); None: anything."""

    def form(self, options: tuple[float, ...], asked: frozenset[str]) -> Form:
        """The form that gives these columns, the leanest there is."""
        for lean in self.lean:
            if asked <= set(lean.outputs):
                keeps = tuple(lean.keeps(options))
                return Form(lean.outputs, lean.kernel, keeps, lean.seldom(options), lean.noting, lean.turn)
        keeps = tuple(range(self.width(options)))
        return Form(tuple(self.outputs), self.kernel, keeps, self.seldom(options), self.noting, self.turn)
