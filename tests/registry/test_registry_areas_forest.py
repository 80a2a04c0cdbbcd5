"""Areas are checked column by column; what is wrong is named as by walking up from each."""

from __future__ import annotations

from unittest.mock import patch

import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lifeline.registry import checks

CODES = st.sampled_from(["a", "b", "c", "d", "e", "f", None])
ROWS = st.lists(st.tuples(CODES, st.one_of(CODES, st.just("nowhere"))), max_size=8)


def said(rows: list[tuple[str | None, str | None]]) -> list[str]:
    columns = {
        "area_code": pa.chunked_array([pa.array([code for code, _ in rows], pa.string())]),
        "parent_code": pa.chunked_array([pa.array([parent for _, parent in rows], pa.string())]),
        "level": pa.chunked_array([pa.array(["city"] * len(rows), pa.string())]),
        "name": pa.chunked_array([pa.array(["x"] * len(rows), pa.string())]),
    }
    findings = checks.Findings("areas.csv", "line", lambda row: row + 2)
    checks.check_areas(pa.table(columns), findings)
    return [f"{problem.key}: {problem.message}" for problem in findings.problems]


@settings(max_examples=150, deadline=None)
@given(ROWS)
@example([("a", None), ("b", "a"), ("c", "b")])
@example([("a", "a")])
@example([("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")])
@example([("a", None), ("a", None)])
@example([("a", "nowhere")])
def test_names_what_a_walk_up_names(rows: list[tuple[str | None, str | None]]) -> None:
    with patch.object(checks, "_is_forest", return_value=False):
        walked = said(rows)

    assert said(rows) == walked


def test_a_city_in_order_is_not_walked() -> None:
    deep = [(f"a{k}", f"a{k - 1}" if k else None) for k in range(1000)]

    with patch.object(checks, "_check_cycles", side_effect=AssertionError("walked")):
        assert said(deep) == []  # type: ignore[arg-type]
