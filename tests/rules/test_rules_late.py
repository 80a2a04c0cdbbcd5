"""Event time: late, repeated, shuffled and re-batched readings give the alarms of the ordered stream."""

from __future__ import annotations

import itertools
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifeline.core.alarm import AlarmChange
from lifeline.core.batch import Readings
from lifeline.core.schema import Flag
from rules import backtest
from rules.journal import WITHIN_MS, Journal, copy_rows
from rules.kernels.journal import JOURNALLED, NEVER

SECOND = 1000
Row = tuple[Any, ...]
"""(point, ts, received_at, value, quality, flags)"""


def rules_text(kit: Any) -> str:
    """Every kind of memory that a rule over readings may have."""
    return (
        kit.rule(raise_after="{ samples = 2 }", clear_after="{ samples = 2 }", latch="true")
        + kit.rule(id='"a.one"')
        + kit.rule(id='"a.long"', raise_after="{ seconds = 25 }", clear_after="{ seconds = 15 }")
        + kit.rule(
            id='"a.memory"', raise_='"rate > 0.5 OR value < ewma - 8 OR flat_n >= 3"', clear='"rate <= 0.2"',
            params="{ rate_window_s = 30, ewma_tau_s = 60 }",
        )
        + kit.rule(
            id='"a.made"', raise_='"up_cusum_high > 2 OR robust_z > 3"', clear='"up_cusum_high < 0.1"',
            params="{ robust_n = 5 }", features='{ up = { feature = "cusum", on = "step", tau_s = 60, sd_min = 1 } }',
        )
        + kit.rule(id='"a.beside"', raise_='"value > device_c2h6"', clear='"value <= device_c2h6"')
    )  # fmt: skip


def points_of(kit: Any) -> Any:
    return kit.registry(
        [{"device_id": f"D{d}", "quantity": q, "interval_s": 10.0} for d in range(3) for q in ("ch4", "c2h6")]
    )


def ordered(kit: Any, rng: random.Random, rows: int) -> list[Row]:
    """Received as they happen; no two readings of a device at one time."""
    ts, result = kit.t0, []
    for _ in range(rows):
        ts += rng.choice([1, 2, 7, 13]) * SECOND
        value = rng.choice([0.0, 4.0, 12.0, 30.0, 30.0, 60.0])
        result.append((rng.randrange(6), ts, ts + 200, value, rng.choice([0, 0, 0, 1]), 0))
    return result


def disturbed(rng: random.Random, rows: list[Row]) -> list[Row]:
    """The same readings as a bad network brings them: late ones, uploads of many at once in any order, repeats."""
    arriving = []
    stored: dict[int, int] = {}
    for point, ts, sent, *rest in rows:
        received, device = sent, point // 2
        if rng.random() < 0.1:
            stored[device] = received + rng.choice([20, 90, 300]) * SECOND  # it stores until then and sends all at once
        if received < stored.get(device, 0):
            received = stored[device]
        elif rng.random() < 0.2:
            received += rng.choice([5, 30, 120]) * SECOND
        arriving.append((received, rng.random(), (point, ts, received, *rest)))
        if rng.random() < 0.1:
            later = received + rng.choice([0, 10, 200]) * SECOND
            flags = rng.choice([0, int(Flag.DUPLICATE)])
            arriving.append((later, 2.0, (point, ts, later, *rest[:2], flags)))
    return [row for *_, row in sorted(arriving, key=lambda entry: entry[:2])]


def run(kit: Any, machine: Any, rows: list[Row], edges: list[int]) -> list[AlarmChange]:
    bounds = sorted({0, len(rows), *(edge % len(rows) for edge in edges)})
    parts = [rows[a:b] for a, b in itertools.pairwise(bounds) if a < b]
    return [c for lsn, part in enumerate(parts, 1) for c in machine.process(kit.record(lsn, part))]


def alarms(changes: list[AlarmChange]) -> list[tuple[Any, ...]]:
    """What an operator has in the end; not when it was detected, which is later for what came late."""
    raised, ends = backtest.settled(changes)
    return sorted((c.rule_id, c.alarm_id, c.raised_at, c.value, ends.get(c.alarm_id, 0)) for c in raised)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9), st.lists(st.integers(1, 10**6), max_size=30))
def test_a_bad_network_gives_the_alarms_of_the_ordered_stream(kit: Any, seed: int, edges: list[int]) -> None:
    rng = random.Random(seed)
    rows = ordered(kit, rng, 120)
    good, bad = kit.machine(rules_text(kit), points_of(kit)), kit.machine(rules_text(kit), points_of(kit))
    expected = alarms(run(kit, good, rows, []))
    assert alarms(run(kit, bad, disturbed(rng, rows), edges)) == expected
    assert bad.counters["too_late"] == 0


