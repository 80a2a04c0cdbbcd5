"""``recovery``: ``kill -9`` under full load, and how long until alarms live again; and an ordinary start, caches warm.

The load is the whole fleet at 1 Hz, one reading a message, QoS 1, open loop, with probes as in ``latency``: detectors
that report explosive gas, each another device. The process that is killed is ``lifeline run`` as a user starts it. The
sender is a broker with a persistent session: what was not acknowledged comes again when the engine is back.

``alarms_live_s``: from the start of the new process (Python not yet loaded) until an outsider sees, in the queue's
database, an alarm for a probe sent after that start. ``first_ack_s``: from the same moment until the first PUBACK.
Kills come at different ages of the rules' snapshot; the slowest counts. In the end every reading is stored, once, and
every probe has raised its alarm; the hash is over which alarms there were before the first kill, as the number of later
probes depends on the machine.

``--scale`` below 0.03 is 0.03: a smaller fleet has fewer methane detectors than there are probes.
"""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks import resident
from benchmarks.harness import Figure, Result, figure, ordered_hash, progress
from benchmarks.site import Child, shift_now, stored, write_config
from benchmarks.site_process import SiteProcess
from benchmarks.streams import sensors_at
from benchmarks.workloads.latency import RULE

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS_MAX: Final = 80
"""Of load; it ends when alarms live again after the last kill."""
PROBES_PER_S: Final = 10
KILLS_S: Final = (7.0, 5.0, 9.5)
"""Seconds of work before each kill; the last is just before a snapshot falls due."""
START_SECONDS: Final = 4
TARGET_S: Final = 3.0
SCALE_MIN: Final = 0.03
WAIT_S: Final = 60.0


def run(scale: float) -> Result:
    """Ordinary starts, then kills."""
    result = Result("recovery", scale)
    with tempfile.TemporaryDirectory(prefix="lifeline-bench-") as name:
        folder = Path(name)
        shift_ms = shift_now()
        seconds = SECONDS_MAX + 2 * START_SECONDS
        arguments = [
            *("--sensors", sensors_at(min(max(scale, SCALE_MIN), 1.0)), "--rounds", seconds),
            *("--shape", "single", "--qos", 1),
            *("--shift-ms", shift_ms, "--registry", folder / "sensors.parquet"),
            *("--probes", seconds * PROBES_PER_S),
        ]
        progress("building the stream")
        with Child("benchmarks.sender", arguments) as sender:
            site = SiteProcess(write_config(folder, sender.hear()["port"], 1))
            with site:
                progress("a first start, with an empty data directory")
                site.start()
                with resident.Resident(lambda: site.pid) as memory:
                    alarmed, total = _measure(result, site, sender)
            result.figures |= resident.figures(site.rss_mib_max, memory.median_mib)
            sender.end()
            truth = sender.hear()
        found = stored(folder / "var", shift_ms)
    assert found.rows == total, f"{total - found.rows} readings of {total} were lost, or stored twice"
    assert found.hexdigest() == truth["hash"], "what is stored differs from what was sent"
    result.figures["lost"] = Figure(total - found.rows, "readings", 0, "lower")
    result.figures["acknowledged"] = Figure(total, "readings")
    result.hash = ordered_hash([alarmed])
    return result


def _measure(result: Result, site: SiteProcess, sender: Child) -> tuple[np.ndarray[Any, Any], int]:
    """All starts, the first of which is under way; the points that raised alarms, and how many readings were sent."""
    add = result.figures.__setitem__
    total = probes = 0

    def send(seconds: int) -> dict[str, Any]:
        nonlocal total, probes
        sender.tell(f"pace {seconds} {PROBES_PER_S}")
        sent = sender.hear()
        total += sent["readings"] + sent["probes"]
        probes += sent["probes"]
        return sent

    sender.hear()
    sent = send(START_SECONDS)
    add("first_start_ack_s", Figure((sent["first_acks_ms"][-1] - site.started_at_ms) / 1e3, "s", better="lower"))
    site.wait("caught up")
    site.stop()

    progress("a start after a clean stop")
    site.start()
    sent = send(START_SECONDS)
    add("start_ack_s", Figure((sent["first_acks_ms"][-1] - site.started_at_ms) / 1e3, "s", TARGET_S, "lower"))

    alarmed = _alarmed(site, probes)

    over = threading.Event()
    outcome: list[dict[str, Any]] = []

    def load() -> None:
        while not over.is_set() and len(outcome) < SECONDS_MAX:
            outcome.append(send(1))

    loading = threading.Thread(target=load, name="load")
    loading.start()
    try:
        starts = _kill(result, site)
    finally:
        over.set()
        loading.join()
    site.wait("caught up")
    _alarmed(site, probes)
    add("readings_per_s", figure((sent["readings"] for sent in outcome), "readings/s"))
    add("redelivered", Figure(outcome[-1]["resent"], "messages"))
    acks = outcome[-1]["first_acks_ms"][-len(KILLS_S) :]
    waits = ((ack - start) / 1e3 for ack, start in zip(acks, starts, strict=True))
    add("first_ack_s", figure(waits, "s", better="lower"))
    site.stop()
    return alarmed, total


def _kill(result: Result, site: SiteProcess) -> list[int]:
    """All kills; when each new process was started, epoch ms."""
    alive, cpu, dead, starts = [], [], [], []
    for number, seconds in enumerate(KILLS_S, 1):
        time.sleep(seconds)
        killed = time.perf_counter()
        site.kill()
        site.start()
        starts.append(site.started_at_ms)
        alive.append(_wait(lambda: max(site.alarms(RULE).values(), default=0) > site.started_at_ms))
        cpu.append(site.cpu_s)
        dead.append(time.perf_counter() - killed)
        progress(f"kill -9, {number} of {len(KILLS_S)}: alarms live again after {alive[-1]:.1f} s")
    worst = Figure(max(alive), "s", TARGET_S, "lower", min(alive), max(alive), len(alive))
    result.figures["alarms_live_s"] = worst
    result.figures["alarms_live_cpu_s"] = figure(cpu, "s of CPU", better="lower")
    result.figures["without_alarms_s"] = figure(dead, "s", better="lower")
    return starts


def _alarmed(site: SiteProcess, probes: int) -> np.ndarray[Any, Any]:
    """The points of all probes so far; each must have raised its alarm."""
    _wait(lambda: len(site.alarms(RULE)) >= probes)
    points = np.array(sorted(site.alarms(RULE)))
    assert len(points) == probes, f"{len(points)} alarms of {probes} probes"
    return points


def _wait(condition: Callable[[], bool]) -> float:
    began = time.perf_counter()
    while not condition():
        assert time.perf_counter() < began + WAIT_S, f"nothing after {WAIT_S:.0f} s"
        time.sleep(0.01)
    return time.perf_counter() - began
