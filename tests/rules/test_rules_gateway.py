"""A gateway that falls silent is one alarm, not one for each device behind it, neither then nor when it comes back."""

from __future__ import annotations

from typing import Any

import pytest

from lifeline.core.batch import LogRecord
from rules.evaluate import RuleMachine
from rules.rule_set import RuleSet

RULES = RuleSet(tuple(r for r in RuleSet.standard().rules if r.file == "device.toml"))
DEVICES, STEP_S = 6, 60


def city(kit: Any) -> Any:
    """Six devices behind one gateway, six by themselves, two behind a small gateway; each reports once a minute."""
    behind = ["GW1"] * DEVICES + [None] * DEVICES + ["GW2"] * 2
    points = [{"gateway": g, "interval_s": 60.0, "quantity": "level", "kind": "x"} for g in behind]
    return kit.registry(points)


def rows(kit: Any, minutes: int, silent: dict[int, range]) -> list[tuple[int, int, int, float]]:
    """Device d reports at second 4 d of each minute, unless the minute is in its silence."""
    return [
        (d, t, t, 1.0 + k % 7)
        for k in range(minutes)
        for d in range(2 * DEVICES + 2)
        for t in [kit.t0 + (k * STEP_S + 4 * d) * 1000]
        if k not in silent.get(d, range(0))
    ]


def alarms(kit: Any, silent: dict[int, range], minutes: int = 60, cut: int = 0) -> list[tuple[str, str, int]]:
    """(rule, kind, point) of every change about silence."""
    machine, found = RuleMachine(RULES, city(kit), "UTC"), []
    readings = rows(kit, minutes, silent)
    for lsn, a in enumerate(range(0, len(readings), cut or len(readings)), 1):
        found += machine.process(kit.record(lsn, readings[a : a + (cut or len(readings))]))
        if cut:
            state = machine.snapshot()
            machine = RuleMachine(RULES, city(kit), "UTC")
            machine.restore(state)
    end = kit.t0 + minutes * STEP_S * 1000
    found += machine.process(LogRecord(10_000, end, kit.readings([])))
    return [(c.rule_id, c.kind, c.point) for c in found]


@pytest.mark.parametrize("cut", [0, 37], ids=["whole", "restarted"])
def test_an_outage_of_a_gateway_is_one_alarm(kit: Any, cut: int) -> None:
    outage = dict.fromkeys(range(DEVICES), range(20, 40))
    assert alarms(kit, outage, cut=cut) == [
        ("device.gateway.silent", "raised", 0),
        ("device.gateway.silent", "cleared", 0),
    ]


def test_a_device_behind_a_living_gateway_is_an_alarm_of_its_own(kit: Any) -> None:
    assert alarms(kit, {3: range(20, 40)}) == [("device.dropout", "raised", 3), ("device.dropout", "cleared", 3)]


def test_a_device_that_does_not_come_back_with_its_gateway_is_found_then(kit: Any) -> None:
    outage = {d: range(20, 40) for d in range(DEVICES)} | {4: range(20, 60)}
    found = alarms(kit, outage)
    assert found[:2] == [("device.gateway.silent", "raised", 0), ("device.gateway.silent", "cleared", 0)]
    assert found[2:] == [("device.dropout", "raised", 4)]


def test_few_devices_are_no_gateway_to_speak_of(kit: Any) -> None:
    small = dict.fromkeys((12, 13), range(20, 40))
    assert [a for a in alarms(kit, small) if a[1] == "raised"] == [
        ("device.dropout", "raised", 12),
        ("device.dropout", "raised", 13),
    ]


def test_a_healthy_city_is_quiet(kit: Any) -> None:
    assert alarms(kit, {}) == []


def test_a_gateway_behind_which_one_device_still_speaks_is_one_alarm(kit: Any) -> None:
    """A dead bus leaves the device that has its own way; those that come back one by one are no alarms either."""
    outage = {d: range(20, 40 + d // 2) for d in range(1, DEVICES)}
    assert alarms(kit, outage) == [("device.gateway.silent", "raised", 0), ("device.gateway.silent", "cleared", 0)]


def test_a_meter_that_uploads_once_a_day_is_missed_though_its_gateway_often_pauses(kit: Any) -> None:
    """Ten daily meters leave pauses of hours, which are no silence of it; the eleventh stops after two days."""
    day, last = 86_400_000, 6 * 86_400_000
    meters = [{"device_id": f"M{k}", "interval_s": 86_400.0, "gateway": "GW3"} for k in range(10)]
    stored = {"device_id": "B", "kind": "batch-meter", "utility": "water", "interval_s": 900.0, "gateway": "GW3"}
    machine = RuleMachine(RULES, kit.registry([*meters, stored]), "UTC")
    heard = [(k, kit.t0 + d * day + k * day // 10) for d in range(6) for k in range(10)]
    heard += [(10, kit.t0 + d * day + 7_000_000) for d in range(2)]
    rows = [(p, t, t, 1.0 + t % 7) for p, t in sorted(heard, key=lambda one: one[1])]
    found = machine.process(kit.record(1, rows)) + machine.process(LogRecord(2, kit.t0 + last, kit.readings([])))
    assert [(c.rule_id, c.point) for c in found if c.kind == "raised"] == [("device.gap", 10), ("device.dropout", 10)]


def test_two_of_six_are_devices_and_no_gateway(kit: Any) -> None:
    raised = [a[::2] for a in alarms(kit, dict.fromkeys((1, 2), range(20, 40))) if a[1] == "raised"]
    assert raised == [("device.dropout", 1), ("device.dropout", 2)]


def test_an_outage_of_most_gateways_is_one_alarm(kit: Any) -> None:
    """Of a broker or a carrier; each gateway of twenty devices or more was an alarm beside it."""
    many, each, minutes = 5, 25, 30
    devices = range(many * each)
    points = [{"gateway": f"GW{d // each}", "interval_s": 60.0, "quantity": "level", "kind": "x"} for d in devices]
    times = [(k, d, kit.t0 + k * STEP_S * 1000 + 38_800 * d % 60_000) for k in range(minutes) for d in devices]

    def raised(gateways: int) -> list[tuple[str, int]]:
        told = [(t, d, k) for k, d, t in times if d >= gateways * each or k not in range(10, 20)]
        machine = RuleMachine(RULES, kit.registry(points), "UTC")
        found = machine.process(kit.record(1, [(d, t, t, 1.0 + k % 7) for t, d, k in sorted(told)]))
        return [(c.rule_id, c.point) for c in found if c.kind == "raised"]

    assert raised(many) == [("device.silence.mass", 0)]
    assert {("device.gateway.silent", 0), ("device.gateway.silent", each)} < set(raised(2)), "they name the cause"
