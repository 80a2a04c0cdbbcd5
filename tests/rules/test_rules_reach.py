"""A history that was looked at first says what it says judged everywhere, which is the naive twin."""

from __future__ import annotations

import errno
import functools
import itertools
import math
import mmap
import random
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifeline.core.batch import LogRecord, Readings
from lifeline.core.override import ParameterSpan
from lifeline.core.registry import Registry
from lifeline.core.schema import Flag
from rules import backtest, hoard, journal, thinned
from rules.evaluate import RuleMachine
from rules.hoard import Hoard
from rules.kernels import reach as kernel
from rules.narrowing import Narrowing
from rules.reach import Reach
from rules.rule_set import RuleSet
from simulators.faults import FaultSettings
from simulators.fleet import FleetSettings
from simulators.history import History

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def rules_text(kit: Any) -> str:
    """Conditions whose ranges are known and unknown; overrides, seasons, siblings, groups, delays; every evaluation."""
    cover = "[[rule.override]]\nwhere = \"device_id = 'D1'\"\nparams = { limit = 10.0 }"
    return str(
        kit.rule(raise_after="{ samples = 2 }", tail=cover)
        + kit.rule(id='"a.step"', raise_='"ABS(step) > limit AND prev_step < 0"', clear='"step = 0"')
        + kit.rule(
            id='"a.rate"', raise_='"value > 20 AND rate > 0.5"', clear='"rate <= 0.5"',
            clear_after="{ seconds = 20 }",
        )
        + kit.rule(id='"a.flat"', raise_='"flat_n >= 3 AND value <> 0"', clear='"flat_n = 0"')
        + kit.rule(id='"a.mean"', raise_='"samples > 5 AND value < ewma - 4 * ewstd - 9"', clear='"value >= ewma"')
        + kit.rule(id='"a.many"', raise_='"samples > 9"', clear='"false"', latch="true")
        + kit.rule(id='"a.kind"', raise_='"interval_s IN (1, 8) AND value > 50"', clear='"value < 50"')
        + kit.rule(
            id='"a.made"', raise_='"up_cusum_high > 0.5 OR slow_ewma > 28"', clear='"up_cusum_high < 0.1"',
            params="{ limit = 30.0 }",
            features='{ up = { feature = "cusum", on = "step", tau_s = 60 }, '
            'slow = { feature = "ewma", on = "device_c2h6", tau_s = 60 } }',
        )
        + kit.rule(
            id='"a.season"', params="{ limit = 60.0 }", clear='"value < limit"',
            tail='[[rule.override]]\nduring = "shift"\nparams = { limit = 30.0 }',
        )
        + '[calendar.shift]\nhours = ["19:10-19:20", "19:30-19:33"]\n'
        + kit.rule(id='"a.beside"', raise_='"value > device_co + 20"', clear='"value <= device_co"')
        + kit.rule(id='"a.gap"', raise_='"gap_s > 60 OR gap_n > 9"', clear='"gap_s < 30"', params="{}")
        + kit.rule(
            id='"w.high"', where="\"quantity = 'flow'\"", raise_='"value > limit"', clear='"value <= limit"',
            raise_after="{ samples = 3 }",
        )
        + kit.rule(id='"a.bad"', evaluate='"every"', raise_='"quality = 2"', clear='"quality < 2"', category='"device"')
        + kit.rule(
            id='"a.old"', evaluate='"every"', where='"quantity IN (\'co\', \'flow\')"', raise_='"age_s > 20"',
            clear='"age_s < 1"', category='"device"',
        )
        + kit.rule(
            id='"a.low"', evaluate='"every"', where="\"device_id IN ('D7', 'D8')\"", raise_='"value < 0 AND late = 0"',
            clear='"value >= 0"', category='"device"',
        )
        + kit.rule(
            id='"a.gone"', where="\"quantity = 'ch4'\"", evaluate='"clock"',
            raise_='"device_silent_s > 30 AND silent_share < 0.9"',
            clear='"device_silent_s <= 30"', params="{}", category='"device"',
        )
        + kit.rule(
            id='"c.gate"', where='"gateway_lead"', evaluate='"clock"', params="{}", category='"device"',
            raise_='"gateway_devices >= 2 AND (gateway_silent_s > 8 OR gateway_overdue >= 2)"',
            clear='"gateway_silent_s <= 8 AND gateway_overdue < 2"',
        )
        + kit.rule(
            id='"c.back"', where='"lead AND device_id < \'D2\'"', evaluate='"clock"', params="{}", category='"device"',
            raise_='"device_silent_s > 45 AND (gateway_back_s > 20 OR gateway_devices IS NULL) AND silent_devices < 4"',
            clear='"device_silent_s <= 30"',
        )
        + kit.rule(
            id='"c.many"', where='"point = 0"', evaluate='"clock"', params="{}", category='"device"',
            raise_='"silent_devices >= 2 AND silent_share > 0.11"', clear='"silent_share < 0.07"',
        )
        + kit.rule(
            id='"c.point"', where="\"device_id = 'D1'\"", evaluate='"clock"', params="{}", category='"device"',
            raise_='"silent_s > 25"', clear='"silent_n < 1"',
        )
        + kit.rule(
            id='"g.two"', where="\"quantity = 'c2h6'\"", evaluate='"group"', group='"zone"', hit='"value > limit"',
            raise_='"hits >= 2"', clear='"hits = 0"', params="{ limit = 29, window_s = 60, frame_s = 10 }",
        )
    )  # fmt: skip


