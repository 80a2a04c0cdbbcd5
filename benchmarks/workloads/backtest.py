"""``backtest``: the standard rules over a lake: reading it, bringing it into the order of receipt, judging it.

Ours: what ``lifeline rules backtest`` does with a site's lake: all readings of the published catalog, ordered, looked
at and judged with the rules that come with the program. Rates are per second of CPU; what is paid before the first
reading, binding the rules to the points and loading compiled kernels, is told apart (``bind_cpu_s``: the same run over
no readings). ``twice_…`` is a history too large to be held, which is read twice. Baselines: DuckDB sorts the same rows
by the same columns and hands them over, without judging anything; and the same rules judged at every point without a
look at the history first (``plain_…``), whose alarms must be the same.

A longer history (``long_…``) beside it tells what a backtest of realistic length costs a reading.

The stream carries faults, so that alarms are raised; the hash is over all of them.
"""

from __future__ import annotations

import tempfile
from contextlib import closing
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.harness import Cost, Figure, Pairs, Result, figure, measure, planted, progress
from benchmarks.records import fleet_records
from benchmarks.streams import Stream, sensors_at
from benchmarks.workloads.rules_tick import FAULTS
from lifeline.app.history import lake_history
from lifeline.app.memory import settle_allocator
from lifeline.lake.catalog import Catalog
from lifeline.lake.query import open_catalog
from lifeline.lake.writer import LakeFollower
from rules import backtest
from rules.rule_set import RuleSet

if TYPE_CHECKING:
    from collections.abc import Callable

    import duckdb

    from lifeline.core.registry import Registry
    from rules.backtest import BacktestResult
    from simulators.faults import FaultSettings


RECORDS: Final = 8
LONG_RECORDS, LONG_SHARE = 128, 32
"""A longer history beside it: so many reports of each point, of one sensor in so many."""
LONG_FAULTS: Final = replace(FAULTS, faults_per_hour=FAULTS.faults_per_hour / 60)
"""Faults there at the pace of a day in place of a minute: else half of judging is the evidence of 1,500 alarms."""
RUNS: Final = 3
LEAST_S: Final = 1e-3
"""Of CPU: with hundreds of sensors, judging takes less than binding varies by."""
TARGET: Final = 10e6
ZONE: Final = "Asia/Shanghai"
SORTED: Final = (
    "SELECT point, epoch_ms(ts) AS ts, epoch_ms(received_at) AS received_at, value, seq, quality, flags "
    "FROM readings_raw ORDER BY received_at, point, ts, seq"
)


def run(scale: float) -> Result:
    """A lake of a few reports of every point, judged again and again; then one of many reports of few points."""
    settle_allocator(starting=True)  # as the command does
    result = Result("backtest", scale)
    with tempfile.TemporaryDirectory(prefix="lifeline-bench-") as name:
        folder = Path(name)
        rows = _fill(folder, scale, RECORDS, FAULTS)
        with closing(open_catalog(folder)) as db:
            _measure(result, folder, db, rows)
    with tempfile.TemporaryDirectory(prefix="lifeline-bench-") as name:
        folder = Path(name)
        _measure_long(result, folder, _fill(folder, scale / LONG_SHARE, LONG_RECORDS, LONG_FAULTS))
    return result


def _fill(folder: Path, scale: float, records: int, faults: FaultSettings) -> int:
    """Make a lake; returns its rows."""
    progress("filling the lake")
    fleet = Stream(sensors_at(scale), 1).fleet
    catalog = Catalog(folder, grace_ms=0)
    catalog.publish_table("points", fleet.points)
    lake = LakeFollower(folder, catalog, compact=False, grace_ms=0)
    rows = 0
    for record in fleet_records(fleet, records, faults=faults):
        lake.consume([record])
        lake.flush()
        rows += len(record.readings)
    lake.close()
    catalog.publish()
    return rows


def _measure_long(result: Result, folder: Path, rows: int) -> None:
    """What a reading costs where points, registry and rules' first pages are paid by a hundred readings a point."""
    rules, rates, plain = RuleSet.standard(), list[float](), list[float]()
    points, _ = lake_history(folder, None, None)
    bind = _bind(rules, points)
    for number in range(RUNS + 1):
        progress(f"a longer history: run {number} of {RUNS}")
        ours, naive = measure(lambda: _whole(rules, folder)), measure(lambda: _plain(rules, folder))
        if number:
            rates.append(rows / max(ours.cpu_s - bind, LEAST_S))
            plain.append(rows / max(naive.cpu_s - bind, LEAST_S))
    result.figures["long_readings_per_s"] = figure(rates, "readings/s of one core")
    result.figures["long_plain_readings_per_s"] = figure(plain, "readings/s of one core")
    result.figures["long_rows"] = Figure(rows, "rows")


