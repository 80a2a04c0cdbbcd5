"""Rules over groups: frames against a naive twin, whole machines in any batching, and what a rule file may say."""

from __future__ import annotations

import json
import math
import tomllib
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifeline.core.batch import LogRecord
from lifeline.core.errors import ConfigurationError
from rules.evaluate import RuleMachine
from rules.instants import _sorted
from rules.kernels import frames, turning
from rules.rule_set import RuleSet

K_OF_N = {
    "evaluate": '"group"', "hit": '"value >= limit"', "raise": '"hits >= 2"', "clear": '"hits < 2"',
    "params": "{ limit = 25.0, frame_s = 0, window_s = 60 }",
}  # fmt: skip

Row = tuple[int, int, float, bool]
"""Slot, ms, value, hit."""


def keep_time(s: int, spacing: int, usual: dict[int, float], even: dict[int, float]) -> None:
    """Usual spacing and share of even ones of a member, after one more."""
    if s not in usual:
        usual[s], even[s] = float(spacing), 0.0
        return
    even[s] += 0.1 * ((abs(spacing - usual[s]) <= 0.25 * usual[s]) - even[s])
    pull = 0.3 if spacing < usual[s] else 0.02
    usual[s] += pull * (min(spacing, 2 * usual[s]) - usual[s])


