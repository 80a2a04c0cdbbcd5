"""The rule machine as a whole: order, batching, restarts, growth, seasons."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifeline.core.alarm import AlarmChange, alarm_id
from lifeline.core.batch import LogRecord, Readings
from lifeline.core.ports import RuleEngine
from lifeline.core.registry import Registry
from lifeline.core.schema import Flag
from rules import backtest, snapshot
from rules.feature import Feature

DROPOUT = {
    "id": '"device.dropout"',
    "where": '"lead"',
    "evaluate": '"clock"',
    "raise_": '"device_silent_s > 30 AND silent_share < 0.9"',
    "clear": '"device_silent_s <= 30"',
    "params": "{}",
    "category": '"device"',
}


def rules_text(kit: Any) -> str:
    """One rule of each kind of evaluation, most features, delays, latch and an override."""
    return (
        kit.rule(
            raise_after="{ samples = 2 }", latch="true",
            tail="[[rule.override]]\nwhere = \"device_id = 'D1'\"\nparams = { limit = 10.0 }",
        )
        + kit.rule(**DROPOUT)
        + kit.rule(id='"a.rate"', raise_='"rate > 0.5 OR value < ewma - 3"', clear='"rate <= 0.5"',
                   params="{ rate_window_s = 30, ewma_tau_s = 60 }", clear_after="{ seconds = 20 }")
        + kit.rule(id='"a.flat"', raise_='"flat_n >= 3 AND hour >= 0"', clear='"flat_n = 0"')
        + kit.rule(id='"a.bad"', evaluate='"every"', raise_='"quality = 2"', clear='"quality < 2"', category='"device"')
        + kit.rule(
            id='"a.made"', raise_='"up_cusum_high > 0.5 OR fast_rate > 1 OR robust_z > 3 OR night_min > 50"',
            clear='"up_cusum_high < 0.1"', params="{ limit = 30.0, robust_n = 5, baseline_slots = 96 }",
            features='{ up = { feature = "cusum", on = "step", tau_s = 60 }, '
            'fast = { feature = "rate", on = "baseline" } }',
        )
        + kit.rule(
            id='"a.season"', params="{ limit = 60.0 }", clear='"value < limit OR break = 1"',
            tail='[[rule.override]]\nduring = "shift"\nparams = { limit = 30.0 }',
        )
        + '[calendar.shift]\nhours = ["19:10-19:20", "19:30-19:33"]\n[calendar.break]\nhours = "19:15-19:17"\n'
        + kit.rule(id='"a.beside"', raise_='"value > device_c2h6"', clear='"value <= device_c2h6"')
    )  # fmt: skip


def registry(kit: Any, devices: int = 4) -> Registry:
    return kit.registry(
        [
            {"device_id": f"D{d}", "quantity": q, "interval_s": 10.0, "kind": "valve-well"}
            for d in range(devices)
            for q in ("ch4", "c2h6")
        ]
    )


def stream(kit: Any, seed: int, rows: int, points: int = 8) -> list[tuple[Any, ...]]:
    """Rows in order of receipt, some late, stale, repeated, bad or null; times of receipt often equal."""
    rng = random.Random(seed)
    received, result = kit.t0, []
    for _ in range(rows):
        received += rng.choice([0, 0, 700, 2_000, 9_000, 41_000])
        ts = received - rng.choice([0, 0, 0, 1_000, 30_000])
        value = rng.choice([0.0, 5.0, 12.0, 30.0, 30.0, 60.0, None])
        quality = rng.choice([0, 0, 0, 0, 1, 2])
        flags = rng.choice([0, 0, 0, 0, int(Flag.DUPLICATE), int(Flag.LATE)])
        result.append((rng.randrange(points), ts, received, value, quality, flags))
    return result


def cut(kit: Any, rows: list[tuple[Any, ...]], edges: list[int]) -> list[LogRecord]:
    bounds = sorted({0, len(rows), *(e for e in edges if e <= len(rows))})
    parts = [rows[a:b] for a, b in itertools.pairwise(bounds)]
    return [kit.record(k + 1, part) for k, part in enumerate(parts)]


def plain(changes: list[AlarmChange]) -> list[str]:
    """Without the log position; as text, in which NaN equals NaN."""
    return [repr(replace(c, lsn=0, detail="")) for c in changes]


def final(changes: list[AlarmChange]) -> list[str]:
    """What stays of the changes once late readings have corrected them."""
    raised, ends = backtest.settled(changes)
    return sorted(repr((replace(c, lsn=0, detail="", revised=False), ends.get(c.alarm_id))) for c in raised)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(1, 120), max_size=12), st.lists(st.integers(1, 120), max_size=3))
def test_any_batching_gives_the_same_changes(kit: Any, seed: int, edges: list[int], other: list[int]) -> None:
    rows, points = stream(kit, seed, 120), registry(kit)
    results = []
    for cuts in (edges, other):
        machine = kit.machine(rules_text(kit), points)
        found = [change for record in cut(kit, rows, cuts) for change in machine.process(record)]
        results.append((final(found), machine.counters, machine.snapshot()))
    assert results[0] == results[1]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(0, 59), max_size=8), st.sampled_from([5, 40, 1000]))
def test_records_judged_together_say_what_they_say_one_by_one(
    kit: Any, seed: int, edges: list[int], within: int
) -> None:
    """To the change and its log position, late readings and checkpoints in between included."""
    rows, points = stream(kit, seed, 120), registry(kit)
    records = cut(kit, rows, list(range(0, 120, 2)))
    results = []
    for bounds in (range(len(records) + 1), sorted({0, len(records), *edges})):
        machine = kit.machine(rules_text(kit), points, within=within)
        parts = [records[a:b] for a, b in itertools.pairwise(bounds)]
        said = [repr(replace(c, detail="")) for part in parts for c in machine.process_all(part)]
        results.append((said, machine.counters, machine.evaluated, machine.checkpoint(), machine.snapshot()))
    assert results[0] == results[1]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 119), st.sampled_from([5, 40, 1000]))
def test_checkpoint_and_replay_equal_uninterrupted(kit: Any, seed: int, middle: int, within: int) -> None:
    """A restart anywhere: from the older checkpoint, through the log, to the same state and the same alarms.

    Late readings that the checkpoint holds already are told apart from new ones by their time alone, so they are
    counted otherwise.
    """
    rows, points = stream(kit, seed, 120), registry(kit)
    records = cut(kit, rows, list(range(0, 120, 7)))
    stop = middle // 7
    whole = kit.machine(rules_text(kit), points, within=within)
    said = [change for record in records[:stop] for change in whole.process(record)]
    lsn, state = whole.checkpoint()
    resumed = kit.machine(rules_text(kit), points, within=within)
    resumed.restore(state)
    again = said + [change for record in records[lsn:] for change in resumed.process(record)]
    said += [change for record in records[stop:] for change in whole.process(record)]
    assert final(again) == final(said)
    mine, theirs = (machine._state() for machine in (resumed, whole))
    for name in set(mine) - {"counts"}:
        np.testing.assert_array_equal(mine[name], theirs[name], err_msg=name)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 16), st.sampled_from([5, 40]))
def test_a_lent_checkpoint_is_of_the_moment_it_was_lent(kit: Any, seed: int, lent_at: int, within: int) -> None:
    """What is judged before it is packed, by newer checkpoints too, does not get into it; nor does it get into them."""
    records = cut(kit, stream(kit, seed, 120), list(range(0, 120, 7)))
    lending, plain = (kit.machine(rules_text(kit), registry(kit), within=within) for _ in range(2))
    loans = []
    for at, record in enumerate(records):
        assert [repr(c) for c in lending.process(record)] == [repr(c) for c in plain.process(record)]
        if at >= lent_at:
            loans.append((lending.lend_checkpoint(), plain.checkpoint()))
    for (lsn, lent), (expected_lsn, expected) in loans:
        with lent as parts:
            assert (lsn, b"".join(parts)) == (expected_lsn, bytes(expected))
    assert bytes(lending.snapshot()) == bytes(plain.snapshot())


def test_a_snapshot_in_parts_is_read_where_it_lies() -> None:
    """A checkpoint of a city is not held twice while it is written; what is not contiguous is put in order."""
    whole = np.arange(4096.0).reshape(64, 64)
    parts = snapshot.parts({}, {"whole": whole, "turned": whole.T, "none": whole[:0]})

    shared = [np.frombuffer(part, np.uint8) for part in parts if len(part) == whole.nbytes]
    assert [np.shares_memory(part, whole) for part in shared] == [True, False]
    _, found = snapshot.unpack(b"".join(parts))
    np.testing.assert_array_equal(found["whole"], whole)
    np.testing.assert_array_equal(found["turned"], whole.T)
    assert found["none"].shape == (0, 64)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 119))
def test_restore_in_the_middle_equals_uninterrupted(kit: Any, seed: int, middle: int) -> None:
    """Where nothing is late, the state of this moment is enough."""
    rows, points = [(p, *row) for p, _, *row in stream(kit, seed, 120)], registry(kit)
    rows = [(p, received + k, received + k, *more) for k, (p, received, *more) in enumerate(rows)]
    first, second = cut(kit, rows, [middle])
    whole = kit.machine(rules_text(kit), points)
    before, after = whole.process(first), whole.process(second)
    half = kit.machine(rules_text(kit), points)
    assert plain(half.process(first)) == plain(before)
    state = half.snapshot()
    resumed = kit.machine(rules_text(kit), points)
    resumed.process(kit.record(9, rows[::-1][:5], received_at=kit.t0 + 10**9))  # restore forgets what was before
    resumed.restore(state)
    assert plain(resumed.process(second)) == plain(after)
    assert resumed.snapshot() == whole.snapshot()


def test_is_a_rule_engine_and_sees_something(kit: Any) -> None:
    """The invariance tests above would pass on silence."""
    machine: RuleEngine = kit.machine(rules_text(kit), registry(kit))
    found = [c for record in cut(kit, stream(kit, 1, 400), [100, 300]) for c in machine.process_all([record])]
    assert {c.rule_id for c in found if c.kind == "raised"} == set(machine.info())  # type: ignore[attr-defined]
    assert {c.rule_id for c in found if c.kind == "cleared"} == set(machine.info())  # type: ignore[attr-defined]


def test_one_alarm_from_onset_to_end(kit: Any) -> None:
    machine = kit.machine(kit.rule(raise_after="{ samples = 2 }", clear_after="{ samples = 2 }"), registry(kit))
    t = [kit.t0 + k * 10_000 for k in range(6)]
    rows = [(2, t[k], t[k] + 500, v) for k, v in enumerate([1.0, 26.0, 27.0, 22.0, 19.0, 18.0])]
    raised, cleared = [c for k, r in enumerate(rows) for c in machine.process(kit.record(k + 1, [r]))]
    evidence = orjson.loads(raised.detail)
    assert (evidence["from"], evidence["to"], evidence["raise_after"]) == (t[1], t[2], [2, 0.0])
    assert evidence["readings"] == [[2, t[1], 26.0], [3, t[2], 27.0]]
    assert evidence["params"] == {"limit": 25.0, "deadband": 5.0}
    raised = replace(raised, detail="")
    assert raised == AlarmChange(
        kind="raised", alarm_id=alarm_id("gas.ch4.high", 1, "D1", "ch4", t[1]), rule_id="gas.ch4.high", rule_version=1,
        point=2, raised_at=t[1], detected_at=t[2] + 500, value=27.0, limit=25.0, level="orange", lsn=3,
    )  # fmt: skip
    assert cleared == replace(raised, kind="cleared", detected_at=t[5] + 500, value=18.0, lsn=6, cleared_at=t[5])


def test_changes_come_in_row_order_then_rule_order(kit: Any) -> None:
    always = {**DROPOUT, "raise_": '"device_silent_s > 30"'}
    text = kit.rule(id='"b.z"') + kit.rule(id='"a.z"') + kit.rule(**always)
    machine = kit.machine(text, registry(kit))
    t = kit.t0
    machine.process(kit.record(1, [(0, t, t, 1.0), (2, t, t, 1.0), (4, t, t, 1.0)]))
    late = t + 45_000
    found = machine.process(kit.record(2, [(4, t + 9_000, t + 9_000, 30.0), (0, late, late, 30.0)]))
    assert [(c.rule_id, c.point, c.detected_at) for c in found] == [
        ("a.z", 4, t + 9_000), ("b.z", 4, t + 9_000),
        ("device.dropout", 0, t + 40_000), ("device.dropout", 2, t + 40_000), ("device.dropout", 4, t + 40_000),
        ("a.z", 0, late), ("b.z", 0, late),
    ]  # fmt: skip


def test_dropout_by_clock_records_alone(kit: Any) -> None:
    """Three of four devices go on; the silent one is found at the first multiple of ten seconds past its time."""
    machine = kit.machine(kit.rule(**DROPOUT), registry(kit))
    t, found = kit.t0, []
    for k in range(12):
        at = t + k * 5_000
        rows = [(p, at, at, 1.0) for p in (0, 2, 4) if not (p == 4 and 0 < k < 9)]
        found += machine.process(kit.record(2 * k + 1, rows))
        found += machine.process(LogRecord(2 * k + 2, at + 1_000, Readings.empty()))
    assert [(c.kind, c.point, c.raised_at, c.detected_at, c.value) for c in found] == [
        ("raised", 4, t + 40_000, t + 40_000, 40.0),
        ("cleared", 4, t + 40_000, t + 50_000, 5.0),
    ]


def test_never_heard_is_not_silent_and_repeats_are_no_life_sign(kit: Any) -> None:
    machine = kit.machine(kit.rule(**DROPOUT), registry(kit))
    t = kit.t0
    machine.process(kit.record(1, [(0, t, t, 1.0), (2, t, t, 1.0)]))
    rows = [(0, t + 35_000, t + 35_000, 1.0), (2, t, t + 35_000, 1.0, 0, int(Flag.DUPLICATE))]
    found = machine.process(kit.record(2, rows)) + machine.process(LogRecord(3, t + 40_000, Readings.empty()))
    assert [(c.kind, c.point) for c in found] == [("raised", 2)]


def test_mass_silence_is_named_once(kit: Any) -> None:
    """When all fall silent at once no device is blamed: one alarm says it."""
    from rules.evaluate import RuleMachine
    from rules.rule_set import RuleSet

    points = kit.registry([{"interval_s": 10.0} for _ in range(50)])
    machine = RuleMachine(RuleSet.standard(), points, "Asia/Shanghai")
    t = kit.t0
    machine.process(kit.record(1, [(p, t, t, 1.0) for p in range(50)]))
    found = machine.process(LogRecord(2, t + 300_000, Readings.empty()))
    assert [(c.kind, c.rule_id, c.point) for c in found] == [("raised", "device.silence.mass", 0)]


def outage(kit: Any, devices: int) -> tuple[list[AlarmChange], list[AlarmChange], list[AlarmChange]]:
    """Devices each ten seconds, one of which stops at 100 s; from 200 s to 900 s nothing is heard of anybody.

    Cut into small records with the log's clock between, with an engine that was down (no clock in the outage), and as
    one batch, as a backtest has it.
    """
    t = kit.t0
    ticks = [*range(0, 200, 10), *range(900, 1000, 10)]
    rows = [
        (d, t + s * 1000 + 37 * d, t + s * 1000 + 37 * d, 1.0)
        for s in ticks for d in range(devices) if d or s < 100
    ]  # fmt: skip
    results = []
    for clock in (True, False):
        machine = kit.machine(kit.rule(**DROPOUT), kit.registry([{"interval_s": 10.0}] * devices))
        found: list[AlarmChange] = []
        for lsn, s in enumerate(range(0, 1000, 5), 1):
            part = [row for row in rows if t + s * 1000 <= row[2] < t + (s + 5) * 1000]
            if part:
                found += machine.process(kit.record(lsn, part))
            elif clock or not 200 <= s < 900:
                found += machine.process(LogRecord(lsn, t + s * 1000, Readings.empty()))
        results.append(found)
    machine = kit.machine(kit.rule(**DROPOUT), kit.registry([{"interval_s": 10.0}] * devices))
    return results[0], results[1], machine.process(kit.record(1, rows))


def test_an_outage_is_held_against_no_sensor(kit: Any) -> None:
    """But who was silent before it is found; a site too small to tell an outage from silence takes it as silence."""
    live, down, backtested = outage(kit, 30)
    assert [(c.kind, c.point) for c in live] == [("raised", 0)]
    assert final(live) == final(down) == final(backtested)
    for devices, deaf in ((30, 1), (10, 0)):
        machine = kit.machine(kit.rule(**DROPOUT), kit.registry([{"interval_s": 10.0}] * devices))
        machine.process(kit.record(1, [(d, kit.t0, kit.t0, 1.0) for d in range(devices)]))
        machine.process(kit.record(2, [(0, kit.t0 + 300_000, kit.t0 + 300_000, 1.0)]))
        assert np.count_nonzero(machine._silence.deafness.state[1:, 1]) == deaf


def test_long_gap_equals_many_clock_records(kit: Any) -> None:
    text, t = kit.rule(**{**DROPOUT, "clear_after": "{ seconds = 30 }"}), kit.t0
    rows = [(0, t, t, 1.0), (2, t + 5, t + 5, 1.0)]
    one, many = kit.machine(text, registry(kit)), kit.machine(text, registry(kit))
    end = (0, t + 900_000, t + 900_000, 1.0)
    a = one.process(kit.record(1, rows)) + one.process(kit.record(2, [end]))
    b = many.process(kit.record(1, rows))
    for k in range(1, 900):
        b += many.process(LogRecord(k + 1, t + k * 1000, Readings.empty()))
    b += many.process(kit.record(901, [end]))
    assert plain(a) == plain(b)
    assert one.snapshot() == many.snapshot()


def test_only_what_is_overdue_can_raise(kit: Any) -> None:
    """However the condition is written, and in whatever blocks the instants come: 60 s of silence are 60 s."""
    text = kit.rule(**{**DROPOUT, "raise_": '"silent_s >= 0"', "clear": '"silent_s < 20"'})
    points, t = kit.registry([{"interval_s": 60.0}, {"interval_s": 60.0}, {}]), kit.t0
    rows = [(0, t, t, 1.0), (1, t, t, 1.0), (2, t, t, 1.0)]
    again = (0, t + 45_000, t + 100_000, 1.0)
    one, many = kit.machine(text, points), kit.machine(text, points)
    a = one.process(kit.record(1, rows)) + one.process(kit.record(2, [again]))
    b = many.process(kit.record(1, rows))
    for k in range(1, 100):
        b += many.process(LogRecord(k + 1, t + k * 1000, Readings.empty()))
    b += many.process(kit.record(101, [again]))
    raised = [(c.point, c.raised_at - t) for c in a if c.kind == "raised"]
    assert raised == [(2, 10_000), (0, 70_000), (1, 70_000)]
    assert plain(a) == plain(b)


def test_what_is_not_usable_moves_nothing(kit: Any) -> None:
    machine = kit.machine(kit.rule(), registry(kit))
    t = kit.t0
    rows = [
        (0, t, t, 1.0), (0, t, t, 99.0), (0, t + 1, t, 99.0, 2), (0, t + 2, t, None),
        (0, t + 3, t, 99.0, 0, int(Flag.DUPLICATE)), (0, t + 4, t, 99.0, 1),
    ]  # fmt: skip
    found = machine.process(kit.record(1, rows))
    assert [c.raised_at for c in found] == [t + 4]
    assert machine.counters == {"repeats": 1, "bad": 1, "null": 1, "stale": 1, "placed": 0, "too_late": 0}


class Growing:
    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def current(self) -> Registry:
        return self.registry

    def register(self, pairs: list[tuple[str, str, str]]) -> Registry:
        raise NotImplementedError


def test_registry_that_grew_equals_one_that_was_whole(kit: Any) -> None:
    rows = stream(kit, 5, 200)
    early = [row for row in rows[:100] if row[0] < 4]
    source = Growing(registry(kit, devices=2))
    growing, whole = kit.machine(rules_text(kit), source), kit.machine(rules_text(kit), registry(kit))
    first, second = kit.record(1, early), kit.record(2, rows[100:])
    assert plain(growing.process(first)) == plain(whole.process(first))
    state = growing.snapshot()
    source.registry = registry(kit)
    assert plain(growing.process(second)) == plain(after := whole.process(second))
    assert growing.snapshot() == whole.snapshot()
    growing.restore(state)  # of the smaller registry
    assert plain(growing.process(second)) == plain(after)


def test_siblings_that_come_in_any_order_are_known(kit: Any) -> None:
    """A device gets the quantity that is compared, or the one that compares, after the other: also across a restart."""
    points = [
        {"device_id": d, "quantity": q} for d, q in (("D0", "c2h6"), ("D1", "ch4"), ("D0", "ch4"), ("D1", "c2h6"))
    ]
    rule = kit.rule(raise_='"value > device_c2h6"', clear='"value <= device_c2h6"')
    source, t = Growing(kit.registry(points[:2])), kit.t0
    growing, whole = kit.machine(rule, source), kit.machine(rule, kit.registry(points))
    early = kit.record(1, [(0, t, t, 5.0), (1, t, t, 9.0)])
    assert plain(growing.process(early)) == plain(whole.process(early)) == []
    source.registry = kit.registry(points)
    restored = kit.machine(rule, source)
    restored.restore(growing.snapshot())
    later = kit.record(
        2, [(2, t + 1, t + 1, 6.0), (3, t + 2, t + 2, 1.0), (1, t + 3, t + 3, 2.0), (2, t + 4, t + 4, 4.0)]
    )
    expected = whole.process(later)
    assert [(c.point, c.kind) for c in expected] == [(2, "raised"), (1, "raised"), (2, "cleared")]
    assert plain(growing.process(later)) == plain(restored.process(later)) == plain(expected)
    assert growing.snapshot() == restored.snapshot() == whole.snapshot()


def test_a_snapshot_from_before_some_state_was_derived_is_taken(kit: Any) -> None:
    rows = stream(kit, 9, 120)
    machine, again = (kit.machine(rules_text(kit), registry(kit)) for _ in range(2))
    machine.process(kit.record(1, rows[:60]))
    header, arrays = snapshot.unpack(machine.snapshot())
    older = {"newest_unit": np.zeros(8, np.int64), "sibling/a.beside/c2h6": np.zeros((4, 2))}
    assert not older.keys() & arrays.keys()
    again.restore(snapshot.pack(header, arrays | older))
    assert plain(again.process(kit.record(2, rows[60:]))) == plain(machine.process(kit.record(2, rows[60:])))


def whole_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on features remember what all their columns need, as they did before there were lean forms."""
    lean = Feature.form
    monkeypatch.setattr(Feature, "form", lambda self, options, _: lean(self, options, frozenset(self.outputs)))