def messages(kit: Any, rng: random.Random, count: int) -> list[Row]:
    """Messages of devices that tell both quantities of one time; a few are received at one instant."""
    ts, received, rows = kit.t0, kit.t0, []
    for _ in range(count):
        ts += rng.choice([1, 2, 7]) * SECOND
        received = max(received, ts) if rng.random() < 0.6 else received
        at, device = ts - rng.choice([0, 0, 0, 1, 40]) * SECOND, rng.randrange(3)
        values = rng.sample([0.0, 4.0, 12.0, 30.0, 60.0], 2)
        rows += [(2 * device + k, at, received, values[k], 0, 0) for k in range(rng.choice([1, 2, 2]))]
    return rows


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**9), st.lists(st.integers(1, 10**6), max_size=12))
def test_the_order_within_an_instant_of_receipt_means_nothing(kit: Any, seed: int, edges: list[int]) -> None:
    """In which order a message names its quantities, and messages of one read lie, no lake knows."""
    rng = random.Random(seed)
    once = {(point, ts): row for row in messages(kit, rng, 80) for point, ts in [row[:2]]}
    rows = sorted(once.values(), key=lambda row: row[2])
    shuffled = sorted(rows, key=lambda row: (row[2], rng.random()))
    told, kept = kit.machine(rules_text(kit), points_of(kit)), kit.machine(rules_text(kit), points_of(kit))
    as_a_lake = sorted(rows, key=lambda row: (row[2], row[0], row[1]))
    assert alarms(run(kit, told, shuffled, edges)) == alarms(run(kit, kept, as_a_lake, []))


def test_the_order_of_a_message_s_quantities_would_show(kit: Any) -> None:
    """One value above what the other was: told first, it was compared with the older one."""
    rule = kit.rule(raise_='"value > device_c2h6"', clear='"value <= device_c2h6"')
    points = kit.registry([{"device_id": "D", "quantity": q} for q in ("c2h6", "ch4")])
    t = kit.t0
    for turned in (1, -1):
        machine = kit.machine(rule, points)
        machine.process(kit.record(1, [(0, t, t, 10.0), (1, t, t, 5.0)]))
        found = machine.process(kit.record(2, [(0, t + 9, t + 9, 40.0), (1, t + 9, t + 9, 30.0)][::turned]))
        assert alarms(found) == [], turned


def test_the_property_sees_late_readings_and_every_kind_of_change(kit: Any) -> None:
    """It would hold on silence."""
    rng = random.Random(3)
    rows = ordered(kit, rng, 800)
    machine = kit.machine(rules_text(kit), points_of(kit))
    found = run(kit, machine, disturbed(rng, rows), list(range(0, 900, 9)))
    assert {c.kind for c in found} == {"raised", "cleared", "reopened", "withdrawn"}, {c.kind for c in found}
    assert {c.rule_id for c in found} == set(machine.info())
    assert all(c.cleared_at == c.raised_at for c in found if c.kind == "withdrawn")
    assert machine.counters["placed"] > 100


def test_a_meter_that_uploads_a_day_at_once(kit: Any) -> None:
    """96 values of yesterday, newest first: the alarm that was over before anybody heard of it opens, and is closed."""
    machine = kit.machine(kit.rule(raise_after="{ samples = 2 }", clear_after="{ samples = 2 }"), kit.registry([{}]))
    t, received = kit.t0, kit.t0 + 86_400 * SECOND
    values = [30.0 if 40 <= k < 60 else 1.0 for k in range(96)]
    machine.process(kit.record(1, [(0, t - SECOND, t, 1.0)]))
    upload = [(0, t + k * 900 * SECOND, received, values[k]) for k in range(96)]
    raised, cleared = machine.process(kit.record(2, upload[::-1]))
    assert (raised.kind, raised.raised_at, raised.detected_at) == ("raised", t + 40 * 900 * SECOND, received)
    assert (cleared.kind, cleared.cleared_at, cleared.alarm_id) == ("cleared", t + 61 * 900 * SECOND, raised.alarm_id)


def test_an_alarm_that_late_readings_disprove_is_withdrawn(kit: Any) -> None:
    machine = kit.machine(kit.rule(raise_after="{ samples = 2 }"), kit.registry([{}]))
    t = kit.t0
    (raised,) = machine.process(kit.record(1, [(0, t, t, 30.0), (0, t + 2, t + 2, 30.0)]))
    (withdrawn,) = machine.process(kit.record(2, [(0, t + 1, t + 3, 22.0)]))
    assert (withdrawn.kind, withdrawn.alarm_id) == ("withdrawn", raised.alarm_id)
    assert machine.active == {"gas.ch4.high": 0}
    (again,) = machine.process(kit.record(3, [(0, t + 4, t + 4, 30.0)]))
    assert (again.kind, again.raised_at) == ("raised", t + 2)


def test_what_was_acknowledged_stays_so(kit: Any) -> None:
    machine = kit.machine(kit.rule(latch="true"), kit.registry([{}]))
    t = kit.t0
    machine.process(kit.record(1, [(0, t, t, 30.0)]))
    assert machine.acknowledge("gas.ch4.high", 0, t, t + 1) is None
    (cleared,) = machine.process(kit.record(2, [(0, t + 4, t + 4, 1.0)]))
    assert cleared.cleared_at == t + 4
    (earlier,) = machine.process(kit.record(3, [(0, t + 2, t + 5, 1.0)]))
    assert (earlier.kind, earlier.cleared_at) == ("cleared", t + 4)
    assert machine.active == {"gas.ch4.high": 0}


