"""``backtest``: the standard rules over a lake: reading it, bringing it into the order of receipt, judging it.

Ours: what ``lifeline rules backtest`` does with a site's lake: all readings of the published catalog, ordered, looked
at and judged with the rules that come with the program. Rates are per second of CPU; what is paid once a run, binding
the rules to the points, is told apart (``bind_cpu_s``, by a clock around it within the run); opening the lake with its
registry (``open_cpu_s``), paid once too, is not. Baselines: DuckDB sorts the same rows by the same columns and hands
them over, without judging anything; and the same rules judged at every point without a look at the history first
(``plain_…``), whose alarms must be the same.

Two more histories beside it: one of a hundred reports of few points in small files (``long_…``), and one of the whole
fleet (``city_…``), whose rates are of everything the command does, binding and all.

The stream carries faults, so that alarms are raised; the hash is over all of them.
"""

from __future__ import annotations

import gc
import tempfile
from contextlib import closing
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from unittest.mock import patch

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
    from collections.abc import Callable

    import duckdb

    from rules.backtest import BacktestResult
    from simulators.faults import FaultSettings


RECORDS: Final = 8
LONG_RECORDS, LONG_SHARE = 128, 32
"""A longer history beside it: so many reports of each point, of one sensor in so many."""
CITY_RECORDS: Final = 32
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
        rows = _fill(folder, scale / LONG_SHARE, LONG_RECORDS, LONG_FAULTS)
        _measure_beside(result, folder, rows, "long", lambda judged: judged.rest_cpu_s)
    with tempfile.TemporaryDirectory(prefix="lifeline-bench-") as name:
        folder = Path(name)
        rows = _fill(folder, scale, CITY_RECORDS, LONG_FAULTS)
        _measure_beside(result, folder, rows, "city", lambda judged: judged.cost.cpu_s, TARGET)
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


class _Clocked(RuleMachine):
    """A machine that knows what binding its rules has cost."""

    bind_cpu_s = 0.0

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        bound = measure(lambda: super(_Clocked, self).__init__(*arguments, **keywords))
        type(self).bind_cpu_s = bound.cpu_s


class Judged(NamedTuple):
    """A backtest, what it cost, and what of that was binding."""

    result: BacktestResult
    cost: Cost
    bind_cpu_s: float

    @property
    def rest_cpu_s(self) -> float:
        """Without binding."""
        return max(self.cost.cpu_s - self.bind_cpu_s, LEAST_S)


def _judged(work: Callable[[], BacktestResult]) -> Judged:
    found: list[BacktestResult] = []
    gc.collect()  # a command has no machine of an earlier run to take apart
    with patch.object(backtest, "RuleMachine", _Clocked):
        cost = measure(lambda: found.append(work()))
    return Judged(found[0], cost, _Clocked.bind_cpu_s)


def _ours(rules: RuleSet, folder: Path) -> BacktestResult:
    points, batches = lake_history(folder, None, None)
    return backtest.run(rules, points, batches, ZONE)


def _plain(rules: RuleSet, folder: Path) -> BacktestResult:
    points, batches = lake_history(folder, None, None)
    return backtest.run(rules, points, iter(batches), ZONE)


def _read(folder: Path) -> int:
    _, lake = lake_history(folder, None, None)
    return sum(len(batch) for batch in lake)


def _measure_beside(
    result: Result, folder: Path, rows: int, name: str, spent: Callable[[Judged], float], target: float | None = None
) -> None:
    """Another history, both ways; of what was ``spent`` on a run its rate."""
    rules = RuleSet.standard()
    rates: dict[str, list[float]] = {name: [], f"{name}_plain": []}
    for number in range(RUNS + 1):
        progress(f"a {name} history: run {number} of {RUNS}")
        found = _judged(partial(_ours, rules, folder)), _judged(partial(_plain, rules, folder))
        assert found[0].result.alarms.equals(found[1].result.alarms), "looking first has changed alarms"
        if number:
            for one, judged in zip(rates, found, strict=True):
                rates[one].append(rows / spent(judged))
    result.figures[f"{name}_readings_per_s"] = figure(rates[name], UNIT, target)
    result.figures[f"{name}_plain_readings_per_s"] = figure(rates[f"{name}_plain"], UNIT)
    result.figures[f"{name}_rows"] = Figure(rows, "rows")


def _measure(result: Result, folder: Path, db: duckdb.DuckDBPyConnection, rows: int) -> None:
    rules = RuleSet.standard()
    ours, plain = list[Judged](), list[Judged]()
    reading, sorting = list[Cost](), list[Cost]()
    work = planted("backtest", lambda: _ours(rules, folder))
    for number in range(RUNS + 1):
        progress(f"run {number} of {RUNS}" if number else "a first run, to load what is compiled")
        one, naive = _judged(work), _judged(lambda: _plain(rules, folder))
        costs = measure(lambda: _read(folder)), measure(lambda: db.sql(SORTED).to_arrow_table())
        assert one.result.alarms.equals(naive.result.alarms), "looking first has changed alarms"
        if number:
            ours.append(one)
            plain.append(naive)
            reading.append(costs[0])
            sorting.append(costs[1])
    assert _read(folder) == rows, "the lake has lost rows"
    add = result.figures.__setitem__
    add("readings_per_s", figure((rows / one.rest_cpu_s for one in ours), UNIT, TARGET))
    add("plain_readings_per_s", figure((rows / one.rest_cpu_s for one in plain), UNIT))
    pairs = list(zip(ours, plain, reading, strict=True))
    add("of_plain", figure((naive.rest_cpu_s / one.rest_cpu_s for one, naive, _ in pairs), "x"))
    add("read_cpu_us", figure((cost.cpu_s / rows * 1e6 for cost in reading), "µs/reading", better="lower"))
    rest = ((one.rest_cpu_s - read.cpu_s) / rows * 1e6 for one, _, read in pairs)
    add("rules_cpu_us", figure(rest, "µs/reading", better="lower"))
    add(
        "open_cpu_s",
        figure((measure(lambda: lake_history(folder, None, None)).cpu_s for _ in ours), "s", better="lower"),
    )
    unbound = [Cost(one.cost.wall_s, one.rest_cpu_s) for one in ours]
    add("of_sorting", figure(Pairs(unbound, sorting).ratios(rows, rows, "cpu_s"), "x"))
    add("bind_cpu_s", figure((one.bind_cpu_s for one in ours), "s", better="lower"))
    add("plain_bind_cpu_s", figure((one.bind_cpu_s for one in plain), "s", better="lower"))
    add("rows", Figure(rows, "rows"))
    add("rules", Figure(len(rules.rules), "rules"))
    result.peers["duckdb, sorting alone"] = {
        "readings_per_s": figure((rows / cost.cpu_s for cost in sorting), UNIT).json()
    }
    alarms = ours[-1].result.alarms
    digest = blake2b(digest_size=16)
    for alarm in alarms.select(["alarm_id", "raised_at", "cleared_at"]).to_pylist():
        digest.update(f"{alarm['alarm_id']} {alarm['raised_at']} {alarm['cleared_at']}\n".encode())
    add("alarms", Figure(alarms.num_rows, "alarms"))
    result.hash = digest.hexdigest()
