"""What a range says is impossible never comes out: random conditions, against the rows that lie within the ranges."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rules import conditions, numeric
from rules.expression import parse_numeric
from rules.possible import UNKNOWN, Range, possible
from tests.rules.drawn import KNOWN, NAMES, condition

if TYPE_CHECKING:
    from rules.expression import Boolean

number = st.one_of(
    st.integers(-40, 40).map(lambda n: n / 4), st.sampled_from([0.1, -0.3, 1e308, -1e308, 5e-324, 0.0, -0.0])
)
cell = st.one_of(number, st.just(math.nan))


def tree_of(text: str) -> Boolean:
    parsed, faults = conditions.parse(text, KNOWN)
    assert not faults, (text, faults)
    tree = parse_numeric(parsed.tokens, {"limit": 1.25})
    assert tree is not None
    return tree


def range_of(cells: list[float]) -> Range:
    """The narrowest that holds some numbers; NaN is NULL."""
    known = [c for c in cells if not math.isnan(c)]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    return Range(low, high, len(known) < len(cells))


@given(condition, st.lists(st.tuples(cell, cell, cell, cell), min_size=1, max_size=5))
def test_what_holds_somewhere_is_possible(text: str, rows: list[tuple[float, ...]]) -> None:
    """Both halves of a condition, and the ranges as arrays as well as numbers."""
    tree = tree_of(text)
    table = np.array(rows)
    ranges = {name: range_of(table[:, k].tolist()) for k, name in enumerate(NAMES)}
    arrays = {name: Range(*(np.array([part, part]) for part in one)) for name, one in ranges.items()}
    program = numeric.program_of(tree)
    # all combinations of the cells lie within the ranges
    grid = np.stack([axis.ravel() for axis in np.meshgrid(*table.T)])
    columns = {name: grid[k] for k, name in enumerate(NAMES)}
    with np.errstate(all="ignore"):
        for wanted, half in ((True, program.true), (False, program.false)):
            holds = bool(np.any(half(columns)))
            for of in (ranges, arrays):
                found = np.broadcast_to(possible(tree, of.__getitem__, wanted=wanted), 2)
                assert found[0] == found[1]
                assert found[0] or not holds, text
                assert np.all(possible(tree, lambda _: UNKNOWN, wanted=wanted)) or not holds, text


@given(condition, st.tuples(*[st.integers(-40, 40).map(lambda n: n / 4)] * 4))
def test_ranges_of_one_number_decide(text: str, row: tuple[float, ...]) -> None:
    """Where each column has one value nothing is left open, but by a division by what may be nothing."""
    tree = tree_of(text)
    columns = dict(zip(NAMES, row, strict=True))
    holds = numeric.satisfied(numeric.program_of(tree), {n: np.array([v]) for n, v in columns.items()}, 1)[0]
    found = bool(np.all(possible(tree, lambda name: Range(columns[name], columns[name]))))
    assert found == holds or "/" in text or "NULLIF" in text or "IS" in text, text


def test_a_parameter_that_is_missing_satisfies_nothing() -> None:
    nothing = Range(np.array([math.nan, 2.0]), np.array([math.nan, 2.0]), np.array([True, False]))
    columns = {"value": Range(0.0, 10.0), "span_low": nothing}
    assert possible(tree_of("value > span_low"), columns.__getitem__).tolist() == [False, True]
    assert possible(tree_of("span_low IS NULL"), columns.__getitem__).tolist() == [True, False]
    assert possible(tree_of("NOT value > span_low"), columns.__getitem__).tolist() == [False, True]