@pytest.mark.parametrize("seed", range(2))
def test_what_features_need_not_remember_changes_nothing(kit: Any, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Late rows, checkpoints and all; and what a program of before wrote is taken back."""
    named = {"late": ("ewma", "flat_s"), "hourly": ("ewma", "used_h"), "on": ("baseline", "gap_s")}
    tables = ", ".join(f'{name} = {{ feature = "{feature}", on = "{on}" }}' for name, (feature, on) in named.items())
    asked = (
        *("value < ewma", "flat_s > 5 OR late_ewma > 3", "value > 2 * quantum", "used < 0"),
        *("used_h > hourly_ewma", "trained >= 1 AND on_trained = 0"),
    )
    text = rules_text(kit) + "".join(
        kit.rule(id=f'"m.{k}"', raise_=f'"{one}"', clear=f'"NOT ({one})"', params="{}", features=f"{{ {tables} }}")
        for k, one in enumerate(asked)
    )
    rows = [(p, received, received, *more) for p, _, received, *more in stream(kit, seed, 400)]
    rows += [(p, received - 40_000, received + 1, v, 0, 0) for p, _, received, v, *_ in rows[250:]]
    rows.sort(key=lambda row: row[2])
    records = cut(kit, rows, [60, 61, 200, 300, 420, 500])
    machine = kit.machine(text, registry(kit), within=50)
    said = [machine.process(record) for record in records[:3]]
    whole_forms(monkeypatch)
    before = kit.machine(text, registry(kit), within=50)
    assert [plain(before.process(record)) for record in records[:3]] == [plain(one) for one in said]
    lsn, older = before.checkpoint()
    monkeypatch.undo()
    again = kit.machine(text, registry(kit), within=50)
    again.restore(older)
    for record in records[lsn:3]:
        again.process(record)
    monkeypatch.undo()
    for record in records[3:]:
        expected = plain(before.process(record))
        assert plain(machine.process(record)) == expected
        assert plain(again.process(record)) == expected
    assert again.snapshot() == machine.snapshot()
    assert sum(len(one) for one in said) > 20
    assert machine.memory["features"] < 0.8 * before.memory["features"]


def test_restore_refuses_what_is_not_its_own(kit: Any) -> None:
    machine = kit.machine(kit.rule(), registry(kit))
    state = bytes(machine.snapshot())
    damaged = bytearray(state)
    damaged[state.index(b"gas.ch4.high") + 200] ^= 0xFF
    for other, bad in [
        (machine, b"nonsense"), (machine, b""), (machine, bytes(damaged)), (machine, state[:-100]),
        (kit.machine(kit.rule(), registry(kit), "UTC"), state),
        (kit.machine(kit.rule(), registry(kit, devices=2)), state),
        (kit.machine(kit.rule(), kit.registry([{"quantity": "c2h6"}, *[{}] * 9])), state),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match="snapshot"):
            other.restore(bad)


def test_rules_that_did_not_change_keep_their_state(kit: Any) -> None:
    """A restart with other rule files: what is new begins anew, what is gone is forgotten."""
    old = kit.machine(rules_text(kit), registry(kit))
    rows = [(p, received + k, received + k, *more) for k, (p, _, received, *more) in enumerate(stream(kit, 8, 120))]
    first, second = cut(kit, rows, [60])
    old.process(first)
    changed = rules_text(kit).replace("rate > 0.5", "rate > 0.7").replace('id = "a.bad"', 'id = "a.worse"')
    new = kit.machine(changed, registry(kit))
    new.restore(old.snapshot())
    mine, theirs = new._state(), old._state()
    kept = {name for name in theirs if not any(f"/{rule}/" in f"{name}/" for rule in ("a.rate", "a.bad"))}
    assert kept < set(theirs)
    for name in kept:
        np.testing.assert_array_equal(mine[name], theirs[name], err_msg=name)
    unchanged = {c.rule_id for c in old.process(second)} - {"a.rate", "a.bad"}
    assert unchanged <= {c.rule_id for c in new.process(second)}


def test_rules_are_exchanged_while_they_run(kit: Any) -> None:
    """Unchanged rules give what they would have given; alarms of rules that are gone end; new ones know the past."""
    text = kit.rule() + kit.rule(id='"a.gone"', raise_='"value >= 5"', clear='"value < 5"')
    new_text = kit.rule() + kit.rule(id='"a.new"', raise_='"flat_n >= 3"', clear='"flat_n = 0"')
    t, points, values = kit.t0, registry(kit), [1.0, 30.0, 30.0, 30.0, 30.0, 30.0, 1.0, 1.0]
    records = [kit.record(k + 1, [(0, t + k * 1000, t + k * 1000, v)]) for k, v in enumerate(values)]
    old, whole = kit.machine(text, points), kit.machine(kit.rule(), points)
    said = [c for record in records[:5] for c in old.process(record)]
    new = kit.machine(new_text, points)
    lsn, ended = new.take_over(old)
    assert [(c.kind, c.rule_id, c.raised_at) for c in ended] == [("cleared", "a.gone", t + 1000)]
    again = [c for record in records[lsn:] for c in new.process(record)]
    expected = [c for record in records for c in whole.process(record)]
    assert final([c for c in said + again if c.rule_id == "gas.ch4.high"]) == final(expected)
    found = [(c.kind, c.raised_at) for c in again if c.rule_id == "a.new"]
    assert found == [("raised", t + 4000), ("cleared", t + 4000)]


def test_overrides_and_season(kit: Any) -> None:
    tail = "[[rule.override]]\nwhere = \"device_id <> 'D0'\"\nparams = { limit = 50 }\n"
    tail += "[[rule.override]]\nwhere = \"device_id = 'D2'\"\nparams = { limit = 10 }"
    machine = kit.machine(kit.rule(tail=tail), registry(kit))
    t = kit.t0
    found = machine.process(kit.record(1, [(p, t, t, 30.0) for p in (0, 2, 4, 6)]))
    assert [(c.point, c.limit) for c in found] == [(0, 25.0), (4, 10.0)]
    seasonal = kit.machine(kit.rule(active='"heating-season"'), registry(kit))
    spring = 1_805_068_800_000  # 15 March 2027, 00:00 UTC
    hours = [(spring + h * 3_600_000) for h in range(24)]
    found = [c for k, h in enumerate(hours) for c in seasonal.process(kit.record(k + 1, [(0, h, h, 30.0)]))]
    assert [(c.kind, c.detected_at) for c in found] == [("raised", hours[0]), ("cleared", hours[16])]  # midnight, UTC+8


def test_acknowledging_a_latched_alarm(kit: Any) -> None:
    machine = kit.machine(kit.rule(latch="true"), registry(kit))
    t = kit.t0
    (raised,) = machine.process(kit.record(1, [(0, t, t, 30.0), (0, t + 1, t, 1.0)]))
    assert machine.active == {"gas.ch4.high": 1}
    assert machine.acknowledge("gas.ch4.high", 6, t, t + 5) is None
    cleared = machine.acknowledge("gas.ch4.high", 0, raised.raised_at, t + 5)
    assert (cleared.kind, cleared.alarm_id, cleared.cleared_at) == ("cleared", raised.alarm_id, t + 5)
    assert machine.active == {"gas.ch4.high": 0}


def test_point_outside_the_registry_is_a_bug_not_a_silence(kit: Any) -> None:
    with pytest.raises(AssertionError, match="not in the registry"):
        kit.machine(kit.rule(), registry(kit)).process(kit.record(1, [(8, kit.t0, kit.t0, 1.0)]))


def test_no_rules_and_no_points(kit: Any) -> None:
    from rules.evaluate import RuleMachine
    from rules.rule_set import RuleSet

    t = kit.t0
    assert RuleMachine(RuleSet(()), registry(kit), "UTC").process(kit.record(1, [(0, t, t, 99.0)])) == []
    empty = kit.machine(rules_text(kit), kit.registry([]))
    assert empty.process(LogRecord(1, t, Readings.empty())) == []
    empty.restore(empty.snapshot())


def test_what_a_rule_will_never_see_is_told(kit: Any) -> None:
    machine = kit.machine(kit.rule(raise_='"value > device_h2s"', where="\"kind = 'ghost'\""), registry(kit))
    assert machine.points == {"gas.ch4.high": 0}
    assert machine.unknown_quantities() == {"gas.ch4.high": ["h2s"]}


def test_read_only_columns_of_the_log_are_taken(kit: Any) -> None:
    """Zero-copy views of a memory map cannot be written."""
    rows = kit.readings(stream(kit, 3, 60))
    views = Readings.from_arrow(rows.to_arrow())
    assert not views.value.flags.writeable
    a, b = kit.machine(rules_text(kit), registry(kit)), kit.machine(rules_text(kit), registry(kit))
    last = int(np.max(rows.received_at))
    assert plain(a.process(LogRecord(1, last, rows))) == plain(b.process(LogRecord(1, last, views)))


@pytest.fixture(scope="module")
def told(kit: Any) -> tuple[bytes, bytes, list[str], bytes]:
    """Snapshots of a new machine and of one amid a stream; what that one goes on to say, and its snapshot then."""
    machine = kit.machine(kit.rule() + kit.rule(**DROPOUT), registry(kit))
    new, rows = bytes(machine.snapshot()), stream(kit, 3, 60)
    machine.process(kit.record(1, rows[:40]))
    state = bytes(machine.snapshot())
    said = plain(machine.process(kit.record(2, rows[40:])))
    assert said
    return new, state, said, bytes(machine.snapshot())


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_snapshot_is_refused_or_harmless(kit: Any, told: Any, data: st.DataObject) -> None:
    """One legal error, whatever is damaged; a machine that was offered it goes on as if it never had been."""
    new, good, said, end = told
    state = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        state[data.draw(st.integers(0, len(state) - 1))] = data.draw(st.integers(0, 255))
    machine = kit.machine(kit.rule() + kit.rule(**DROPOUT), registry(kit))
    if state == good:
        machine.restore(bytes(state))
    else:
        with pytest.raises(ValueError, match="snapshot"):
            machine.restore(bytes(state))
        assert bytes(machine.snapshot()) == new
        machine.restore(good)
    assert plain(machine.process(kit.record(2, stream(kit, 3, 60)[40:]))) == said
    assert bytes(machine.snapshot()) == end