class NaiveTurn:
    """The turn of a group, from the definition: ``spacing`` 0 while there is none."""

    def __init__(self, own: list[int], frame: int) -> None:
        self.own, self.frame = own, frame
        self.spacing, self.end, self.centre, self.opened, self.reviewed = 0.0, 0.0, 0.0, 0, 0
        self.median: dict[int, float] = {}
        self.share: dict[int, float] = dict.fromkeys(own, 0.0)
        self.count: dict[int, int] = dict.fromkeys(own, 0)

    def heard(self, s: int, spacing: int) -> None:
        self.count[s] += 1
        n, median = self.count[s], self.median.setdefault(s, float(spacing))
        if n > 1:
            self.share[s] += max(0.1, 1 / (n - 1)) * ((0.5 * median <= spacing <= 1.6 * median) - self.share[s])
            step = median * max(0.01, 0.5 / n)
            self.median[s] += min(max(spacing - median, -step), step)

    def frame_of(self, ts: int, now: int, seen_at: int | None, *, whole: bool) -> int:
        again = seen_at is not None and ts - seen_at > (0.25 if whole else 0.5) * self.spacing
        if ts > now and (ts >= self.end or again):
            return ts
        return now if ts >= min(now, self.end - self.spacing) else now - 1

    def middle(self, ts: int, end: float, spacing: float, last: dict[int, tuple[int, float]]) -> tuple[float, float]:
        times = [last[s][0] for s in self.own if s in last and last[s][0] > ts - 2 * spacing]
        angles = [2 * math.pi * ((t - end) / spacing + 0.5) for t in times]
        x, y = sum(map(math.cos, angles)), sum(map(math.sin, angles))
        return (math.atan2(y, x) / (2 * math.pi), math.hypot(x, y) / len(times)) if times else (0.0, 0.0)

    def opens(self, ts: int, last: dict[int, tuple[int, float]]) -> bool:
        """Another frame is opened; whether what was learned before is to be forgotten."""
        self.reviewed = self.reviewed if self.opened else ts
        self.opened += 1
        if self.spacing:
            off, close = self.middle(ts, self.end, self.spacing, last)
            before, self.centre = self.centre, self.end + (off - 0.5) * self.spacing
            self.end += 0.5 * close * off * self.spacing
            if 0.5 * self.spacing < self.centre - before < 1.5 * self.spacing:
                self.spacing += 0.05 * (self.centre - before - self.spacing)
            self.end += self.spacing * math.ceil((ts - self.end) / self.spacing + 0.25)
        if self.opened not in {8, 16, 32} and self.opened % 64:
            return False
        regular = sorted(self.median[s] for s in self.own if s in self.median and self.share[s] >= 0.5)
        usual = regular[len(regular) // 4] if 2 * len(regular) > len(self.own) else 0.0
        opens = {8: 7, 16: 8, 32: 16, 64: 32}.get(self.opened, 64)
        torn, self.reviewed = ts - self.reviewed < 0.9 * opens * usual, ts
        if usual < 0.75 * self.frame:
            self.spacing = 0.0
        elif not 0.8 * usual <= self.spacing <= 1.25 * usual:
            off, _ = self.middle(ts, ts, usual, last)
            self.spacing, self.end = usual, ts + (off + (off < 0.25)) * usual
            self.centre = self.end - 0.5 * usual
            return torn
        return False


def naive_frames(  # noqa: C901, PLR0915 - one definition, told whole
    rows: list[Row], group: list[int], terms: list[int], frame: int, hold: int, window: int
) -> list[tuple[Any, ...]]:
    """(row, group, ts, members, reporting, hits, sum and hits of each of two terms, worst, values for judges).

    ``terms``: bit t of a member says that it is in term t.
    """
    last: dict[int, tuple[int, float]] = {}
    usual: dict[int, float] = {}
    even: dict[int, float] = {}
    hit: dict[int, int] = {}
    now: dict[int, int] = {}
    seen: dict[int, set[int]] = {}
    newest: dict[int, int] = {}
    closed: set[int] = set()
    turns = {g: NaiveTurn([s for s, x in enumerate(group) if x == g], frame) for g in set(group)}
    out = []

    def fresh(s: int, g: int) -> bool:
        turn, age = turns[g], newest[g] - last[s][0]
        if not turn.spacing:
            return even.get(s, 0.0) < 0.5 or age < max(0.9 * usual[s], frame)
        slow = turn.median.get(s, 0.0) > 1.5 * turn.spacing and age < 0.9 * turn.median[s]
        return s in seen[g] or slow or turn.share[s] < 0.5

    def close(i: int, g: int) -> None:
        own = turns[g].own
        heard = seen[g] if turns[g].spacing else set()
        known = [s for s in own if s in heard or (s in last and newest[g] - last[s][0] <= hold)]
        hitting = [s for s in own if s in hit and newest[g] - hit[s] <= window]
        worst = max(hitting, key=lambda s: (hit[s], -s)) if hitting else own[0]
        told = []
        for bit in (1, 2):
            of = [last[s][1] for s in known if terms[s] & bit]
            told += [sum(of) if of else math.nan, float(sum(bool(terms[s] & bit) for s in hitting))]
        values = [last[s][1] if s in known and fresh(s, g) else math.nan for s in own]
        out.append((i, g, newest[g], len(own), len(known), len(hitting), *told, worst, values))

    for i, (s, ts, value, is_hit) in enumerate(rows):
        g = group[s]

        def which(s: int = s, ts: int = ts, g: int = g) -> int:
            if frame and turns[g].spacing:
                at = last[s][0] if s in seen[g] else None
                return ts if g not in now else turns[g].frame_of(ts, now[g], at, whole=g in closed)
            return ts // frame * frame if frame else ts

        f = which()
        if f > now.get(g, -1):
            if frame and g in now and g not in closed:
                close(i, g)
            if frame and g in now and turns[g].opens(ts, last):
                del now[g]
                f = which()
            now[g], seen[g], newest[g] = f, set(), ts
            closed.discard(g)
        if s in last:
            keep_time(s, ts - last[s][0], usual, even)
            turns[g].heard(s, ts - last[s][0])
        last[s] = (ts, value)
        if is_hit:
            hit[s] = ts
        newest[g] = max(newest[g], ts)
        if f == now[g]:
            seen[g].add(s)
        if not frame:
            close(i, g)
        elif f == now[g] and g not in closed and len(seen[g]) == group.count(g):
            close(i, g)
            closed.add(g)
    return out


@st.composite
def group_rows(draw: st.DrawFn) -> tuple[list[int], list[Row]]:
    group = draw(st.lists(st.integers(0, 2), min_size=1, max_size=6))
    group = [sorted(set(group)).index(g) for g in group]
    clock = [0] * len(group)
    rows: list[Row] = []
    steps = st.integers(1, 40) if draw(st.booleans()) else st.sampled_from([10, 10, 10, 11, 30])
    around = draw(st.booleans())  # one after the other, as a plant that is read in turns
    if around:
        steps = st.sampled_from([30, 30, 30, 30, 32, 27, 60])
        clock = [draw(st.integers(0, 29)) for _ in group]
    for _ in range(draw(st.integers(0, 90 if around else 60))):
        s = min(range(len(group)), key=clock.__getitem__) if around else draw(st.integers(0, len(group) - 1))
        clock[s] += draw(steps)  # newer than all before of its point, as fresh rows are
        rows.append((s, clock[s], float(draw(st.integers(0, 5))), draw(st.booleans())))
    return group, rows


@settings(deadline=None)
@given(group_rows(), st.sampled_from([0, 10, 25]), st.sampled_from([5, 1000]), st.integers(0, 30), st.data())
def test_frames_equal_their_definition_in_any_batching(
    made: tuple[list[int], list[Row]], frame: int, hold: int, window: int, data: st.DataObject
) -> None:
    group, rows = made
    members = np.argsort(group, kind="stable").astype(np.int32)
    ptr = np.concatenate([[0], np.cumsum(np.bincount(group))]).astype(np.int32)
    n, g = len(group), max(group) + 1
    never = np.iinfo(np.int64).min
    state = (np.full(n, never), np.full(n, np.nan), np.full(n, never), np.full(n, never))
    groups = (np.full(g, never), np.full(g, never), np.zeros(g, np.int32), np.full((g, 4), np.nan))
    terms = data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    told = [frames.COUNTS + frames.TERM * t + part for t in (0, 1) for part in (0, 6)]
    cadence, widest = np.column_stack([np.full(n, np.nan), np.zeros(n)]), int(np.diff(ptr).max())
    regular, turn = np.column_stack([np.full(n, np.nan), np.zeros((n, 2))]), np.zeros((g, turning.COLUMNS))
    out, room, a = [], data.draw(st.integers(2, 9)), 0
    while a < len(rows):
        b = data.draw(st.integers(a + 1, len(rows)))
        part = rows[a:b]
        columns = (
            np.array([r[0] for r in part], np.int32),
            np.array([r[1] for r in part], np.int64),
            np.array([r[2] for r in part]),
            np.array([r[3] for r in part], np.uint8),
        )
        at = 0
        while at < len(part):
            row, of, worst = (np.zeros(room, np.int32) for _ in range(3))
            ts, stats, values = np.zeros(room, np.int64), np.zeros((room, 17)), np.zeros((room, widest))
            k, at = frames.walk(
                *columns, at, frame, hold, window, np.array(group, np.int32), ptr, members,
                np.array(terms, np.uint8), 2, *state, *groups, cadence, regular, turn,
                row, of, ts, worst, stats, values,
            )  # fmt: skip
            out += [
                (
                    a + int(row[i]),
                    int(of[i]),
                    int(ts[i]),
                    *(int(x) for x in stats[i, :3]),
                    *stats[i, told].tolist(),
                    int(worst[i]),
                    values[i, : group.count(int(of[i]))].tolist(),
                )
                for i in range(k)
            ]
        a = b
    assert str(out) == str(naive_frames(rows, group, terms, frame, hold, window))


@pytest.mark.parametrize(
    ("shift", "jitter", "missing"),
    [(0.0, 0.0, 0.1), (0.0, 0.2, 0.0), (0.0, 0.2, 0.1), (0.5, 0.0, 0.1), (0.4, 0.1, 0.1), (0.9, 0.0, 0.0)],
)
def test_a_frame_is_a_turn_of_the_group_however_its_members_are_spread_over_it(
    shift: float, jitter: float, missing: float
) -> None:
    """``shift``: members one after the other, ``jitter``: clocks of their own; both as shares of the turn."""
    n, m, turn_ms, random = 300, 12, 3_600_000, np.random.default_rng(3)
    at = np.arange(n)[:, None] + np.linspace(0, shift, m) + random.uniform(-jitter, jitter, (n, m))
    kept = random.random((n, m)) >= missing
    ts, order = ((at[kept] + 1000) * turn_ms).astype(np.int64), np.argsort(at[kept], kind="stable")
    slots = np.broadcast_to(np.arange(m, dtype=np.int32), (n, m))[kept][order]
    told = np.broadcast_to(np.arange(float(n))[:, None], (n, m))[kept][order]
    found, turn = _frames_of(slots, ts[order], told, m, 60_000)
    settled = found[-200:]
    mixed = np.nanmax(settled, axis=1) != np.nanmin(settled, axis=1)
    assert not mixed.any()
    assert np.isnan(settled).mean() <= missing + 0.05
    assert turn[0, turning.SPACING] == pytest.approx(turn_ms, rel=0.03)


@pytest.mark.parametrize("jitter", [0.2, 0.4])
def test_what_is_told_at_one_instant_is_one_frame_however_the_clock_jitters(jitter: float) -> None:
    n, m, random = 300, 4, np.random.default_rng(5)
    at = 1_000_000 + ((np.arange(n) + random.uniform(-jitter, jitter, n)) * 1000).astype(np.int64)
    ts, slots, told = np.repeat(at, m), np.tile(np.arange(m, dtype=np.int32), n), np.repeat(np.arange(float(n)), m)
    settled = _frames_of(slots, ts, told, m, 1000)[0][-200:]
    assert not np.isnan(settled).any()
    assert (settled == settled[:, :1]).all()
    assert len(np.unique(settled)) >= 195  # two rows a quarter of a turn apart may be one turn


def _frames_of(slots: Any, ts: Any, told: Any, m: int, frame_ms: int) -> tuple[Any, Any]:
    """Frames of one group of ``m`` members, as judges see them, and what is known of its turn."""
    never = np.full(m, frames.NEVER)
    members = (never, np.full(m, np.nan), never.copy(), never.copy())
    groups = (never[:1].copy(), never[:1].copy(), np.zeros(1, np.int32), np.full((1, 2), np.nan))
    cadence, turn = np.column_stack([np.full(m, np.nan), np.zeros(m)]), np.zeros((1, turning.COLUMNS))
    regular = np.column_stack([np.full(m, np.nan), np.zeros((m, 2))])
    parts, start = [], 0
    while start < len(ts):
        row, of, worst = (np.zeros(len(ts) + 2, np.int32) for _ in range(3))
        when, stats, values = np.zeros(len(ts) + 2, np.int64), np.zeros((len(ts) + 2, 3)), np.zeros((len(ts) + 2, m))
        k, start = frames.walk(
            slots, ts, told, np.zeros(len(ts), np.uint8), start, frame_ms, 3_600_000, 0, np.zeros(m, np.int32),
            np.array([0, m], np.int32), np.arange(m, dtype=np.int32), np.zeros(m, np.uint8), 0, *members, *groups,
            cadence, regular, turn, row, of, when, worst, stats, values,
        )  # fmt: skip
        parts.append(values[:k])
    return np.concatenate(parts), turn


def test_two_of_three_within_a_minute_raise_one_alarm_carried_by_the_last(kit: Any) -> None:
    machine = kit.machine(kit.rule(**K_OF_N), kit.registry([{"group": "A"}] * 3 + [{"group": "B"}] * 2))
    t = kit.t0
    rows = [(0, t, t, 30.0), (3, t, t, 30.0), (1, t + 50_000, t + 50_000, 30.0), (0, t + 100_000, t + 100_000, 1.0)]
    rows += [(2, t + 200_000, t + 200_000, 1.0), (4, t + 200_000, t + 200_000, 30.0)]
    changes = machine.process(kit.record(1, rows))
    assert [(c.kind, c.point, c.raised_at - t, c.value) for c in changes] == [
        ("raised", 1, 50_000, 2.0),
        ("cleared", 1, 50_000, 1.0),  # the first hit is over a minute old
    ]
    assert machine.points == {"gas.ch4.high": 5}


def test_each_alarm_of_a_group_keeps_its_own_carrier(kit: Any) -> None:
    machine = kit.machine(kit.rule(**K_OF_N), kit.registry([{"group": "A"}] * 3))
    t = kit.t0
    times = [(0, 0, 30.0), (1, 1, 30.0), (2, 100, 1.0), (0, 200, 30.0), (2, 201, 30.0), (1, 400, 1.0)]
    rows = [(p, t + s * 1000, t + s * 1000, v) for p, s, v in times]
    changes = machine.process(kit.record(1, rows))
    assert [(c.kind, c.point) for c in changes] == [("raised", 1), ("cleared", 1), ("raised", 2), ("cleared", 2)]


burst = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 30), st.sampled_from([1.0, 30.0])), min_size=2, max_size=30
)


