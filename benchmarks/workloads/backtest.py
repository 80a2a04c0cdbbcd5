"""``backtest``: the standard rules over a lake: reading it, bringing it into the order of receipt, judging it.

Ours: what ``lifeline rules backtest`` does with a site's lake: all readings of the published catalog, ordered, through
the rules that come with the program. Rates are per second of CPU; binding the rules to the points and loading compiled
kernels, paid once a run, is told apart (``bind_cpu_s``). Baseline: DuckDB sorts the same rows by the same columns and
hands them over, without judging anything.

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
from rules.evaluate import RuleMachine
from rules.rule_set import RuleSet

if TYPE_CHECKING:
    import duckdb

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
    rules, rates = RuleSet.standard(), []
    points, _ = lake_history(folder, None, None)
    bind = measure(lambda: RuleMachine(rules, points, ZONE)).cpu_s
    for number in range(RUNS + 1):
        progress(f"a longer history: run {number} of {RUNS}")
        cost = measure(lambda: _whole(rules, folder))
        if number:
            rates.append(rows / max(cost.cpu_s - bind, LEAST_S))
    result.figures["long_readings_per_s"] = figure(rates, "readings/s of one core")
    result.figures["long_rows"] = Figure(rows, "rows")


def _whole(rules: RuleSet, folder: Path) -> None:
    points, batches = lake_history(folder, None, None)
    backtest.run(rules, points, batches, ZONE)


def _measure(result: Result, folder: Path, db: duckdb.DuckDBPyConnection, rows: int) -> None:
    rules, found = RuleSet.standard(), dict[str, Any]()
    reading: list[Cost] = []
    judging: list[Cost] = []
    sorting: list[Cost] = []

    def read() -> None:
        found["points"], found["lake"] = lake_history(folder, None, None)
        found["rows"] = sum(len(batch) for batch in found["lake"])  # none is held, as in a backtest

    def judge() -> None:
        found["result"] = backtest.run(rules, found["points"], found["batches"], ZONE)

    for number in range(RUNS + 1):
        progress(f"run {number} of {RUNS}" if number else "a first run, to load what is compiled")
        spent = measure(planted("backtest", read))
        found["batches"] = list(found["lake"])
        costs = (
            spent,
            measure(planted("backtest", judge)),
            measure(lambda: db.sql(SORTED).to_arrow_table()),
        )
        if number:
            for list_, cost in zip((reading, judging, sorting), costs, strict=True):
                list_.append(cost)
    assert found["rows"] == rows, "the lake has lost rows"
    bind = measure(lambda: RuleMachine(rules, found["points"], ZONE)).cpu_s
    judged = [max(cost.cpu_s - bind, LEAST_S) for cost in judging]
    whole = [Cost(a.wall_s + b.wall_s, a.cpu_s + b.cpu_s) for a, b in zip(reading, judging, strict=True)]
    add = result.figures.__setitem__
    rates = (rows / (read.cpu_s + judge_s) for read, judge_s in zip(reading, judged, strict=True))
    add("readings_per_s", figure(rates, "readings/s of one core", TARGET))
    add("read_cpu_us", figure((c.cpu_s / rows * 1e6 for c in reading), "µs/reading", better="lower"))
    add("rules_cpu_us", figure((judge_s / rows * 1e6 for judge_s in judged), "µs/reading", better="lower"))
    add("of_sorting", figure(Pairs(whole, sorting).ratios(rows, rows, "cpu_s"), "x"))
    add("bind_cpu_s", Figure(bind, "s", better="lower"))
    add("rows", Figure(rows, "rows"))
    add("rules", Figure(len(rules.rules), "rules"))
    result.peers["duckdb, sorting alone"] = {
        "readings_per_s": figure((rows / c.cpu_s for c in sorting), "readings/s of one core").json()
    }
    digest = blake2b(digest_size=16)
    for alarm in found["result"].alarms.select(["alarm_id", "raised_at", "cleared_at"]).to_pylist():
        digest.update(f"{alarm['alarm_id']} {alarm['raised_at']} {alarm['cleared_at']}\n".encode())
    add("alarms", Figure(found["result"].alarms.num_rows, "alarms"))
    result.hash = digest.hexdigest()
