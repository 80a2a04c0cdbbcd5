"""``backtest``: the standard rules over a lake: reading it, bringing it into the order of receipt, judging it.

Ours: what ``lifeline rules backtest`` does with a site's lake: all readings of the published catalog, ordered, through
the rules that come with the program. Rates are per second of CPU; binding the rules to the points and loading compiled
kernels, paid once a run, is told apart (``bind_cpu_s``). Baseline: DuckDB sorts the same rows by the same columns and
hands them over, without judging anything.

The stream carries faults, so that alarms are raised; the hash is over all of them.
"""

from __future__ import annotations

import tempfile
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.harness import Cost, Figure, Pairs, Result, figure, measure, planted, progress
from benchmarks.records import fleet_records
from benchmarks.streams import Stream, sensors_at
from benchmarks.workloads.rules_tick import FAULTS
from lifeline.app.history import lake_history
from lifeline.lake.catalog import Catalog
from lifeline.lake.query import open_catalog
from lifeline.lake.writer import LakeFollower
from rules import backtest
from rules.evaluate import RuleMachine
from rules.rule_set import RuleSet

if TYPE_CHECKING:
    import duckdb


RECORDS: Final = 8
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
    """A lake of a few reports of every point, read and judged again and again."""
    result = Result("backtest", scale)
    fleet = Stream(sensors_at(scale), 1).fleet
    progress("filling the lake")
    with tempfile.TemporaryDirectory(prefix="lifeline-bench-") as name:
        folder = Path(name)
        catalog = Catalog(folder, grace_ms=0)
        catalog.publish_table("points", fleet.points)
        lake = LakeFollower(folder, catalog, compact=False, grace_ms=0)
        rows = 0
        for record in fleet_records(fleet, RECORDS, faults=FAULTS):
            lake.consume([record])
            lake.flush()
            rows += len(record.readings)
        lake.close()
        catalog.publish()
        with closing(open_catalog(folder)) as db:
            _measure(result, folder, db, rows)
    return result


def _measure(result: Result, folder: Path, db: duckdb.DuckDBPyConnection, rows: int) -> None:
    rules, found = RuleSet.standard(), dict[str, Any]()
    reading: list[Cost] = []
    judging: list[Cost] = []
    sorting: list[Cost] = []

    def read() -> None:
        points, batches = lake_history(folder, None, None)
        found["points"], found["batches"] = points, list(batches)

    def judge() -> None:
        found["result"] = backtest.run(rules, found["points"], found["batches"], ZONE)

    for number in range(RUNS + 1):
        progress(f"run {number} of {RUNS}" if number else "a first run, to load what is compiled")
        costs = (
            measure(planted("backtest", read)),
            measure(planted("backtest", judge)),
            measure(lambda: db.sql(SORTED).to_arrow_table()),
        )
        if number:
            for list_, cost in zip((reading, judging, sorting), costs, strict=True):
                list_.append(cost)
    assert sum(len(batch) for batch in found["batches"]) == rows, "the lake has lost rows"
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