def _bind(rules: RuleSet, points: Registry) -> float:
    """CPU of a run over no readings: the least of some, so that what is taken off is not too much."""
    return min(measure(lambda: backtest.run(rules, points, [], ZONE)).cpu_s for _ in range(RUNS + 1))


def _whole(rules: RuleSet, folder: Path, held: int = backtest.HELD_MAX) -> BacktestResult:
    points, batches = lake_history(folder, None, None)
    return backtest.run(rules, points, backtest.looked(points, batches, held), ZONE)


def _plain(rules: RuleSet, folder: Path) -> BacktestResult:
    points, batches = lake_history(folder, None, None)
    return backtest.run(rules, points, iter(batches), ZONE)


def _read(folder: Path) -> int:
    _, lake = lake_history(folder, None, None)
    return sum(len(batch) for batch in lake)  # none is held


def _measure(result: Result, folder: Path, db: duckdb.DuckDBPyConnection, rows: int) -> None:
    rules, found = RuleSet.standard(), dict[str, Any]()
    costs: dict[str, list[Cost]] = {name: [] for name in ("whole", "twice", "plain", "read", "sort")}
    runs: dict[str, Callable[[], Any]] = {
        "whole": planted("backtest", lambda: _whole(rules, folder)),
        "twice": lambda: _whole(rules, folder, 0),
        "plain": lambda: _plain(rules, folder),
        "read": lambda: _read(folder),
        "sort": lambda: db.sql(SORTED).to_arrow_table(),
    }
    for number in range(RUNS + 1):
        progress(f"run {number} of {RUNS}" if number else "a first run, to load what is compiled")
        for name, run in runs.items():

            def kept(name: str = name, run: Callable[[], Any] = run) -> None:
                found[name] = run()

            cost = measure(kept)
            if number:
                costs[name].append(cost)
    assert found["read"] == rows, "the lake has lost rows"
    alarms = found["whole"].alarms
    assert alarms.equals(found["plain"].alarms), "looking first has changed alarms"
    assert alarms.equals(found["twice"].alarms), "reading twice has changed alarms"
    bind = _bind(rules, lake_history(folder, None, None)[0])
    left = {name: [max(cost.cpu_s - bind, LEAST_S) for cost in costs[name]] for name in ("whole", "twice", "plain")}
    add = result.figures.__setitem__
    unit = "readings/s of one core"
    add("readings_per_s", figure((rows / cpu_s for cpu_s in left["whole"]), unit, TARGET))
    add("twice_readings_per_s", figure((rows / cpu_s for cpu_s in left["twice"]), unit))
    add("plain_readings_per_s", figure((rows / cpu_s for cpu_s in left["plain"]), unit))
    add("read_cpu_us", figure((cost.cpu_s / rows * 1e6 for cost in costs["read"]), "µs/reading", better="lower"))
    rest = ((all_ - read.cpu_s) / rows * 1e6 for all_, read in zip(left["whole"], costs["read"], strict=True))
    add("rules_cpu_us", figure(rest, "µs/reading", better="lower"))
    less = [Cost(cost.wall_s - bind, cpu_s) for cost, cpu_s in zip(costs["whole"], left["whole"], strict=True)]
    add("of_sorting", figure(Pairs(less, costs["sort"]).ratios(rows, rows, "cpu_s"), "x"))
    add("of_plain", figure((a / b for a, b in zip(left["plain"], left["whole"], strict=True)), "x"))
    add("bind_cpu_s", Figure(bind, "s", better="lower"))
    add("rows", Figure(rows, "rows"))
    add("rules", Figure(len(rules.rules), "rules"))
    result.peers["duckdb, sorting alone"] = {
        "readings_per_s": figure((rows / c.cpu_s for c in costs["sort"]), "readings/s of one core").json()
    }
    digest = blake2b(digest_size=16)
    for alarm in alarms.select(["alarm_id", "raised_at", "cleared_at"]).to_pylist():
        digest.update(f"{alarm['alarm_id']} {alarm['raised_at']} {alarm['cleared_at']}\n".encode())
    add("alarms", Figure(alarms.num_rows, "alarms"))
    result.hash = digest.hexdigest()
