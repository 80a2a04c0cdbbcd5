"""``lifeline demo``: the main job on one machine, and the balanced books of it.

embedded broker ◄── simulated city (a process of its own, real MQTT, QoS 1)
      │
      └──► engine in this process ──► log, rules, queue, lake ──► published = logged + repeats + rejected
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil

from lifeline.app.draining import drain
from lifeline.app.identity import demo_words
from lifeline.app.run import running, stop_on_signals
from lifeline.app.site import load_site
from lifeline.app.truth import balance
from lifeline.core.errors import ConfigurationError, Problem, UnavailableError
from lifeline.lake.query import open_catalog
from simulators.registry import write_registry

if TYPE_CHECKING:
    import threading

    from lifeline.app.assembly import Assembly
    from lifeline.app.run import Line

FAULTS_PER_HOUR: Final = 900.0
FAULT_SPEED: Final = 20.0
"""In a demo a fault every four seconds, and what takes a leak twenty minutes takes it one."""
SIMULATOR_STOP_S: Final = 30.0
SUBSCRIBE_S: Final = 60.0
"""A machine that compiles takes its time to subscribe; a broker that grants nothing is seen in the status."""
LOOK_S: Final = 0.05

CONFIG: Final = """\
# Written by `lifeline demo`. `lifeline status -c {path}` and all other commands work on it.
[site]
name = "Zhengzhou (simulated)"
timezone = "Asia/Shanghai"
data_dir = "var"

[[broker]]
name = "demo"
url = "embedded"
listen = "127.0.0.1:{broker_port}"
client_id = "lifeline-demo"
subscribe = [{{ filter = "lifeline/#", qos = 1, payload = "lifeline" }}]

[registry]
file = "sensors.parquet"
areas = "sensors.areas.parquet"

[rules]
files = ["rules/*.toml"]

[governance]
database = "sqlite:///governance.db"

[http]
listen = "127.0.0.1:{console_port}"

[metrics]
listen = "127.0.0.1:0"
"""


@dataclass(frozen=True)
class DemoSettings:
    """What the command line asks for."""

    seconds: float | None = None
    sensors: int = 219_300
    interval_s: float = 10.0
    directory: Path | None = None
    console_port: int | None = 8600
    """None: no console; 0: a free port."""
    seed: int = 1


def run_demo(settings: DemoSettings, line: Line) -> dict[str, Any]:
    """Run until the seconds are over or Ctrl-C, then balance the books (keys: contract, section 2).

    Raises:
        ConfigurationError: the folder is not empty.
        UnavailableError: a port is taken, or the simulator failed.
    """
    directory = _new_folder(settings.directory)
    line.say(f"building a city of {settings.sensors:,} sensors …")
    config, console_port = _write_site(directory, settings)
    process = psutil.Process()
    with stop_on_signals() as stop:
        with running(config, console_port=console_port) as assembly:
            if console_port is not None:
                for words in demo_words(load_site(config)):
                    line.say(words)
            _await_subscription(assembly, stop)
            started, cpu_before = time.monotonic(), sum(process.cpu_times()[:2])
            simulator = _start_simulator(assembly.broker_urls["demo"], directory, settings)
            try:
                _watch(assembly, stop, simulator, settings.seconds, line)
                published = _finish_simulator(simulator)
                stop.clear()  # whoever presses Ctrl-C again waits no longer
                drained = drain(assembly.board.publish, published["readings"], line, cut=stop.is_set)
            finally:
                line.close()
                _end(simulator)
            elapsed = time.monotonic() - started
            status = assembly.board.snapshot()
            cpu_s = sum(process.cpu_times()[:2]) - cpu_before
        closed = drained and assembly.clean
        summary = _books(config, directory, published, status, closed=closed, until_ms=status["at"])
    return summary | {
        "readings_per_s": round(status["received"] / elapsed, 1),
        "engine_cpu_s": round(cpu_s, 2),
        "elapsed_s": round(elapsed, 1),
        "clean_stop": assembly.clean,
        "directory": str(directory),
        "config": str(config),
        "console": None if console_port is None else f"http://127.0.0.1:{console_port}",
    }


def _new_folder(directory: Path | None) -> Path:
    if directory is None:
        return Path(tempfile.mkdtemp(prefix="lifeline-demo-"))
    if directory.exists() and any(directory.iterdir()):
        remedy = "give a new folder, or go on with it: lifeline run -c FOLDER/lifeline.toml"
        raise ConfigurationError([Problem("command line", "--data", f"{directory} is not empty", remedy)])
    directory.mkdir(parents=True, exist_ok=True)
    return directory.absolute()


def _write_site(directory: Path, settings: DemoSettings) -> tuple[Path, int | None]:
    from importlib import resources

    write_registry(
        directory / "sensors.parquet", sensors=settings.sensors, interval_s=settings.interval_s, seed=settings.seed
    )
    (directory / "rules").mkdir()
    for sheet in resources.files("rules").joinpath("library").iterdir():
        if sheet.name.endswith(".toml"):
            (directory / "rules" / sheet.name).write_bytes(sheet.read_bytes())
    console_port = free_port() if settings.console_port == 0 else settings.console_port
    path = directory / "lifeline.toml"
    path.write_text(CONFIG.format(path=path, broker_port=free_port(), console_port=console_port or 8600))
    return path, console_port


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _start_simulator(url: str, directory: Path, settings: DemoSettings) -> subprocess.Popen[str]:
    command = [
        sys.executable, "-m", "lifeline.cli", "simulate", "--json", "--broker", url, "--sensors", str(settings.sensors),
        "--interval", str(settings.interval_s), "--shape", "gateway", "--pack", "100", "--qos", "1",
        "--seed", str(settings.seed), "--faults", str(FAULTS_PER_HOUR), "--fault-speed", str(FAULT_SPEED),
        "--truth", str(directory / "truth.parquet"),
    ]  # fmt: skip
    errors = (directory / "simulator.log").open("w")
    with closing(errors):
        # a session of its own: Ctrl-C is for us, we tell it when to stop
        return subprocess.Popen(  # noqa: S603 - our own program
            command, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        )


def _await_subscription(assembly: Assembly, stop: threading.Event) -> None:
    """Until the broker keeps what comes: what is sent before that goes to nobody, and would be told as lost."""
    until = time.monotonic() + SUBSCRIBE_S
    while not stop.is_set() and time.monotonic() < until:
        if all(broker["granted_qos"] for broker in assembly.board.publish()["brokers"]):
            return
        stop.wait(LOOK_S)


def _watch(
    assembly: Assembly, stop: threading.Event, simulator: subprocess.Popen[str], seconds: float | None, line: Line
) -> None:
    """Until Ctrl-C, the simulator's end, or ``seconds`` after the first reading: a slow start is not running time."""
    deadline: float | None = None

    def on_status(status: dict[str, Any]) -> None:
        nonlocal deadline
        line.update(status)
        if deadline is None and seconds is not None and assembly.tally.received:
            deadline = time.monotonic() + seconds
        if simulator.poll() is not None or (deadline is not None and time.monotonic() >= deadline):
            stop.set()

    assembly.engine.run(stop, on_status)


