"""Compiled code against numpy, and both against Polars, on random conditions and rows with NULLs.

Numpy is the code's naive twin and must agree to the bit, on any numbers; Polars on numbers whose sums are exact.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules import conditions, machine_code, numeric
from rules.bound import BoundRule
from rules.conditions import Test as Condition
from rules.expression import parse_numeric
from rules.kernels.conditions import BLOCK
from rules.rule_set import RuleSet
from tests.rules.drawn import KNOWN, NAMES, cell, condition


def both(text: str, rows: list[tuple[float, ...]]) -> tuple[list[bool], list[bool]]:
    parsed, faults = conditions.parse(text, KNOWN)
    assert not faults, (text, faults)
    ready = Condition.of(parsed, {"limit": 1.25})
    assert ready.program is not None, text
    columns = {name: np.array(values) for name, values in zip(NAMES, zip(*rows, strict=True), strict=True)}
    by_numpy = ready.satisfied(columns, len(rows))
    by_polars = Condition(ready.names, ready.expression).satisfied(columns, len(rows))
    return list(by_numpy), list(by_polars)


@given(condition, st.lists(st.tuples(cell, cell, cell, cell), min_size=1, max_size=8))
def test_numpy_and_polars_agree(text: str, rows: list[tuple[float, ...]]) -> None:
    by_numpy, by_polars = both(text, rows)

    assert by_numpy == by_polars, text


any_cell = st.one_of(cell, st.sampled_from([math.inf, -math.inf, 0.0, -0.0, 0.1, 1e308, -1e308, 5e-324]))


@given(condition, st.lists(st.tuples(any_cell, any_cell, any_cell, any_cell), min_size=1, max_size=8), st.data())
def test_code_and_numpy_agree(text: str, rows: list[tuple[float, ...]], data: st.DataObject) -> None:
    """Over more rows than a block of the kernel, in which some blocks are alike: what is skipped is skipped rightly."""
    parsed, faults = conditions.parse(text, KNOWN)
    assert not faults
    tree = parse_numeric(parsed.tokens, {"limit": 1.25})
    assert tree is not None
    code = machine_code.code_of(tree)
    length = data.draw(st.sampled_from([1, 7, BLOCK, 2 * BLOCK + 1]))
    table = np.array(rows)[np.minimum(np.arange(length) * len(rows) // length, len(rows) - 1)]
    columns = {name: table[:, k] for k, name in enumerate(NAMES)}  # strided, as those of groups are

    found = code.satisfied(columns, length)

    assert found.tolist() == numeric.satisfied(numeric.program_of(tree), columns, length).tolist()


HELD = """
import numpy as np
from rules import conditions, machine_code, numeric, vocabulary
from rules.expression import parse_numeric
known = dict.fromkeys(("value", "rate"), vocabulary.FLOAT)
parsed, _ = conditions.parse("value * 2 + 1 > 3 AND (rate < 5 OR value - 1.5 > rate)", known)
tree = parse_numeric(parsed.tokens, {})
columns = {"value": np.linspace(-5.0, 5.0, 2000), "rate": np.linspace(9.0, 1.0, 2000)}
found = machine_code.code_of(tree).satisfied(columns, 2000)
assert (found == numeric.satisfied(numeric.program_of(tree), columns, 2000)).all(), found.sum()
print(found.sum())
"""


def test_the_kernel_reads_nothing_that_was_freed() -> None:
    """Registers are known by address alone, and numba frees what no line names any more: glibc soils it here."""
    done = subprocess.run(
        [sys.executable, "-c", HELD],
        env={**os.environ, "MALLOC_PERTURB_": "165"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0


def test_the_last_part_is_not_asked_where_nothing_is_left() -> None:
    """Nor are its columns made."""
    parsed, _ = conditions.parse("value > 1 AND rate > 1 AND NOT (ewma < 1 OR span_low < 1)", KNOWN)
    ready = Condition.of(parsed, {})
    made: list[str] = []

    class Columns(dict[str, np.ndarray]):
        def __missing__(self, name: str) -> np.ndarray:
            made.append(name)
            self[name] = np.full(3, 2.0 if name == "value" else 0.0)
            return self[name]

    assert ready.code is not None
    assert not ready.code.satisfied(Columns(), 3).any()
    assert made == ["value", "rate"]


def test_the_clock_is_asked_only_where_it_decides() -> None:
    """A condition that its clock can only narrow is first judged without it."""
    parsed, _ = conditions.parse("value > 5 OR (value < 1 AND (span_low < 0 OR NOT heating = 0))", KNOWN)
    ready = Condition.of(parsed, {})
    assert ready.code is not None
    columns = {"value": np.array([2.0, 3.0]), "span_low": np.zeros(2)}

    assert ready.code.satisfied(columns, 2).tolist() == [False, False]

    columns = {"value": np.array([0.0, 9.0]), "span_low": np.zeros(2), "heating": np.zeros(2)}
    assert ready.code.satisfied(columns, 2).tolist() == [False, True]


@pytest.mark.parametrize("text", ["value >= limit", "value < rate", "value IS NULL", "TRUE"])
def test_a_lone_comparison_is_left_to_numpy(text: str) -> None:
    """It is one loop there."""
    parsed, _ = conditions.parse(text, KNOWN)

    assert Condition.of(parsed, {"limit": 1.0}).code is None


@pytest.mark.parametrize(
    "text",
    [
        "value > 1 AND rate < 2 OR ewma >= 0",
        "NOT value = 1 AND rate = 2",
        "(value + rate) * 2 > ewma",
        "((value > 1))",
        "(value) > 1",
        "value - rate - ewma > 0",
        "value / rate / ewma > 1",
        "-value * -rate > 0",
        "value BETWEEN rate AND ewma OR value IS NULL",
    ],
)
def test_precedence(text: str) -> None:
    rng = np.random.default_rng(3)
    rows = [tuple(row) for row in np.round(rng.normal(0, 3, (200, 4)) * 4) / 4]
    by_numpy, by_polars = both(text, rows)

    assert by_numpy == by_polars
    assert 0 < sum(by_numpy) < 200


@pytest.mark.parametrize(
    "text", ["value IN (1, 2)", "value % 2 = 1", "ROUND(value) = 2", "CASE WHEN rate > 0 THEN value ELSE 1 END > 1"]
)
def test_the_rest_stays_with_polars(text: str) -> None:
    parsed, faults = conditions.parse(text, KNOWN)
    assert not faults

    assert Condition.of(parsed, {}).program is None


def test_every_standard_rule_is_numeric() -> None:
    """A standard rule that fell back to Polars would cost ten times as much on a small record."""
    for order, rule in enumerate(RuleSet.standard().rules):
        for test in BoundRule(rule, order).tests:
            assert test.program is not None, (rule.id, test.expression)
