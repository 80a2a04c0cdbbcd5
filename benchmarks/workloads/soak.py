"""``soak``: an hour of the whole fleet behind a real Mosquitto: memory flat, lag small, nothing lost.

``lifeline run`` and ``lifeline simulate`` as users start them: all 219,300 devices report every three seconds, in packs
of 100, all quantities (208,000 readings a second), QoS 1, with faults that raise alarms. Each second the engine's
resident set and the lag of its slowest follower are noted. The first quarter warms up; of the rest the slope is fitted.

``--scale`` shortens it, never below a minute: 0.1 is six minutes. The fleet stays whole, as memory is the question.
What is stored in the end is counted against what the broker acknowledged to the publisher. The hash says what
must hold (lost, invented: none), as the number of readings depends on the seconds.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks import resident
from benchmarks.broker import Mosquitto
from benchmarks.harness import Figure, Result, progress
from benchmarks.site import write_config
from benchmarks.site_process import SiteProcess
from lifeline.lake.query import open_catalog
from simulators.fleet import SENSORS
from simulators.registry import write_registry

HOUR_S: Final = 3600.0
SECONDS_MIN: Final = 60.0
INTERVAL_S: Final = 3
SEED: Final = 1
FAULTS_PER_HOUR: Final = 600
SAMPLE_S: Final = 1.0
SLOPE_TARGET: Final = 16.0
"""MiB an hour: 1.5 % of the gibibyte that a day may hold."""
LAG_TARGET_S: Final = 5.0


def run(scale: float) -> Result:
    """Run, watch, count."""
    result = Result("soak", scale)
    seconds = max(SECONDS_MIN, HOUR_S * scale)
    with tempfile.TemporaryDirectory(prefix="lifeline-bench-") as name:
        folder = Path(name)
        progress("writing the registry")
        write_registry(folder / "sensors.parquet", sensors=SENSORS, interval_s=INTERVAL_S, seed=SEED)
        with Mosquitto(folder) as broker, SiteProcess(write_config(folder, broker.port, 1)) as site:
            site.start()
            site.wait("ready")
            summary, samples = _watch(site, broker.port, seconds)
            site.wait("caught up")
            status, cpu_s, rss = site.status(), site.cpu_s, site.rss_mib_max
            stop_s = site.stop()
        with open_catalog(folder / "var", memory_limit="4GB") as db:
            ((rows,),) = db.sql("SELECT count(*) FROM readings_raw").fetchall()
    expected = summary["acknowledged_readings"] - summary["repeated_readings"] - status["rejected_readings"]
    add = result.figures.__setitem__
    add("seconds", Figure(seconds, "s"))
    add("readings_per_s", Figure(summary["acknowledged_readings"] / seconds, "readings/s"))
    add("acknowledged", Figure(summary["acknowledged_readings"], "readings"))
    add("lost", Figure(max(0, expected - rows), "readings", 0, "lower"))
    add("invented", Figure(max(0, rows - expected), "readings", 0, "lower"))
    add("rejected", Figure(status["rejected_readings"], "readings", better="lower"))
    add("cpu_us", Figure(cpu_s / summary["acknowledged_readings"] * 1e6, "µs/reading", better="lower"))
    add("events", Figure(status["events_opened"], "events"))
    for key in ("p50", "p99", "max"):
        add(f"ingest_to_event_{key}_ms", Figure(status["ingest_to_event_ms"][key], "ms", better="lower"))
    result.figures |= resident.figures(rss, float(np.median(samples[:, 1])))
    _report(result, samples)
    add("stop_s", Figure(stop_s, "s", better="lower"))
    if summary["behind_s_max"] > 1:
        result.notes.append(f"the publisher was up to {summary['behind_s_max']:.1f} s behind: this machine was busy")
    result.hash = blake2b(f"lost {expected - rows}".encode(), digest_size=16).hexdigest()
    return result


def _watch(site: SiteProcess, port: int, seconds: float) -> tuple[dict[str, Any], np.ndarray[Any, Any]]:
    """Publish; rows of (seconds, resident MiB, lag of the slowest follower) meanwhile."""
    command = [
        *(sys.executable, "-m", "lifeline.cli", "simulate", "--broker", f"mqtt://127.0.0.1:{port}", "--json"),
        *("--sensors", str(SENSORS), "--interval", str(INTERVAL_S), "--shape", "gateway", "--qos", "1"),
        *("--seconds", str(seconds), "--seed", str(SEED), "--faults", str(FAULTS_PER_HOUR)),
    ]
    samples = []
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as publisher:
        while publisher.poll() is None:
            time.sleep(SAMPLE_S)
            status = site.status()
            lag_s = max((follower["lag_s"] for follower in status["followers"]), default=0.0)
            samples.append((time.monotonic() - began, site.rss_mib, lag_s))
            if len(samples) % 10 == 0:
                progress(
                    f"{samples[-1][0]:,.0f} of {seconds:,.0f} s: {status['received']:,} readings, "
                    f"{samples[-1][1]:,.0f} MiB, {lag_s:.1f} s behind"
                )
        assert publisher.stdout is not None
        words = publisher.stdout.read()
    if publisher.returncode:
        raise RuntimeError(f"lifeline simulate ended with {publisher.returncode}\n{words}")
    summary: dict[str, Any] = json.loads(words)
    return summary, np.array(samples)


def _report(result: Result, samples: np.ndarray[Any, Any]) -> None:
    """Slope and lag."""
    add = result.figures.__setitem__
    warm = samples[samples[:, 0] >= samples[-1, 0] / 4]
    slope_mib_h = float(np.polyfit(warm[:, 0], warm[:, 1], 1)[0]) * HOUR_S
    span_s = float(warm[-1, 0] - warm[0, 0])
    # over minutes a slope says nothing: what fluctuates by 30 MiB would be a leak of hundreds an hour
    long = span_s >= HOUR_S / 2
    add("rss_slope_mib_per_h", Figure(slope_mib_h, "MiB/h", SLOPE_TARGET if long else None, "lower"))
    half = len(warm) // 2
    grown = float(np.median(warm[half:, 1]) - np.median(warm[:half, 1]))
    add("rss_growth_mib", Figure(grown, "MiB, later to earlier half", better="lower"))
    add("lag_p99_s", Figure(float(np.percentile(samples[:, 2], 99)), "s", better="lower"))
    add("lag_max_s", Figure(float(samples[:, 2].max()), "s", LAG_TARGET_S, "lower"))
    if not long:
        result.notes.append(f"{span_s:.0f} s are too short for a slope; --scale 1 is an hour")
