"""What a condition means: the same as in DuckDB, and NULL, NaN and division by zero never satisfy it."""

from __future__ import annotations

import math

import duckdb
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules import conditions, vocabulary

NAMES = ("value", "rate", "ewma")


def holds(text: str, rows: list[tuple[float, ...]], params: dict[str, float] | None = None) -> list[bool]:
    params = params or {}
    known = dict.fromkeys((*vocabulary.COLUMNS["reading"], *params), vocabulary.FLOAT)
    condition, faults = conditions.parse(text, known)
    assert not faults, faults
    frame = pl.DataFrame(
        [conditions.column(n, np.array(c)) for n, c in zip(NAMES, zip(*rows, strict=True), strict=True)]
    )
    (mask,) = conditions.evaluate(frame, len(rows), [condition.expression(params)])
    return list(mask)


@pytest.mark.parametrize(
    "text",
    [
        "value >= 0", "NOT (value < 0)", "value <> 1", "value IN (1, 2)", "value NOT IN (5)", "value BETWEEN -9 AND 9",
        "ABS(value) >= 0", "value = value", "NOT value = 5", "rate / value > -1e9", "value % rate >= 0",
    ],
)  # fmt: skip
def test_nan_never_satisfies(text: str) -> None:
    assert holds(text, [(math.nan, 1.0, 1.0)]) == [False]


@pytest.mark.parametrize(
    "text",
    ["value / 0 > 1", "value / rate > 1", "value / (rate * 2) > -1e300", "5 % rate >= 0", "value / ABS(rate) > 1"],
)
def test_dividing_by_zero_never_satisfies(text: str) -> None:
    assert holds(text, [(5.0, 0.0, 1.0), (0.0, 0.0, 1.0), (-5.0, 0.0, 1.0)]) == [False] * 3


def test_what_is_compiled_once_is_asked_with_its_own_parameters_and_columns() -> None:
    """Compiled conditions are shared: by text, by the names that are columns, and by the parameters put in."""
    text, columns = "value > limit", dict.fromkeys(("value", "limit"), pl.Float64())
    condition = conditions.accepted(text, columns)
    values = {"value": np.array([1.0, 3.0]), "limit": np.array([5.0, 2.0])}

    found = [conditions.Test.of(condition, params).satisfied(values, 2).tolist() for params in ({"limit": 2.0}, {})]
    other = conditions.Test.of(condition, {"limit": 0.5, "unused": 9.0})

    assert found == [[False, True], [False, True]]
    assert other.satisfied(values, 2).tolist() == [True, True]
    assert conditions.Test.of(condition, {"limit": 0.5}) is other
    assert conditions.accepted(text, columns | {"more": pl.Float64()}) == condition
    with pytest.raises(AssertionError, match="unknown column"):
        conditions.accepted(text, {"value": pl.Float64()})


def test_parameters_become_numbers() -> None:
    assert holds("value > limit AND rate < -low", [(2.0, -3.0, 0.0)], {"limit": 1e-05, "low": -5.0}) == [True]
    assert holds("value > limit", [(1.0, 0.0, 0.0)], {"limit": -1e300}) == [True]


TEXTS = [
    "value > 1 AND rate < 2 OR ewma >= 0", "NOT (value > rate)", "value - ewma > 2 * rate", "value / rate > ewma",
    "GREATEST(value, rate) > COALESCE(ewma, 1)", "value IS NULL OR rate IS NOT NULL AND ewma > 0", "value % rate = 1",
    "CASE WHEN rate > 0 THEN value ELSE ewma END > 1", "value BETWEEN rate AND 3", "-value > rate",
    "value / rate / ewma > 1",
    "LEAST(value, 0.14) >= 0.14", "ABS(value - ewma) > 1.5", "value IN (1, 2.5)", "SIGN(value) * rate > 0",
    "FLOOR(value) = 2",
]  # fmt: skip

number = st.one_of(st.none(), st.sampled_from([0.0, 1.0, 2.5, -2.0, 0.14, 3.0]))


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.tuples(number, number, number), min_size=1, max_size=5), text=st.sampled_from(TEXTS))
def test_same_as_duckdb(rows: list[tuple[float | None, ...]], text: str) -> None:
    """Except x / 0, which DuckDB makes infinite: there the divisor is written NULLIF(d, 0) as ``conditions`` does."""
    as_nan = [tuple(math.nan if v is None else v for v in row) for row in rows]
    sql = (
        text.replace("/ rate", "/ NULLIF(rate, 0)")
        .replace("/ ewma", "/ NULLIF(ewma, 0)")
        .replace("% rate", "% NULLIF(rate, 0)")
    )
    with duckdb.connect() as db:
        db.execute("CREATE TABLE t (i INT, value DOUBLE, rate DOUBLE, ewma DOUBLE)")
        db.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", [(i, *row) for i, row in enumerate(rows)])
        expected = [bool(r[0]) for r in db.execute(f"SELECT {sql} FROM t ORDER BY i").fetchall()]
    assert holds(text, as_nan) == expected