parsed = functools.cache(RuleSet.parse)

NAMES = [field.name for field in fields(Readings)]
GAS, WATER = 7, 15
TOLD = [(d, q) for d in range(GAS) for q in ("ch4", "c2h6", "co")] + [(GAS + d, "flow") for d in range(WATER)]
"""Of some rules on gas nothing is foreseen; on water by far the most readings are only counted."""
OF: dict[int, list[int]] = {}
for _point, (_device, _) in enumerate(TOLD):
    OF.setdefault(_device, []).append(_point)


def registry(kit: Any) -> Registry:
    return kit.registry(  # type: ignore[no-any-return]
        [
            {
                "device_id": f"D{d}",
                "quantity": q,
                "interval_s": 1.0 + 9 * (d % 2),
                "zone": "S",
                "kind": "valve-well",
                "gateway": None if 0 < d < GAS or d % 5 == 4 else f"G{d % 5}",
            }
            for d, q in TOLD
        ]
    )


def records(kit: Any, seed: int, count: int) -> list[LogRecord]:
    """Devices in order and not; some that never come near a limit, some that do; some silent for a while, or all."""
    rng = random.Random(seed)
    least = rng.choice([0, len(OF) // 2, len(OF) - 3])
    gone = {d: sorted(rng.choices(range(count), k=2)) for d in rng.sample(list(OF), rng.choice([0, 1, 3, 9]))}
    pauses = rng.choice([[0], [0], [0] * 20 + [22_000, 25_000], [0] * 40 + [12_000, 25_000, 70_000]])
    wild = {d for d in OF if rng.random() < (0.5 if d < GAS else 0.15)}
    unruly = {d for d in OF if rng.random() < (0.4 if d < GAS else 0.05)}
    now, result = kit.t0 + rng.randrange(10_000), []
    for lsn in range(1, count + 1):
        now += rng.choice([0, 200, 1_000, 1_000, 9_000]) + rng.choice(pauses)
        rows = []
        here = [d for d in OF if not (d in gone and gone[d][0] <= lsn < gone[d][1])]
        for d in rng.sample(here, min(len(here), rng.randrange(least, len(OF)))):
            for point in OF[d]:
                value = rng.choice(
                    [0.0, 5.0, 30.0, 30.0, 60.0, None, -3.5] if d in wild else [1.0, 1.5, 2.0, 2.0, None]
                )
                ts = now - (rng.choice([0, 0, 0, 300, 30_000, 200_000]) if d in unruly else 0)
                flags = int(Flag.DUPLICATE) if rng.random() < 0.03 else 0
                rows.append((point, ts, now, value, rng.choice([0, 0, 0, 0, 1, 2]), flags))
        result.append(LogRecord(lsn, now, kit.readings(rows)))
    return result


def merged(made: list[LogRecord], large: int) -> list[LogRecord]:
    """So many records as one."""
    parts = [made[at : at + large] for at in range(0, len(made), large)]
    return [replace(part[-1], readings=Readings.concat([one.readings for one in part])) for part in parts]


def looked(points: Registry, batches: Sequence[Readings]) -> Reach:
    reach = Reach(points)
    for batch in batches:
        reach.look(batch)
    return reach


@settings(max_examples=60)
@given(
    st.integers(0, 10**9),
    st.sampled_from([None, 5, 20, 60]),
    st.sampled_from([1, 7, 1000]),
    st.sampled_from([1, 4, 15]),
)
def test_a_narrowed_machine_says_what_a_whole_one_says(
    kit: Any, seed: int, within: int | None, together: int, large: int
) -> None:
    """To the change with its evidence and log position, every counter and figure; late readings included."""
    made = merged(records(kit, seed, 60), large)
    points, rules = registry(kit), parsed(rules_text(kit))
    parts = [made[at : at + together] for at in range(0, len(made), together)]
    outcomes = []
    for told in ("whole", "narrowed", "thinned"):
        narrowing = None if told == "whole" else Narrowing(looked(points, [one.readings for one in made]))
        machine = RuleMachine(rules, points, "Asia/Shanghai", within=within, history=True, narrowing=narrowing)
        if told == "thinned":
            thinning = machine.thinning
            assert thinning is not None
            parts = [
                [replace(one, readings=thinning.of(one.readings)) if len(one.readings) else one for one in part]
                for part in parts
            ]
        changes = [c for part in parts for c in machine.process_all(part)]
        figures = machine.counters, machine.evaluated, machine.points, machine.learning(), machine.active
        outcomes.append(([repr(change) for change in changes], figures))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0] == outcomes[2]


def test_rules_are_left_where_nothing_comes_near(kit: Any) -> None:
    """A device that comes near keeps the rules that it comes near, the others keep what nothing is known of."""
    points, rules = registry(kit), parsed(rules_text(kit))
    every, high = range(len(TOLD)), TOLD.index((1, "ch4"))
    rows = [(p, kit.t0 + k * 1_000, kit.t0 + k * 1_000, 1.0 + k % 2) for k in range(5) for p in every]
    rows += [(high, kit.t0 + 5_000, kit.t0 + 5_000, 60.0)]
    narrowing = Narrowing(looked(points, [kit.readings(rows)]))
    machine, whole = (
        RuleMachine(rules, points, "UTC", history=True, narrowing=narrowing),
        RuleMachine(rules, points, "UTC"),
    )
    left = {rule.spec.id: rule.points.tolist() for rule in machine._reading.rules}
    methane = [p for p, (_, quantity) in enumerate(TOLD) if quantity == "ch4"]
    assert left == {
        "gas.ch4.high": [high], "a.step": [high], "a.rate": [high], "a.flat": [], "a.mean": [high], "a.many": [],
        "a.kind": methane, "a.made": methane, "a.season": methane, "a.gap": methane, "a.beside": [high], "w.high": [],
    }  # fmt: skip
    assert [len(rule.points) for rule in machine._every.rules] == [len(methane), 2, 0]  # a.bad, a.low, a.old
    assert machine.points == whole.points
    counted = np.flatnonzero(machine._journal._counted).tolist()
    assert counted == [p for p, (d, quantity) in enumerate(TOLD) if quantity == "flow" or (quantity == "co" and d != 1)]


def test_a_late_reading_may_be_as_late_as_ever(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "WITHIN_ROWS_MIN", 1)
    points, rules = registry(kit), parsed(rules_text(kit))
    narrow = RuleMachine(rules, points, "UTC", history=True, narrowing=Narrowing(Reach(points)))
    assert narrow._journal.within == RuleMachine(rules, points, "UTC")._journal.within


@settings(max_examples=60)
@given(st.integers(0, 10**9), st.integers(1, 60))
def test_what_is_seen_equals_a_naive_twin(kit: Any, seed: int, cut: int) -> None:
    points = registry(kit)
    made = Readings.concat([one.readings for one in records(kit, seed, 60)])
    reach = looked(points, [made.take(slice(None, cut)), made.take(slice(cut, None))])
    told: dict[int, list[tuple[int, float]]] = {p: [] for p in range(len(points))}
    odd, last, others, ages = set(), dict[int, tuple[int, int]](), [0] * len(points), dict[int, list[int]]()
    columns = (made.point, made.ts, made.received_at, made.value, made.quality, made.flags)
    for p, t, received, v, quality, flags in zip(*(column.tolist() for column in columns), strict=True):
        if flags & Flag.DUPLICATE:
            continue
        ages.setdefault(int(points.point_device[p]), []).append(received - t)
        if quality == 2 or math.isnan(v):
            others[p] += 1
            continue
        device = int(points.point_device[p])
        if told[p] and t <= told[p][-1][0]:
            odd.add(device)
            others[p] += 1
            continue
        if (t, p) < last.get(device, (t, p)):
            odd.add(device)
        last[device] = max(last.get(device, (t, p))[0], t), p
        told[p].append((t, v))
    expected = {p for p in range(len(points)) if points.point_device[p] in odd}
    assert set(np.flatnonzero(reach.odd).tolist() if reach.odd is not None else []) == expected
    assert reach.others.tolist() == others
    for device, theirs in ages.items():
        assert [reach.age_s.low[device], reach.age_s.high[device]] == [min(theirs) / 1000, max(theirs) / 1000]
    for p, rows in told.items():
        values = [v for _, v in rows]
        steps = [b - a for a, b in itertools.pairwise(values)]
        runs = [len(list(group)) for zero, group in itertools.groupby(steps, lambda step: step == 0) if zero]
        assert reach.count[p] == len(rows)
        assert reach.longest[p] == max(runs, default=0)
        assert reach.span_s[p] == (rows[-1][0] - rows[0][0] if rows else 0) / 1000
        ends = [min(values, default=0), max(values, default=0), min(steps, default=0), max(steps, default=0)]
        assert [reach.column(k)[p] for k in (kernel.LOW, kernel.HIGH, kernel.STEP_LOW, kernel.STEP_HIGH)] == ends


@given(st.lists(st.integers(0, 50), max_size=8), st.integers(0, 10**9), st.integers(1, 40), st.booleans())
def test_what_is_hoarded_comes_back_as_it_was(kit: Any, sizes: list[int], seed: int, cut: int, anew: bool) -> None:
    """To the bit (NaN), in the same batches or in others, of which each holds whole instants."""
    rng = random.Random(seed)
    received, batches = 0, []
    for size in sizes:
        rows = []
        for _ in range(size):
            received += rng.random() < 0.3
            rows.append((rng.randrange(9), rng.randrange(99), received, rng.choice([1.5, None]), rng.choice([0, 0, 2])))
        batches.append(kit.readings(rows))
        if rng.random() < 0.2:
            batches[-1].seq[:] = rng.randrange(5)
    held = Hoard(1 << 20)
    assert all(held.take(batch) for batch in batches)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hoard, "BATCH_ROWS", cut)
        for _ in range(2):
            found = list(held.batches(anew=anew))
            for name in NAMES:
                mine, theirs = ([getattr(one, name) for one in those] for those in (found, batches))
                if not anew:
                    assert [len(one) for one in mine] == [len(one) for one in theirs]
                assert b"".join(one.tobytes() for one in mine) == b"".join(one.tobytes() for one in theirs)
                assert {one.dtype for one in mine} <= {one.dtype for one in theirs}
                assert not any(one.flags.writeable for one in mine)
            if anew:
                assert all(len(one) >= cut for one in found[:-1])
                assert all(a.received_at[-1] < b.received_at[0] for a, b in itertools.pairwise(found))


