"""A census of those who must be heard, and of steady ones by their first sign of life, against one that hears all."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifeline.core.override import ParameterSpan
from lifeline.core.schema import Flag
from rules import backtest
from rules.devices import allowed_ms, gateways_of, interval_ms_of
from rules.evaluate import RuleMachine
from rules.kernels import silence as kernel
from rules.narrowing import Narrowing
from rules.reach import Reach
from rules.rule_set import RuleSet

if TYPE_CHECKING:
    from collections.abc import Callable

    from lifeline.core.batch import Readings
    from lifeline.core.registry import Registry

DEVICES = 9


def registry(kit: Any, rng: random.Random) -> Registry:
    return kit.registry(  # type: ignore[no-any-return]
        [
            {
                "device_id": f"D{d}", "quantity": quantity, "interval_s": rng.choice([None, 1.0, 5.0, 12.0]),
                "gateway": rng.choice([None, "G0", "G1"]),
            }
            for d in range(DEVICES)
            for quantity in ("ch4", "co")
        ]
    )  # fmt: skip


def rows(kit: Any, rng: random.Random, points: int) -> Readings:
    """Some points silent for long, some not; some heard late for the first time."""
    now, made = kit.t0 + rng.randrange(10_000), []
    share = [rng.choice([0.02, 0.3, 0.9]) for _ in range(points)]
    begin = [rng.choice([0, 0, 60]) for _ in range(points)]
    for step in range(150):
        now += rng.choice([0, 500, 1_000, 5_000])
        speak = [p for p in range(points) if step >= begin[p] and rng.random() < share[p]]
        made += [(p, now, now, 1.0, 0, int(Flag.DUPLICATE) if rng.random() < 0.1 else 0) for p in speak]
    return kit.readings(made)  # type: ignore[no-any-return]


def census(points: Registry, told: Readings, instants: Any, steady: Any) -> tuple[Any, ...]:
    """What the kernel writes down at some instants, of all devices and points."""
    gateway, gateways = gateways_of(points)
    who = np.arange(len(points), dtype=np.int32)
    own, device = np.empty((len(instants), len(who))), np.empty((len(instants), len(who)))
    counts, behind = np.zeros((len(instants), 2)), np.zeros((len(instants), gateways, 4))
    last = [np.full(n, kernel.NEVER) for n in (len(points), points.device_count)]
    kernel.silences(
        *(told.point, told.received_at, told.flags, points.point_device, gateway, np.full(gateways, 20_000)),
        *(*last, np.full((gateways, 2), kernel.NEVER), 0),
        *(instants, np.searchsorted(told.received_at, instants).astype(np.int64), who, own, device),
        *(allowed_ms(interval_ms_of(points)), steady, counts, behind),
    )
    return counts, behind, own, device


@settings(max_examples=150)
@given(st.integers(0, 10**9))
def test_a_census_of_those_heard_is_that_of_all(kit: Any, seed: int) -> None:
    rng = random.Random(seed)
    points = registry(kit, rng)
    made = rows(kit, rng, len(points))
    if not len(made):
        return
    end = int(made.received_at[-1]) + rng.choice([0, 7_000, 40_000])
    reach = Reach(points)
    reach.look(made)
    hearing = reach.hearing(end)
    assert hearing is not None
    gateway, _ = gateways_of(points)
    asked = rng.randrange(points.device_count)
    hearing._left[[rng.randrange(points.device_count), asked]] = True
    hearing._asks_gateways[asked] = True
    heard = hearing.heard()
    instants = np.arange(int(made.received_at[0]) // 10_000 * 10_000 + 10_000, end + 1, 10_000, dtype=np.int64)
    whole = census(points, made, instants, np.zeros(0, np.int64))
    told = made.take(heard[points.point_device[made.point]])
    found = census(points, told, instants, hearing.steady())
    assert np.array_equal(found[0], whole[0])
    if gateway[asked] >= 0:
        assert np.array_equal(found[1][:, gateway[asked]], whole[1][:, gateway[asked]], equal_nan=True)
    theirs = heard[points.point_device]
    for mine, all_ in zip(found[2:], whole[2:], strict=True):
        assert np.array_equal(mine[:, theirs], all_[:, theirs], equal_nan=True)
    most = bounds(hearing, points)
    assert (np.nan_to_num(whole[3], nan=-1.0) <= most("device_silent_s")).all()
    assert (whole[0][:, 0] <= most("silent_devices").max(initial=0)).all()
    known = gateway[points.point_device] >= 0
    for name, column in (("gateway_devices", 0), ("gateway_silent_s", 1), ("gateway_overdue", 3)):
        told_of = np.nan_to_num(whole[1][:, gateway[points.point_device[known]], column], nan=-1.0)
        assert (told_of <= most(name)[known]).all(), name


def bounds(hearing: Any, points: Registry) -> Callable[[str], Any]:
    """The most that a column can be, by point."""
    return lambda name: np.broadcast_to(hearing._range(name, points.point_device).high, len(points))


def test_gateways_have_the_numbers_that_snapshots_know(kit: Any) -> None:
    """In the order in which points name them first, those of a device's later points too."""
    points = kit.registry(
        [
            {"device_id": "A", "quantity": "ch4", "gateway": "Z"},
            {"device_id": "B", "quantity": "ch4", "gateway": None},
            {"device_id": "B", "quantity": "co", "gateway": "Y"},
            {"device_id": "C", "quantity": "ch4", "gateway": "B"},
            {"device_id": "D", "quantity": "ch4", "gateway": "Z"},
        ]
    )
    codes, count = gateways_of(points)
    assert (codes.tolist(), count) == ([0, -1, 2, 0], 3)


