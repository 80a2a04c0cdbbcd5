"""The README's first command, as a program sees it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.slow]

KEYS = {
    "sensors", "points", "published", "received", "logged", "lost", "duplicates", "rejected", "readings_per_s",
    "engine_cpu_s", "rss_mib_max", "alarms", "events", "ingest_to_event_ms", "truth", "elapsed_s",
}  # fmt: skip


@pytest.mark.timeout(300)
def test_the_whole_city_for_a_minute(run_cli: Any, tmp_path: Path) -> None:
    seconds = "60" if os.environ.get("CI") == "true" else "30"
    result = run_cli(
        "demo", "--seconds", seconds, "--json", "--no-console", "--data", str(tmp_path / "demo"), timeout=280
    )
    summary = json.loads(result.stdout)

    assert summary.keys() >= KEYS
    assert summary["sensors"] == 219_300
    assert summary["lost"] == 0
    assert summary["published"] >= 219_300 * (float(seconds) - 15) / 10
    assert summary["logged"] + summary["duplicates"] + summary["rejected"] >= summary["published"]
    assert summary["events"] > 0
    truth = summary["truth"]
    assert truth["events_true"] + truth["events_false"] == summary["events"]
    assert truth["events_true"] > 0
    assert truth["detected"] > 0

    config = str(tmp_path / "demo/lifeline.toml")
    verified = json.loads(run_cli("verify", "--full", "-c", config, "--json").stdout)
    assert verified["ok"], verified
    events = json.loads(run_cli("events", "list", "-c", config, "--json", "--limit", "1000").stdout)["events"]
    assert len(events) == min(1000, summary["events"])


def test_a_small_city_with_its_console(run_cli: Any, tmp_path: Path) -> None:
    result = run_cli(
        "demo", "--seconds", "12", "--sensors", "2000", "--interval", "1", "--json", "--port", "0",
        "--data", str(tmp_path / "demo"), timeout=120,
    )  # fmt: skip
    summary = json.loads(result.stdout)

    assert summary["lost"] == 0
    assert summary["sensors"] == 2000
    assert summary["console"].startswith("http://127.0.0.1:")
