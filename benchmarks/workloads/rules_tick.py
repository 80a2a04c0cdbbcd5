"""``rules-tick``: one reading of each of 219,300 sensors through the standard rules, tick after tick.

Ours: ``RuleMachine.process`` with the rules that come with the program: selection, features with memory, conditions,
alarm states, clock rules. Baseline: twelve conditions in NumPy, each with its values gathered from a table by point in
random order, without memory of what came before, selection or alarms: a yardstick that no change of ours can move.
(Polars' SQL conditions were tried first: 1.5 ms on two threads is too short to be steady on a shared machine.)

The 21 rules of ``RULES`` are judged, as the workload has always done, and hashed: a library that grows moves neither
figures nor hash. What the whole library costs today stands beside them (``library_one_ms``).

The stream carries faults, fast ones, so that alarms are raised and cleared; the hash is over every change.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.harness import Cost, Figure, Pairs, Result, figure, measure, planted, progress
from benchmarks.records import fleet_records
from benchmarks.registries import FixedRegistry
from benchmarks.streams import Stream, sensors_at
from lifeline.core.batch import LogRecord
from lifeline.core.limits import LINGER_ROWS_MAX
from rules.evaluate import RuleMachine
from rules.rule_set import RuleSet
from simulators.faults import FaultSettings

if TYPE_CHECKING:
    from lifeline.core.alarm import AlarmChange

WARM: Final = 3
TICKS: Final = 9
FAULTS: Final = FaultSettings(faults_per_hour=7200, fault_speed=60, early=8)
SEED: Final = 20260115
CONDITIONS: Final = 12
FILL: Final = 5
"""Readings of every point after which the journal holds as many as it ever does."""
STATE_TARGET: Final = 400.0
"""Bytes of state a point."""
TICK_TARGET_MS: Final = 40.0
"""One reading of each sensor through the whole library."""
KEPT_TARGET_MS: Final = 1_000.0
"""All state written down and taken back."""
RULES: Final = (
    *("device.battery.low", "device.clock", "device.dropout", "device.silence.mass", "device.spikes", "device.stuck"),
    *("gas.ch4.biogas", "gas.ch4.high", "gas.ch4.high-high", "gas.ch4.rise", "gas.cover.opened"),
    *("gas.pressure.high", "gas.pressure.low", "heat.makeup.surge", "heat.room.low", "heat.supply.collapse"),
    *("water.burst.flow", "water.burst.pressure", "water.flow.reverse", "water.leak.noise", "water.pressure.low"),
)


def run(scale: float) -> Result:
    """Ticks of one reading a sensor, then ticks of all quantities, each beside the yardstick."""
    result = Result("rules-tick", scale)
    fleet = Stream(sensors_at(scale), 1).fleet
    registry = FixedRegistry(fleet)
    digest = blake2b(digest_size=16)
    library = RuleSet.standard()
    rules = _chosen(library)
    for shape, lead in (("one", True), ("all", False)):
        progress(f"ticks of {'one reading a sensor' if lead else 'all quantities'}")
        records = fleet_records(fleet, WARM + TICKS, faults=FAULTS, lead=lead)
        machine = RuleMachine(rules, registry, "Asia/Shanghai")
        yardstick = _Yardstick(len(records[0].readings))
        pairs, changes = _ticks(machine, records, yardstick)
        rows = len(records[0].readings)
        add = result.figures.__setitem__
        add(f"{shape}_ms", figure((c.wall_s * 1e3 for c in pairs.ours), "ms/tick", better="lower"))
        add(f"{shape}_cpu_us", figure((c.cpu_s / rows * 1e6 for c in pairs.ours), "µs/reading", better="lower"))
        add(f"{shape}_of_numpy", figure(pairs.ratios(rows, rows, "cpu_s"), "x"))
        add(f"{shape}_rows", Figure(rows, "rows/tick"))
        add(f"{shape}_alarm_changes", Figure(len(changes), "changes"))
        peers = result.peers.setdefault("numpy, 12 conditions, no memory", {})
        peers[f"{shape}_ms"] = figure((c.wall_s * 1e3 for c in pairs.baseline), "ms/tick", better="lower").json()
        for change in changes:
            digest.update(f"{change.kind} {change.alarm_id} {change.detected_at} {change.lsn}\n".encode())
        if lead:
            add("snapshot_ms", figure((measure(machine.snapshot).wall_s * 1e3 for _ in range(3)), "ms", better="lower"))
            add("state_mib", Figure(machine.state_bytes / 2**20, "MiB"))
        whole, _ = _ticks(RuleMachine(library, registry, "Asia/Shanghai"), records, yardstick)
        target = TICK_TARGET_MS if lead else None
        add(f"library_{shape}_ms", figure((c.wall_s * 1e3 for c in whole.ours), "ms/tick", target, better="lower"))
        add(f"library_{shape}_of_numpy", figure(whole.ratios(rows, rows, "cpu_s"), "x"))
    progress("memory of the whole library")
    machine, points = _filled(RuleMachine(library, registry, "Asia/Shanghai"), records), len(registry.current())
    for name, held in machine.memory.items():
        add(f"library_{name}_bytes", Figure(held / points, "B/point", better="lower"))
    add("library_state_bytes", Figure(machine.state_bytes / points, "B/point", STATE_TARGET, better="lower"))
    add("library_snapshot_ms", figure((measure(machine.snapshot).wall_s * 1e3 for _ in range(3)), "ms", better="lower"))
    kept = figure((_kept_ms(library, registry, machine) for _ in range(3)), "ms", KEPT_TARGET_MS, "lower")
    add("library_snapshot_and_restore_ms", kept)
    result.figures["library_rules"] = Figure(len(library.rules), "rules")
    result.hash = digest.hexdigest()
    return result


def _chosen(library: RuleSet) -> RuleSet:
    """The rules of this workload out of the standard ones.

    Raises:
        AssertionError: one is gone; then this is another workload, with another id.
    """
    chosen = RuleSet(tuple(rule for rule in library.rules if rule.id in RULES))
    missing = set(RULES) - {rule.id for rule in chosen.rules}
    assert not missing, f"the standard rules no longer have {sorted(missing)}"
    return chosen


def _ticks(machine: RuleMachine, records: list[LogRecord], yardstick: _Yardstick) -> tuple[Pairs, list[AlarmChange]]:
    """All records in turns with the yardstick; the first ``WARM`` do not count."""
    changes: list[AlarmChange] = []
    ours: list[Cost] = []
    baseline: list[Cost] = []
    for record in records:
        ours.append(measure(planted("rules-tick", lambda record=record: changes.extend(machine.process(record)))))  # type: ignore[misc]
        baseline.append(measure(yardstick.run))
    return Pairs(ours[WARM:], baseline[WARM:]), changes


def _filled(machine: RuleMachine, records: list[LogRecord]) -> RuleMachine:
    """A machine whose journal is full, by records as large as an engine's are under load."""
    lsn = 0
    for record in records[:FILL]:
        for start in range(0, len(record.readings), LINGER_ROWS_MAX):
            lsn += 1
            rows = record.readings.take(slice(start, start + LINGER_ROWS_MAX))
            machine.process(LogRecord(lsn, record.received_at, rows))
    return machine


def _kept_ms(library: RuleSet, registry: FixedRegistry, machine: RuleMachine) -> float:
    """State taken down, and back by a machine that has bound its rules already; both must then be the same."""
    states: list[memoryview] = []
    down = measure(lambda: states.append(machine.snapshot()))
    other = RuleMachine(library, registry, "Asia/Shanghai")
    back = measure(lambda: other.restore(states[0]))
    assert other.snapshot() == states[0], "a machine that took a state back has another"
    return (down.wall_s + back.wall_s) * 1e3


class _Yardstick:
    """Conditions over gathered columns, by NumPy on one thread."""

    def __init__(self, rows: int) -> None:
        random = np.random.default_rng(SEED)
        self._point = random.permutation(rows)
        self._tables = random.normal(20, 10, (CONDITIONS, rows))
        self._limits = random.normal(25, 5, (CONDITIONS, rows))
        self.fired = 0

    def run(self) -> None:
        """All conditions, counted."""
        for table, limit in zip(self._tables, self._limits, strict=True):
            self.fired += int(np.count_nonzero(table[self._point] >= limit[self._point]))