@pytest.mark.parametrize("pause_s", [25, 5])
def test_time_in_which_nobody_is_heard_is_found_without_hearing_all(kit: Any, pause_s: int) -> None:
    """Of 25 seconds in which nobody speaks the last are deaf, though the steady devices are not told."""
    points = kit.registry([{"device_id": f"D{d}", "interval_s": 1.0} for d in range(30)])
    start = kit.t0 // 10_000 * 10_000 + 10_000
    silent = range(4, 41)  # of the first device: 37 s, of which six are deaf
    pause = range(12, 12 + pause_s)
    told = [(p, start + 1_000 * s) for s in range(90) if s not in pause for p in range(30) if p or s not in silent]
    batches = [kit.readings([(p, at, at, 1.0) for p, at in told])]
    rule = kit.rule(
        id='"a.gone"', where='"lead"', evaluate='"clock"', raise_='"device_silent_s > 34"',
        clear='"device_silent_s < 5"', params="{}", category='"device"',
    )  # fmt: skip
    rules = RuleSet.parse(rule)
    plain, thinned = (backtest.run(rules, points, history) for history in (iter(batches), batches))
    assert thinned.alarms.equals(plain.alarms)
    assert (thinned.rules, thinned.counters) == (plain.rules, plain.counters)
    assert plain.alarms.num_rows == (pause_s == 5)
    thinning = RuleMachine(rules, points, "UTC", history=True, narrowing=Narrowing(looked(points, batches))).thinning
    assert thinning is not None
    assert len(thinning.of(batches[0])) < len(told) / 10


def looked(points: Registry, batches: list[Readings]) -> Reach:
    reach = Reach(points)
    for batch in batches:
        reach.look(batch)
    return reach


def test_a_clock_rule_whose_limit_falls_for_a_while_hears_all_of_its_devices(kit: Any) -> None:
    points = kit.registry([{"device_id": f"D{d}", "interval_s": 1.0, "area_code": "4101"} for d in range(4)])
    start = kit.t0 // 10_000 * 10_000 + 10_000
    told = [(p, start + 1_000 * s) for s in range(90) for p in range(4) if p or not 4 <= s < 30]
    batches = [kit.readings([(p, at, at, 1.0) for p, at in told])]
    rule = kit.rule(
        id='"a.gone"', where='"lead"', evaluate='"clock"', raise_='"device_silent_s > limit"',
        clear='"device_silent_s < 5"', params="{ limit = 60 }", category='"device"',
    )  # fmt: skip
    rules = RuleSet.parse(rule)
    spans = [ParameterSpan("emergency 1", "4101", start, start + 60_000, {"a.gone": {"limit": 15.0}})]
    plain, thinned = (backtest.run(rules, points, history, spans=spans) for history in (iter(batches), batches))
    assert thinned.alarms.equals(plain.alarms)
    assert (thinned.rules, thinned.counters) == (plain.rules, plain.counters)
    assert plain.alarms["device_id"].to_pylist() == ["D0"]
    assert thinned.alarms["cleared_at"].null_count == 0
