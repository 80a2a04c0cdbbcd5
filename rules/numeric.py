"""Numeric conditions as numpy programs: the same truth as Polars, without its fixed cost of 0.1 ms a call.

What runs a lone comparison, which is one loop here, and the naive twin of compiled code (``rules/machine_code.py``).

NULL is NaN. A boolean is a pair of programs, for where it is true and where it is false: neither is SQL's UNKNOWN. So
NOT, AND and OR follow three-valued logic without a third array, and only the half that somebody asks for is computed.
AND stops where its left side is true nowhere: hardly any condition of a healthy fleet gets to its right side, nor are
the columns made that only stand there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from rules.expression import DENIED, Applied, Both, Column, Compared, Constant, Either, IsNull, Not, Truth

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rules import expression

Columns = Mapping[str, "NDArray[np.float64]"]
Number = Callable[[Columns], Any]
Mask = Callable[[Columns], Any]


class Program(NamedTuple):
    """Programs for where a condition is true, and where it is false; NULL is neither."""

    true: Mask
    false: Mask


def _coalesce(*values: Any) -> Any:
    found = values[0]
    for value in values[1:]:
        found = np.where(np.isnan(found), value, found)
    return found


def _fold(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def folded(*values: Any) -> Any:
        found = values[0]
        for value in values[1:]:
            found = function(found, value)
        return found

    return folded


def _divided(a: Any, b: Any) -> Any:
    return np.divide(a, np.where(np.equal(b, 0.0), np.nan, b))


_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": _divided,
    "NEG": np.negative,
    "ABS": np.abs,
    "SIGN": np.sign,
    "FLOOR": np.floor,
    "CEIL": np.ceil,
    "GREATEST": _fold(np.fmax),  # SQL's skip NULL, as fmax skips NaN
    "LEAST": _fold(np.fmin),
    "COALESCE": _coalesce,
    "NULLIF": lambda a, b: np.where(np.equal(a, b), np.nan, a),
}


def _unequal(a: Any, b: Any) -> Any:
    return np.less(a, b) | np.greater(a, b)


_COMPARISONS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "=": np.equal,
    "<>": _unequal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


def program_of(tree: expression.Boolean) -> Program:
    """The program of a condition."""
    match tree:
        case Truth(value):
            return Program(_constant(value), _constant(not value))
        case Compared(comparison, left, right):
            sides = number_of(left), number_of(right)
            true, false = _COMPARISONS[comparison], _COMPARISONS[DENIED[comparison]]
            return Program(_applied(true, *sides), _applied(false, *sides))
        case IsNull(operand):
            null = _applied(np.isnan, number_of(operand))
            return Program(null, _applied(np.logical_not, null))
        case Not(negated):
            made = program_of(negated)
            return Program(made.false, made.true)
        case Both(left, right):
            one, other = program_of(left), program_of(right)
            return Program(_all(one.true, other.true), _any(one.false, other.false))
        case Either(left, right):
            one, other = program_of(left), program_of(right)
            return Program(_any(one.true, other.true), _all(one.false, other.false))


def number_of(tree: expression.Number) -> Number:
    """The program of a number: a column, or one number where it is the same in all rows."""
    match tree:
        case Constant(value):
            return _constant(value)
        case Column(name):
            return lambda columns: columns[name]
        case Applied(function, arguments):
            return _applied(_FUNCTIONS[function], *map(number_of, arguments))


def _constant(value: float | bool) -> Number:
    return lambda _: value


def _applied(function: Callable[..., Any], *arguments: Number) -> Number:
    return lambda columns: function(*(argument(columns) for argument in arguments))


def _all(left: Mask, right: Mask) -> Mask:
    def test(columns: Columns) -> Any:
        found = left(columns)
        return found & right(columns) if np.any(found) else found

    return test


def _any(left: Mask, right: Mask) -> Mask:
    return lambda columns: left(columns) | right(columns)


def satisfied(program: Program, columns: Columns, rows: int) -> NDArray[np.bool_]:
    """Which of ``rows`` rows satisfy a program; NULL does not."""
    with np.errstate(all="ignore"):
        found = program.true(columns)
    mask: NDArray[np.bool_] = np.asarray(found, np.bool_)
    return np.broadcast_to(mask, rows) if mask.ndim == 0 else mask
