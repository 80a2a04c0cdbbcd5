"""One thing that happens is told once: what the standard rules say of it, and what of that reaches people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from benchmarks.quality.desk import Desk
from rules.evaluate import RuleMachine
from rules.rule_set import RuleSet

MINUTE = 60_000
WELL = {"utility": "gas", "kind": "valve-well", "quantity": "ch4", "asset_id": "V-1", "interval_s": 60.0}
STATION = {"utility": "heat", "kind": "substation", "quantity": "supply_temp", "zone": "HL-1", "interval_s": 60.0}
LOOP = {"utility": "heat", "kind": "loop-makeup", "device_id": "L1", "zone": "HL-1", "interval_s": 60.0}
HOME = {"utility": "water", "kind": "household-meter", "device_id": "M1", "asset_id": "H-1", "interval_s": 3600.0}
INLET = {"utility": "water", "kind": "dma-inlet", "quantity": "flow", "zone": "DMA-1", "interval_s": 60.0}
NAMES = [
    rule
    for rule in RuleSet.standard().rules
    if rule.id.startswith(("gas.", "heat.", "water.flow.", "water.meter.reversed"))
]


def played(kit: Any, points: list[dict[str, Any]], minutes: Sequence[Sequence[float]], step_ms: int = MINUTE) -> Desk:
    """Values of every point, minute by minute or at another step."""
    registry = kit.registry(points)
    desk = Desk(RuleMachine(RuleSet(tuple(NAMES)), registry, "Asia/Shanghai"), registry)
    for k, values in enumerate(minutes):
        at = kit.t0 + k * step_ms
        desk.until(at)
        desk.take(desk.machine.process(kit.record(k + 1, [(p, at, at, value) for p, value in enumerate(values)])))
    return desk


def told(desk: Desk) -> list[str]:
    """Rules of the alarms that reached somebody, in order."""
    return [alarm["rule_id"] for alarm in desk.alarms.values() if alarm["event_id"] is not None]


def within(low: float, value: float, high: float) -> float:
    return max(low, min(value, high))


@pytest.mark.parametrize("per_minute", [1.0, 4.0])
def test_a_gathering_of_gas_is_told_at_each_step_once(kit: Any, per_minute: float) -> None:
    """That it rises, then level 1, then level 2; not that it will reach level 1, which says the same."""
    curve = [(within(0.0, per_minute * (k - 30), 70.0) + 0.01 * (k % 2),) for k in range(160)]
    desk = played(kit, [WELL], [*curve, *((0.1 * (k % 2),) for k in range(30))])
    assert told(desk) == ["gas.ch4.rise", "gas.ch4.high", "gas.ch4.high-high"]
    assert {alarm["rule_id"] for alarm in desk.alarms.values()} >= {"gas.ch4.trend"}, "stored all the same"
    assert not any(alarm["active"] for alarm in desk.alarms.values())


def test_stations_that_are_warm_again_one_after_the_other_are_no_news(kit: Any) -> None:
    """Eight stations of a loop fall one after the other and come back five minutes apart, but one that stays cold."""

    def station(i: int, k: int, back: int) -> float:
        return 50.0 + 0.01 * (k % 2) - (14.0 if 60 + 2 * i <= k < back else 0.0)

    points = [{**STATION, "device_id": f"S{i}"} for i in range(8)]
    repaired = played(kit, points, [[station(i, k, 120 + 5 * i) for i in range(8)] for k in range(240)])
    outages = [alarm for alarm in repaired.alarms.values() if alarm["rule_id"] == "heat.loop.outage"]
    assert len(outages) == 1
    late = [
        a["rule_id"] for a in repaired.alarms.values() if a["event_id"] and a["detected_at"] > outages[0]["detected_at"]
    ]
    assert late == [], "nothing is told when all is nearly over"
    one_stays = played(
        kit, points, [[station(i, k, 400 if i == 7 else 120 + 5 * i) for i in range(8)] for k in range(280)]
    )
    stands = [a for a in one_stays.alarms.values() if a["active"] and a["event_id"] is not None]
    assert [(a["rule_id"], a["device_id"]) for a in stands] == [("heat.supply.collapse", "S7")]


@pytest.mark.parametrize("refilled", [True, False])
def test_a_loop_that_loses_water_is_told_by_its_make_up_or_else_by_its_pressure(kit: Any, refilled: bool) -> None:
    points = [{**LOOP, "quantity": q} for q in ("makeup_flow", "supply_pressure", "circulation_flow")]
    leaks = [40 <= k < 100 for k in range(130)]
    values = [
        (1.0 + 0.01 * (k % 2) + 9 * (leak and refilled), 0.53 + 0.0005 * (k % 2) - 0.06 * leak, 400.0 + k % 2)
        for k, leak in enumerate(leaks)
    ]
    assert told(played(kit, points, values)) == ["heat.makeup.surge" if refilled else "heat.pressure.drop"]


@pytest.mark.parametrize(("minutes", "alarms"), [(8, []), (20, ["heat.supply.collapse"])])
def test_a_station_that_is_switched_over_is_no_collapse(kit: Any, minutes: int, alarms: list[str]) -> None:
    values = [(50.0 + 0.01 * (k % 2) - 14.0 * (60 <= k < 60 + minutes),) for k in range(100)]
    assert [alarm["rule_id"] for alarm in played(kit, [STATION], values).alarms.values()] == alarms


def test_a_flow_that_turns_to_and_fro_is_one_reverse_flow(kit: Any) -> None:
    """Backwards for three minutes of twenty, for two hours; then forwards."""
    values = [(-5.0 if 60 <= k < 180 and k % 20 < 3 else 2.0 + 0.01 * (k % 2),) for k in range(300)]
    reverse = [a for a in played(kit, [INLET], values).alarms.values() if a["rule_id"] == "water.flow.reverse"]
    assert len(reverse) == 1
    assert reverse[0]["cleared_at"] is not None


def read_by_the_hour(kit: Any, order: tuple[str, str], flows: Sequence[float], jump: float = 0.0) -> list[str]:
    """What is told of a meter that tells flow and register in this order; its register jumps once by so much."""
    totals = [100.0 + sum(flows[: k + 1]) + jump * (k >= len(flows) // 2) for k in range(len(flows))]
    hours = [{"flow": flow, "volume": round(total, 3)} for flow, total in zip(flows, totals, strict=True)]
    points = [{**HOME, "quantity": quantity} for quantity in order]
    desk = played(kit, points, [[hour[quantity] for quantity in order] for hour in hours], step_ms=60 * MINUTE)
    assert not any(alarm["active"] for alarm in desk.alarms.values())
    return told(desk)


@pytest.mark.parametrize("flow", [-0.03, -0.6])
@pytest.mark.parametrize("order", [("flow", "volume"), ("volume", "flow")])
def test_a_meter_that_runs_backwards_is_told_once(kit: Any, order: tuple[str, str], flow: float) -> None:
    flows = [flow if 10 <= k < 20 else 0.1 for k in range(40)]
    assert read_by_the_hour(kit, order, flows) == ["water.flow.reverse"]
    assert read_by_the_hour(kit, order, [0.1] * 40) == []


@pytest.mark.parametrize("order", [("flow", "volume"), ("volume", "flow")])
def test_a_meter_read_once_a_day_that_ran_backwards_is_told_with_the_reading_that_shows_it(
    kit: Any, order: tuple[str, str]
) -> None:
    """Its register says today what a second flow would say tomorrow; a flow below nothing without it is noise."""
    for back, expected in ((-2.0, [("water.meter.reversed", 15)]), (0.0, [])):
        totals = [100.0 + 0.5 * k + (k >= 15) * back for k in range(25)]
        days = [{"flow": -0.3 if k == 15 else 0.1, "volume": total} for k, total in enumerate(totals)]
        points = [{**HOME, "interval_s": 86_400.0, "quantity": quantity} for quantity in order]
        desk = played(kit, points, [[day[quantity] for quantity in order] for day in days], step_ms=1440 * MINUTE)
        found = [(a["rule_id"], (a["detected_at"] - kit.t0) // (1440 * MINUTE)) for a in desk.alarms.values()]
        assert found == expected


@pytest.mark.parametrize("order", [("flow", "volume"), ("volume", "flow")])
def test_a_register_that_fell_beside_a_flow_that_did_not_is_told(kit: Any, order: tuple[str, str]) -> None:
    assert read_by_the_hour(kit, order, [0.1] * 40, jump=-2.0) == ["water.meter.reversed"]
    assert read_by_the_hour(kit, order, [0.1] * 40, jump=-0.12) == []
