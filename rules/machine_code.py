"""Numeric conditions as code for the kernel of ``rules/kernels/conditions.py``; the twin is ``rules/numeric.py``.

A condition is cut at its outermost ANDs into *parts*, run one after another over the rows that are left: hardly any
condition of a healthy fleet gets to its last part, nor are the columns made that only stand there. A part that asks for
the site's clock comes twice, first with TRUE in place of what the clock decides: where even that is true nowhere, the
clock is not asked.

Negation is carried down to the comparisons, so that only what makes a condition true is computed: where something is
false is where the opposite comparison is true, and neither is where an operand is NULL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from rules.expression import DENIED, Applied, Both, Column, Compared, Constant, Either, IsNull, Not, Truth, columns_of
from rules.kernels import conditions as kernel

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from rules.expression import Boolean, Number

CLOCK: Final = frozenset({"hour", "minute", "weekday", "month", "heating"})
"""Columns that take an order of magnitude longer to make than to compare."""
LONE: Final = 4
"""Instructions of a lone comparison at most: numpy makes one loop of it, in half the time of the kernel."""

_NUMBERS: Final = {
    "+": kernel.ADD,
    "-": kernel.SUB,
    "*": kernel.MUL,
    "/": kernel.DIV,
    "NEG": kernel.NEG,
    "ABS": kernel.ABS,
    "SIGN": kernel.SIGN,
    "FLOOR": kernel.FLOOR,
    "CEIL": kernel.CEIL,
    "GREATEST": kernel.MAX,
    "LEAST": kernel.MIN,
    "COALESCE": kernel.COALESCE,
    "NULLIF": kernel.NULLIF,
}
_UNARY: Final = frozenset({"NEG", "ABS", "SIGN", "FLOOR", "CEIL"})
_FLAGS: Final = {
    "=": kernel.EQ,
    "<>": kernel.NE,
    "<": kernel.LT,
    "<=": kernel.LE,
    ">": kernel.GT,
    ">=": kernel.GE,
}


class Part(NamedTuple):
    """Instructions up to ``end`` (from where the part before ends), and the columns they need by number."""

    end: int
    needs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Code:
    """A condition for the kernel."""

    instructions: NDArray[np.int32]
    constants: NDArray[np.float64]
    sizes: NDArray[np.int64]
    """Registers of numbers (without the constants) and of flags."""
    columns: tuple[str, ...]
    parts: tuple[Part, ...]

    @property
    def lone(self) -> bool:
        """Whether it is a lone comparison."""
        return len(self.instructions) <= LONE

    def satisfied(self, columns: Mapping[str, NDArray[np.float64]], rows: int) -> NDArray[np.bool_]:
        """Which of ``rows`` rows satisfy it; NULL does not."""
        found = np.empty(rows, np.bool_)
        left, addresses = found.view(np.uint8), np.zeros(len(self.columns), np.int64)
        held: dict[int, NDArray[np.float64]] = {}
        start = done = 0
        depth, flags_deep = self.sizes.tolist()
        numbers = np.empty((depth + len(self.constants), kernel.BLOCK))
        flags = np.empty((flags_deep, kernel.BLOCK), np.uint8)
        while done < len(self.parts):
            first = done
            while done < len(self.parts):
                part = self.parts[done]
                if done > first and any(self.columns[k] not in columns for k in part.needs if k not in held):
                    break  # only for the rows that are left by then, if there are any
                for k in part.needs:
                    if k not in held:
                        held[k] = column = np.ascontiguousarray(columns[self.columns[k]], np.float64)
                        assert len(column) == rows, (self.columns[k], len(column), rows)
                        addresses[k] = column.ctypes.data
                done += 1
            end = self.parts[done - 1].end
            if not kernel.run(
                self.instructions, start, end, self.constants, numbers, flags, addresses, first > 0, left
            ):
                break
            start = end
        return found


def code_of(tree: Boolean) -> Code:
    """The code of a condition. Polars takes no text of more than some fifty levels, so that registers are few."""
    pieces = []
    for part, wanted in parts_of(tree, wanted=True):
        if _asks(part, CLOCK):
            bound = _bound(part, wanted, CLOCK)
            pieces += [(bound, wanted)] if not _always(bound, wanted) else []  # else the clock alone decides
        pieces.append((part, wanted))
    return _code(pieces)


def screen_of(tree: Boolean, unknown: Collection[str]) -> Code | None:
    """What holds wherever a condition does, and asks for none of these columns; None where that is everywhere."""
    pieces = []
    for part, wanted in parts_of(tree, wanted=True):
        bound = _bound(part, wanted, unknown)
        pieces += [(bound, wanted)] if not _always(bound, wanted) else []
    return _code(pieces) if pieces else None


def _code(pieces: Iterable[tuple[Boolean, bool]]) -> Code:
    """Code for trees that must all be true, or false where that is wanted."""
    made = _Emitter()
    parts = []
    for one, wanted in pieces:
        made.needs = {}
        made.flag(one, wanted, 0)
        made.emit(kernel.KEEP, 0, 0)
        parts.append(Part(len(made.instructions), tuple(made.needs)))
    instructions = [(op, *(made.depth - 1 - k if k < 0 else k for k in rest)) for op, *rest in made.instructions]
    return Code(
        np.array(instructions, np.int32),
        np.array(list(made.constants.values()), np.float64),
        np.array([made.depth, made.flags], np.int64),
        tuple(made.columns),
        tuple(parts),
    )


class _Emitter:
    """Instructions so far. Constants have the registers -1, -2, … until all others are known."""

    def __init__(self) -> None:
        self.instructions: list[tuple[int, int, int, int]] = []
        self.constants: dict[str, float] = {}
        self.columns: dict[str, int] = {}
        self.needs: dict[int, None] = {}
        self.depth, self.flags = 1, 1

    def emit(self, op: int, out: int, a: int, b: int = 0) -> None:
        self.instructions.append((op, out, a, b))

    def flag(self, tree: Boolean, wanted: bool, out: int) -> None:
        """Set flag ``out`` where the tree is true, or false where that is wanted; those from ``out`` on are free."""
        self.flags = max(self.flags, out + 1)
        match tree:
            case Truth(value):
                self.emit(kernel.FILL, out, int(value is wanted))
            case Compared(comparison, left, right):
                a = self.number(left, 0)
                b = self.number(right, 1)
                self.emit(_FLAGS[comparison if wanted else DENIED[comparison]], out, a, b)
            case IsNull(operand):
                self.emit(kernel.IS_NULL if wanted else kernel.NOT_NULL, out, self.number(operand, 0))
            case Not(operand):
                self.flag(operand, not wanted, out)
            case Both(left, right) | Either(left, right):
                self.flag(left, wanted, out)
                if isinstance(tree, Both) is wanted:
                    skip = len(self.instructions)
                    self.emit(kernel.SKIP, 0, out)
                    self.flag(right, wanted, out + 1)
                    self.emit(kernel.AND, out, out + 1)
                    self.instructions[skip] = (kernel.SKIP, 0, out, len(self.instructions))
                else:
                    self.flag(right, wanted, out + 1)
                    self.emit(kernel.OR, out, out + 1)

    def number(self, tree: Number, out: int) -> int:
        """The register that holds a number; those from ``out`` on are free."""
        match tree:
            case Constant(value):
                self.constants.setdefault(value.hex(), value)
                return -1 - list(self.constants).index(value.hex())
            case Column(name):
                self.depth = max(self.depth, out + 1)
                column = self.columns.setdefault(name, len(self.columns))
                self.needs[column] = None
                self.emit(kernel.LOAD, out, column)
                return out
            case Applied(function, arguments):
                self.depth = max(self.depth, out + 1)
                held = self.number(arguments[0], out)
                if function in _UNARY:
                    self.emit(_NUMBERS[function], out, held)
                    return out
                for argument in arguments[1:]:
                    self.emit(_NUMBERS[function], out, held, self.number(argument, out + 1))
                    held = out
                return held


def parts_of(tree: Boolean, *, wanted: bool) -> Iterator[tuple[Boolean, bool]]:
    """What must all be so for a tree to be true (or false): conditions, and which half of each is wanted."""
    match tree:
        case Not(operand):
            yield from parts_of(operand, wanted=not wanted)
        case Both(left, right) if wanted:
            yield from parts_of(left, wanted=wanted)
            yield from parts_of(right, wanted=wanted)
        case Either(left, right) if not wanted:
            yield from parts_of(left, wanted=wanted)
            yield from parts_of(right, wanted=wanted)
        case _:
            yield tree, wanted


def _bound(tree: Boolean, wanted: bool, unknown: Collection[str]) -> Boolean:
    """A condition that asks for none of these columns and holds wherever this one does."""
    match tree:
        case Not(operand):
            made = _bound(operand, not wanted, unknown)
            return Truth(not made.value) if isinstance(made, Truth) else Not(made)
        case Both(left, right) | Either(left, right):
            sides = _bound(left, wanted, unknown), _bound(right, wanted, unknown)
            known = [side for side in sides if not isinstance(side, Truth)]
            if any(isinstance(side, Truth) and side.value is not isinstance(tree, Both) for side in sides):
                return Truth(not isinstance(tree, Both))
            if len(known) < 2:
                return known[0] if known else Truth(isinstance(tree, Both))
            return Both(*sides) if isinstance(tree, Both) else Either(*sides)
        case _:
            return Truth(wanted) if _asks(tree, unknown) else tree


def _asks(tree: Boolean, columns: Collection[str]) -> bool:
    return any(name in columns for name in columns_of(tree))


def _always(tree: Boolean, wanted: bool) -> bool:
    return isinstance(tree, Truth) and tree.value is wanted
