"""A recorded day through the engine and through ``lifeline rules backtest`` over its lake: equal alarms, row for row.

The engine is the one of ``lifeline run`` (log on disk, every follower a thread, the queue in SQLite), stopped and
started again on the way; only the collectors are missing, and the clock is that of the day.
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import rules
from lifeline.app import assembly, recovering
from lifeline.app.site import load_site
from lifeline.cli.main import app
from lifeline.core.batch import IngestBatch, Readings
from lifeline.governance.desk import GovernanceDesk
from rules.backtest import ALARMS
from simulators.faults import FaultSettings
from simulators.fleet import Fleet, FleetSettings
from simulators.history import History

LIBRARY = Path(str(rules.__file__)).parent / "library"
MORNING = 1_795_968_000_000
"""Monday 2026-11-30 00:00 in Zhengzhou, in the heating season."""
HOUR = 3_600_000
CONFIG = f"""\
[site]
name = "Recorded"
timezone = "Asia/Shanghai"
data_dir = "var"
[[broker]]
name = "none"
url = "mqtt://127.0.0.1:9"
subscribe = [{{ filter = "lifeline/#" }}]
[registry]
file = "points.parquet"
areas = "areas.parquet"
[rules]
files = ["{LIBRARY}/*.toml"]
[governance]
database = "sqlite:///governance.db"
"""


@dataclass(frozen=True)
class Day:
    """Readings of a fleet with faults of every kind, in the order of receipt; ``end`` is when the engine stopped."""

    fleet: Fleet
    readings: Readings
    end: int

    @classmethod
    def recorded(cls, sensors: int, hours: int, seed: int) -> Day:
        """A day with a bad network: gateways that keep what they hear for a while, then send all at once."""
        end = MORNING + hours * HOUR
        faults = FaultSettings(faults_per_hour=sensors / 15)
        history = History(FleetSettings(sensors, seed), MORNING, end, faults=faults, exact=True, tick_ms=HOUR)
        rows, fleet = Readings.concat(list(history.ticks())), history.fleet
        chance = random.Random(seed)
        gateway = fleet.device_gateway[fleet.point_device[rows.point]]
        for _ in range(hours * 4):
            silent = chance.randrange(MORNING, end)
            until = min(silent + chance.randrange(60_000, HOUR // 2), end - 1)
            kept = (gateway == chance.choice(fleet.device_gateway)) & (rows.received_at >= silent)
            rows.received_at[kept] = np.maximum(rows.received_at[kept], until)
        return cls(fleet, rows.take(np.argsort(rows.received_at, kind="stable")), end)

    def records(self, rows_max: int, seed: int) -> Iterator[Readings]:
        """Cut anywhere."""
        chance, at = random.Random(seed), 0
        while at < len(self.readings):
            step = chance.randrange(1, rows_max)
            yield self.readings.take(slice(at, at + step))
            at += step


class Live:
    """The engine without collectors, fed by hand; ``now`` is its clock."""

    def __init__(self, config: Path, now: list[int]) -> None:
        self._now = now
        self._parts = assembly.assemble(load_site(config))
        self._log = self._parts.engine._log
        self._follows = self._parts.engine._follows
        for follow in self._follows:
            follow.start()

    def feed(self, batches: list[IngestBatch]) -> None:
        """Append as a collector does, and wait until all of it is durable."""
        faults: list[BaseException] = []
        durable = threading.Semaphore(0)

        def committed(error: BaseException | None) -> None:
            if error is not None:
                faults.append(error)
            durable.release()

        for batch in batches:
            rows = batch.readings.received_at  # hours, as no collector has it: no clock record may lie among them
            self._now[0] = int(rows[0]) if len(rows) else batch.received_at
            self._log.append(batch, committed)
        assert all(durable.acquire(timeout=60) for _ in batches)
        assert faults == []

    def stop(self) -> None:
        assert [follow.stop(120) for follow in self._follows] == [True] * len(self._follows)
        self._log.close()
        self._parts.close()


def lived(day: Day, config: Path, rows_max: int, lives: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The alarms of the engine's queue by id, without those that late readings took back."""
    now = [MORNING]
    for module in (assembly, recovering):
        monkeypatch.setattr(module, "now_ms", lambda: now[0])
    batches = [IngestBatch(int(part.received_at[-1]), part) for part in day.records(rows_max, lives)]
    batches.append(IngestBatch(day.end, Readings.empty()))
    for life in range(lives):
        live = Live(config, now)
        live.feed(batches[life * len(batches) // lives : (life + 1) * len(batches) // lives])
        live.stop()
    desk = GovernanceDesk(load_site(config).database_url, lambda: now[0])
    try:
        found, cursor = desk.list_alarms(limit=500)
        while cursor is not None:
            page, cursor = desk.list_alarms(limit=500, cursor=cursor)
            found += page
        events = {alarm["event_id"] for alarm in found} - {None}
        notes = [entry["note"] for event in events for entry in desk.get_event(event)["log"]]
    finally:
        desk.close()
    taken_back = {note.rpartition(" ")[2] for note in notes if note and "it was none" in note}
    # of what another alarm suppresses there is no event: it ends as it began
    taken_back |= {a["alarm_id"] for a in found if a["event_id"] is None and a["cleared_at"] == a["raised_at"]}
    return {alarm["alarm_id"]: told(alarm) for alarm in found if alarm["alarm_id"] not in taken_back}


def told(alarm: dict[str, Any]) -> dict[str, Any]:
    """An alarm's row as both ways tell it: times as epoch ms, evidence without positions."""
    columns = set(ALARMS.names) - {"group", "category", "evidence"}
    row = {name: alarm[name] for name in columns}
    row |= {name: round(at.timestamp() * 1000) for name, at in row.items() if hasattr(at, "timestamp")}
    evidence = json.loads(alarm.get("evidence") or alarm["detail"])
    for one in (evidence, *evidence.get("others", ())):
        one["readings"] = [[None, *reading[1:]] for reading in one["readings"]]
    return row | {"evidence": evidence}


def compare(day: Day, folder: Path, rows_max: int, lives: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Both ways; the alarms."""
    config, file = folder / "lifeline.toml", folder / "alarms.parquet"
    config.write_text(CONFIG, "utf-8")
    pq.write_table(day.fleet.points, folder / "points.parquet")
    pq.write_table(day.fleet.areas, folder / "areas.parquet")
    live = lived(day, config, rows_max, lives, monkeypatch)
    end = f"{np.datetime64(day.end, 'ms')}Z"
    asked = ["rules", "backtest", str(LIBRARY), "-c", str(config), "--to", end, "--alarms", str(file), "--json"]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    tested = {row["alarm_id"]: told(row) for row in pq.read_table(file).to_pylist()}
    assert json.loads(result.stdout)["alarms"] == len(tested)
    assert live == tested
    return tested


def test_a_recorded_day_gives_the_same_alarms_live_and_in_a_backtest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = compare(Day.recorded(100, 8, 5), tmp_path, 2_000, 2, monkeypatch)
    assert len(found) >= 30
    assert {len(alarm["evidence"]["readings"]) > 0 for alarm in found.values()} == {True, False}
    assert {alarm["cleared_at"] is None for alarm in found.values()} == {True, False}


@pytest.mark.soak
@pytest.mark.only_soak  # minutes each
@pytest.mark.parametrize("seed", [1, 2])
def test_a_recorded_day_of_two_thousand_sensors(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = compare(Day.recorded(2_000, 24, seed), tmp_path, 20_000, 4, monkeypatch)
    assert len({alarm["rule_id"] for alarm in found.values()}) >= 25