@pytest.mark.parametrize("pages", [True, False], ids=["no memory", "no large pages"])
def test_a_system_may_refuse(kit: Any, monkeypatch: pytest.MonkeyPatch, pages: bool) -> None:
    class Refuses(mmap.mmap):
        def __new__(cls, *arguments: Any) -> Self:
            if pages:
                raise OSError(errno.ENOMEM, "Cannot allocate memory")
            return super().__new__(cls, *arguments)

        def madvise(self, *arguments: Any) -> None:
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(mmap, "mmap", Refuses)
    batch, held = kit.readings([(0, k, k, 1.0) for k in range(100)]), Hoard()
    assert held.take(batch) is not pages
    assert sum(map(len, held.batches(anew=True))) == (0 if pages else 100)


def test_a_hoard_without_room_lets_go_of_all(kit: Any) -> None:
    batch = kit.readings([(0, k, k, 1.0) for k in range(100)])
    held = Hoard(5_000)
    assert held.take(batch)
    assert not held.take(batch)
    assert not held.take(batch)
    assert list(held.batches(anew=True)) == []


def test_a_value_too_large_to_reckon_with_is_not_foreseen(kit: Any) -> None:
    points = kit.registry([{}, {}])
    rows = [(p, kit.t0 + k, kit.t0 + k, 1e300 if p and k == 2 else 0.0) for k in range(4) for p in range(2)]
    reach = looked(points, [kit.readings(rows)])
    assert reach.odd is not None
    assert reach.odd.tolist() == [False, True]


