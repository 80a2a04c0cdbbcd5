"""What is kept as notes and codes against its naive twin: whole copies."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.alarms import COLUMNS, AlarmState
from rules.coded import Coded
from rules.kernels import lean, normal
from rules.kernels.silence import NEVER
from rules.narrow import Narrow
from rules.spec import Delay, RuleSpec
from rules.turns import Turns

HOUR_MS = 3_600_000
POINTS = 3
OPTIONS = np.array([24.0, 1.0, 28.0])
TABLES = {normal.baseline_noting: (normal.SLOT, 4), lean.days_noting: (1, 2)}
"""By kernel: numbers a slot of the day, and those of the slot at hand."""

readings = st.lists(st.tuples(st.integers(0, POINTS - 1), st.integers(1, 30), st.floats(-9, 9)), max_size=25)
step = st.one_of(readings, st.just("mark"), st.lists(st.integers(0, POINTS - 1), min_size=1, unique=True))


def feed(kernel: Any, turns: Turns, state: np.ndarray, rows: list[tuple[int, int, float]], at: int) -> int:
    """Baselines of some rows, hours apart; returns the time after them."""
    hours = at + np.cumsum([0, *(gap for _, gap, _ in rows)])
    local = hours[1:].astype(np.int64) * HOUR_MS
    slots, value = np.array([p for p, _, _ in rows], np.int32), np.array([v for _, _, v in rows], np.float64)
    nothing, out = np.zeros(0), np.empty((4, len(rows)))
    arguments = (slots, local, local, value, nothing, nothing, nothing, OPTIONS, math.inf, state, out)
    turns.note(kernel, arguments)
    return int(hours[-1])


@pytest.mark.parametrize("kernel", TABLES, ids=lambda kernel: kernel.__name__)
@settings(max_examples=40, deadline=None)
@given(st.lists(step, max_size=12))
def test_notes_undone_are_the_copy_that_was_taken(kernel: Any, steps: list[object]) -> None:
    turn, hand = TABLES[kernel]
    state = np.full((POINTS, turn * 24 + hand), np.nan, np.float32)
    turns, at = Turns(np.float32, turn), 0
    older, newer = state.copy(), state.copy()
    table = slice(0, turn * 24)
    for one in steps:
        if one == "mark":
            turns.mark()
            older, newer = newer, state.copy()
        elif one and isinstance(one[0], tuple):  # type: ignore[index]
            at = feed(kernel, turns, state, one, at)  # type: ignore[arg-type]
        elif one:  # a late reading: back, then judged again in two parts
            slots = np.array(one, np.int32)
            turns.rewind(slots, state)
            assert np.array_equal(state[slots, table], older[slots, table], equal_nan=True)
            state[slots] = older[slots]
            turns.since = 0
            feed(kernel, turns, state, [(p, 30, 1.0) for p in slots for _ in range(2)], at)
            newer[slots] = state[slots]
            turns.since = 1
            at = feed(kernel, turns, state, [(p, 30, 2.0) for p in slots], at + 60 * POINTS)
    then = state.copy()
    turns.undo(then)
    assert np.array_equal(then[:, table], older[:, table], equal_nan=True)
    turns.mark()
    then = state.copy()
    turns.undo(then)
    assert np.array_equal(then[:, table], newer[:, table], equal_nan=True)
    assert turns.nbytes <= 20 * 400


@given(st.lists(st.lists(st.sampled_from([0.0, -0.0, 1.5, math.nan, math.inf, *range(300)]), max_size=400), max_size=3))
def test_codes_give_back_the_bits(parts: list[list[float]]) -> None:
    coded = Coded()
    for part in parts:
        coded.append(np.array(part, np.float64))
    twin = np.array([value for part in parts for value in part], np.float64)
    every = np.arange(len(twin), dtype=np.int32)
    assert coded[every].tobytes() == twin.tobytes()
    assert len(coded) == len(twin)


state_of_slot = st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 99), st.integers(0, 99))


@given(st.dictionaries(st.integers(0, 400), state_of_slot, max_size=80), st.lists(st.integers(0, 400), unique=True))
def test_alarm_states_copied_loaded_and_put_are_the_same(held: dict[int, tuple[int, ...]], some: list[int]) -> None:
    twin = np.zeros((len(COLUMNS), 401), np.int64)
    for slot, values in held.items():
        twin[:, slot] = values
    twin[:, (twin[:2] == 0).all(axis=0)] = 0  # what is at rest remembers nothing
    columns = dict(zip(COLUMNS, twin, strict=True))
    state = AlarmState()
    state.grow(401)
    state.load(columns)
    back = AlarmState()
    back.grow(401)
    back.load(state.columns())
    every = np.arange(401, dtype=np.int32)
    for name, column in columns.items():
        assert np.array_equal(state.at(every)[name], column)
        assert np.array_equal(back.at(every)[name], column)
    assert np.array_equal(state.up, np.flatnonzero(twin[0]))
    assert np.array_equal(state.restless, np.flatnonzero(twin[:2].any(axis=0)))
    nothing = np.zeros(401, bool)
    assert np.array_equal(state.concerned(every, nothing), state.restless)
    assert state.rests or twin[:2].any()
    slots = np.array(some, np.int32)
    back.put(slots, dict.fromkeys(COLUMNS, np.zeros(401, np.int64)))
    assert not set(back.concerned(every, nothing)) & set(some)
    assert set(back.restless) == set(state.restless) - set(some)


def test_a_table_that_fills_up_makes_room() -> None:
    texts = dict.fromkeys(("title_zh", "title_en", "cause", "consequence", "action"), "x")
    rule = RuleSpec(
        **texts, id="a.b", version=1, where="true", raise_="true", clear="true", level="red", category="process",
        respond_within_s=1, raise_after=Delay(), clear_after=Delay(), latch=False,
    )  # fmt: skip
    state = AlarmState()
    state.grow(5000)
    every, ts = np.arange(5000, dtype=np.int32), np.full(5000, 10, np.int64)
    up = np.ones(5000, bool)
    assert len(state.advance(rule, every, up, ~up, ts)) == 5000
    assert len(state.up) == 5000
    assert len(state.advance(rule, every, ~up, up, ts + 1)) == 5000
    assert not len(state.concerned(every, np.zeros(len(every), bool)))
    assert not any(len(column.at) for column in state.columns().values())
    assert state.nbytes < 5000
    for k in range(40):
        assert len(state.advance(rule, every[k : k + 1], up[:1], ~up[:1], ts[:1])) == 1
    assert state.up.tolist() == list(range(40))


times = st.one_of(st.just(NEVER), st.integers(0, 1 << 33), st.integers(-(1 << 62), 1 << 62))


@given(st.lists(times, max_size=40))
def test_narrow_times_come_back(entries: list[int]) -> None:
    array = np.array(entries, np.int64)
    narrow = Narrow(array)
    array_before = array.copy()
    array[:] = 0
    assert np.array_equal(narrow.array(), array_before)
    assert len(narrow) == len(entries)
    recent = Narrow(np.arange(1000) + 1_795_000_000_000)
    assert recent.nbytes == 4000