@settings(max_examples=40, deadline=None)
@given(st.lists(burst, min_size=1, max_size=3), st.randoms(use_true_random=False), st.booleans(), st.booleans())
def test_what_is_received_at_one_instant_is_the_same_in_whatever_order_it_is_told(
    kit: Any, bursts: list[list[tuple[int, int, float]]], random: Random, alone: bool, judged: bool
) -> None:
    """A gateway sends at once what it kept: newest first, point by point as a lake tells it, or in any order."""
    params = "{ limit = 25.0, frame_s = 10, window_s = 20, ewma_tau_s = 30 }"
    hit = '"value >= limit AND value > COALESCE(device_c2h6, ewma, 0)"'
    text = kit.rule(**K_OF_N | {"params": params, "hit": hit}) + ("" if alone else kit.rule(id='"a.other"'))
    if judged:  # a rule of which every reading is a frame
        text += kit.rule(**K_OF_N | {"id": '"a.each"', "params": "{ limit = 25.0, frame_s = 0, window_s = 20 }"})
    points = kit.registry([{"group": "A"}, {"group": "A", "device_id": "D1"}, {"device_id": "D1", "quantity": "c2h6"},
                           {"group": "A"}])  # fmt: skip
    records = []
    for k, rows in enumerate(bursts):
        at = kit.t0 + 200_000 * (k + 1)
        told = {(p, kit.t0 + 100_000 * k + 5_000 * s): v for p, s, v in rows}  # a lake has each time of a point once
        records.append([(p, ts, at, v) for (p, ts), v in told.items()])
        records.append([(p, at + 90_000, at + 90_000, 1.0) for p in range(4)])
    said = []
    for order in ("newest first", "by point", "any", "together"):
        machine = kit.machine(text, points)
        told = [sorted(rows, key=lambda r: (r[0], r[1])) for rows in records]
        if order == "newest first":
            told = [sorted(rows, key=lambda r: (-r[1], r[0])) for rows in records]
        elif order == "any":
            told = [random.sample(rows, len(rows)) for rows in records]
        parts = [kit.record(k + 1, rows) for k, rows in enumerate(told)]
        changes = machine.process_all(parts) if order == "together" else [c for p in parts for c in machine.process(p)]
        groups = sorted((c for c in changes if c.rule_id != "a.other"), key=lambda c: c.rule_id)
        said.append([(c.kind, c.point, c.raised_at, c.detected_at, c.value, c.lsn, c.detail) for c in groups])
    assert all(one == said[0] for one in said)


