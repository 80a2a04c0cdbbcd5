"""One rule as the kernel of ``rules/kernels/sweep.py`` is told of it: its features and its screen as rows of numbers.

A script is made once; where the state lies that its features move is put in anew whenever it moves.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numba import types

from rules import machine_code, vocabulary
from rules.instances import VALUE
from rules.kernels import steps as kernel

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from rules.bound import BoundRule
    from rules.memory import Track

_ROW: Final = {"value": kernel.VALUE, "prev": kernel.PREV, "gap_s": kernel.DT}
_TOLD: Final = {"age_s": kernel.AGE, "quality": kernel.QUALITY, "late": kernel.LATE}


class Place(NamedTuple):
    """Where a step tells an array: which of its numbers are address, length, and the width or the bytes of an entry."""

    step: int
    address: int
    length: int
    width: int
    array: Callable[[], NDArray[Any]]


class CannotError(Exception):
    """The kernel does not make something that a rule asks for: it must go over whole columns."""


class Script:
    """The steps of a rule, the screen of its ``raise``, and marks of slots that are not at rest."""

    def __init__(self, rule: BoundRule) -> None:
        """Raises ``CannotError`` for a rule that asks for what the kernel does not make."""
        self.rule, self.test = rule, rule.tests[0]
        if self.test.tree is None:
            raise CannotError("its condition is an expression of Polars")
        elsewhere = machine_code.CLOCK | set(dict(rule.spec.calendars))
        screen = machine_code.screen_of(self.test.tree, elsewhere)
        if screen is None:
            raise CannotError("nothing of its condition can be told without the clock")
        self.screen = screen
        self._steps: list[list[int]] = []
        self.places: list[Place] = []
        self._registers: dict[str, int] = {}
        self._end = kernel.OWN
        self.beside: list[tuple[int, str]] = []
        """Steps that take what was newest of another quantity of the device, and which."""
        self.noting: list[tuple[int, Track]] = []
        """Steps that note what they overwrite."""
        self.fills: list[tuple[int, float]] = []
        """Steps that fill in a number."""
        for track in rule.tracks:
            self._feature(track)
        self.columns = [self._column(name) for name in screen.columns]
        """Registers of the screen's columns."""
        own = [(name, self._column(name)) for name in rule.names if self._is_own(name)]
        self.kept = dict(own)
        """Columns that only the kernel knows, of those that the rule asks for, and their registers."""
        if self._end > kernel.REGISTERS or len(screen.constants) + screen.sizes[0] > kernel.NUMBERS:
            raise CannotError("too many columns")
        if screen.sizes[1] >= kernel.FLAGS:
            raise CannotError("too deep a condition")
        self.steps = np.array([step + [0] * (kernel.WIDTH - len(step)) for step in self._steps], np.int64)
        self.steps = self.steps.reshape(-1, kernel.WIDTH)
        """[step, number], but for what ``places`` tell."""
        self.begin = 0
        """The first step among those of all rules."""
        self.marks = np.zeros(len(rule.points), np.uint8)

    def _is_own(self, name: str) -> bool:
        if name in self.rule.by_slot:
            return False
        return name in self._registers or vocabulary.is_sibling(name)

    def _feature(self, track: Track) -> None:
        form = track.form
        if len(track.outputs) > kernel.OUTS_MAX:
            raise CannotError("a feature of too many columns")
        on = track.instance.on
        walk = -1 if on == VALUE else self._walk(track, on)
        limit = self._limit() if track.instance.feature.limit else -1
        kind = _kind(track)
        step = len(self._steps)
        address = _address(form.kernel if form.noting is None else form.noting, kind)
        numbers = [kernel.FEATURE, address, 0, 0, 0, kind, 0, 0, self._end, len(track.outputs), walk, limit]
        self._steps.append([*numbers, 0, form.turn, 0])
        self.places.append(Place(step, 2, 3, 4, lambda: track.state))
        self.places.append(Place(step, 6, 7, 14, lambda: track.options))
        if kind == kernel.NOTING:
            self.noting.append((step, track))
        for name in track.outputs:
            self._registers[name] = self._end
            self._end += 1

    def _walk(self, track: Track, on: str) -> int:
        """The walk over the rows at which a column has a value."""
        known = self._registers.get(f"walk {on}")
        if known is not None:
            return known
        walk = sum(name.startswith("walk ") for name in self._registers)
        if not track.leads or walk >= kernel.WALKS:
            raise CannotError("features on too many columns")
        register = self._column(on)
        self._registers[f"walk {on}"] = walk
        self.places.append(Place(len(self._steps), 3, 4, 5, lambda: track.prior))
        self._steps.append([kernel.WALK, register, walk, 0, 0, 0])
        return walk

    def _limit(self) -> int:
        if "limit" in self.rule.by_slot:
            return self._column("limit")
        register = self._next("limit")
        self.fills.append((len(self._steps), self.rule.spec.params.get("limit", float("nan"))))
        self._steps.append([kernel.FILL, 0, register])
        return register

    def _column(self, name: str) -> int:
        """The register of a column, which is made when it is first asked for."""
        if name in _ROW:
            return _ROW[name]
        if name in self._registers:
            return self._registers[name]
        step = len(self._steps)
        if name in self.rule.by_slot:
            coded, register = self.rule.by_slot[name], self._next(name)
            self.places.append(Place(step, 1, 6, 2, lambda: coded.codes))
            self.places.append(Place(step, 3, 4, 7, lambda: coded.table))
            self._steps.append([kernel.DECODE, 0, 0, 0, 0, register])
        elif name == "step":
            register = self._next(name)
            self._steps.append([kernel.DIFFERENCE, register])
        elif name == "gap_n":
            interval = self._column("interval_s")
            register = self._next(name)
            self._steps.append([kernel.INTERVALS, interval, register])
        elif name in _TOLD:
            register = self._next(name)
            self._steps.append([_TOLD[name], register])
        elif vocabulary.is_sibling(name):
            register = self._next(name)
            self.beside.append((step, name.removeprefix(vocabulary.SIBLING)))
            self._steps.append([kernel.BESIDE, 0, register])
        else:
            raise CannotError(f"column {name}")
        return register

    def _next(self, name: str) -> int:
        self._registers[name] = register = self._end
        self._end += 1
        return register


def script_of(rule: BoundRule) -> Script | None:
    """The script of a rule, None for one that must go over whole columns."""
    try:
        return Script(rule)
    except CannotError:
        return None


def _kind(track: Track) -> int:
    single = track.instance.feature.dtype == np.float32
    if track.form.noting is not None:
        if not single:
            raise CannotError("notes of float64")
        return kernel.NOTING
    return kernel.SINGLE if single else kernel.WHOLE


@cache
def _address(function: Any, kind: int) -> int:
    """Where the code of a feature's kernel is; the kernel is a name of its module, so that it stays."""
    signature = kernel.SIGNATURES[kind]
    function.compile(signature)
    compiled = function.overloads[signature]
    returned = types.int64 if kind == kernel.NOTING else types.none
    assert compiled.signature.return_type == returned, (function, compiled.signature)
    return int(compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name))
