"""``backtest``: the standard rules over a lake: reading it, bringing it into the order of receipt, judging it.

Ours: what ``lifeline rules backtest`` does with a site's lake: all readings of the published catalog, ordered, looked
at and judged with the rules that come with the program. Rates are per second of CPU; what is paid before the first
reading, binding the rules to the points and loading compiled kernels, is told apart (``bind_cpu_s``: the same over no
readings, run in turns with the others). Baselines: DuckDB sorts the same rows
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

    from rules.backtest import BacktestResult
    from simulators.faults import FaultSettings


RECORDS: Final = 8
LONG_RECORDS, LONG_SHARE = 128, 32
"""A longer history beside it: so many reports of each point, of one sensor in so many."""
LONG_FAULTS: Final = replace(FAULTS, faults_per_hour=FAULTS.faults_per_hour / 60)
"""Faults there at the pace of a day in place of a minute: else half of judging is the evidence of 1,500 alarms."""
RUNS: Final = 5
LEAST_S: Final = 1e-3
"""Of CPU: with hundreds of sensors, judging takes less than binding varies by."""
TARGET: Final = 10e6
UNIT: Final = "readings/s of one core"
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
    rules = RuleSet.standard()
    costs = _in_turns({"ours": lambda: _ours(rules, folder), "plain": lambda: _plain(rules, folder)}, rules, folder)
    for name, prefix in (("ours", "long_"), ("plain", "long_plain_")):
        rates = (rows / cpu_s for cpu_s in _unbound(costs[name], costs["bind"]))
        result.figures[f"{prefix}readings_per_s"] = figure(rates, UNIT)
    result.figures["long_rows"] = Figure(rows, "rows")


def _in_turns(runs: dict[str, Callable[[], object]], rules: RuleSet, folder: Path) -> dict[str, list[Cost]]:
    """What each costs, turn by turn, and binding the rules in each turn; a first turn loads what is compiled."""
    points, _ = lake_history(folder, None, None)
    runs = runs | {"bind": lambda: backtest.run(rules, points, [], ZONE)}
    costs: dict[str, list[Cost]] = {name: [] for name in runs}
    for number in range(RUNS + 1):
        progress(f"turn {number} of {RUNS}" if number else "a first turn, to load what is compiled")
        for name, run in runs.items():
            cost = measure(run)
            if number:
                costs[name].append(cost)
    return costs


def _unbound(costs: list[Cost], bind: list[Cost]) -> list[float]:
    """CPU seconds of runs without binding, which in each turn cost as much."""
    return [max(cost.cpu_s - bound.cpu_s, LEAST_S) for cost, bound in zip(costs, bind, strict=True)]


def _ours(rules: RuleSet, folder: Path) -> BacktestResult:
    points, batches = lake_history(folder, None, None)
    return backtest.run(rules, points, batches, ZONE)


def _plain(rules: RuleSet, folder: Path) -> BacktestResult:
    points, batches = lake_history(folder, None, None)
    return backtest.run(rules, points, iter(batches), ZONE)


def _read(folder: Path) -> int:
    _, lake = lake_history(folder, None, None)
    return sum(len(batch) for batch in lake)


def _measure(result: Result, folder: Path, db: duckdb.DuckDBPyConnection, rows: int) -> None:
    rules, found = RuleSet.standard(), dict[str, Any]()
    runs: dict[str, Callable[[], object]] = {
        "ours": planted("backtest", lambda: found.update(ours=_ours(rules, folder))),
        "plain": lambda: found.update(plain=_plain(rules, folder)),
        "read": lambda: found.update(read=_read(folder)),
        "sort": lambda: db.sql(SORTED).to_arrow_table(),
    }
    costs = _in_turns(runs, rules, folder)
    assert found["read"] == rows, "the lake has lost rows"
    alarms = found["ours"].alarms
    assert alarms.equals(found["plain"].alarms), "looking first has changed alarms"
    ours, plain = (_unbound(costs[name], costs["bind"]) for name in ("ours", "plain"))
    read = [2 * cost.cpu_s for cost in costs["read"]]
    add = result.figures.__setitem__
    add("readings_per_s", figure((rows / cpu_s for cpu_s in ours), UNIT, TARGET))
    add("plain_readings_per_s", figure((rows / cpu_s for cpu_s in plain), UNIT))
    add("read_cpu_us", figure((cpu_s / rows * 1e6 for cpu_s in read), "µs/reading, read twice", better="lower"))
    judged = ((all_ - reading) / rows * 1e6 for all_, reading in zip(ours, read, strict=True))
    add("rules_cpu_us", figure(judged, "µs/reading", better="lower"))
    unbound = [Cost(cost.wall_s, cpu_s) for cost, cpu_s in zip(costs["ours"], ours, strict=True)]
    add("of_sorting", figure(Pairs(unbound, costs["sort"]).ratios(rows, rows, "cpu_s"), "x"))
    add("of_plain", figure((b / a for a, b in zip(ours, plain, strict=True)), "x"))
    add("bind_cpu_s", figure((cost.cpu_s for cost in costs["bind"]), "s", better="lower"))
    add("rows", Figure(rows, "rows"))
    add("rules", Figure(len(rules.rules), "rules"))
    result.peers["duckdb, sorting alone"] = {
        "readings_per_s": figure((rows / cost.cpu_s for cost in costs["sort"]), UNIT).json()
    }
    digest = blake2b(digest_size=16)
    for alarm in alarms.select(["alarm_id", "raised_at", "cleared_at"]).to_pylist():
        digest.update(f"{alarm['alarm_id']} {alarm['raised_at']} {alarm['cleared_at']}\n".encode())
    add("alarms", Figure(alarms.num_rows, "alarms"))
    result.hash = digest.hexdigest()