@pytest.mark.parametrize("cut", [1, 3, 99])
def test_an_alarm_of_a_group_tells_the_readings_of_its_carrier(kit: Any, cut: int) -> None:
    """Within the time for which a hit counts, wherever the log was cut, and where no rule over readings looks too."""
    t, told = kit.t0, []
    rows = [(0, t, t, 30.0), (1, t, t, 2.0), (1, t + 5_000, t + 5_000, 3.0), (1, t + 62_000, t + 62_000, 28.0)]
    rows = [*rows, (0, t + 63_000, t + 63_000, 31.0), (1, t + 64_000, t + 64_000, 29.0)]
    for text in (kit.rule(**K_OF_N) + kit.rule(id='"gas.ch4.other"'), kit.rule(**K_OF_N)):
        machine = kit.machine(text, kit.registry([{"group": "A"}] * 2))
        parts = [rows[k : k + cut] for k in range(0, len(rows), cut)]
        changes = [c for k, part in enumerate(parts) for c in machine.process(kit.record(k + 1, part))]
        (raised,) = [c for c in changes if c.kind == "raised" and c.detail and '"hits >= 2"' in c.detail]
        readings = json.loads(raised.detail)["readings"]
        assert all(part[0][1] <= ts <= part[-1][1] for lsn, ts, _ in readings for part in [parts[lsn - 1]])
        told.append((raised.point, [(ts - t, value) for _, ts, value in readings]))
        (other,) = json.loads(raised.detail)["others"]
        assert (other["device_id"], other["quantity"]) == ("D1", "ch4")
        assert [(ts - t, value) for _, ts, value in other["readings"]] == [(5_000, 3.0), (62_000, 28.0)]
        assert all(part[0][1] <= ts <= part[-1][1] for lsn, ts, _ in other["readings"] for part in [parts[lsn - 1]])
    assert told == [(0, [(63_000, 31.0)])] * 2


