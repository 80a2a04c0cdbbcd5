"""Rules over every row, asked of points that stir, against their naive twin: the pass over all rows."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.stirring import Stirring
from tests.rules.dense import records, registry

if TYPE_CHECKING:
    from collections.abc import Iterator


def rules_text(kit: Any) -> str:
    """What rows tell, with runs, a condition of several parts, and one that a calendar's column has a part in."""
    every: dict[str, Any] = {"evaluate": '"every"', "category": '"device"', "params": "{ old_s = 1.5 }"}
    runs = {"raise_after": "{ samples = 2 }", "clear_after": "{ samples = 3 }"}
    old, value = '"age_s > old_s / 10 OR age_s < -0.2"', '"value > 50 AND hour < 25"'
    return str(
        kit.rule(
            id='"e.age"', where='"lead"', raise_=old, clear='"age_s <= 0.1"', clear_after="{ samples = 2 }", **every
        )
        + kit.rule(id='"e.bad"', raise_='"quality = 2 OR late = 1"', clear='"quality < 2"', **every)
        + kit.rule(id='"e.value"', raise_=value, clear='"value <= 50"', **runs, **every)
        + kit.rule(id='"r.value"', clear='"value <= 40"', raise_='"value > 40"', params="{}")
    )


@pytest.fixture
def naive(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """Whether to go the other way; how often it was asked is its length."""
    asked: list[bool] = [False]
    plain = Stirring.knows

    def knows(self: Stirring) -> bool:
        asked.append(plain(self))
        return asked[-1] and not asked[0]

    monkeypatch.setattr(Stirring, "knows", knows)
    yield asked
    assert all(asked[1:]), "these rules ask for nothing that rows do not tell"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**9), st.lists(st.integers(1, 119), max_size=10))
def test_points_that_stir_say_what_all_rows_say(kit: Any, naive: list[bool], seed: int, edges: list[int]) -> None:
    """To the change, every counter and both checkpoints."""
    made = records(kit, seed, 120)
    parts = [made[a:b] for a, b in itertools.pairwise(sorted({0, len(made), *edges}))]

    def outcome(*, other_way: bool) -> tuple[Any, ...]:
        naive[0] = other_way
        machine = kit.machine(rules_text(kit), registry(kit))
        said = [repr(change) for part in parts for change in machine.process_all(part)]
        return said, machine.counters, machine.evaluated, machine.checkpoint(), machine.snapshot()

    assert outcome(other_way=False) == outcome(other_way=True)


def test_the_property_sees_every_rule_raise_and_clear(kit: Any) -> None:
    machine = kit.machine(rules_text(kit), registry(kit))
    changes = [change for seed in range(4) for change in machine.process_all(records(kit, seed, 120))]
    assert {(c.rule_id, c.kind) for c in changes} >= {
        (rule, kind) for rule in ("e.age", "e.bad", "e.value") for kind in ("raised", "cleared")
    }


@pytest.mark.parametrize("raise_", ['"hour < 25"', '"age_s > old_s"'])
def test_what_rows_do_not_tell_goes_the_other_way(kit: Any, raise_: str) -> None:
    """The clock alone; a parameter that differs from point to point."""
    differs = "[[rule.override]]\nwhere = \"device_id = 'D1'\"\nparams = { old_s = 3.0 }"
    keys = {"evaluate": '"every"', "category": '"device"', "params": "{ old_s = 1.5 }", "tail": differs}
    machine = kit.machine(kit.rule(raise_=raise_, clear='"false"', **keys), registry(kit))
    assert not machine._stirring.knows()
    assert machine.process_all(records(kit, 1, 120))


class Growing:
    """A registry that gets longer."""

    def __init__(self, held: Any) -> None:
        self.held = held

    def current(self) -> Any:
        return self.held


def test_points_that_come_later_are_looked_at(kit: Any) -> None:
    """Also beside a rule that has none of them."""
    points = [{"device_id": name, "quantity": "ch4"} for name in ("A", *(f"B{k}" for k in range(90)))]
    bad = {"raise_": '"quality = 2"', "clear": '"quality < 2"', "evaluate": '"every"', "category": '"device"'}
    text = kit.rule(params="{}", **bad) + kit.rule(id='"a.one"', where="\"device_id = 'A'\"", params="{}", **bad)
    source = Growing(kit.registry(points[:1]))
    machine = kit.machine(text, source)

    def said(lsn: int, point: int) -> list[tuple[str, int]]:
        made = machine.process(kit.record(lsn, [(point, kit.t0 + lsn, kit.t0 + lsn, 1.0, 2, 0)]))
        return [(change.rule_id, change.point) for change in made]

    assert said(1, 0) == [("a.one", 0), ("gas.ch4.high", 0)]
    source.held = kit.registry(points)
    assert said(2, 90) == [("gas.ch4.high", 90)]
