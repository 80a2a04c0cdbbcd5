"""Whether a condition can be true at all, by the ranges of its columns: interval arithmetic in SQL's logic.

Each step keeps everything that could come out, so that where the answer is no, no row within the ranges satisfies the
condition; a yes means nothing. Rounding does not disturb that: a sum or product of doubles rises with its operands
just as the exact one does, so the ends of a range, computed as the conditions compute, hold all between.
"""

from __future__ import annotations

import itertools
from functools import reduce
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from rules.expression import DENIED, Applied, Both, Column, Compared, Constant, Either, IsNull, Not, Truth

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from rules.expression import Boolean, Number


class Range(NamedTuple):
    """What a number may be: from ``low`` to ``high``, or NULL. Numbers, or arrays of one entry a place."""

    low: Any
    high: Any
    null: Any = False
    """Whether it may be NULL."""


UNKNOWN: Final = Range(-np.inf, np.inf, null=True)


def possible(tree: Boolean, column: Callable[[str], Range], *, wanted: bool = True) -> Any:
    """Where a condition can be true (or false, where that is wanted), by the ranges of its columns."""
    match tree:
        case Truth(value):
            return value is wanted
        case Compared(comparison, left, right):
            return _compared(comparison if wanted else DENIED[comparison], of(left, column), of(right, column))
        case IsNull(operand):
            found = of(operand, column)
            return found.null if wanted else found.low <= found.high
        case Not(operand):
            return possible(operand, column, wanted=not wanted)
        case Both(left, right) | Either(left, right):
            first = possible(left, column, wanted=wanted)
            all_needed = isinstance(tree, Both) is wanted
            if all_needed and not np.any(first):
                return first
            other = possible(right, column, wanted=wanted)
            return np.logical_and(first, other) if all_needed else np.logical_or(first, other)


def of(tree: Number, column: Callable[[str], Range]) -> Range:
    """The range of a number, by those of its columns."""
    match tree:
        case Constant(value):
            return Range(value, value)
        case Column(name):
            return column(name)
        case Applied(function, arguments):
            with np.errstate(all="ignore"):
                return _closed(_FUNCTIONS[function]([of(argument, column) for argument in arguments]))


def hull(ranges: Sequence[Range]) -> Range:
    """All that any of them may be."""
    low = reduce(np.minimum, [one.low for one in ranges])
    return Range(low, reduce(np.maximum, [one.high for one in ranges]), _any(ranges))


def at(of: Range, places: NDArray[np.intp]) -> Range:
    """The range at some places."""
    return Range(*(one[places] if isinstance(one, np.ndarray) else one for one in of))


def _compared(comparison: str, a: Range, b: Range) -> Any:
    """NULL satisfies none. A range of nothing, whose low is above its high, satisfies none either."""
    match comparison:
        case "<":
            return np.less(a.low, b.high)
        case "<=":
            return np.less_equal(a.low, b.high)
        case ">":
            return np.greater(a.high, b.low)
        case ">=":
            return np.greater_equal(a.high, b.low)
        case "=":
            return np.logical_and(np.less_equal(a.low, b.high), np.less_equal(b.low, a.high))
    return np.not_equal(np.maximum(a.high, b.high), np.minimum(a.low, b.low))


def _closed(made: Range) -> Range:
    """What is infinite less infinite, or nothing times infinite, is NULL to a condition: the range is not known."""
    if np.isfinite(made.low).all() and (made.high is made.low or np.isfinite(made.high).all()):
        return made
    lost = np.isnan(made.low) | np.isnan(made.high)
    far = np.isinf(made.low) | np.isinf(made.high)
    low, high = np.where(lost, -np.inf, made.low), np.where(lost, np.inf, made.high)
    return Range(low, high, made.null | lost | far)


def _any(ranges: Sequence[Range]) -> Any:
    return reduce(np.logical_or, [one.null for one in ranges])


def _each(function: Callable[[Range, Range], Range]) -> Callable[[Sequence[Range]], Range]:
    return lambda ranges: reduce(lambda a, b: _closed(function(a, b)), ranges)


def _ends(function: Callable[[Any, Any], Any]) -> Callable[[Range, Range], Range]:
    """Of two operands, by what their ends give."""

    def made(a: Range, b: Range) -> Range:
        ends = [function(x, y) for x, y in itertools.product(_different(a), _different(b))]
        return Range(reduce(np.minimum, ends), reduce(np.maximum, ends), np.logical_or(a.null, b.null))  # NaN stays

    return made


def _different(of: Range) -> tuple[Any, ...]:
    """Both ends, or one where they are the same: a parameter."""
    return (of.low,) if of.low is of.high else (of.low, of.high)


def _divided(a: Range, b: Range) -> Range:
    """By zero is NULL; where it is within the range, all may come out."""
    made = _ends(np.divide)(a, b)
    over = np.less_equal(b.low, 0.0) & np.greater_equal(b.high, 0.0)
    return Range(np.where(over, -np.inf, made.low), np.where(over, np.inf, made.high), made.null | over)


def _magnitude(ranges: Sequence[Range]) -> Range:
    (a,) = ranges
    low, high = np.abs(a.low), np.abs(a.high)
    across = np.less_equal(a.low, 0.0) & np.greater_equal(a.high, 0.0)
    return Range(np.where(across, 0.0, np.minimum(low, high)), np.maximum(low, high), a.null)


def _rising(function: Callable[[Any], Any]) -> Callable[[Sequence[Range]], Range]:
    return lambda ranges: Range(function(ranges[0].low), function(ranges[0].high), ranges[0].null)


def _first_known(ranges: Sequence[Range]) -> Range:
    """COALESCE: what comes after one that is never NULL does not matter."""
    made = ranges[-1]
    for one in reversed(ranges[:-1]):
        both = hull([one, made])
        low, high = np.where(one.null, both.low, one.low), np.where(one.null, both.high, one.high)
        made = Range(low, high, np.logical_and(one.null, made.null))
    return made


def _chosen(ranges: Sequence[Range], *, largest: bool) -> Range:
    """GREATEST and LEAST, which skip NULL: what is never NULL is among those chosen from, the others may be."""
    pick, other = (np.maximum, np.minimum) if largest else (np.minimum, np.maximum)
    nothing = -np.inf if largest else np.inf
    near, far = ("low", "high") if largest else ("high", "low")
    sure = reduce(pick, [np.where(one.null, nothing, getattr(one, near)) for one in ranges])
    null = reduce(np.logical_and, [one.null for one in ranges])
    ends = {
        near: np.where(null, reduce(other, [getattr(one, near) for one in ranges]), sure),
        far: reduce(pick, [getattr(one, far) for one in ranges]),
    }
    return Range(ends["low"], ends["high"], null)


_FUNCTIONS: Final[dict[str, Callable[[Sequence[Range]], Range]]] = {
    "+": _each(_ends(np.add)),
    "-": _each(_ends(np.subtract)),
    "*": _each(_ends(np.multiply)),
    "/": _each(_divided),
    "NEG": lambda ranges: Range(np.negative(ranges[0].high), np.negative(ranges[0].low), ranges[0].null),
    "ABS": _magnitude,
    "SIGN": _rising(np.sign),
    "FLOOR": _rising(np.floor),
    "CEIL": _rising(np.ceil),
    "GREATEST": lambda ranges: _chosen(ranges, largest=True),
    "LEAST": lambda ranges: _chosen(ranges, largest=False),
    "COALESCE": _first_known,
    "NULLIF": lambda ranges: Range(ranges[0].low, ranges[0].high, null=True),
}
