"""The year on record of the benchmark ``governance``: the queue opens it like its own, its sums are its rows'."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import past
from lifeline.governance.database import Database
from lifeline.governance.desk import GovernanceDesk
from lifeline.governance.schema import kpi_days, kpi_times, tallies
from lifeline.governance.settings import recount


def test_the_queue_opens_it_and_its_sums_are_those_of_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past, "DAYS", 3)
    count = past.make_past(tmp_path / "past.db", 0.000_001)
    url = f"sqlite:///{tmp_path}/past.db"
    desk = GovernanceDesk(url, lambda: past.END_MS)

    rows, _ = desk.list_events(limit=1000)
    assert len(rows) == count == 150
    assert sum(desk.open_counts().values()) == sum(row["is_open"] for row in rows)
    telemetry = {row["event_id"] for row in rows if row["source"] == "telemetry"}
    assert {alarm["event_id"] for alarm in desk.list_alarms(limit=1000)[0]} == telemetry
    assert len(desk.get_event(rows[-1]["event_id"])["log"]) in {3, 6}
    desk.close()

    database = Database(url)
    with database.write() as connection:
        tables = (kpi_days, kpi_times, tallies)
        before = [sorted(map(tuple, connection.execute(table.select()))) for table in tables]
        recount(connection, past.TIMEZONE)
        after = [sorted(map(tuple, connection.execute(table.select()))) for table in tables]
    database.close()
    assert [row for row in before[0] if any(row[5:])] == after[0]
    assert [row for row in before[1] if row[-1]] == after[1]
    assert [row for row in before[2] if row[-1]] == after[2]


def test_some_events_reach_into_a_second_district(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the queue lists them, in both; asked again, as for a year that was kept, nothing more does."""
    monkeypatch.setattr(past, "DAYS", 3)
    past.make_past(tmp_path / "past.db", 0.000_001)
    assert [past.let_cross(tmp_path / "past.db", 10) for _ in range(2)] == [15, 15]
    desk = GovernanceDesk(f"sqlite:///{tmp_path}/past.db", lambda: past.END_MS)
    both = [{row["event_id"] for row in desk.list_events(limit=1000, area=area)[0]} for area in ("410102", "410105")]
    crossing = {row["event_id"] for row in desk.list_events(limit=1000)[0] if row["also_in"]}
    desk.close()
    assert len(crossing) == 15
    assert crossing <= both[0] | both[1]
    assert both[0] & both[1]
