"""The alarm state machine against a naive twin, in any batching."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.alarms import AlarmState
from rules.spec import Delay, RuleSpec


def spec(on: Delay, off: Delay, *, latch: bool) -> RuleSpec:
    texts = dict.fromkeys(("title_zh", "title_en", "cause", "consequence", "action"), "x")
    return RuleSpec(
        **texts, id="a.b", version=1, where="true", raise_="true", clear="true", level="red", category="process",
        respond_within_s=1, raise_after=on, clear_after=off, latch=latch,
    )  # fmt: skip


def naive(rule: RuleSpec, rows: list[tuple[int, int, bool, bool]]) -> list[tuple[Any, ...]]:
    """One reading after the other: (row, slot, raised?, onset)."""
    points: dict[int, dict[str, Any]] = {}
    changes = []
    for i, (slot, ts, is_raised, is_clear) in enumerate(rows):
        p = points.setdefault(slot, {"state": "normal", "run": [], "onset": 0})
        if p["state"] == "active":
            p["run"] = [*p["run"], ts] if is_clear and not is_raised else []
            after = rule.clear_after
        else:
            p["run"] = [*p["run"], ts] if is_raised else []
            after = rule.raise_after
        run = p["run"]
        if not run or len(run) < after.samples or run[-1] - run[0] < after.seconds * 1000:
            continue
        if p["state"] == "active":
            p["state"] = "latched" if rule.latch else "normal"
            if not rule.latch:
                changes.append((i, slot, False, p["onset"]))
        else:
            if p["state"] == "latched":
                changes.append((i, slot, False, p["onset"]))
            p["state"], p["onset"] = "active", run[0]
            changes.append((i, slot, True, run[0]))
        p["run"] = []
    return changes


delays = st.builds(Delay, st.integers(1, 4), st.sampled_from([0.0, 5.0, 12.0]))
row = st.tuples(st.integers(0, 2), st.integers(1, 9_000), st.booleans(), st.booleans())


@settings(max_examples=150, deadline=None)
@given(delays, delays, st.booleans(), st.lists(row, max_size=60), st.lists(st.integers(0, 60), max_size=4))
def test_equals_naive_twin_in_any_batching(
    on: Delay, off: Delay, latch: bool, rows: list[tuple[int, int, bool, bool]], cuts: list[int]
) -> None:
    rule = spec(on, off, latch=latch)
    at, timed = 0, []
    for slot, gap, is_raised, is_clear in rows:
        at += gap
        timed.append((slot, at, is_raised, is_clear))
    state = AlarmState()
    state.grow(3)
    found = []
    edges = sorted({0, len(timed), *(c for c in cuts if c <= len(timed))})
    for a, b in itertools.pairwise(edges):
        slots, ts, is_raised, is_clear = zip(*timed[a:b], strict=True)
        changes = state.advance(
            rule, np.array(slots, np.int32), np.array(is_raised), np.array(is_clear), np.array(ts, np.int64)
        )
        found += [(a + c.row, c.slot, c.raised, c.onset) for c in changes]
    assert found == naive(rule, timed)


def feed(state: AlarmState, rule: RuleSpec, ts: int, is_raised: bool) -> list[tuple[bool, int]]:
    one = np.array([is_raised])
    changes = state.advance(rule, np.zeros(1, np.int32), one, ~one, np.array([ts], np.int64))
    return [(c.raised, c.onset) for c in changes]


def test_latched_alarm_waits_for_the_operator() -> None:
    rule, state = spec(Delay(), Delay(), latch=True), AlarmState()
    state.grow(1)
    assert feed(state, rule, 10, is_raised=True) == [(True, 10)]
    assert feed(state, rule, 20, is_raised=False) == []
    assert state.up.tolist() == [0]
    assert state.acknowledge(0, 11) is False
    assert state.acknowledge(0, 10) is True
    assert state.up.tolist() == []


def test_latched_alarm_acknowledged_while_active_clears_by_itself() -> None:
    rule, state = spec(Delay(), Delay(), latch=True), AlarmState()
    state.grow(1)
    feed(state, rule, 10, is_raised=True)
    assert state.acknowledge(0, 10) is False
    assert feed(state, rule, 20, is_raised=False) == [(False, 10)]


def test_latched_alarm_never_hides_a_new_one() -> None:
    rule, state = spec(Delay(), Delay(), latch=True), AlarmState()
    state.grow(1)
    feed(state, rule, 10, is_raised=True)
    feed(state, rule, 20, is_raised=False)
    assert feed(state, rule, 30, is_raised=True) == [(False, 10), (True, 30)]
