"""An analyst's DuckDB reads every view with right counts while the engine writes."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.integration]

ANALYST = """
import duckdb, json, sys
with duckdb.connect(sys.argv[1], read_only=True) as db:
    views = "readings readings_raw points areas alarms events event_log rejects completeness".split()
    counts = {view: db.execute(f"SELECT count(*) FROM {view}").fetchone()[0] for view in views}
    counts["received"] = db.execute("SELECT coalesce(sum(received), 0) FROM completeness").fetchone()[0]
print(json.dumps(counts))
"""


def analyst(catalog: Path) -> dict[str, int]:
    result = subprocess.run(
        [sys.executable, "-c", ANALYST, str(catalog)], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    counts: dict[str, int] = json.loads(result.stdout)
    return counts


def test_all_views_from_another_process(
    mosquitto: Any, make_site: Any, publisher: Any, tmp_path: Path, wait_for: Any
) -> None:
    from simulators.registry import write_registry

    registry = tmp_path / "sensors.parquet"
    write_registry(registry, sensors=2_000, interval_s=1.0, seed=3)
    site = make_site(mosquitto.url, registry)
    site.start(wait_for)
    publish = publisher(
        "--broker", mosquitto.url, "--sensors", "2000", "--interval", "1", "--shape", "gateway", "--seconds", "12",
        "--seed", "3", "--faults", "3600", "--fault-speed", "10",
    )  # fmt: skip
    publish.start()
    catalog = site.data / "catalog/lifeline.duckdb"
    wait_for(lambda: site.status()["received"] > 0, 60, "the first readings")
    seen: list[dict[str, int]] = []
    while publish.process.poll() is None:
        seen.append(analyst(catalog))
        time.sleep(0.2)
    summary = publish.finish(60)
    wait_for(lambda: site.status()["received"] >= summary["acknowledged_readings"], 30, "all readings in the log")
    unique = site.status()["received"] - site.status()["duplicates"]
    wait_for(lambda: analyst(catalog)["readings"] == unique, 10, "all readings in the view while the engine runs")
    site.stop()
    final = analyst(catalog)

    assert len(seen) >= 5
    for before, after in itertools.pairwise(seen):
        assert before["readings"] <= after["readings"]
        assert before["events"] <= after["events"]
    for counts in seen:
        assert counts["readings"] == counts["readings_raw"]
    assert final["readings"] == final["received"] == unique
    assert final["points"] == summary["points"]
    assert final["areas"] > 70_818
    assert final["alarms"] >= final["events"] > 0
    assert final["event_log"] >= final["events"]