def test_a_long_run_is_as_good_as_endless(kit: Any) -> None:
    points = kit.registry([{}])
    rows = kit.readings([(0, kit.t0 + k, kit.t0 + k, 5.0) for k in range(kernel.MANY + 10)])
    assert looked(points, [rows]).longest.tolist() == [math.inf]


def by_hand(result: backtest.BacktestResult) -> tuple[Any, ...]:
    figures = result.rules, result.counters, result.learning, result.start_ms, result.end_ms
    return result.alarms.to_pylist(), figures


City = tuple[Registry, list[Readings], tuple[Any, ...]]


@dataclass(frozen=True)
class Pieces:
    """A history that can be told in pieces of any size."""

    ticks: list[Readings]
    piece_rows: float

    def __iter__(self) -> Iterator[Readings]:
        return iter(self.ticks)

    def uncut(self) -> Iterator[Readings]:
        whole = Readings.concat(self.ticks)
        for start in range(0, len(whole), 7_777):
            yield whole.take(slice(start, start + 7_777))


@pytest.fixture(scope="module")
def city() -> City:
    """A simulated city with faults, and what the standard library says of it judged everywhere."""
    settings = FleetSettings(sensors=1_500, interval_s=20.0)
    faults = FaultSettings(faults_per_hour=60)
    start = 1_795_000_000_000
    past = History(settings, start, start + 3_600_000, tick_ms=300_000, faults=faults, exact=True)
    points, ticks = Registry(past.fleet.points), list(past.ticks())
    plain = backtest.run(RuleSet.standard(), points, iter(ticks), "Asia/Shanghai")
    assert plain.alarms.num_rows > 20
    return points, ticks, by_hand(plain)