def test_of_a_large_group_an_alarm_tells_the_members_that_were_hits(kit: Any) -> None:
    """Eight of them at most, of those that were no hits only where there is room."""
    t = kit.t0
    values = [30.0 if p % 3 == 0 else 1.0 for p in range(40)]
    machine = kit.machine(kit.rule(**(K_OF_N | {"raise": '"hits >= 14"'})), kit.registry([{"group": "A"}] * 40))
    changes = machine.process(kit.record(1, [(p, t + p, t + p, value) for p, value in enumerate(values)]))
    (raised,) = [c for c in changes if c.kind == "raised"]
    others = json.loads(raised.detail)["others"]
    assert len(others) == 8
    assert all(value == 30.0 for other in others for _, _, value in other["readings"])
    assert raised.point not in {int(other["device_id"][1:]) for other in others}


def test_members_without_a_group_are_judged_by_device_and_by_zone_only_with_one(kit: Any) -> None:
    points = [{"device_id": "X"}, {"device_id": "X", "quantity": "c2h6"}, {"device_id": "Y"}, {"zone": "Z"}]
    text = kit.rule(**K_OF_N, where='"true"')
    t = kit.t0
    rows = [(p, t, t, 30.0) for p in range(4)]
    (change,) = kit.machine(text, kit.registry(points)).process(kit.record(1, rows))
    assert change.point == 0  # of two hits at one time the first member's
    by_zone = kit.machine(kit.rule(**K_OF_N, where='"true"', group='"zone"'), kit.registry(points))
    assert by_zone.points == {"gas.ch4.high": 1}


