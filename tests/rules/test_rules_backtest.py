"""Backtests equal the live machine; scores count what they say."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifeline.core.batch import LogRecord, Readings
from lifeline.core.errors import ConfigurationError
from lifeline.core.schema import TRUTH
from rules import backtest
from rules.evaluate import RuleMachine
from rules.rule_set import RuleSet
from rules.score import score

CONTRACT = ["rule_id", "rule_version", "category", "device_id", "quantity", "group"]
CONTRACT += ["raised_at", "cleared_at", "level", "value"]


def at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def spiky(kit: Any, readings: int = 200, points: int = 3) -> Readings:
    rows = []
    for k in range(readings):
        t = kit.t0 + k * 5_000
        rows += [
            (p, t, t + 300, 30.0 if (k // (7 + p)) % 3 == 0 else 1.0 + k % 2) for p in range(points) if k < 150 or p
        ]
    return kit.readings(rows)


def test_backtest_equals_live_row_for_row(kit: Any) -> None:
    """Live: small records, clock records, stops and restores. Backtest: one batch, read back in lake order."""
    rules, points = RuleSet.standard(), kit.registry([{"interval_s": 5.0, "group": "A"}] * 3)
    rows = spiky(kit)
    live, changes = RuleMachine(rules, points, "UTC"), []
    for lsn, a in enumerate(range(0, len(rows), 7), 1):
        part = rows.take(slice(a, a + 7))
        changes += live.process(LogRecord(lsn, int(part.received_at[0]), Readings.empty()))
        changes += live.process(LogRecord(lsn, int(part.received_at[-1]), part))
        if a % 70 == 0:
            assert live.checkpoint()[0] <= lsn
    result = backtest.run(rules, points, [backtest.in_log_order(rows.take(slice(None, None, -1)))], "UTC")
    raised = {c.alarm_id: c for c in changes if c.kind == "raised"}
    cleared = {c.alarm_id: c.cleared_at for c in changes if c.kind == "cleared"}
    found = result.alarms.to_pylist()
    assert [row["alarm_id"] for row in found] == list(raised)
    assert {row["alarm_id"]: row["cleared_at"] and int(row["cleared_at"].timestamp() * 1000) for row in found} == {
        key: cleared.get(key) for key in raised
    }
    assert {"gas.ch4.high", "device.dropout"} <= {row["rule_id"] for row in found}
    assert result.alarms.column_names[: len(CONTRACT)] == CONTRACT


def test_training_period_is_learned_from_but_not_reported(kit: Any) -> None:
    rules, points = RuleSet.parse(kit.rule()), kit.registry([{}] * 3)
    whole = backtest.run(rules, points, [spiky(kit)])
    later = backtest.run(rules, points, [spiky(kit)], train_to=kit.t0 + 400_000)
    expected = [row for row in whole.alarms.to_pylist() if row["detected_at"] >= at(kit.t0 + 400_000)]
    assert 0 < len(expected) < whole.alarms.num_rows
    assert later.alarms.to_pylist() == expected


def test_figures_of_a_rule(kit: Any) -> None:
    rules, points = RuleSet.parse(kit.rule()), kit.registry([{}, {"quantity": "temp"}])
    rows = [(0, kit.t0 + k * 10_000, kit.t0 + k * 10_000, 30.0 if k % 2 else 1.0) for k in range(10)]
    (figures,) = backtest.run(rules, points, [kit.readings(rows)], end=kit.t0 + 86_400_000).rules
    assert figures == {
        "id": "gas.ch4.high", "version": 1, "readings": 10, "raised": 5, "cleared": 4, "points": 1,
        "first": "2026-11-18T11:06:50.000Z", "last": "2026-11-18T11:08:10.000Z", "alarms_per_day": 5.0, "chattering": 3,
    }  # fmt: skip


def truth(*rows: tuple[Any, ...]) -> pa.Table:
    return pa.Table.from_pylist(
        [dict(zip(TRUTH.names, (*r[:4], at(r[4]), at(r[5])), strict=True)) for r in rows], TRUTH
    )


def alarms(*rows: tuple[str, str, int, int, str]) -> pa.Table:
    full = {"rule_id": "r", "rule_version": 1, "category": "process", "value": 1.0, "alarm_id": "a", "point": 0}
    keys = ("device_id", "quantity", "raised_at", "detected_at", "level")
    made = [{**full, **dict(zip(keys, (d, q, at(r), at(x), lv), strict=True))} for d, q, r, x, lv in rows]
    return pa.Table.from_pylist(made, backtest.ALARMS)


def test_score_counts_faults_once_and_alarms_each() -> None:
    """Onsets count from start to before end; null means anywhere; harmless kinds forgive blue only."""
    labelled = truth(
        ("F1", "leak", "A", "ch4", 1_000, 9_000),
        ("F1", "leak", "B", "ch4", 1_000, 9_000),
        ("F2", "dropout", "C", None, 0, 5_000),
        ("F3", "leak", "D", "ch4", 0, 9_000),
        ("H1", "harmless-biogas", "E", "ch4", 0, 9_000),
    )
    raised = alarms(
        ("A", "ch4", 2_000, 4_000, "red"), ("B", "ch4", 1_000, 3_000, "red"),  # one fault, two true alarms, delay 2 s
        ("C", "temp", 4_000, 8_000, "blue"),  # true, delay 8 s
        # too late, another quantity, another device: false
        ("A", "ch4", 9_000, 9_000, "red"), ("A", "temp", 2_000, 2_000, "red"), ("Z", "ch4", 2_000, 2_000, "red"),
        ("E", "ch4", 1_000, 1_000, "blue"), ("E", "ch4", 1_000, 1_000, "yellow"),  # forgiven, false
    )  # fmt: skip
    got = score(raised, labelled, days=2.0)
    assert (got["alarms_true"], got["alarms_false"]) == (3, 4)
    assert got["precision"] == pytest.approx(3 / 7)
    assert got["recall"] == pytest.approx(2 / 3)
    assert (got["median_delay_s"], got["false_alarms_per_day"]) == (5.0, 2.0)
    assert got["by_fault"]["leak"] == {
        "faults": 2, "detected": 1, "recall": 0.5, "median_delay_s": 2.0, "p95_delay_s": 2.0,
    }  # fmt: skip
    assert set(got["by_fault"]) == {"leak", "dropout"}


def test_score_without_alarms_or_columns() -> None:
    got = score(alarms(), truth(("F", "leak", "A", None, 0, 1)), days=1.0)
    assert (got["precision"], got["recall"], got["f1"], got["median_delay_s"]) == (0.0, 0.0, 0.0, None)
    with pytest.raises(ConfigurationError, match="quantity"):
        score(alarms(), truth().drop_columns(["quantity"]), days=1.0)


@given(st.integers(0, 10**6), st.integers(0, 60), st.sampled_from([4, 1 << 62]))
def test_the_order_of_receipt_is_that_of_a_sort_by_four_columns(seed: int, rows: int, span: int) -> None:
    """Its naive twin; with times that fit one number beside the point, and that do not."""
    rng = np.random.default_rng(seed)
    some = Readings(
        rng.integers(0, 5, rows).astype(np.int32),
        rng.integers(0, 4, rows),
        rng.integers(0, span, rows),
        rng.random(rows),
        rng.integers(0, 3, rows).astype(np.uint32),
        np.zeros(rows, np.uint8),
        np.zeros(rows, np.uint8),
    )
    expected = some.take(np.lexsort((some.seq, some.ts, some.point, some.received_at)))
    assert backtest.in_log_order(some).to_arrow().equals(expected.to_arrow())
    assert backtest.in_log_order(expected) is expected
