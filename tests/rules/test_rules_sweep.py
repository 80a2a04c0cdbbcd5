"""Rules in one compiled pass against rules one by one over whole columns: the naive twin, which agrees to the bit."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifeline.core.schema import Flag
from rules import conditions, machine_code, script, sweep, vocabulary
from rules.conditions import Test as Condition
from rules.instances import default_instances
from rules.rule_set import RuleSet

KNOWN = dict.fromkeys(vocabulary.COLUMNS["reading"], vocabulary.FLOAT)


def every_feature(kit: Any) -> str:
    """A rule for each feature, on the value and on other columns, with parameters that differ from point to point."""
    text = ""
    for name, one in default_instances({}).items():
        some = " OR ".join(f"{output} > limit" for output in one.outputs)
        over = "[[rule.override]]\nwhere = \"device_id = 'D1'\"\nparams = { limit = 1.5 }"
        text += kit.rule(id=f'"a.{name}"', raise_=f'"{some}"', clear='"value < limit"', tail=over)
        both = " AND ".join(f"{prefix}_{output} IS NOT NULL" for prefix in ("up", "on") for output in one.outputs[:1])
        text += kit.rule(
            id=f'"a.{name}.on"', raise_=f'"{both} AND step <> 0"', clear=f'"up_{one.outputs[0]} > 3"',
            features=f'{{ up = {{ feature = "{name}", on = "step" }}, on = {{ feature = "{name}", on = "gap_n" }} }}',
        )  # fmt: skip
    return (
        text
        + kit.rule(id='"b.hour"', raise_='"value > limit AND (hour < 19 OR minute > 10)"', params="{ limit = 4.0 }",
                   clear='"value <= limit"')
        + kit.rule(id='"b.clock"', raise_='"weekday < 6"', clear='"value > 20"', params="{}")
        + kit.rule(id='"b.late"', raise_='"late = 1 OR age_s > 20 OR quality = 1"', clear='"late = 0"', params="{}",
                   raise_after="{ samples = 2 }")
        + kit.rule(id='"b.all"', evaluate='"every"', raise_='"quality = 2 OR age_s > 25"', clear='"quality < 2"',
                   params="{}", category='"device"')
        + kit.rule(id='"b.beside"', raise_='"value > device_c2h6"', clear='"device_c2h6 IS NULL"', params="{}")
        + kit.rule(id='"b.nothing"', raise_='"value > device_o2"', clear='"value < 1"', params="{}")
        + kit.rule(id='"b.text"', raise_='"value % 7 > 3"', clear='"value % 7 <= 3"', params="{}")
    )  # fmt: skip


def rows_of(kit: Any, seed: int, rows: int) -> list[tuple[Any, ...]]:
    """Readings of some days, a few late, bad, null or repeated."""
    rng = random.Random(seed)
    received, found = kit.t0, []
    for _ in range(rows):
        received += rng.choice([0, 700, 2_000, 9_000, 41_000, 4_000_000])
        value = rng.choice([0.0, 1.0, 2.0, 5.0, 12.0, 30.0, None])
        quality, flags = rng.choice([0, 0, 0, 0, 1, 2]), rng.choice([0, 0, 0, 0, int(Flag.DUPLICATE), int(Flag.LATE)])
        found.append((rng.randrange(8), received - rng.choice([0, 0, 0, 30_000]), received, value, quality, flags))
    return found


def judged(kit: Any, text: str, rows: list[tuple[Any, ...]], size: int) -> tuple[Any, ...]:
    registry = kit.registry(
        [
            {"device_id": f"D{d}", "quantity": q, "interval_s": 10.0 if d else None}
            for d in range(4)
            for q in ("ch4", "c2h6")
        ]
    )
    machine = kit.machine(text, registry, within=40)
    records = [kit.record(k + 1, rows[at : at + size]) for k, at in enumerate(range(0, len(rows), size))]
    said = [repr(change) for record in records for change in machine.process(record)]
    return said, machine.counters, machine.evaluated, machine.checkpoint(), machine.snapshot()


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([3, 40, 160]))
def test_one_pass_says_what_the_twin_says(kit: Any, seed: int, size: int) -> None:
    text, rows = every_feature(kit), rows_of(kit, seed, 160)
    swept = judged(kit, text, rows, size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "script_of", lambda _: None)
        twin = judged(kit, text, rows, size)
    assert swept[0], "nothing was raised"
    assert swept == twin


@pytest.mark.parametrize("room", [100, 1 << 14])
def test_more_hits_than_there_is_room_for_are_told_in_turns(
    kit: Any, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """Rows of two points come in several blocks, and every one of them is a hit."""
    monkeypatch.setattr(sweep, "HITS_MIN", room)
    text = kit.rule(raise_='"value > limit"', clear='"value < limit"', params="{ limit = 0.0 }") + kit.rule(
        id='"b.step"', raise_='"step > limit"', clear='"step < limit"', params="{ limit = 0.5 }"
    )
    rows = [(0, kit.t0 + k, kit.t0 + k, float(k % 7)) for k in range(1700)]
    rows += [(2, kit.t0 + k, kit.t0 + 1700 + k, float(k % 5)) for k in range(1700)]
    swept = judged(kit, text, rows, len(rows))
    monkeypatch.setattr(sweep, "script_of", lambda _: None)
    assert swept == judged(kit, text, rows, len(rows))
    assert len(swept[0]) > 1000


def test_all_of_the_library_goes_in_one_pass(kit: Any) -> None:
    points = kit.registry([{}])
    machine = kit.machine("", points)
    left = [
        rule.id
        for rule in RuleSet.standard().rules
        if rule.evaluate in {"reading", "every"} and script.script_of(machine._bind(rule, 0)) is None
    ]
    assert not left


def test_a_rule_that_only_the_clock_decides_goes_by_columns(kit: Any) -> None:
    rule = kit.machine("", kit.registry([{}]))._bind(RuleSet.parse(kit.rule()).rules[0], 0)
    assert script.script_of(rule) is not None
    only_clock = kit.machine("", kit.registry([{}]))._bind(
        RuleSet.parse(kit.rule(raise_='"hour > 3"', clear='"hour <= 3"', params="{}")).rules[0], 0
    )
    assert script.script_of(only_clock) is None


@given(st.integers(0, 10**6), st.sets(st.sampled_from(["value", "rate", "ewma"])))
def test_a_screen_holds_wherever_the_condition_does(seed: int, unknown: set[str]) -> None:
    rng = random.Random(seed)

    def some(depth: int) -> str:
        kind = rng.randrange(5 if depth else 2)
        left, right = rng.choice(["value", "rate", "ewma"]), rng.choice(["value", "rate", "1", "0.5"])
        if kind < 2:
            return f"{left} {rng.choice(['<', '<=', '>', '=', '<>'])} {right}" if kind else f"{left} IS NULL"
        if kind == 2:
            return f"NOT ({some(depth - 1)})"
        return f"({some(depth - 1)} {'AND' if kind == 3 else 'OR'} {some(depth - 1)})"

    parsed, faults = conditions.parse(some(3), KNOWN)
    assert not faults
    test = Condition.of(parsed, {})
    assert test.tree is not None
    screen = machine_code.screen_of(test.tree, unknown)
    if screen is None:
        return
    assert not unknown & set(screen.columns)
    values = np.random.default_rng(seed).choice([0.0, 0.5, 1.0, 2.0, np.nan], (3, 64))
    columns = dict(zip(("value", "rate", "ewma"), values, strict=True))
    assert not (test.satisfied(columns, 64) & ~screen.satisfied(columns, 64)).any()
