"""The figures of a run over the simulated fleet, as a benchmark's result."""

from __future__ import annotations

import time
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from benchmarks.harness import Figure, Result
from benchmarks.quality import load as console
from benchmarks.quality.fleet import SCORED_DAYS, run
from benchmarks.quality.load import ALARMS_A_DAY, CONSOLES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.quality.fleet import Run

SPLIT: Final = {"red": 0.01, "orange": 0.05, "yellow": 0.15}
"""Largest shares of the alarms by priority (ISA-18.2: 80 / 15 / 5 / under 1 %)."""


def measure(name: str, scale: float, sensors: int, train_days: float) -> Result:
    """Run and report; the hash is over every alarm."""
    began = time.process_time()
    found = run(sensors, train_days)
    cpu_s = time.process_time() - began
    result = Result(name, scale)
    result.figures |= _figures(found) | {"cpu_us": Figure(cpu_s / found.readings * 1e6, "µs/reading", None, "lower")}
    result.notes += [_line(kind, row) for kind, row in found.score.by_kind().items()]
    levels = ", ".join(f"{level} {share:.1%}" for level, share in found.score.levels().items())
    worth = ", ".join(f"{level} {share:.1%}" for level, share in found.score.worth().items())
    result.notes.append(
        f"{found.readings:,} readings; alarms by level: {levels}; faults by what they are worth: {worth}"
    )
    digest = blake2b(digest_size=16)
    for alarm in found.desk.alarms:
        digest.update(alarm.encode())
    result.hash = digest.hexdigest()
    return result


def _figures(found: Run) -> dict[str, Figure]:
    score = found.score
    kinds = score.by_kind().values()
    named = sum(row["named"] for row in kinds) / max(len(score.faults), 1)
    load = found.alarms_per_day
    figures = {
        "recall": Figure(score.recall, "share of faults", 0.95),
        "recall_least": Figure(min((row["recall"] for row in kinds), default=0.0), "share, worst kind"),
        "named": Figure(named, "share of faults"),
        "precision": Figure(score.precision, "share of events", 0.9),
        "lookalikes_quiet": Figure(score.quiet, "share", 1.0),
        "events_false": Figure(len(score.false) / SCORED_DAYS, "events/day", None, "lower"),
        "alarms_of_city": Figure(load, "alarms/day", ALARMS_A_DAY * CONSOLES, "lower"),
        "alarm_budget": Figure(ALARMS_A_DAY * CONSOLES / max(load, 1e-9), "times the load", 1.0),
        "faults": Figure(len(score.faults), "faults"),
        "lookalikes": Figure(len(score.lookalikes), "look-alikes"),
    }
    figures |= console.figures(
        score.alarms, found.start_ms, found.end_ms, load * found.days / max(len(score.alarms), 1), found.held
    )
    figures |= {
        "overrated": Figure(score.overrated, "share of alarms", 0.05, "lower"),
        "underrated": Figure(score.underrated, "share of faults", 0.05, "lower"),
    }
    figures |= {f"delay_{kind}": _delays(row) for kind, row in score.by_kind().items() if row["found"]}
    levels = score.levels()
    return figures | {level: Figure(levels[level], "share of alarms", most, "lower") for level, most in SPLIT.items()}


def _delays(row: Mapping[str, Any]) -> Figure:
    """The median in minutes; the upper extreme is the 95th percentile."""
    median, high = row["median_delay_s"] / 60, row["p95_delay_s"] / 60
    return Figure(median, "min, p95 above", None, "lower", low=median, high=high, runs=row["found"])


def _line(kind: str, row: Mapping[str, Any]) -> str:
    line = f"{kind}: {row['found']} of {row['faults']} found, {row['named']} named"
    if row["found"]:
        line += f"; delay median {_delay(row['median_delay_s'])}, p95 {_delay(row['p95_delay_s'])}"
    return line


def _delay(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.0f} s"
