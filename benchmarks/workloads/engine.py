"""``engine``: everything, end to end, over a real loopback socket with the sender on the same cores.

Decode, fsynced log, standard rules, governance queue, last values, completeness, Parquet in Delta, catalog. Three
loads: one reading a message at QoS 0 and at QoS 1, and packs of 100 at QoS 1. What is in the lake afterwards must be,
row for row, what was sent: ``lost`` is measured, and the run fails if it is not 0.

The loads come in turns (A B C A B C …): three at the scale of a city and above, one below it, where the gate is. The
yardstick for the gate: CPU a reading of the ``json.loads`` loop of ``decode`` over the same packets, in this process,
before and after each.
"""

from __future__ import annotations

from hashlib import blake2b
from statistics import median
from typing import TYPE_CHECKING, Final

from benchmarks.engine_run import EngineRun, Load, run_engine
from benchmarks.harness import Result, figure, progress
from benchmarks.resident import TARGET_MIB
from benchmarks.workloads.decode import naive_cpu_us

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.harness import Better

LOADS: Final = {
    "qos0": (Load("single", 0), 1.5e6),
    "qos1": (Load("single", 1), 1.5e6),
    "pack100": (Load("gateway", 1), 2.5e6),
}
CPU_US_TARGET: Final = 0.7
TURNS: Final = 3
NAIVE: Final = "json.loads loop"


def run(scale: float) -> Result:
    """All loads."""
    return run_loads("engine", scale, LOADS)


def run_loads(workload: str, scale: float, loads: dict[str, tuple[Load, float]]) -> Result:
    """The given loads, in turns.

    Raises:
        AssertionError: the same load gave other readings in another turn.
    """
    result = Result(workload, scale)
    turns = TURNS if scale >= 1 else 1
    found: dict[str, list[EngineRun]] = {name: [] for name in loads}
    naive: dict[str, list[float]] = {name: [] for name in loads}
    for turn in range(turns):
        for name, (load, _) in loads.items():
            progress(f"turn {turn + 1} of {turns}: {name}")
            before = naive_cpu_us(scale)
            found[name].append(run_engine(load, scale))
            naive[name].append((before + naive_cpu_us(scale)) / 2)
    digest = blake2b(digest_size=16)
    for name, (_, target) in loads.items():
        hashes = {one.hash for one in found[name]}
        assert len(hashes) == 1, f"{name}: the same load gave other readings in another turn"
        digest.update(f"{name} {found[name][0].hash}\n".encode())
        _report(result, name, found[name], target, naive[name])
    result.hash = digest.hexdigest()
    return result


def _report(result: Result, name: str, runs: list[EngineRun], target: float, naive_us: list[float]) -> None:
    def add(
        key: str, values: Iterable[float], unit: str, target: float | None = None, better: Better = "higher"
    ) -> None:
        result.figures[f"{name}_{key}"] = figure(values, unit, target, better)

    cpu = [one.cpu_s / one.readings * 1e6 for one in runs]
    add("readings_per_s", (one.readings / one.seconds for one in runs), "readings/s", target)
    add("readings_per_s_logged", (one.readings / one.logged_s for one in runs), "readings/s")
    add("readings_per_s_followed", (one.readings / one.followed_s for one in runs), "readings/s")
    add("cpu_us", cpu, "µs/reading", CPU_US_TARGET, "lower")
    add("naive_of_cpu", (peer / ours for peer, ours in zip(naive_us, cpu, strict=True)), "x")
    add("lost", (one.lost for one in runs), "readings", 0, "lower")
    add("readings", (one.readings for one in runs), "readings")
    add("alarms", (one.alarms for one in runs), "alarms")
    add("rss_mib", (one.rss_mib for one in runs), "MiB", TARGET_MIB, "lower")
    add("rss_median_mib", (one.rss_median_mib for one in runs), "MiB", better="lower")
    add("sender_cpu_us", (one.sender_cpu_s / one.readings * 1e6 for one in runs), "µs/reading", better="lower")
    shares = {
        thread: [one.cpu_by_thread.get(thread, 0.0) / one.readings * 1e6 for one in runs]
        for thread in {thread for one in runs for thread in one.cpu_by_thread}
    }
    for thread, share in sorted(shares.items(), key=lambda item: -median(item[1])):
        if median(share) >= 0.001:
            add(f"cpu_us[{thread}]", share, "µs/reading", better="lower")
    result.peers.setdefault(NAIVE, {})[f"{name}_cpu_us"] = figure(naive_us, "µs/reading", better="lower").json()
    if waits := max(one.window_waits for one in runs):
        result.notes.append(f"{name}: the sender waited {waits} times for acknowledgements (window full)")
