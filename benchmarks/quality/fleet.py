"""The simulated city through the standard rules: a training period, seven days that count, and an echo.

Faults of every kind and look-alikes play all the time, in training too: no city is ever whole. Rates are those of a
city that is ``DENSITY`` times as unlucky as the simulator's default, because a small fleet must show enough of each
kind; figures of load are brought back to the city (``Run.city``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.quality.desk import Desk
from benchmarks.quality.score import Score, score
from lifeline.core.batch import LogRecord
from lifeline.core.registry import Registry
from rules.evaluate import RuleMachine
from rules.rule_set import RuleSet
from simulators.faults import FaultSettings
from simulators.fleet import SENSORS, FleetSettings
from simulators.history import History

if TYPE_CHECKING:
    import pyarrow as pa

DAY_MS: Final = 86_400_000
START_MS: Final = 1_795_968_000_000
"""Monday 2026-11-30 00:00 in Zhengzhou, in the heating season."""
SCORED_DAYS: Final = 7
ECHO_DAYS: Final = 3
"""A daily meter that falls silent is missed after two reports."""
TICK_MS: Final = 1_800_000
CITY_FAULTS_PER_HOUR: Final = 12.0
DENSITY: Final = 2.0
TIMEZONE: Final = "Asia/Shanghai"


@dataclass(frozen=True)
class Run:
    """What a run left: the queue, the labels and the score."""

    desk: Desk
    truth: pa.Table
    score: Score
    readings: int
    sensors: int
    start_ms: int
    end_ms: int
    """The scored period."""
    held: frozenset[str] = frozenset()
    """Alarms that stood at its end and told nobody, because another explained them."""

    @property
    def days(self) -> float:
        """Its length."""
        return (self.end_ms - self.start_ms) / DAY_MS

    @property
    def alarms_per_day(self) -> float:
        """Alarms a day that the whole city would have."""
        return self.city(is_true=True) + self.city(is_true=False)

    def city(self, *, is_true: bool) -> float:
        """Alarms a day of the whole city: true ones grow with the faults, false ones with the sensors."""
        count = sum(1 for alarm in self.score.alarms if alarm["is_true"] == is_true)
        if is_true:
            return count / max(len(self.score.faults), 1) * CITY_FAULTS_PER_HOUR * 24
        return count / self.days * SENSORS / self.sensors


def run(
    sensors: int,
    train_days: float,
    *,
    days: float = SCORED_DAYS,
    echo_days: float = ECHO_DAYS,
    density: float = DENSITY,
    seed: int = 1,
    rules: RuleSet | None = None,
) -> Run:
    """Simulate, detect, fold, judge."""
    start = START_MS + round(train_days * DAY_MS)
    end = start + round(days * DAY_MS)
    rate = CITY_FAULTS_PER_HOUR * density * sensors / SENSORS
    history = History(
        FleetSettings(sensors, seed),
        START_MS,
        end + round(echo_days * DAY_MS),
        tick_ms=TICK_MS,
        faults=FaultSettings(faults_per_hour=rate),
        exact=True,
    )
    registry = Registry(history.fleet.points, history.fleet.areas)
    machine = RuleMachine(rules or RuleSet.standard(), registry, TIMEZONE)
    desk = Desk(machine, registry)
    readings, held = 0, None
    for number, batch in enumerate(history.ticks(), 1):
        readings += len(batch)
        received = int(batch.received_at[-1]) if len(batch) else 0
        desk.until(received)
        if held is None and received >= end:
            held = frozenset(desk.held())
        desk.take(machine.process(LogRecord(number, received, batch)))
    truth = history.truth.table()
    judged = score(
        desk.events,
        desk.alarms.values(),
        truth,
        registry,
        start_ms=start,
        end_ms=end,
        wide={rule.id: rule.place for rule in machine.rules.rules if rule.place in {"zone", "gateway"}},
    )
    return Run(desk, truth, judged, readings, sensors, start, end, held or frozenset())