@pytest.mark.parametrize("piece_rows", [None, 1e3, 1e9], ids=["batches", "small pieces", "large pieces"])
@pytest.mark.parametrize("room", [1 << 30, 1 << 20, 0], ids=["held", "held at first", "read twice"])
def test_backtest_of_the_library_over_a_city(
    city: City, monkeypatch: pytest.MonkeyPatch, room: int, piece_rows: float | None
) -> None:
    """Whether there is room for the history or not, and however it comes."""
    monkeypatch.setattr(thinned, "BATCH_ROWS", 30_000)
    points, ticks, plain = city
    history = ticks if piece_rows is None else Pieces(ticks, piece_rows)
    seen = backtest.looked(points, history, room)
    assert (seen.batches is history) == (room < 1 << 30 or piece_rows == 1e9)
    for _ in range(2):
        assert by_hand(backtest.run(RuleSet.standard(), points, seen, "Asia/Shanghai")) == plain


def test_a_history_in_another_order_is_told_whole(city: City) -> None:
    """Times of receipt that fall once: log time does not, and no silence is foreseen."""
    points, ticks, _ = city
    ticks = [*ticks[:4], ticks[6], *ticks[4:]]
    seen = backtest.looked(points, ticks)
    assert seen.reach is not None
    assert not seen.reach.ordered
    plain = backtest.run(RuleSet.standard(), points, iter(ticks), "Asia/Shanghai")
    assert by_hand(backtest.run(RuleSet.standard(), points, seen, "Asia/Shanghai")) == by_hand(plain)


def test_silence_is_judged_up_to_the_end_that_was_asked_for(city: City) -> None:
    points, ticks, _ = city
    end = int(ticks[-1].received_at[-1]) + 600_000
    found = [
        backtest.run(RuleSet.standard(), points, history, "Asia/Shanghai", end=end) for history in (iter(ticks), ticks)
    ]
    assert by_hand(found[0]) == by_hand(found[1])
    assert "device.silence.mass" in found[0].alarms["rule_id"].to_pylist()


def test_rules_whose_parameters_change_for_a_while_are_judged_everywhere(kit: Any) -> None:
    points, rules = kit.registry([{"area_code": "4101"}] * 2), RuleSet.parse(kit.rule())
    rows = [kit.readings([(p, kit.t0 + k * 1_000, kit.t0 + k * 1_000, 12.0) for k in range(9) for p in range(2)])]
    spans = [ParameterSpan("emergency 1", "4101", kit.t0 + 3_000, kit.t0 + 6_000, {"gas.ch4.high": {"limit": 10.0}})]
    plain = backtest.run(rules, points, iter(rows), spans=spans)
    assert by_hand(backtest.run(rules, points, rows, spans=spans)) == by_hand(plain)
    assert plain.alarms.num_rows == 2
