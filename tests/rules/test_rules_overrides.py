"""Parameters that hold for a while: decided by each reading alone, so live, replay and backtest agree."""

from __future__ import annotations

import itertools
import random
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from lifeline.core.alarm import AlarmChange
from lifeline.core.batch import Readings
from lifeline.core.override import ParameterSpan
from rules import backtest, overrides
from rules.evaluate import RuleMachine
from rules.rule_set import RuleSet

S = 1000
AREAS = ("410105001", "410105002", "410102001", None)


def points_of(kit: Any) -> Any:
    return kit.registry([{"area_code": AREAS[d % 4], "interval_s": 10.0, "group": f"G{d // 2}"} for d in range(8)])


def span(since: int, until: int, area: str = "410105", name: str = "emergency 1", **limits: float) -> ParameterSpan:
    params = limits or {"limit": 10.0}
    rules = ("gas.ch4.high", "a.silent", "a.group", "a.soon", "a.place")
    return ParameterSpan(name, area, since, until, dict.fromkeys(rules, params))


def rules_text(kit: Any) -> str:
    """A rule of every kind, each with a limit."""
    return (
        kit.rule(raise_after="{ samples = 2 }")
        + kit.rule(
            id='"a.silent"', raise_='"silent_s > limit * 2"', clear='"silent_s <= limit * 2"', evaluate='"clock"'
        )
        + kit.rule(
            id='"a.group"', raise_='"hits >= 2 AND limit < 20"', clear='"hits = 0"', evaluate='"group"',
            hit='"value >= limit"', params="{ limit = 25.0, window_s = 60, frame_s = 0 }",
        )
        + kit.rule(id='"a.soon"', raise_='"minutes_to_limit < 1"', clear='"minutes_to_limit IS NULL"')
        + kit.rule(
            id='"a.place"', raise_='"value >= limit"', clear='"value < limit"',
            tail='[[rule.override]]\nwhere = "area_code = \'410105002\'"\nparams = { limit = 4.0 }',
        )
    )  # fmt: skip


def raised(changes: list[AlarmChange], rule: str) -> list[tuple[int, float]]:
    return [(c.point, c.limit) for c in changes if c.rule_id == rule and c.kind == "raised"]


def test_a_span_changes_the_limit_of_its_area_while_it_lasts_and_the_alarm_tells(kit: Any) -> None:
    machine = kit.machine(kit.rule(), points_of(kit))
    machine.override([span(kit.t0 + 10 * S, kit.t0 + 30 * S)])
    rows = [(p, kit.t0 + t * S, kit.t0 + t * S, 12.0) for t in (0, 10, 20, 30, 40) for p in range(4)]

    changes = machine.process(kit.record(1, rows))

    assert [(c.kind, c.point, c.raised_at - kit.t0, c.limit) for c in changes if c.kind == "raised"] == [
        ("raised", 0, 10 * S, 10.0),
        ("raised", 1, 10 * S, 10.0),
    ]
    assert [(c.point, c.cleared_at) for c in changes if c.kind == "cleared"] == [
        (0, kit.t0 + 30 * S),
        (1, kit.t0 + 30 * S),
    ]
    told = orjson.loads(changes[0].detail)
    assert told["params"] == {"limit": 10.0, "deadband": 5.0}
    assert told["overrides"] == [
        {
            "name": "emergency 1",
            "area_code": "410105",
            "since": kit.t0 + 10 * S,
            "until": kit.t0 + 30 * S,
            "params": {"limit": 10.0},
        }
    ]


def test_without_a_span_nothing_is_told(kit: Any) -> None:
    machine = kit.machine(kit.rule(), points_of(kit))
    machine.override([span(kit.t0 - 10, kit.t0)])
    (change,) = machine.process(kit.record(1, [(0, kit.t0, kit.t0, 30.0)]))
    assert "overrides" not in orjson.loads(change.detail)
    assert change.limit == 25.0


def test_the_later_of_two_spans_wins_and_overrides_of_the_rule_give_way(kit: Any) -> None:
    machine = kit.machine(rules_text(kit), points_of(kit))
    machine.override([span(0, 1 << 62), span(0, 1 << 62, "410105001", "emergency 2", limit=6.0)])
    rows = [(p, kit.t0, kit.t0, 7.0) for p in range(4)]
    assert raised(machine.process(kit.record(1, rows)), "a.place") == [(0, 6.0)]
    machine.override([])
    rows = [(p, kit.t0 + S, kit.t0 + S, 7.0) for p in range(4)]
    assert raised(machine.process(kit.record(2, rows)), "a.place") == [(1, 4.0)]


