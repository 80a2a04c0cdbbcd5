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

    def shown() -> list[tuple[str, str]]:
        """What an analyst sees of the two wells; on a slow machine their gateway is reported silent as well."""
        return site.sql("SELECT status, event_id FROM events WHERE title LIKE '%WELL%' ORDER BY title")

    def alarms() -> list[str]:
        return [alarm_id for (alarm_id,) in site.sql("SELECT alarm_id FROM alarms")]

    def send(device: str) -> None:
        reading = {"id": device, "seq": 1, "ts": time.time_ns() // 1_000_000, "ch4": 60.0}
        mosquitto.publish(f"lifeline/gas/{device}", json.dumps(reading))

    def statuses() -> list[str]:
        return [status for status, _ in shown()]

    site.start(wait_for)
    send("G1")
    wait_for(lambda: statuses() == ["new"], 20, f"an event in an analyst's DuckDB: {site.output()}")
    ((_, event_id),) = shown()
    filed = run_cli("events", "act", event_id, "file", "-c", str(site.config), "--note", "smells", "--json")
    assert json.loads(filed.stdout)["status"] == "filed"
    known = alarms()
    site.kill()
    assert not (site.data / "governance.db").exists()

    site.start(wait_for)
    send("G2")
    wait_for(lambda: statuses() == ["filed", "new"], 20, f"a second event, and the act: {site.output()}")

    assert shown()[0] == ("filed", event_id)
    again = alarms()
    assert len(again) == len(set(again)) > len(known) > 0
    assert set(known) < set(again)
    assert "audit" in run_cli("verify", "-c", str(site.config)).stdout
    site.stop()
