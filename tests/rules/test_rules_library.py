"""The standard rules: each fires where it should, stays silent beside it, and is quiet on a healthy fleet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from lifeline.core.batch import LogRecord, Readings
from lifeline.core.registry import Registry
from rules import backtest, score
from rules.evaluate import RuleMachine
from rules.rule_set import RuleSet
from simulators.faults import FaultSettings
from simulators.fleet import FleetSettings
from simulators.history import History

WINTER = 1_795_000_000_000
SUMMER = WINTER + 200 * 86_400_000
HOUR = 3_600_000
MONDAY = 1_795_363_200_000
"""2026-11-23 00:00 in Zhengzhou."""
STANDARD = RuleSet.standard()

Curve = Callable[[int], float | None]
"""Value of the k-th reading; None: the device says nothing."""


def flat(value: float) -> Curve:
    return lambda k: value + 0.01 * (k % 2)


def jump(before: float, after: float, at: int = 20) -> Curve:
    return lambda k: (before if k < at else after) + 0.001 * (k % 2)


@dataclass(frozen=True)
class Case:
    """A rule, the point that it looks at, a curve that must raise it and one, close to it, that must not."""

    rule: str
    point: dict[str, Any]
    wrong: Curve
    right: Curve
    readings: int = 60
    beside: dict[str, Curve] = field(default_factory=dict)
    """Other quantities of the device."""
    mates: int = 0
    """Devices of the same kind and zone that show the same curve."""
    late_s: int = 0
    """Age of the readings when it goes wrong."""
    start: int = WINTER


def days_then(days: int, before: float, after: Curve | float, per_day: int = 48) -> Curve:
    """Days of half-hours at one level, as baselines want them, then something else (from 0 on)."""
    turn = days * per_day

    def curve(k: int) -> float | None:
        if k < turn:
            return before + 0.001 * (k % 2)
        return after(k - turn) if callable(after) else after + 0.001 * (k % 2)

    return curve


CH4 = {"utility": "gas", "kind": "valve-well", "quantity": "ch4"}
SEWER = {**CH4, "kind": "adjacent-space"}
REGULATOR = {"utility": "gas", "kind": "regulator", "quantity": "pressure", "span_low": 0.0, "span_high": 10.0}
INLET_GAS = {**REGULATOR, "quantity": "inlet_pressure", "span_high": 0.6}
GAS_METER = {"utility": "gas", "kind": "household-meter", "quantity": "flow"}
WATER = {"utility": "water", "kind": "pressure-point", "quantity": "pressure", "span_low": 0.0, "span_high": 1.6}
INLET = {"utility": "water", "kind": "dma-inlet", "quantity": "flow"}
SUPPLY = {"utility": "heat", "kind": "substation", "quantity": "supply_temp"}
RETURN = {**SUPPLY, "quantity": "return_temp"}
LOOP = {"utility": "heat", "kind": "loop-makeup", "quantity": "supply_pressure"}
MAKEUP = {**LOOP, "quantity": "makeup_flow"}
TILT = {"utility": "gas", "kind": "manhole-cover", "quantity": "tilt"}
NOISE = {"utility": "water", "kind": "noise-logger", "quantity": "noise", "interval_s": 86_400.0}
BATTERY = {"utility": "gas", "kind": "valve-well", "quantity": "battery"}
HEAT_METER = {"utility": "heat", "kind": "heat-meter", "interval_s": 3600.0}
ROOM = {"utility": "heat", "kind": "room-temp", "quantity": "room_temp", "interval_s": 3600.0}
METER = {"utility": "water", "kind": "household-meter", "quantity": "flow"}
BATCH = {"utility": "water", "kind": "batch-meter", "quantity": "flow", "interval_s": 900.0}


def slow(point: dict[str, Any], interval_s: float = 1800.0, **more: Any) -> dict[str, Any]:
    """The point at another interval."""
    return {**point, "interval_s": interval_s, **more}


CASES = [
    Case("gas.ch4.high", CH4, jump(1, 26), jump(1, 24.5)),
    Case("gas.ch4.high", SEWER, jump(3, 40), jump(3, 24), beside={"c2h6": flat(40)}),
    Case("gas.ch4.high-high", SEWER, jump(3, 51), jump(3, 49), beside={"c2h6": flat(1)}),
    Case("gas.ch4.rise", CH4, lambda k: 1 + 0.2 * max(0, k - 20), lambda k: 1 + 0.01 * max(0, k - 20)),
    Case("gas.ch4.trend", CH4, lambda k: 1 + 0.2 * max(0, k - 20), lambda k: 1 + 0.02 * max(0, k - 20)),
    Case("gas.ch4.biogas", SEWER, jump(3, 40), jump(3, 20), beside={"c2h6": flat(2)}),
    Case("gas.ch4.corroborated", {**CH4, "zone": "RD-1"}, jump(1, 15), jump(1, 10), mates=1),
    Case("gas.ethane.present", slow(SEWER, quantity="c2h6"), jump(1, 40), jump(1, 15), beside={"ch4": flat(8)}),
    Case("gas.cover.opened", TILT, jump(1, 25), jump(1, 8)),
    Case("gas.cover.moved", TILT, jump(1, 6), jump(1, 2)),
    Case("gas.pressure.high", REGULATOR, jump(2.6, 4), jump(2.6, 3.3)),
    Case("gas.pressure.low", REGULATOR, jump(2.6, 1.2), jump(2.6, 2.0)),
    Case("gas.regulator.lockup", slow(REGULATOR, 60.0), jump(2.6, 3.3), jump(2.6, 3.1), start=MONDAY + 3 * HOUR),
    Case("gas.inlet.low", INLET_GAS, jump(0.3, 0.12), jump(0.3, 0.17)),
    Case("gas.inlet.high", INLET_GAS, jump(0.3, 0.45), jump(0.3, 0.41)),
    Case(
        "gas.flow.surge", slow(REGULATOR, quantity="flow"), days_then(3, 180, 450), days_then(3, 180, 340),
        readings=180, start=MONDAY,
    ),
    Case("gas.meter.overflow", GAS_METER, jump(0.5, 7), jump(0.5, 5)),
    Case("gas.meter.idle-leak", slow(GAS_METER, 3600.0), flat(0.02), lambda k: 0.02 if k % 6 else 0.0),
    Case(
        "gas.meter.reversed", slow(GAS_METER, quantity="volume"),
        lambda k: 100 + 0.1 * min(k, 60 - k), lambda k: 100 + 0.1 * k if k < 30 else 0.1 * (k - 30),
    ),
    Case("water.pressure.low", WATER, jump(0.2, 0.12), jump(0.2, 0.16)),
    Case("water.pressure.high", WATER, jump(0.3, 0.6), jump(0.3, 0.5)),
    Case("water.burst.pressure", WATER, jump(0.31, 0.22), jump(0.31, 0.285)),
    Case("water.burst.confirmed", {**WATER, "zone": "DMA-1"}, jump(0.31, 0.22), jump(0.31, 0.28), mates=2),
    Case("water.burst.flow", INLET, jump(170, 280), jump(170, 205)),
    Case(
        "water.burst.flow", slow(INLET, 600.0), days_then(3, 100, 170, 144), days_then(3, 100, 125, 144),
        readings=450, start=MONDAY,
    ),
    Case("water.leak.flow", slow(INLET), days_then(3, 100, 125), days_then(3, 100, 109), readings=190, start=MONDAY),
    Case("water.night.flow", slow(INLET), days_then(3, 100, 130), days_then(3, 100, 115), readings=190, start=MONDAY),
    Case("water.inlet.closed", slow(INLET), days_then(3, 100, 2), days_then(3, 100, 25), readings=160, start=MONDAY),
    Case("water.leak.noise", NOISE, jump(14, 38), jump(14, 20)),
    Case("water.flow.reverse", METER, jump(0.1, -0.1), jump(0.1, 0.0)),
    Case("water.flow.reverse", INLET, jump(100, -5), jump(100, 30)),
    Case(
        "water.meter.reversed", slow(METER, quantity="volume"),
        lambda k: 100 + 0.1 * min(k, 60 - k), lambda k: 100 + 0.1 * k if k < 30 else 0.1 * (k - 30),
    ),
    Case("water.meter.continuous", BATCH, flat(0.02), lambda k: 0.02 if k % 20 else 0.0),
    Case("water.meter.overflow", METER, jump(1, 3.5), jump(1, 3)),
    Case("water.hydrant.tilted", {**WATER, "kind": "hydrant", "quantity": "tilt"}, jump(1, 30), jump(1, 8)),
    Case("heat.supply.collapse", slow(SUPPLY, 60.0), jump(50, 38), jump(50, 46)),
    Case("heat.loop.outage", {**SUPPLY, "zone": "HL-1"}, jump(50, 38), jump(50, 46), mates=3),
    Case("heat.supply.unusual", slow(SUPPLY), days_then(4, 50, 62), days_then(4, 50, 57), readings=216),
    Case("heat.supply.high", SUPPLY, jump(55, 75), jump(55, 68)),
    Case("heat.delta.low", slow(RETURN, 60.0), flat(48.5), flat(44), readings=80, beside={"supply_temp": flat(50)}),
    Case(
        "heat.meter.swapped", {**HEAT_METER, "quantity": "return_temp"}, flat(50), flat(34), readings=40,
        beside={"supply_temp": flat(32), "flow": flat(0.5)},
    ),
    Case(
        "heat.meter.cooling", {**HEAT_METER, "quantity": "return_temp"}, jump(40, 48), jump(40, 45), readings=60,
        beside={"supply_temp": flat(50), "flow": jump(0.5, 0.6)},
    ),
    Case("heat.pressure.low", LOOP, jump(0.5, 0.35), jump(0.5, 0.4)),
    Case("heat.pressure.high", LOOP, jump(0.5, 0.8), jump(0.5, 0.7)),
    Case("heat.pressure.drop", LOOP, jump(0.53, 0.47), jump(0.53, 0.51), readings=40),
    Case("heat.circulation.lost", {**LOOP, "quantity": "circulation_flow"}, jump(330, 100), jump(330, 250)),
    Case("heat.makeup.surge", MAKEUP, jump(1, 8), jump(1, 3)),
    Case(
        "heat.makeup.rising", slow(MAKEUP), days_then(3, 1, 4), days_then(3, 1, 1.5),
        readings=190, beside={"circulation_flow": flat(300)},
    ),
    Case("heat.room.low", ROOM, jump(21, 16), jump(21, 18.4)),
    Case("heat.room.hot", ROOM, jump(22, 27), jump(22, 25.5)),
    Case("heat.rooms.cold", {**ROOM, "zone": "HL-1"}, jump(21, 16), jump(21, 18.4), mates=3),
    Case("device.dropout", CH4, lambda k: 1.0 + k % 2 if k < 20 else None, flat(1)),
    Case("device.silence.mass", CH4, lambda k: 1.0 + k % 2 if k < 20 else None, flat(1), mates=25),
    Case(
        "device.stuck", WATER, lambda k: 0.3 + 0.001 * (k % 3) if k < 20 else 0.3, lambda k: 0.3 + 0.001 * (k % 3)
    ),
    Case(
        "device.flicker", slow(WATER, 300.0), lambda k: 0.3 + 0.0001 * (k % 2), lambda k: 0.3 + 0.0001 * (k % 5),
        readings=120,
    ),
    Case("device.spikes", WATER, lambda k: 0.3 + 0.3 * (k % 20 == 10), jump(0.3, 0.5)),
    Case(
        "device.drift", slow(WATER), days_then(5, 0.3, lambda k: 0.3 - 0.003 * k),
        days_then(5, 0.3, lambda k: 0.2 if k < 8 else 0.3), readings=300,
    ),
    Case("device.saturated", WATER, jump(0.3, 0), jump(0.3, 0.1)),
    Case("device.delta.reversed", slow(RETURN, 60.0), flat(53), flat(50.5), beside={"supply_temp": flat(50)}),
    Case(
        "device.meter.stopped", {**HEAT_METER, "quantity": "energy"},
        lambda k: 100 + 0.1 * min(k, 20), lambda k: 100 + 0.1 * (k // 3),
        beside={"flow": flat(1), "supply_temp": flat(50), "return_temp": flat(40)},
    ),
    Case("device.battery.low", BATTERY, jump(50, 9), jump(50, 20)),
    Case("device.battery.sudden", BATTERY, jump(60, 40), jump(60, 50)),
    Case("device.clock", CH4, flat(1), flat(1), late_s=200_000),
    Case(
        "device.gap", BATCH, lambda k: None if 20 <= k < 40 else 0.1, lambda k: None if 20 <= k < 30 else 0.1
    ),
]  # fmt: skip


def fired(kit: Any, case: Case, curve: Curve, *, start: int = 0, late_s: int = 0) -> bool:
    """Readings of one point (and its mates) at its interval; three healthy devices report beside it."""
    interval = case.point.get("interval_s", 10.0)
    others = [{**CH4, "interval_s": interval, "device_id": f"H{i}"} for i in range(3)]
    mine = {"interval_s": interval, **case.point}
    devices = [f"X{i}" for i in range(case.mates + 1)]
    watched = [{**mine, "device_id": device} for device in devices]
    beside = [
        {**mine, "device_id": device, "quantity": quantity} for device in devices for quantity in case.beside
    ]  # a device's quantities come before what is judged by them
    registry = kit.registry([*others, *watched, *beside])
    machine, rows = RuleMachine(STANDARD, registry, "Asia/Shanghai"), []
    for k in range(case.readings):
        t = (start or case.start) + k * int(interval * 1000)
        at = t - late_s * 1000
        rows += [(i, t, t, 0.5 + 0.01 * (k % 2)) for i in range(3)]
        value = curve(k)
        if value is not None:
            others_now = [of(k) for _ in devices for of in case.beside.values()]
            first = 3 + len(devices)
            rows += [(first + i, at, t, other) for i, other in enumerate(others_now)]
            rows += [(3 + i, at, t, value) for i in range(len(devices))]
    found = machine.process(kit.record(1, rows))
    return any(c.rule_id == case.rule and c.kind == "raised" for c in found)


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.rule}-{c.point['kind']}")
def test_fires_when_wrong_and_only_then(kit: Any, case: Case) -> None:
    assert fired(kit, case, case.wrong, late_s=case.late_s)
    assert not fired(kit, case, case.right)


@pytest.mark.parametrize(("rule", "flow"), [("heat.meter.swapped", flat(0.0)), ("heat.meter.cooling", jump(0.5, 0.2))])
def test_a_heat_meter_with_little_flow_tells_nothing_by_its_temperatures(kit: Any, rule: str, flow: Curve) -> None:
    """Standing water takes the temperature of the room; a valve nearly shut wastes nothing."""
    case = next(c for c in CASES if c.rule == rule)
    assert not fired(kit, replace(case, beside=case.beside | {"flow": flow}), case.wrong)


def test_every_standard_rule_has_a_case() -> None:
    """A rule that nobody saw fire, or nobody saw stay silent, is not a rule of this library."""
    elsewhere = {"methane.toml", "scada.toml", "meters.toml"}  # see test_rules_library_foreign
    cases = {c.rule for c in CASES} | {"device.gateway.silent"}  # see test_rules_gateway
    assert {r.id for r in STANDARD.rules if r.file not in elsewhere} == cases


def test_every_standard_rule_is_documented_well() -> None:
    """At least thirty; each says where its limit comes from, and speaks Chinese and English to the operator."""
    assert len(STANDARD.rules) >= 30
    assert len({r.id.split(".")[0] for r in STANDARD.rules}) >= 4
    for rule in STANDARD.rules:
        assert len(rule.source) > 20, rule.id
        for text in (rule.cause, rule.consequence, rule.action):
            assert " / " in text, rule.id
        assert rule.respond_within_s > 0
        assert rule.stability in {"stable", "experimental"}


def test_a_single_witness_is_none(kit: Any) -> None:
    """Rules that want several points to agree are silent when one falls alone."""
    for case in CASES:
        if case.mates and case.rule != "device.silence.mass":
            assert not fired(kit, replace(case, mates=0), case.wrong), case.rule


@pytest.mark.parametrize(
    ("falls", "jumps", "confirmed"),
    [(0.09, 2, True), (0.09, 1, True), (0.09, 0, False), (0.025, 2, False), (0.0, 2, False)],
)
def test_a_burst_is_confirmed_by_a_pressure_beside_a_flow_and_not_by_flows(
    kit: Any, falls: float, jumps: int, *, confirmed: bool
) -> None:
    """An evening's flushing shows at both inlets of a district and lowers its pressures by 0.01 or 0.02 MPa."""
    zone = {"zone": "DMA-1", "interval_s": 10.0}
    inlets = [{**INLET, **zone, "span_low": -2000.0, "span_high": 2000.0, "device_id": f"I{i}"} for i in range(2)]
    machine = RuleMachine(STANDARD, kit.registry([*inlets, {**WATER, **zone, "device_id": "P"}]), "Asia/Shanghai")
    flows = [jump(170, 290 if i < jumps else 170) for i in range(2)]
    curves, times = [*flows, jump(0.31, 0.31 - falls)], [WINTER + k * 10_000 for k in range(60)]
    found = machine.process(
        kit.record(1, [(p, t, t, of(k)) for k, t in enumerate(times) for p, of in enumerate(curves)])
    )
    raised = {c.rule_id for c in found if c.kind == "raised"}
    assert ("water.burst.confirmed" in raised) == confirmed
    assert ("water.burst.flow" in raised) == (jumps > 0), "the inlets have jumped: yellow, with or without a pressure"