def test_a_water_balance_compares_terms(kit: Any) -> None:
    text = kit.rule(
        evaluate='"group"', group='"zone"', where="\"quantity = 'flow'\"",
        terms="{ inlet = \"kind = 'dma-inlet'\", use = \"kind = 'meter'\" }",
        raise_='"inlet_sum - use_sum > limit AND use_n = 2"', clear='"inlet_sum - use_sum <= limit"',
        params="{ limit = 10.0, frame_s = 60 }",
    )  # fmt: skip
    flow = {"quantity": "flow", "zone": "DMA-1"}
    points = [{**flow, "kind": "dma-inlet"}, {**flow, "kind": "meter"}, {**flow, "kind": "meter"}]
    machine, changes = kit.machine(text, kit.registry(points)), []
    for k, values in enumerate([(20, 6, 6), (40, 6, 6), (25, 8, 8)]):
        t = kit.t0 + 60_000 * k
        changes += machine.process(kit.record(k + 1, [(p, t + p, t + p, float(v)) for p, v in enumerate(values)]))
    assert [(c.kind, c.point, c.value) for c in changes] == [("raised", 0, 40.0), ("cleared", 0, 25.0)]


def test_makeup_is_corrected_for_a_loop_that_cools(kit: Any) -> None:
    """The guide's rule: a loop that cools by 4 K/h drinks 1.7 m3/h and has no leak; without cooling it has."""
    guide = Path(__file__).parents[2].joinpath("docs/rules.md").read_text("utf-8")
    block = next(part for part in guide.split("```") if 'id = "heat.loop.balance"' in part)
    keys = tomllib.loads(block.partition("\n")[2])["rule"][0]
    changes = {k: json.dumps(v) for k, v in keys.items() if k not in {"params", "terms", "raise_after", "raise"}}
    changes["raise_"] = json.dumps(keys["raise"])
    inline = ("params", "terms", "raise_after")
    changes |= {k: "{ " + ", ".join(f"{n} = {json.dumps(v)}" for n, v in keys[k].items()) + " }" for k in inline}
    points = [{"utility": "heat", "zone": "L1", "quantity": q} for q in ("makeup_flow", "supply_temp", "return_temp")]
    for cooling, expected in ((4.0, []), (0.0, ["raised"])):
        machine = kit.machine(kit.rule(**changes), kit.registry(points))
        rows = [
            (p, kit.t0 + k * 600_000, kit.t0 + k * 600_000, v)
            for k in range(12)
            for p, v in enumerate((3.0, 60 - cooling * k / 6, 45 - cooling * k / 6))
        ]
        assert [c.kind for c in machine.process(kit.record(1, rows))] == expected


