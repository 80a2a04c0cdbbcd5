"""``latency``: from a reading on the wire to its event in the queue, idle and with the whole fleet at 1 Hz.

A probe is a methane detector that reports 60 %LEL: the standard rules raise at the first sample. Its device time is
the moment it is handed to the sender's socket; the end is when the governance queue's transaction has returned, that
is when it is durable. Both clocks are this machine's, in milliseconds. Each probe is another device, so each opens its
own alarm. The load is paced by the sender, whatever the engine does (open loop): slices of 10 ms, QoS 1.

*Idle* begins as soon as two rounds of the whole fleet are judged: the engine's first alarms are among its probes, and
so is what it has put off while it started. What making a probe costs the sender is not: it makes one before. Of the
slowest in a hundred it says how long the threads on their way (the sender's too) waited for a core, and how long the
queue's transaction took: the first is the neighbours', the second mostly the disk's.

``--scale`` below 0.02 is 0.02: a smaller fleet has fewer methane detectors than there are probes.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks import resident
from benchmarks.engine_run import Load, started, wait_for
from benchmarks.harness import Figure, Result, ordered_hash, rss_mib_max
from benchmarks.threads import Waits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lifeline.core.alarm import AlarmChange
    from lifeline.core.ports import AlarmSink

SECONDS: Final = 15
PROBES_PER_S: Final = 20
SETTLE_SECONDS: Final = 3
RULE: Final = "gas.ch4.high-high"
SCALE_MIN: Final = 0.02
WAY: Final = ("collect-", "append-", "log", "follow-rules")
"""Threads that a reading meets between the socket and the queue; what they wait for a core is told."""


class _Stopwatch:
    """The queue, and when each probe's alarm was durable in it."""

    def __init__(self, sink: AlarmSink, waits: Waits) -> None:
        self._sink, self._waits = sink, waits
        self.latency_ms: dict[int, float] = {}
        self.waited_ms: dict[int, float] = {}
        """Of it without a core, when it came alone."""
        self.queue_ms: dict[int, float] = {}
        """Of it in the queue's transaction."""

    def apply(self, changes: Sequence[AlarmChange], position: int, now_ms: int) -> list[str]:
        """The queue's, timed."""
        began = time.time_ns() / 1e6
        opened = self._sink.apply(changes, position, now_ms)
        now = time.time_ns() / 1e6
        waited = self._waits.ms()
        for change in changes:
            if change.rule_id == RULE and change.kind == "raised":
                self.latency_ms[change.point] = now - change.raised_at
                self.waited_ms[change.point], self.queue_ms[change.point] = waited, now - began
        return opened

    def wait(self, count: int) -> None:
        """Until so many were stored, five seconds at most: a record counts as consumed before its alarms are."""
        deadline = time.monotonic() + 5
        while len(self.latency_ms) < count and time.monotonic() < deadline:
            time.sleep(0.01)

    def tick(self, now_ms: int) -> list[str]:
        """The queue's."""
        return self._sink.tick(now_ms)

    @property
    def position(self) -> int:
        """The queue's."""
        return self._sink.position


def why_slow(
    latency_ms: Mapping[int, float], waited_ms: Mapping[int, float], queue_ms: Mapping[int, float]
) -> dict[str, Figure]:
    """Of the slowest in a hundred: how long threads on their way had no core, and how long the queue took (medians).

    And the 99th percentile of what is left when the time without a core is taken away: of a machine without neighbours.
    """
    points = list(latency_ms)
    values = np.array([latency_ms[point] for point in points])
    waited = np.array([min(waited_ms[point], latency_ms[point]) for point in points])
    slow = values >= np.percentile(values, 99)
    queue = np.array([queue_ms[point] for point in points])
    return {
        "idle_slow_waited_ms": Figure(float(np.median(waited[slow])), "ms", better="lower"),
        "idle_slow_queue_ms": Figure(float(np.median(queue[slow])), "ms", better="lower"),
        "idle_p99_unwaited_ms": Figure(float(np.percentile(values - waited, 99)), "ms", better="lower"),
    }


def run(scale: float) -> Result:
    """Idle, then loaded."""
    result = Result("latency", scale)
    add = result.figures.__setitem__
    rounds = 2 + SETTLE_SECONDS + SECONDS
    probes = (2 * SECONDS + SETTLE_SECONDS) * PROBES_PER_S
    with (
        tempfile.TemporaryDirectory(prefix="lifeline-bench-") as name,
        started(Load("single", 1), max(scale, SCALE_MIN), rounds, Path(name), probes) as running,
        resident.Resident() as memory,
    ):
        assembly = running.assembly
        waits = Waits(WAY, (running.sender.pid,))
        watch = _Stopwatch(assembly.rules._sink, waits)  # noqa: SLF001 - the queue is where a reading's way ends
        assembly.rules._sink = watch  # noqa: SLF001
        wait_for(assembly, running.tell("go 2")["readings"])
        total = assembly.tally.received
        points: list[int] = []
        for load, command, seconds, p50, p99 in (
            ("idle", "probe", SECONDS, None, 20),
            ("settling", "pace", SETTLE_SECONDS, None, None),
            ("loaded", "pace", SECONDS, 25, 100),
        ):
            known = set(watch.latency_ms)
            sent = running.tell(f"{command} {seconds} {PROBES_PER_S}")
            total += sent["readings"] + sent["probes"]
            wait_for(assembly, total)
            watch.wait(len(known) + sent["probes"])
            found = {point: ms for point, ms in watch.latency_ms.items() if point not in known}
            assert len(found) == sent["probes"], f"{sent['probes'] - len(found)} probes raised no alarm ({load})"
            points += sorted(found)
            if load == "settling":
                continue
            values = np.array(list(found.values()))
            add(f"{load}_p50_ms", Figure(float(np.percentile(values, 50)), "ms", p50, "lower"))
            add(f"{load}_p99_ms", Figure(float(np.percentile(values, 99)), "ms", p99, "lower"))
            add(f"{load}_max_ms", Figure(float(values.max()), "ms", better="lower"))
            add(f"{load}_probes", Figure(len(values), "events"))
            if load == "idle":
                result.figures |= why_slow(found, watch.waited_ms, watch.queue_ms)
            if sent["readings"]:
                add("loaded_readings_per_s", Figure(sent["readings"] / seconds, "readings/s"))
                add("sender_behind_ms", Figure(sent["behind_s"] * 1e3, "ms", better="lower"))
        result.figures |= resident.figures(rss_mib_max(), memory.median_mib)
        running.sender.end()
        running.sender.hear()
    result.hash = ordered_hash([np.array(points)])
    return result
