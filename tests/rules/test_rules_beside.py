"""What is newest of a device's other quantities, told where readings are taken in, against a list that is searched."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifeline.core.batch import Readings
from rules.beside import Pairs
from rules.journal import Journal
from rules.kernels.journal import JOURNALLED
from rules.kernels.order import NEVER

UNIT = np.array([0, 0, 2, 0, 2, 5], np.int32)
"""Points 0, 1 and 3 are of one device, 2 and 4 of another; 5, alone, wants what it tells itself."""
WANTS: list[dict[int, tuple[int, int]]] = [{0: (1, 90), 3: (1, 90), 2: (4, 40)}, {0: (3, 25), 1: (3, 25), 5: (5, 10)}]
"""By quantity, of each point that wants it: the one that carries it, and how old (ms) it may be."""


def journal() -> Journal:
    made = Journal(10_000)
    pairs = [
        Pairs(
            np.array(sorted(wants), np.int32),
            np.array([wants[p][0] for p in sorted(wants)], np.int32),
            np.array([wants[p][1] for p in sorted(wants)], np.int64),
        )
        for wants in WANTS
    ]
    made.grow(np.full(6, JOURNALLED, np.uint8), UNIT, pairs)
    return made


def readings(rows: list[tuple[int, int, float]], received: int) -> Readings:
    made = Readings.empty(len(rows))
    for k, (point, ts, value) in enumerate(rows):
        made.point[k], made.ts[k], made.value[k], made.received_at[k] = point, ts, value, received + k
    return made


def searched(told: list[tuple[int, int, float]]) -> list[tuple[int, int, list[float]]]:
    """Of each row that is later than all before of its point: point, time, and what its point wants, in order."""
    newest: dict[int, tuple[int, float]] = {}
    found = []
    for point, ts, value in told:
        if point in newest and ts <= newest[point][0]:
            continue
        newest[point] = ts, value
        beside = []
        for wants in WANTS:
            if point in wants:
                carrier, limit_ms = wants[point]
                then, known = newest.get(carrier, (-(10**9), 0.0))
                beside.append(known if ts - then <= limit_ms else float("nan"))
        found.append((point, ts, beside))
    return found


def told(rows: Any) -> list[tuple[int, int, list[float]]]:
    wanted = [sum(p in wants for wants in WANTS) for p in range(len(UNIT))]
    return [
        (point, ts, beside[: wanted[point]])
        for point, ts, beside in zip(rows.point.tolist(), rows.ts.tolist(), rows.beside.tolist(), strict=True)
    ]


def stream(seed: int, rows: int, *, late: bool) -> list[tuple[int, int, float]]:
    rng, at, made = random.Random(seed), 1_000, []
    for _ in range(rows):
        at += rng.choice([0, 1, 8, 30])
        made.append((rng.randrange(6), at - (rng.randrange(60) if late else 0), rng.random()))
    return made


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 40))
def test_a_row_is_told_what_is_newest_of_its_device(seed: int, size: int) -> None:
    """However the rows are cut into records; no row is late."""
    rows, taking, found = stream(seed, 120, late=False), journal(), []
    for k, at in enumerate(range(0, len(rows), size)):
        part = rows[at : at + size]
        taken = taking.admit(readings(part, 1_000 + at), [k + 1], np.array([len(part)]), 10**9)
        assert not len(taken.dirty)
        found += told(taken.fresh)
    assert repr(found) == repr(searched(rows))


@pytest.mark.parametrize("seed", range(6))
def test_rows_put_in_their_place_are_told_what_was_newest_there(seed: int) -> None:
    """A device judged again: its rows in the order of event time, as if they had come in it."""
    rows, taking, dirty = stream(seed, 200, late=True), journal(), set[int]()
    for k, at in enumerate(range(0, len(rows), 20)):
        taken = taking.admit(readings(rows[at : at + 20], 1_000 + at), [k + 1], np.array([20]), 10**9)
        dirty |= set(taken.dirty.tolist())
    assert dirty == {0, 2, 5}, "each device had late ones"
    taking.newest[:] = NEVER
    got = told(taking.collect(np.array([0, 2, 5], np.int32)))
    first: dict[tuple[int, int], tuple[int, int, float]] = {}
    for k, (point, ts, value) in enumerate(rows):
        first.setdefault((point, ts), (ts, k, value))  # a second one of the same time is not kept
    ordered = sorted((ts, k, point, value) for (point, ts), (_, k, value) in first.items())
    assert repr(got) == repr(searched([(point, ts, value) for ts, _, point, value in ordered]))