def rig(kit: Any, frames_n: int, wrong_from: int, swing: float = 1.0) -> list[tuple[int, int, int, float]]:
    """Four related signals of one rig each ten seconds; from ``wrong_from`` on the third no longer follows."""
    random = np.random.default_rng(5)
    load = swing * np.sin(np.arange(frames_n) / 7.0)
    rows = []
    for k in range(frames_n):
        t = kit.t0 + 10_000 * k
        noise = random.normal(0, 0.05, 4)
        values = [load[k], 2 * load[k] + 1, -load[k], load[k] * 0.5]
        if k >= wrong_from:
            values[2] = 0.8
        rows += [(p, t, t + p, float(v + e)) for p, (v, e) in enumerate(zip(values, noise, strict=True))]
    return rows


JUDGED = {"evaluate": '"group"', "raise": '"q > 1"', "clear": '"q < 0.8"', "raise_after": "{ samples = 3 }"}


@pytest.mark.parametrize(
    "rule",
    [
        {**JUDGED, "params": "{ frame_s = 10, lags = 1 }", "train": '"30min"', "learn": '"training"'},
        {**JUDGED, "params": "{ frame_s = 10 }", "train": '"30min"'},
        {**JUDGED, "raise": '"drift > limit"', "clear": '"drift < 3"', "params": "{ frame_s = 10, limit = 6 }",
         "train": '"30min"'},
        {**JUDGED, "raise": '"drift_rms > 1.2 * drift_rms_normal"', "clear": '"drift_rms < 1"',
         "params": "{ frame_s = 10 }", "train": '"30min"', "learn": '"training"'},
    ],
    ids=["residual", "residual-follows", "drift-follows", "drift-rms"],
)  # fmt: skip
def test_judges_find_what_stands_out_in_any_batching_and_across_restarts(kit: Any, rule: dict[str, str]) -> None:
    text, registry = kit.rule(**rule), kit.registry([{"group": "rig", "device_id": "R", "quantity": q} for q in "abcd"])
    text = text.replace("where = \"quantity = 'ch4'\"", 'where = "true"')
    rows = rig(kit, 400, 300, swing=0.0 if "drift" in rule["raise"] else 1.0)
    whole = kit.machine(text, registry).process(kit.record(1, rows))
    raised = [c for c in whole if c.kind == "raised"]
    assert raised, "never raised"
    onset = (raised[0].raised_at - kit.t0) // 10_000
    assert 295 <= onset <= 320
    assert raised[0].point == 2
    machine, cut = kit.machine(text, registry), []
    for lsn, a in enumerate(range(0, len(rows), 37), 1):
        cut += machine.process(kit.record(lsn, rows[a : a + 37]))
        if lsn % 7 == 0:
            state = machine.snapshot()
            machine = kit.machine(text, registry)
            machine.restore(state)
    strip = [(c.kind, c.alarm_id, c.value, c.cleared_at, c.detected_at) for c in whole]
    assert [(c.kind, c.alarm_id, c.value, c.cleared_at, c.detected_at) for c in cut] == strip


