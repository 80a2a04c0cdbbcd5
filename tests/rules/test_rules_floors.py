"""A clock rule looks only where its condition lets a silence raise; it says what it says of looking everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from lifeline.core.batch import LogRecord, Readings
from lifeline.core.override import ParameterSpan
from rules.evaluate import RuleMachine
from rules.kernels import silence as kernels
from rules.rule_set import RuleSet
from rules.silence import CLOCK_MS, Silence
from tests.rules.conftest import T0, make_machine, make_record, make_registry, make_rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from lifeline.core.registry import Registry

DEVICES = 24
"""Enough for deaf time to be found."""
PARTS = (
    *(
        "device_silent_s > least_s",
        "silent_s >= GREATEST(least_s, factor * interval_s)",
        "50 / factor < device_silent_s",
    ),
    *("NOT (silent_s <= interval_s / (factor - 2))", "NOT (silent_devices >= 9 OR silent_share > 0.4)"),
    *("(silent_devices < 6 OR silent_s > 90)", "silent_share < 0.6", "silent_n > 2", "silent_s IS NOT NULL"),
    *(
        "least_s + interval_s <= device_silent_s",
        "interval_s > 2",
        "minute < 58",
        "gateway_devices > 1",
        "silent_s = 40",
    ),
)


def everywhere(self: Silence, k: int, *_: Any) -> NDArray[np.int32]:
    """The naive twin of ``Silence._stirring``."""
    return np.arange(len(self.rules[k].points), dtype=np.int32)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return make_registry(
        [
            {
                "device_id": f"D{p // 2}",
                "quantity": ("ch4", "temp")[p % 2],
                "gateway": f"G{p // 12}" if p < 36 else None,
            }
            | {
                "interval_s": (1.0, 5.0, 20.0, None)[p // 2 % 4],
                "kind": ("a", "b")[p // 2 % 2],
                "area_code": ("410105", "410104")[p // 2 % 2],
            }
            for p in range(2 * DEVICES)
        ]
    )


@st.composite
def rules(draw: st.DrawFn) -> str:
    """Two clock rules of several parts."""
    made = []
    for k in range(2):
        parts = draw(st.lists(st.sampled_from(PARTS), min_size=1, max_size=4))
        first = draw(st.sampled_from(("silent_s > 0", *PARTS[:4])))
        text = " AND ".join([first, *parts])
        if draw(st.integers(0, 5)) == 0:
            text = f"({text}) OR device_silent_s > 200"
        made.append(
            make_rule(
                id=f'"silent.{k}"',
                where=("\"quantity = 'ch4'\"", '"lead OR interval_s < 6"')[k],
                evaluate='"clock"',
                raise_=f'"{text}"',
                clear=draw(st.sampled_from(('"silent_s <= least_s"', '"device_silent_s < 8"'))),
                params="{ least_s = 30.0, factor = 3.0 }",
                raise_after=draw(st.sampled_from(("{ samples = 1 }", "{ samples = 2 }", "{ seconds = 20 }"))),
                clear_after=draw(st.sampled_from(("{ samples = 1 }", "{ samples = 2 }"))),
                tail="[[rule.override]]\nwhere = \"kind = 'b'\"\nparams = { factor = 2.0, least_s = 60.0 }"
                if draw(st.booleans())
                else "",
            )
        )
    return "\n".join(made)


def stream(seed: int) -> Iterator[LogRecord]:
    """Reports of few devices or many, pauses of all, and records without rows: one instant each, and some at once."""
    random = np.random.default_rng(seed)
    at = T0
    for lsn in range(1, 36):
        at += int(random.choice([1_000, 3_000, 10_000, 27_000, 80_000], p=[0.3, 0.3, 0.2, 0.15, 0.05]))
        if random.random() < 0.3:
            yield LogRecord(lsn, at, Readings.empty())
            continue
        chance = float(random.choice([0.1, 0.5, 1.0]))
        point = np.flatnonzero(random.random(2 * DEVICES - 2) < chance).astype(np.int32)
        n, times = len(point), np.full(len(point), at, np.int64)
        flags = np.where(random.random(n) < 0.1, 8, 0).astype(np.uint8)  # repeats, no signs of life
        yield LogRecord(
            lsn, at, Readings(point, times, times, np.zeros(n), np.zeros(n, np.uint32), np.zeros(n, np.uint8), flags)
        )


@settings(max_examples=25, deadline=None)
@given(rules(), st.integers(0, 1_000_000), st.booleans())
def test_what_is_not_looked_at_could_not_have_changed(registry: Registry, text: str, seed: int, overlaid: bool) -> None:
    records = list(stream(seed))
    low, high = records[10].received_at, records[28].received_at
    spans = [ParameterSpan("emergency 1", "410105", low, high, {"silent.0": {"least_s": 12.0}})] if overlaid else []

    def said() -> list[str]:
        machine = make_machine(text, registry)
        found = [repr(change) for record in records[:8] for change in machine.process(record)]
        machine.override(spans)
        return found + [repr(change) for record in records[8:] for change in machine.process(record)]

    ours = said()
    event(f"{min(len(ours), 9)} changes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Silence, "_stirring", everywhere)
        assert ours == said()


@pytest.mark.parametrize(("text", "after_s"), [("silent_s >= limit", 30), ("limit < silent_s", 40)])
def test_a_silence_as_long_as_the_limit_is_enough_or_not(text: str, after_s: int) -> None:
    rule = make_rule(evaluate='"clock"', raise_=f'"{text}"', clear='"silent_s < 5"', params="{ limit = 30.0 }")
    machine = make_machine(rule, make_registry([{"interval_s": 5.0}]))
    said = machine.process(make_record(1, [(0, T0, T0, 1.0)]))
    for k in range(1, 6):
        said += machine.process(LogRecord(1 + k, T0 + k * CLOCK_MS, Readings.empty()))
    assert [(change.kind, change.raised_at) for change in said] == [("raised", T0 + after_s * 1000)]


def test_of_a_silent_city_no_point_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = make_registry([{"interval_s": 5.0}] * DEVICES)
    machine = RuleMachine(
        RuleSet(tuple(r for r in RuleSet.standard().rules if r.id == "device.dropout")), registry, "UTC"
    )
    looked: list[int] = []
    evaluate = Silence._evaluate
    monkeypatch.setattr(
        Silence, "_evaluate", lambda self, rule, *a: (looked.append(len(a[0])), evaluate(self, rule, *a))[1]
    )
    point = np.arange(DEVICES, dtype=np.int32)
    times, nothing = np.full(len(point), T0, np.int64), np.zeros(len(point))
    rows = Readings(point, times, times, nothing, nothing.astype(np.uint32), *[nothing.astype(np.uint8)] * 2)
    machine.process(LogRecord(1, T0, rows))
    said = []
    for k in range(1, 31):
        said += machine.process(LogRecord(1 + k, T0 + k * CLOCK_MS, Readings.empty()))
    assert said == []
    assert sum(looked) == 0


def numbers(least: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.sampled_from([0, 0, 1, 2, 3, 5, 60, -1]), min_size=least, max_size=40)


@given(numbers(0), st.data(), st.integers(1, 6))
def test_the_smallest_interval_that_so_many_devices_declare(values: list[int], data: st.DataObject, k: int) -> None:
    array = np.array(values, np.int64)
    known = np.array(data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values))), bool)

    def naive(chosen: NDArray[np.int64]) -> int:
        declared = np.sort(chosen[chosen > 0])
        return int(declared[k - 1]) if len(declared) >= k else -1

    least = kernels.kth_least(array, np.ones(len(array), bool), k, 0)
    assert least == naive(array)
    assert kernels.kth_least(array, known, k, least) == naive(array[known])


@given(numbers(1), st.data())
def test_the_census_counts_who_is_overdue(ages: list[int], data: st.DataObject) -> None:
    n = len(ages)
    columns = [data.draw(st.lists(st.integers(-1, 2), min_size=n, max_size=n)) for _ in range(2)]
    allowed, gateway = 2 * np.maximum(np.array(columns[0], np.int64), 0), np.array(columns[1], np.int32)
    at, age = 1_000, np.array(ages, np.int64)
    last = np.where(age < 0, kernels.NEVER, at - age)
    counts, behind = np.zeros((1, 2)), np.zeros((1, 3, 4))
    none, device = np.zeros(0, np.int32), np.arange(n, dtype=np.int32)
    kernels.silences(
        *(none, none.astype(np.int64), none.astype(np.uint8), device, gateway, np.zeros(3, np.int64)),
        *(last.copy(), last.copy(), np.full((3, 2), kernels.NEVER), 0),
        *(np.array([at]), np.array([0]), none, np.empty((1, 0)), np.empty((1, 0)), allowed),
        *(np.zeros(0, np.int64), counts, behind),
    )
    overdue = (age >= 0) & (allowed > 0) & (age > allowed)
    assert counts[0].tolist() == [overdue.sum(), ((age >= 0) & (allowed > 0)).sum()]
    for g in range(3):
        assert behind[0, g, [0, 3]].tolist() == [((age >= 0) & (gateway == g)).sum(), (overdue & (gateway == g)).sum()]
