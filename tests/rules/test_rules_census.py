"""Which points satisfy ``where``: by combinations of values, as if each point were asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifeline.core.registry import Registry
from lifeline.core.schema import POINTS
from rules import census as module
from rules import conditions, vocabulary
from rules.census import Census
from rules.named import about

WHERE = (
    "true",
    "false",
    "kind = 'valve-well'",
    "kind = 'valve-well' AND quantity IN ('ch4', 'temp') AND lead",
    "kind LIKE 'v%' OR kind IS NULL",
    "NOT (utility = 'gas') AND gateway_lead",
    "span_high > 100 OR span_high IS NULL",
    "COALESCE(interval_s, 0) >= 60 AND quantity <> 'temp'",
    "zone = 'Z-1' AND kind IS NOT NULL",
    "device_id LIKE '%3' AND utility = 'water'",
    "UPPER(kind) = 'VALVE-WELL' AND span_low < 0",
    "point = 0 OR point > 7",
    "point >= 2 AND kind = 'dma'",
    "kind = 'dma' AND (about IS NULL OR about = 'methane')",
    "about <> 'pressure' AND device_id LIKE '%3'",
)
text = st.sampled_from(["valve-well", "household", "dma", "", None])
number = st.sampled_from([0.0, -40.0, 60.0, 100.0, 1e9, None])
rows = st.lists(
    st.fixed_dictionaries(
        {
            "device": st.integers(0, 12),
            "quantity": st.sampled_from(["ch4", "temp", "pressure", "inlet_3"]),
            "kind": text,
            "utility": st.sampled_from(["gas", "water", "heat", None]),
            "zone": st.sampled_from(["Z-1", "Z-2", None]),
            "gateway": st.sampled_from(["GW-1", "GW-2", None]),
            "span_low": number,
            "span_high": number,
            "interval_s": number,
        }
    ),
    max_size=40,
    unique_by=lambda row: (row["device"], row["quantity"]),
)


def registry_of(found: list[dict[str, Any]]) -> Registry:
    columns: dict[str, list[Any]] = {name: [row.get(name) for row in found] for name in POINTS.names}
    columns["point"] = list(range(len(found)))
    columns["device_id"] = [f"D-{row['device']}" for row in found]
    return Registry(pa.table(columns, schema=POINTS))


def naive(registry: Registry, start: int, where: str) -> np.ndarray[Any, Any]:
    """Each point is asked."""
    frame = pl.DataFrame(pl.from_arrow(registry.points))
    device, gateway = frame["device_id"].to_list(), frame["gateway"].to_list()
    lead = [name not in device[:i] for i, name in enumerate(device)]
    gateway_lead = [name is not None and name not in gateway[:i] for i, name in enumerate(gateway)]
    frame = frame.with_columns(
        lead=pl.Series(lead, dtype=pl.Boolean),
        gateway_lead=pl.Series(gateway_lead, dtype=pl.Boolean),
        about=pl.Series([about(name) for name in frame["quantity"]], dtype=pl.String),
    )
    expression = conditions.accepted(where, vocabulary.WHERE).expression({})
    return conditions.evaluate(frame[start:], len(found := frame[start:]), [expression])[0][: len(found)]


LIMITS = st.sampled_from(
    [{}, {"ROOM_MAX": 0}, {"SORTS_MAX": 0}, {"SORTS_MAX": 3}, {"ROOM_MAX": 20}, {"FEW": 0}, {"FEW": 2}, {"FEW": 4}]
)


@given(rows, st.integers(0, 50), LIMITS, st.permutations(WHERE), st.integers(0, len(WHERE)))
def test_a_condition_selects_what_asking_each_point_selects(
    found: list[dict[str, Any]], start: int, limits: dict[str, int], asked: list[str], together: int
) -> None:
    registry = registry_of(found)
    start = min(start, len(registry))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in limits.items():
            patch.setattr(module, name, value)
        census = Census(registry, start)
        census.ask(asked[:together])
        for where in asked:
            satisfied = naive(registry, start, where)
            np.testing.assert_array_equal(census.points(where), np.flatnonzero(satisfied), where)
            some = np.flatnonzero(np.arange(len(satisfied)) % 3 != 1)[::-1].astype(np.int32)
            np.testing.assert_array_equal(census.at(where, some), satisfied[some], where)


@given(rows.filter(bool), st.integers(0, 50))
def test_columns_are_those_of_the_points(found: list[dict[str, Any]], start: int) -> None:
    registry = registry_of(found)
    start = min(start, len(registry))
    census = Census(registry, start)
    assert len(census) == len(found) - start
    expected = [np.nan if row["span_high"] is None else row["span_high"] for row in found[start:]]
    some = np.arange(len(census), dtype=np.int32)[::-2].copy()
    np.testing.assert_array_equal(census.numbers("span_high", some), np.array(expected)[some])
    np.testing.assert_array_equal(census.known("zone"), [row["zone"] is not None for row in found[start:]])
    places = np.arange(len(census), dtype=np.int32)[::-1]
    assert census.texts("kind", places) == [row["kind"] for row in found[start:]][::-1]