def _finish_simulator(simulator: subprocess.Popen[str]) -> dict[str, Any]:
    if simulator.poll() is None:
        simulator.terminate()
    try:
        out, _ = simulator.communicate(timeout=SIMULATOR_STOP_S)
    except subprocess.TimeoutExpired:
        raise UnavailableError("the simulator did not end; see simulator.log in the demo's folder") from None
    if simulator.returncode == -signal.SIGTERM:  # by us, while it was still building its city
        raise UnavailableError(
            "stopped before the city had sent a reading: there are no books yet (尚无读数，没有账目)"
        )
    if simulator.returncode != 0:
        raise UnavailableError(
            f"the simulator ended with {simulator.returncode}; see simulator.log in the demo's folder"
        )
    summary: dict[str, Any] = json.loads(out)
    return summary


def _end(simulator: subprocess.Popen[str]) -> None:
    if simulator.poll() is None:
        simulator.kill()
        simulator.communicate()


def _books(
    config: Path, directory: Path, published: dict[str, Any], status: dict[str, Any], *, closed: bool, until_ms: int
) -> dict[str, Any]:
    """What was published against what is kept; ``closed``: nothing was still on its way (else it is no loss)."""
    site = load_site(config)
    with closing(open_catalog(site.data)) as db:
        counted = db.execute(
            "SELECT (SELECT count(*) FROM readings), (SELECT count(*) FROM alarms), (SELECT count(*) FROM events)"
        ).fetchone()
        assert counted is not None
        logged, alarms, events = counted
        rows = db.execute(
            "SELECT a.event_id, a.point, epoch_ms(a.raised_at) AS raised_at, p.device_id "
            "FROM alarms a JOIN points p USING (point) WHERE a.event_id IS NOT NULL"
        ).fetchall()
    truth = balance(
        directory / "truth.parquet",
        [{"event_id": event, "point": point, "raised_at": raised_at} for event, point, raised_at, _ in rows],
        {point: device for _, point, _, device in rows},
        until_ms,
    )
    missing = max(0, published["readings"] - logged - status["duplicates"] - status["rejected_readings"])
    return {
        "sensors": published["sensors"],
        "points": published["points"],
        "published": published["readings"],
        "received": status["received"] + status["rejected_readings"],
        "logged": logged,
        "lost": missing if closed else 0,
        "undrained": 0 if closed else missing,
        "duplicates": status["duplicates"],
        "rejected": status["rejected_readings"],
        "rss_mib_max": status["rss_mib_max"],
        "alarms": alarms,
        "events": events,
        "ingest_to_event_ms": status["ingest_to_event_ms"],
        "truth": truth,
    }