def ordered(kit: Any, rng: random.Random, count: int) -> list[tuple[Any, ...]]:
    """Some late, some silent for a while."""
    at, rows = kit.t0, []
    for _ in range(count):
        at += rng.choice([0, 1, 3, 25]) * S
        late = rng.choice([0, 0, 0, 40]) * S
        rows.append((rng.randrange(8), at - late, at, rng.choice([2.0, 7.0, 12.0, 22.0, 30.0])))
    return rows


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**9), st.lists(st.integers(1, 200), max_size=8))
def test_switched_while_running_is_as_if_it_had_been_known(kit: Any, seed: int, edges: list[int]) -> None:
    """Live: spans come at record borders, from the log time reached. Again: known beforehand, cut otherwise."""
    rng = random.Random(seed)
    rows = ordered(kit, rng, 120)
    bounds = sorted({0, len(rows), *(edge % len(rows) for edge in edges)})
    live, spans, changes = kit.machine(rules_text(kit), points_of(kit)), [], []
    for lsn, (a, b) in enumerate(itertools.pairwise(bounds), 1):
        changes += live.process(kit.record(lsn, rows[a:b]))
        since = live.log_time + 1
        spans.append(span(since, since + rng.choice([20, 300]) * S, rng.choice(["410105", "410105001", "410100"])))
        live.override(spans)
    again = backtest.run(
        RuleSet.parse(rules_text(kit)), points_of(kit), [batch(kit, rows)], "Asia/Shanghai", spans=spans
    )
    kept, ends = backtest.settled(changes)
    assert sorted(again.alarms["alarm_id"].to_pylist()) == sorted(c.alarm_id for c in kept)
    cleared = dict(zip(again.alarms["alarm_id"].to_pylist(), again.alarms["cleared_at"].to_pylist(), strict=True))
    assert {k for k, v in cleared.items() if v is not None} == set(ends)


def batch(kit: Any, rows: list[tuple[Any, ...]]) -> Readings:
    made: Readings = kit.readings(rows)
    return made


def test_the_property_sees_alarms_that_only_a_span_raises(kit: Any) -> None:
    """It would hold on silence."""
    seen: set[tuple[str, bool]] = set()
    for seed in range(8):
        rows = ordered(kit, random.Random(seed), 120)
        machine = kit.machine(rules_text(kit), points_of(kit))
        machine.override([span(kit.t0 + 60 * S, 1 << 62, "410100")])
        for change in machine.process(kit.record(1, rows)):
            if change.kind == "raised":
                seen.add((change.rule_id, "overrides" in orjson.loads(change.detail)))
    assert {rule for rule, told in seen if told} >= {"gas.ch4.high", "a.silent", "a.group", "a.place"}


def test_new_rules_and_new_points_keep_the_spans(kit: Any) -> None:
    old = kit.machine(kit.rule(), points_of(kit))
    old.override([span(0, 1 << 62)])
    old.process(kit.record(1, [(0, kit.t0, kit.t0, 2.0)]))
    new = RuleMachine(RuleSet.parse(rules_text(kit)), points_of(kit), "Asia/Shanghai")
    new.take_over(old)
    changes = new.process(kit.record(2, [(0, kit.t0 + S, kit.t0 + S, 12.0)]))
    assert raised(changes, "a.place") == [(0, 10.0)]


def test_what_shapes_a_rules_memory_cannot_be_overridden(kit: Any) -> None:
    rules = RuleSet.parse(kit.rule(params="{ limit = 25.0, deadband = 5.0, rate_window_s = 30 }")).rules
    given = {"gas.ch4.hig": {"limit": 1.0}, "gas.ch4.high": {"limt": 2.0, "rate_window_s": 5.0, "limit": 2.0}}
    found = overrides.faults(rules, given, "policy.toml", "emergency.overrides")
    assert [(one.key, one.remedy) for one in found] == [
        ("emergency.overrides.gas.ch4.hig", "did you mean gas.ch4.high?"),
        ("emergency.overrides.gas.ch4.high.limt", "did you mean limit?"),
        ("emergency.overrides.gas.ch4.high.rate_window_s", "only limits can change"),
    ]
