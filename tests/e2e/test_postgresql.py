"""The whole engine with its queue on PostgreSQL: alarms become events, people act, a kill loses and repeats nothing."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.integration


def test_alarms_become_events_once_over_a_kill(
    mosquitto: Any, postgres: Any, make_site: Any, small_registry: Path, run_cli: Any, wait_for: Any
) -> None:
    site = make_site(mosquitto.url, small_registry, database=postgres.schema())

    def listed() -> list[dict[str, Any]]:
        page = json.loads(run_cli("events", "list", "-c", str(site.config), "--json").stdout)
        return sorted(page["events"], key=lambda row: row["title"])

    def send(device: str, seq: int) -> None:
        reading = {"id": device, "seq": seq, "ts": time.time_ns() // 1_000_000, "ch4": 60.0}
        mosquitto.publish(f"lifeline/gas/{device}", json.dumps(reading))

    site.start(wait_for)
    send("G1", 1)
    wait_for(lambda: sum(site.status()["events_open"].values()) == 1, 10, f"an event: {site.output()}")
    wait_for(lambda: site.one("SELECT count(*) FROM events") == 1, 10, "in an analyst's DuckDB")
    (event,) = listed()
    assert (event["status"], event["utility"]) == ("new", "gas")
    filed = run_cli("events", "act", event["event_id"], "file", "-c", str(site.config), "--note", "smells", "--json")
    assert json.loads(filed.stdout)["status"] == "filed"
    alarms = json.loads(run_cli("alarms", "list", "-c", str(site.config), "--json").stdout)["alarms"]
    site.kill()
    assert not (site.data / "governance.db").exists()

    site.start(wait_for)
    send("G2", 1)
    wait_for(lambda: sum(site.status()["events_open"].values()) == 2, 10, f"a second event: {site.output()}")

    assert [(row["event_id"] == event["event_id"], row["status"]) for row in listed()].count((True, "filed")) == 1
    again = json.loads(run_cli("alarms", "list", "-c", str(site.config), "--json").stdout)["alarms"]
    known = {alarm["alarm_id"] for alarm in alarms}
    assert len(again) == len({alarm["alarm_id"] for alarm in again}) > len(known) > 0
    assert known <= {alarm["alarm_id"] for alarm in again}
    wait_for(
        lambda: site.sql("SELECT status, count(*) FROM events GROUP BY 1 ORDER BY 1") == [("filed", 1), ("new", 1)],
        10,
        "both in an analyst's DuckDB",
    )
    verdict = run_cli("verify", "-c", str(site.config))
    assert "audit" in verdict.stdout
    site.stop()