def test_beyond_the_bound_it_is_counted_and_moves_nothing(kit: Any) -> None:
    """By readings, and by time; what is just within is put in its place."""
    for count, gap, expected in ((10, 1, 1), (12, 1, 0), (2, WITHIN_MS // 2 - 10, 1), (2, WITHIN_MS, 0)):
        machine = kit.machine(kit.rule(), kit.registry([{}, {}]), within=11)
        t = kit.t0
        machine.process(kit.record(1, [(0, t, t, 1.0), (0, t + 9, t + 9, 1.0)]))
        for k in range(1, count):
            machine.process(kit.record(1 + k, [(1, t + 10 + k * gap, t + 10 + k * gap, 1.0)]))
        late = t + 10 + count * gap
        found = machine.process(kit.record(99, [(0, t + 5, late, 30.0)]))
        assert len(found) == 2 * expected, (count, gap)
        assert machine.counters["too_late"] == 1 - expected
        assert machine.counters["placed"] == expected


def test_beyond_the_bound_beside_its_device_only_it_is_counted_and_judged_as_it_comes(kit: Any) -> None:
    """The newest of its own point: what was said of the other point since then is not taken back."""
    rule = kit.rule(raise_='"value > device_c2h6"', clear='"value <= device_c2h6"')
    points = kit.registry([{"device_id": "D", "quantity": q} for q in ("ch4", "c2h6")])
    for within, late in ((3, 1), (4, 0)):
        machine = kit.machine(rule, points, within=within)
        t = kit.t0
        machine.process(kit.record(1, [(1, t, t, 10.0), (0, t + 2, t + 2, 30.0)]))  # raised
        machine.process(kit.record(2, [(0, t + k, t + k, 30.0) for k in range(3, 6)]))
        found = machine.process(kit.record(3, [(1, t + 1, t + 9, 90.0)]))  # above the other one all the time
        assert [c.kind for c in found] == [] if late else ["withdrawn"], within
        assert (machine.counters["too_late"], machine.counters["placed"]) == (late, 1 - late)


@pytest.mark.parametrize("step_ms", [20, 400 * 86_400_000])
def test_rows_held_are_those_that_came_however_far_their_times_are_apart(step_ms: int) -> None:
    """The journal against a list: times are told from bases of stretches, in four bytes.

    With steps of 20 ms event times go back and forth by years; with those of 400 days everything is in order.
    """
    rng, day = random.Random(11), 86_400_000
    journal = Journal(10_000)
    journal.grow(np.full(5, JOURNALLED, np.uint8), np.array([0, 0, 2, 3, 3], np.int32), [])
    held: dict[tuple[int, int], tuple[int, int, float]] = {}
    received = 0
    for lsn in range(1, 60):
        rows = []
        for _ in range(rng.randrange(1, 30)):
            received += step_ms
            ts = received if step_ms > day else rng.choice([0, day, 30 * day, -400 * day]) + rng.randrange(99)
            rows.append((rng.randrange(5), ts, received, rng.random()))
            held.setdefault((rows[-1][0], ts), (received, lsn, rows[-1][3]))
        readings = Readings.empty(len(rows))
        columns = zip(*rows, strict=True)
        for mine, column in zip(
            (readings.point, readings.ts, readings.received_at, readings.value), columns, strict=True
        ):
            mine[:] = column
        journal.admit(readings, [lsn], np.array([len(rows)]), 0)
    assert journal.counts[5] == 0, "nothing was too late"
    twin = sorted((ts, point, *rest) for (point, ts), rest in held.items())
    assert len(twin) > 300
    one = journal.evidence(3, -(10**15), 10**15, received, 16)
    own = [(ts, lsn, value) for ts, point, at, lsn, value in twin if point == 3 and at > received - WITHIN_MS]
    assert [(e.ts, e.lsn, e.value) for e in one] == own[-16:]
    journal.newest[:] = NEVER
    got = journal.collect(np.array([0, 2, 3], np.int32))
    received_at = got.readings.received_at[got.row]
    found = zip(*(c.tolist() for c in (got.ts, got.point, received_at, got.lsn[got.row], got.value)), strict=True)
    assert sorted(found) == twin


@given(st.integers(1, 40), st.integers(0, 40), st.integers(0, 40), st.integers(0, 10**6))
def test_a_ring_that_grows_keeps_its_rows(size: int, held: int, more: int, first: int) -> None:
    held = min(held, size)
    numbers = np.arange(first, first + held)
    ring = np.zeros(size, np.int64)
    ring[numbers % size] = numbers
    larger = np.zeros(size + more, np.int64)
    copy_rows(ring, larger, first, first + held)
    assert (larger[numbers % len(larger)] == numbers).all()
    assert np.count_nonzero(larger) == np.count_nonzero(numbers)