def test_what_was_learned_before_train_to_is_what_is_normal(kit: Any) -> None:
    text = kit.rule(**JUDGED, params="{ frame_s = 10 }").replace("where = \"quantity = 'ch4'\"", 'where = "true"')
    registry = kit.registry([{"group": "rig", "device_id": "R", "quantity": q} for q in "abcd"])
    rows = rig(kit, 300, 200)
    asleep = kit.machine(text, registry).process(kit.record(1, rows))
    trained = RuleMachine(RuleSet.parse(text), registry, "UTC", train_to=kit.t0 + 1_900_000)
    assert asleep == []  # still in its 14 days of learning
    assert [c.kind for c in trained.process(kit.record(1, rows))][:1] == ["raised"]


def test_points_that_come_later_join_their_group(kit: Any) -> None:
    class Source:
        registry = kit.registry([{"group": "A"}] * 2)

        def current(self) -> Any:
            return self.registry

    source = Source()
    machine = RuleMachine(RuleSet.parse(kit.rule(**K_OF_N)), source, "UTC")
    t = kit.t0
    assert machine.process(kit.record(1, [(0, t, t, 30.0)])) == []
    source.registry = kit.registry([{"group": "A"}] * 4)
    (change,) = machine.process(kit.record(2, [(3, t + 1, t + 1, 30.0)]))
    assert (change.kind, change.point) == ("raised", 3)
    assert machine.process(LogRecord(3, t + 2, kit.readings([]))) == []


def test_a_latched_group_alarm_is_cleared_by_acknowledging_at_its_carrier(kit: Any) -> None:
    machine = kit.machine(kit.rule(**K_OF_N, latch="true"), kit.registry([{"group": "A"}] * 2))
    t = kit.t0
    (raised,) = machine.process(kit.record(1, [(0, t, t, 30.0), (1, t + 1, t + 1, 30.0)]))
    machine.process(kit.record(2, [(0, t + 200_000, t + 200_000, 1.0)]))
    assert machine.acknowledge("gas.ch4.high", 0, raised.raised_at, t) is None
    change = machine.acknowledge("gas.ch4.high", 1, raised.raised_at, t)
    assert change is not None
    assert (change.kind, change.alarm_id) == ("cleared", raised.alarm_id)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"evaluate": '"group"', "raise": '"value > 1"'}, "unknown column value"),
        ({"evaluate": '"group"', "raise": '"hits > 1"', "clear": '"true"', "hit": '"valu > 1"'}, "unknown column valu"),
        ({"hit": '"value > 1"'}, "is for rules over groups"),
        ({"evaluate": '"group"', "group": '"zones"'}, "did you mean zone"),
        ({"evaluate": '"group"', "terms": '{ "a-b" = "true" }'}, "cannot be a term's name"),
        ({"evaluate": '"group"', "terms": '{ a = "kin = 1" }'}, "did you mean kind"),
        ({"evaluate": '"group"', "train": '"soon"'}, "is not a duration"),
        ({"evaluate": '"group"', "params": "{ lags = 99 }"}, "from 0 to 16"),
    ],
)
def test_mistakes_name_the_key_and_the_remedy(kit: Any, changes: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        RuleSet.parse(kit.rule(**changes))


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0, 1, 5, 2**20, 2**45]), st.integers(0, 2**20)), min_size=2),
    st.sampled_from([0, 2**60]),
)
def test_rows_of_instants_are_ordered_by_time_then_point(rows: list[tuple[int, int, int]], start: int) -> None:
    """By one number where all fit into one, and by three columns where they do not."""
    told = sorted(set(rows), key=lambda row: row[0])
    instant, ts, point = (np.array(column) for column in zip(*told, strict=True))
    found = _sorted(instant + 7, ts + start, point.astype(np.int32))
    expected = np.lexsort((point, ts, instant))
    assert (expected if found is None else found).tolist() == expected.tolist()
    assert found is not None or expected.tolist() == list(range(len(told)))
