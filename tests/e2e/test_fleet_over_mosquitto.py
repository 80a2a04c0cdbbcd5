"""The whole fleet over a real Mosquitto, QoS 1: nothing lost, in time, within one core.

In the suite each run takes some seconds; with LIFELINE_SOAK=1 it takes the two minutes that the front page quotes,
and two hundred kills.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

SOAK = os.environ.get("LIFELINE_SOAK") == "1"

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.soak]

FLEET = 219_300
KILLS = 200 if SOAK else 20


@pytest.fixture(scope="module")
def fleet_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from simulators.registry import write_registry

    path = tmp_path_factory.mktemp("fleet") / "sensors.parquet"
    write_registry(path, sensors=FLEET, interval_s=1.0, seed=1)
    return path


def drained(site: Any, published: int) -> bool:
    status = site.status()
    return bool(status["received"] + status["rejected_readings"] >= published)


@pytest.mark.timeout(600)
def test_whole_fleet_each_second_in_packs(
    mosquitto: Any, make_site: Any, fleet_registry: Path, publisher: Any, books: Any, wait_for: Any
) -> None:
    seconds = 120 if SOAK else 20
    site = make_site(mosquitto.url, fleet_registry)
    site.start(wait_for)
    publish = publisher(
        "--broker", mosquitto.url, "--interval", "1", "--shape", "gateway", "--pack", "100", "--qos", "1",
        "--seconds", str(seconds), "--faults", "600",
    )  # fmt: skip
    publish.start()
    wait_for(lambda: site.status()["received"] > 0, 60, "the first readings")
    engine = psutil.Process(site.process.pid)
    cpu_before, wall_before = sum(engine.cpu_times()[:2]), time.monotonic()
    lags = []
    while publish.process.poll() is None:
        lags.append(max(follower["lag_s"] for follower in site.status()["followers"]))
        time.sleep(0.25)
    cores = (sum(engine.cpu_times()[:2]) - cpu_before) / (time.monotonic() - wall_before)
    summary = publish.finish(60)
    wait_for(lambda: drained(site, summary["acknowledged_readings"]), 60, f"all readings in the log: {site.status()}")
    status = site.status()
    site.stop()

    counted = books(site, publish.ledger)
    figures = f"engine {cores:.2f} cores, lag max {max(lags):.2f} s, rss {status['rss_mib_max']} MiB"
    print(f"\nfleet: {summary}\n  {figures}, reading to alarm {status['ingest_to_event_ms']}\n  {counted}")
    assert summary["sensors"] == FLEET
    assert (counted.lost, counted.phantom, counted.doubled) == (0, 0, 0)
    assert counted.acknowledged == summary["acknowledged_readings"]
    assert max(lags) < 2.0
    assert cores < 1.0


@pytest.mark.timeout(600)
def test_one_reading_a_message_at_the_brokers_own_limit(
    mosquitto: Any, make_site: Any, fleet_registry: Path, publisher: Any, books: Any, wait_for: Any
) -> None:
    seconds = 60 if SOAK else 10
    site = make_site(mosquitto.url, fleet_registry)
    site.start(wait_for)
    publish = publisher(
        "--broker", mosquitto.url, "--interval", "10", "--shape", "single", "--qos", "1", "--seconds", str(seconds)
    )  # fmt: skip
    publish.start()
    summary = publish.finish(seconds + 120)
    wait_for(lambda: drained(site, summary["acknowledged_readings"]), 120, f"all readings in the log: {site.status()}")
    site.stop()

    counted = books(site, publish.ledger)
    print(f"\nsingle: {summary} {counted}")
    assert (counted.lost, counted.phantom, counted.doubled) == (0, 0, 0)


@pytest.mark.timeout(600)
def test_kill_9_under_full_load(
    mosquitto: Any, make_site: Any, fleet_registry: Path, publisher: Any, books: Any, wait_for: Any
) -> None:
    """``kill -9`` at random instants, in recovery too, and the books balance: lost 0, doubled 0, events doubled 0."""
    seed = random.randrange(1 << 32)
    rng = random.Random(seed)
    site = make_site(mosquitto.url, fleet_registry)
    site.start(wait_for)
    publish = publisher(
        "--broker", mosquitto.url, "--interval", "1", "--shape", "gateway", "--pack", "100", "--qos", "1",
        "--faults", "600",
    )  # fmt: skip
    publish.start()
    wait_for(lambda: site.status()["received"] > 0, 60, "the first readings")
    at_work = 0
    for cycle in range(KILLS):
        if cycle % 3:  # under load, at any instant; every third time in the middle of starting and recovering
            wait_for(site.receives, 60, f"readings again: {site.output()}")
            time.sleep(rng.uniform(0.0, 1.5))
            at_work += 1
        else:
            time.sleep(rng.uniform(0.2, 5.0))
        site.kill()
        site.start()
    started = time.monotonic()
    wait_for(site.receives, 60, f"readings again: {site.output()}")
    back_s = time.monotonic() - started
    publish.process.terminate()
    summary = publish.finish(120)
    wait_for(site.is_ready, 60, f"ready again: {site.output()}")

    def caught_up() -> bool:
        status = site.status()
        lags = [follower["lag_s"] for follower in status["followers"]]
        return status["unacknowledged"] == 0 and status["readings_per_s"] == 0 and max(lags) == 0

    wait_for(caught_up, 120, f"the engine has caught up: {site.status()}")
    site.stop()

    counted = books(site, publish.ledger)
    print(
        f"\nkills {site.kills} (seed {seed}), {at_work} of them at work, readings again after {back_s:.1f} s, {counted}"
    )
    assert site.kills == KILLS
    assert counted.acknowledged == summary["acknowledged_readings"] > 0
    assert (counted.lost, counted.phantom, counted.doubled) == (0, 0, 0)
    doubled_alarms = site.one(
        "SELECT count(*) FROM (SELECT rule_id, point, raised_at FROM alarms GROUP BY ALL HAVING count(*) > 1)"
    )
    assert doubled_alarms == 0
    assert site.one("SELECT count(*) - count(DISTINCT event_id) FROM events") == 0
