"""One run of the whole engine in a process of its own, assembled as ``lifeline run`` does it, its books balanced.

    sender (own process) ══ TCP ══► collector ► log ► rules, lake, live values, completeness      (this process)

After a warm-up (kernels loaded from their cache, pools started) the load begins. The end is when every follower has
consumed everything and the engine has stopped cleanly: all Parquet written, all state durable. That is stricter than a
steady rate, by the price of one stop; ``logged`` is when the last reading was acknowledged or, at QoS 0, logged.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.harness import planted, rss_mib_max
from benchmarks.resident import Resident
from benchmarks.site import Child, shift_now, stored, write_config
from benchmarks.streams import rounds_at, sensors_at
from benchmarks.threads import ThreadMeter
from lifeline.app.assembly import assemble
from lifeline.app.memory import settle_allocator
from lifeline.app.site import load_site
from lifeline.app.threads import settle_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lifeline.app.assembly import Assembly
    from simulators.schedule import Shape

WAIT_S: Final = 900.0
"""Far beyond any run: a workload's own end comes first."""
POLL_S: Final = 0.02


@dataclass(frozen=True)
class Load:
    """What is sent."""

    shape: Shape
    qos: int
    window: int = 65_535
    rounds: int = 60
    warm_rounds: int = 2


@dataclass(frozen=True)
class EngineRun:
    """What came of it."""

    readings: int
    messages: int
    seconds: float
    """First byte sent → stopped, everything durable and derived."""
    logged_s: float
    """First byte sent → all acknowledged (QoS 1), or all logged (QoS 0)."""
    followed_s: float
    """First byte sent → every follower has consumed everything."""
    cpu_s: float
    cpu_by_thread: dict[str, float]
    """Until just before the stop."""
    rss_mib: float
    rss_median_mib: float
    lost: int
    hash: str
    alarms: int
    sender_cpu_s: float
    window_waits: int


def run_engine(load: Load, scale: float) -> EngineRun:
    """Measure in a process of its own, in a temporary folder.

    Raises:
        RuntimeError: the run failed (readings lost, doubled or changed; no clean stop); its words are on stderr.
    """
    command = [sys.executable, "-m", "benchmarks.engine_run", json.dumps({**asdict(load), "scale": scale})]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"the engine's run ended with {done.returncode}; its error is above")
    return EngineRun(**json.loads(done.stdout.splitlines()[-1]))


@dataclass(frozen=True)
class Running:
    """An engine under load, and who loads it."""

    assembly: Assembly
    sender: Child
    data: Path
    shift_ms: int
    end: Callable[[], None]
    """Stop the engine now, cleanly."""

    def tell(self, command: str) -> dict[str, Any]:
        """Have the sender do something; what it says afterwards."""
        self.sender.tell(command)
        return self.sender.hear()


@contextmanager
def started(load: Load, scale: float, rounds: int, folder: Path, probes: int = 0) -> Iterator[Running]:
    """An engine in this process, subscribed at a sender that has built its stream; stopped at the end."""
    shift_ms = shift_now()
    arguments = [
        *("--sensors", sensors_at(scale), "--rounds", rounds, "--shape", load.shape, "--qos", load.qos),
        *("--window", load.window, "--shift-ms", shift_ms, "--registry", folder / "sensors.parquet"),
        *("--probes", probes),
    ]
    with Child("benchmarks.sender", arguments) as sender:
        port = sender.hear()["port"]
        site = load_site(write_config(folder, port, load.qos))
        settle_allocator(starting=True)
        settle_threads()
        assembly = assemble(site)
        stop = threading.Event()
        house = threading.Thread(target=assembly.engine.run, args=(stop,), name="house")

        def end() -> None:
            stop.set()
            if house.is_alive():
                house.join()
            assembly.stop()

        try:
            assembly.engine.start()
            house.start()
            sender.hear()
            yield Running(assembly, sender, site.data, shift_ms, end)
        finally:
            end()
            assembly.close()


def _run(load: Load, scale: float, folder: Path) -> EngineRun:
    rounds = rounds_at(scale, load.rounds)
    with started(load, scale, load.warm_rounds + rounds, folder) as running, Resident() as memory:
        assembly = running.assembly
        warm = running.tell(f"go {load.warm_rounds}")["readings"]
        wait_for(assembly, warm)
        machine = assembly.rules._machine  # noqa: SLF001 - where a planted slow-down goes
        machine.process_all = planted("engine", machine.process_all)  # type: ignore[method-assign]

        meter, cpu, began = ThreadMeter(), time.process_time(), time.perf_counter()
        sent = running.tell(f"go {rounds}")
        total = warm + sent["readings"]
        logged_s = wait_for(assembly, total, followed=False, began=began)
        followed_s = wait_for(assembly, total, began=began)
        used = meter.used()
        running.end()
        seconds, cpu_s, rss = time.perf_counter() - began, time.process_time() - cpu, rss_mib_max()
        running.sender.end()
        truth = running.sender.hear()
    assert assembly.clean, "the engine did not stop cleanly"
    found = stored(running.data, running.shift_ms)
    assert found.rows == total, f"{total - found.rows} readings of {total} were lost"
    assert found.hexdigest() == truth["hash"], "what is stored differs from what was sent"
    return EngineRun(
        readings=sent["readings"],
        messages=sent["messages"],
        seconds=seconds,
        logged_s=logged_s,
        followed_s=followed_s,
        cpu_s=cpu_s,
        cpu_by_thread=used,
        rss_mib=rss,
        rss_median_mib=memory.median_mib,
        lost=total - found.rows,
        hash=found.hexdigest(),
        alarms=assembly.rules.alarms_raised,
        sender_cpu_s=sent["cpu_s"],
        window_waits=sent["window_waits"],
    )


def wait_for(assembly: Assembly, readings: int, *, followed: bool = True, began: float = 0.0) -> float:
    """Wait until so many readings are logged (and every follower is there); seconds since ``began``.

    Raises:
        AssertionError: they did not come in time.
    """
    deadline = time.perf_counter() + WAIT_S
    behind: list[str] = []
    while True:
        if assembly.tally.received >= readings:
            # no snapshot before: it takes a millisecond, which the engine would be charged with
            status: dict[str, Any] = assembly.board.snapshot() if followed else {"followers": []}
            behind = [f["name"] for f in status["followers"] if f["position"] < status["log"]["committed"]]
            if not behind:
                return time.perf_counter() - began
        assert time.perf_counter() < deadline, f"{assembly.tally.received} of {readings} readings; behind: {behind}"
        time.sleep(POLL_S)


def main() -> None:
    """One run, its figures as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("load", type=json.loads)
    asked = parser.parse_args().load
    scale = asked.pop("scale")
    with tempfile.TemporaryDirectory(prefix="lifeline-bench-") as name:
        print(json.dumps(asdict(_run(Load(**asked), scale, Path(name)))))


if __name__ == "__main__":
    main()
