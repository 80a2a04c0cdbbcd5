"""The standard rules: each fires where it should, stays silent beside it, and is quiet on a healthy fleet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lifeline.core.batch import LogRecord, Readings
from lifeline.core.registry import Registry
from rules import backtest, score
from rules.evaluate import RuleMachine, RuleSet
from simulators.faults import FaultSettings
from simulators.fleet import FleetSettings
from simulators.history import History

WINTER = 1_795_000_000_000
SUMMER = WINTER + 200 * 86_400_000
STANDARD = RuleSet.standard()

Curve = Callable[[int], float | None]
"""Value of the k-th reading; None: the device says nothing."""


def flat(value: float) -> Curve:
    return lambda k: value + 0.01 * (k % 2)


def jump(before: float, after: float, at: int = 20) -> Curve:
    return lambda k: (before if k < at else after) + 0.001 * (k % 2)


CH4 = {"utility": "gas", "kind": "valve-well", "quantity": "ch4"}
SEWER = {**CH4, "kind": "adjacent-space"}
REGULATOR = {"utility": "gas", "kind": "regulator", "quantity": "pressure", "span_low": 0.0, "span_high": 10.0}
WATER = {"utility": "water", "kind": "pressure-point", "quantity": "pressure", "span_low": 0.0, "span_high": 1.6}
INLET = {"utility": "water", "kind": "dma-inlet", "quantity": "flow"}
SUPPLY = {"utility": "heat", "kind": "substation", "quantity": "supply_temp"}
MAKEUP = {"utility": "heat", "kind": "loop-makeup", "quantity": "makeup_flow"}
TILT = {"utility": "gas", "kind": "manhole-cover", "quantity": "tilt"}
NOISE = {"utility": "water", "kind": "noise-logger", "quantity": "noise", "interval_s": 86_400.0}
BATTERY = {"utility": "gas", "kind": "valve-well", "quantity": "battery"}
ROOM = {"utility": "heat", "kind": "room-temp", "quantity": "room_temp"}
METER = {"utility": "water", "kind": "household-meter", "quantity": "flow"}

Case = tuple[str, dict[str, Any], Curve, Curve, dict[str, Any]]
CASES: list[Case] = [
    ("gas.ch4.high", CH4, jump(1, 26), jump(1, 24.5), {}),
    ("gas.ch4.high", SEWER, jump(3, 40), jump(3, 24), {"beside": 40.0}),
    ("gas.ch4.high-high", SEWER, jump(3, 51), jump(3, 49), {"beside": 1.0}),
    ("gas.ch4.rise", CH4, lambda k: 1 + 0.2 * max(0, k - 20), lambda k: 1 + 0.01 * max(0, k - 20), {}),
    ("gas.ch4.biogas", SEWER, jump(3, 40), jump(3, 20), {"beside": 2.0}),
    ("gas.cover.opened", TILT, jump(1, 25), jump(1, 8), {}),
    ("gas.pressure.high", REGULATOR, jump(2.6, 4), jump(2.6, 3.3), {}),
    ("gas.pressure.low", REGULATOR, jump(2.6, 1.2), jump(2.6, 2.0), {}),
    ("water.pressure.low", WATER, jump(0.2, 0.12), jump(0.2, 0.16), {}),
    ("water.burst.pressure", WATER, jump(0.31, 0.22), jump(0.31, 0.285), {}),
    ("water.burst.flow", INLET, jump(170, 280), jump(170, 205), {}),
    ("water.leak.noise", NOISE, jump(14, 38), jump(14, 20), {}),
    ("water.flow.reverse", METER, jump(0.1, -0.1), jump(0.1, 0.0), {}),
    ("water.flow.reverse", INLET, jump(100, -5), jump(100, 30), {}),
    ("heat.supply.collapse", SUPPLY, jump(50, 38), jump(50, 46), {}),
    ("heat.makeup.surge", MAKEUP, jump(1, 8), jump(1, 3), {}),
    ("heat.room.low", ROOM, jump(21, 16), jump(21, 18.4), {}),
    ("device.dropout", CH4, lambda k: 1.0 + k % 2 if k < 20 else None, flat(1), {}),
    ("device.stuck", WATER, lambda k: 0.3 + 0.001 * (k % 3) if k < 20 else 0.3, lambda k: 0.3 + 0.001 * (k % 3), {}),
    ("device.spikes", WATER, lambda k: 0.3 + 0.3 * (k % 20 == 10), jump(0.3, 0.5), {}),
    ("device.battery.low", BATTERY, jump(50, 9), jump(50, 20), {}),
    ("device.clock", CH4, flat(1), flat(1), {"age_s": 200_000}),
]


def fired(
    kit: Any, rule: str, point: dict[str, Any], curve: Curve, start: int, beside: float | None, age_s: int
) -> bool:
    """60 readings of one point, at its interval; three healthy devices report beside it."""
    interval = point.get("interval_s", 10.0)
    others = [{**CH4, "interval_s": interval, "device_id": f"H{i}"} for i in range(3)]
    mate = [{**point, "device_id": "X", "quantity": "c2h6", "interval_s": interval}] if beside is not None else []
    registry = kit.registry([*others, {"device_id": "X", "interval_s": interval, **point}, *mate])
    machine, found = RuleMachine(STANDARD, registry, "Asia/Shanghai"), []
    for k in range(60):
        t = start + k * int(interval * 1000)
        rows = [(i, t, t, 0.5 + 0.01 * (k % 2)) for i in range(3)]
        value = curve(k)
        if value is not None:
            at = t - age_s * 1000
            rows += ([(4, at, t, beside)] if beside is not None else []) + [(3, at, t, value)]
        found += machine.process(kit.record(k + 1, rows))
    return any(c.rule_id == rule and c.kind == "raised" and c.point == 3 for c in found)


@pytest.mark.parametrize(
    ("rule", "point", "wrong", "right", "more"), CASES, ids=[f"{c[0]}-{c[1]['kind']}" for c in CASES]
)
def test_fires_when_wrong_and_only_then(
    kit: Any, rule: str, point: dict[str, Any], wrong: Curve, right: Curve, more: dict[str, Any]
) -> None:
    beside = more.get("beside")
    assert fired(kit, rule, point, wrong, WINTER, beside, more.get("age_s", 0))
    assert not fired(kit, rule, point, right, WINTER, beside, 0)


def test_every_standard_rule_has_a_case() -> None:
    elsewhere = {"methane.toml", "scada.toml", "meters.toml"}  # see test_rules_library_foreign
    rules = {r.id for r in STANDARD.rules if r.file not in elsewhere}
    assert rules - {c[0] for c in CASES} == {"device.silence.mass"}  # see test_rules_machine


def test_biogas_in_a_sewer_is_never_more_than_blue(kit: Any) -> None:
    for rule in ("gas.ch4.high", "gas.ch4.high-high", "gas.ch4.rise"):
        assert not fired(kit, rule, SEWER, lambda k: min(45, 3 + 1.5 * max(0, k - 20)), WINTER, 2.0, 0)


@pytest.mark.parametrize("case", [c for c in CASES if c[0].startswith("heat.")], ids=lambda c: c[0])
def test_heat_rules_sleep_in_summer(kit: Any, case: Case) -> None:
    assert not fired(kit, case[0], case[1], case[2], SUMMER, None, 0)


def test_daily_uploads_are_no_dropouts(kit: Any) -> None:
    """A batch meter stores each quarter of an hour and uploads once a day."""
    point = {"utility": "water", "kind": "batch-meter", "quantity": "flow", "interval_s": 900.0}
    machine = RuleMachine(STANDARD, kit.registry([{**point, "device_id": f"B{i}"} for i in range(5)]), "Asia/Shanghai")
    found = []
    for day in range(3):
        received = WINTER + day * 86_400_000
        rows = [(p, received - (96 - k) * 900_000, received, 0.1) for p in range(5) for k in range(96)]
        found += machine.process(kit.record(day + 1, rows))
    assert found == []
    assert machine.counters["stale"] == 0


def history(hours: float, faults: float, *, start: int = WINTER, **fleet: Any) -> History:
    settings = FleetSettings(**fleet)
    end = start + int(hours * 3_600_000)
    return History(settings, start, end, tick_ms=10_000, faults=FaultSettings(faults_per_hour=faults))


def test_quiet_on_a_healthy_fleet() -> None:
    """Declared intervals over an evening peak; and every ten seconds, as the demonstration runs."""
    for past in (history(5, 0, sensors=2_500), history(0.5, 0, sensors=2_000, interval_s=10.0)):
        result = backtest.run(STANDARD, Registry(past.fleet.points), past.ticks(), "Asia/Shanghai")
        assert result.alarms.to_pylist() == []
        assert sum(rule["readings"] for rule in result.rules) > 500_000


def test_finds_faults_and_spares_look_alikes() -> None:
    past = history(3, 40, sensors=1_500, interval_s=20.0)
    result = backtest.run(STANDARD, Registry(past.fleet.points), past.ticks(), "Asia/Shanghai")
    got = score.score(result.alarms, past.truth.table(), result.days)
    assert got["recall"] > 0.7, got
    assert got["precision"] > 0.95, got
    assert got["by_fault"]["gas-accumulation"]["recall"] == 1.0


def test_every_dropout_is_found() -> None:
    past = history(1.5, 60, sensors=2_000, interval_s=10.0)
    result = backtest.run(STANDARD, Registry(past.fleet.points), past.ticks(), "Asia/Shanghai")
    by_fault = score.score(result.alarms, past.truth.table(), result.days)["by_fault"]
    assert by_fault["dropout"]["recall"] == 1.0


def test_nothing_arriving_at_all_raises_nothing(kit: Any) -> None:
    machine = RuleMachine(STANDARD, kit.registry([CH4] * 3), "Asia/Shanghai")
    records = [LogRecord(k + 1, WINTER + k * 1000, Readings.empty()) for k in range(100)]
    assert [c for record in records for c in machine.process(record)] == []