def test_biogas_in_a_sewer_is_never_more_than_blue(kit: Any) -> None:
    for rule in ("gas.ch4.high", "gas.ch4.high-high", "gas.ch4.rise", "gas.ch4.trend"):
        swell = Case(rule, SEWER, lambda k: min(45, 3 + 1.5 * max(0, k - 20)), flat(3), beside={"c2h6": flat(2)})
        assert not fired(kit, swell, swell.wrong)


SEASONAL = [c for c in CASES if {r.id: r.active for r in STANDARD.rules}[c.rule] == "heating-season"]


@pytest.mark.parametrize("case", SEASONAL, ids=lambda c: c.rule)
def test_heat_rules_sleep_in_summer(kit: Any, case: Case) -> None:
    assert not fired(kit, case, case.wrong, start=SUMMER)


def test_daily_uploads_are_no_dropouts(kit: Any) -> None:
    """A batch meter stores each quarter of an hour and uploads once a day."""
    point = {"utility": "water", "kind": "batch-meter", "quantity": "flow", "interval_s": 900.0}
    machine = RuleMachine(STANDARD, kit.registry([{**point, "device_id": f"B{i}"} for i in range(5)]), "Asia/Shanghai")
    found = []
    for day in range(3):
        received = WINTER + day * 86_400_000
        rows = [(p, received - (96 - k) * 900_000, received, 0.1 * (k % 4)) for p in range(5) for k in range(96)]
        found += machine.process(kit.record(day + 1, rows))
    assert found == []
    assert machine.counters["stale"] == 0


def history(hours: float, faults: float, *, start: int = WINTER, **fleet: Any) -> History:
    settings = FleetSettings(**fleet)
    end = start + int(hours * 3_600_000)
    return History(settings, start, end, tick_ms=300_000, faults=FaultSettings(faults_per_hour=faults), exact=True)


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
    assert got["recall"] > 0.9, got
    assert got["precision"] > 0.99, got
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
