"""``engine``: everything, end to end, over a real loopback socket with the sender on the same cores.

Decode, fsynced log, standard rules, governance queue, last values, completeness, Parquet in Delta, catalog. Three
loads: one reading a message at QoS 0 and at QoS 1, and packs of 100 at QoS 1. What is in the lake afterwards must be,
row for row, what was sent: ``lost`` is measured, and the run fails if it is not 0.

The yardstick for the gate: CPU a reading of the ``json.loads`` loop of ``decode`` over the same packets, in this
process, before and after.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from benchmarks.engine_run import EngineRun, Load, run_engine
from benchmarks.harness import Figure, Result
from benchmarks.workloads.decode import naive_cpu_us

LOADS: Final = {
    "qos0": (Load("single", 0), 1.5e6),
    "qos1": (Load("single", 1), 1.5e6),
    "pack100": (Load("gateway", 1), 2.5e6),
}
CPU_US_TARGET: Final = 0.7


def run(scale: float) -> Result:
    """All loads."""
    return run_loads("engine", scale, LOADS)


def run_loads(workload: str, scale: float, loads: dict[str, tuple[Load, float]]) -> Result:
    """The given loads, one after the other."""
    result = Result(workload, scale)
    digest = blake2b(digest_size=16)
    for name, (load, target) in loads.items():
        naive = naive_cpu_us(scale)
        found = run_engine(load, scale)
        naive = (naive + naive_cpu_us(scale)) / 2
        _report(result, name, found, target, naive)
        digest.update(f"{name} {found.hash}\n".encode())
    result.hash = digest.hexdigest()
    return result


def _report(result: Result, name: str, found: EngineRun, target: float, naive_us: float) -> None:
    add = result.figures.__setitem__
    cpu = found.cpu_s / found.readings * 1e6
    add(f"{name}_readings_per_s", Figure(found.readings / found.seconds, "readings/s", target))
    add(f"{name}_readings_per_s_logged", Figure(found.readings / found.logged_s, "readings/s"))
    add(f"{name}_readings_per_s_followed", Figure(found.readings / found.followed_s, "readings/s"))
    add(f"{name}_cpu_us", Figure(cpu, "µs/reading", CPU_US_TARGET, "lower"))
    add(f"{name}_naive_of_cpu", Figure(naive_us / cpu, "x"))
    add(f"{name}_lost", Figure(found.lost, "readings", 0, "lower"))
    add(f"{name}_readings", Figure(found.readings, "readings"))
    add(f"{name}_alarms", Figure(found.alarms, "alarms"))
    add(f"{name}_rss_mib", Figure(found.rss_mib, "MiB", 1024, "lower"))
    add(f"{name}_sender_cpu_us", Figure(found.sender_cpu_s / found.readings * 1e6, "µs/reading", better="lower"))
    for thread, seconds in sorted(found.cpu_by_thread.items(), key=lambda item: -item[1]):
        share = seconds / found.readings * 1e6
        if share >= 0.001:
            add(f"{name}_cpu_us[{thread}]", Figure(share, "µs/reading", better="lower"))
    if found.window_waits:
        result.notes.append(f"{name}: the sender waited {found.window_waits} times for acknowledgements (window full)")
