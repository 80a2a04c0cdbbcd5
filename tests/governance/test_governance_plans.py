"""No statement that runs all the time walks a table that grows: as SQLite plans it, without statistics, at any size.

Plans do not depend on how many rows there are while nobody runs ANALYZE, and nobody does; so a handful of events show
what seven million will cost.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import event

from lifeline.governance.actor import Actor
from lifeline.governance.reports import Report
from tests.governance.conftest import SQLITE_ONLY, T0, Hands, cleared, raised

GROWING = (
    *(
        "events",
        "event_areas",
        "alarms",
        "event_log",
        "alarm_log",
        "audit",
        "audit_nodes",
        "touched",
        "timers",
        "causes",
    ),
    *("escalations", "reports", "kpi_days", "kpi_times", "outbox"),
)
"""With every month: a walk through one of these takes longer and longer. Keys of requests are kept for a week only."""
ORDERED = re.compile(r"^SCAN (\w+)( AS \w+)?( USING (COVERING )?INDEX \w+)?$")


@pytest.fixture
def said(hands: Hands) -> set[str]:
    """Every statement that was said, however often."""
    texts: set[str] = set()
    backends = (hands.queue._database.backend, hands.desk._database.backend)
    engines = [one for backend in backends for one in (backend.writer, backend.reader)]

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        texts.add(statement)

    for one in engines:
        event.listen(one, "before_cursor_execute", note)
    return texts


def walks(url: str, texts: set[str]) -> dict[str, list[str]]:
    """Statements that walk a growing table, with what the plan says of it. A walk that ends at a LIMIT is a look."""
    found: dict[str, list[str]] = {}
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        for text in sorted(texts):
            if not re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b", text, re.IGNORECASE):
                continue
            count = text.count("?")
            rows = connection.execute(f"EXPLAIN QUERY PLAN {text}", [0] * count).fetchall()
            bad = [
                row[3]
                for row in rows
                if (found_at := ORDERED.match(row[3])) and found_at[1] in GROWING and "LIMIT" not in text
            ]
            if bad:
                found[" ".join(text.split())] = bad
    return found


@SQLITE_ONLY
def test_alarms_acts_and_ticks_walk_no_growing_table(hands: Hands, said: set[str]) -> None:
    """Folding (with people's reports round it), the whole loop, a return, an extension, ticks, escalation."""
    told = Report("citizen", "smell of gas", lon=113.68, lat=34.79, utility="gas")
    hands.desk.report(told, Actor("li", "dispatcher"))
    first, second = raised("ch4.high", 0, T0), raised("ch4.high", 1, T0)
    opened = hands.apply(first, second, raised("stuck", 2, T0))
    hands.apply(cleared(first, T0 + 5000), raised("ch4.highhigh", 0, T0 + 6000))
    event_id = opened[0]
    for action, person, role, fields in (
        ("file", "wang", "operator", {}),
        ("dispatch", "li", "dispatcher", {"owner": "unit"}),
        ("accept", "zhao", "operator", {}),
        ("handle", "zhao", "operator", {}),
        ("feed-back", "zhao", "operator", {}),
        ("close", "sun", "analyst", {"cause": "leak"}),
        ("evaluate", "sun", "analyst", {"satisfaction": 5}),
    ):
        hands.desk.act(event_id, action, Actor(person, role), "because", key=f"{action}", **fields)
    hands.tick(3600)
    hands.tick(86_400)

    assert len(said) > 40
    assert walks(hands.url, said) == {}


@SQLITE_ONLY
def test_first_pages_one_event_figures_and_news_walk_no_growing_table(hands: Hands, said: set[str]) -> None:
    hands.apply(raised("ch4.high", 0, T0), raised("ch4.high", 1, T0))
    (one, *_), _ = hands.desk.list_events(limit=1)
    for given in (
        {"status": "open"}, {"level": "blue"}, {"area": "410105"}, {"area": "410105003"}, {"area": "41010500300112"},
        {"level": "red", "status": "new", "utility": "heat", "since": T0},
    ):  # fmt: skip
        hands.desk.list_events(limit=100, **given)
    hands.desk.get_event(one["event_id"])
    hands.desk.newest_change()
    hands.desk.changes(0, 100)
    hands.desk.list_audit(limit=10, object="event/1")
    hands.desk.list_alarms(limit=100, event_id=one["event_id"])
    from datetime import date

    hands.desk.kpi(date(2026, 11, 1), date(2026, 12, 1), district="410105", by="kind")
    hands.desk.kpi(date(2026, 1, 1), date(2027, 1, 1), by="day")

    assert len(said) > 15
    assert walks(hands.url, said) == {}


@SQLITE_ONLY
def test_what_is_open_in_a_district_is_looked_up_among_open_events_only(hands: Hands, said: set[str]) -> None:
    """Three in a hundred are open: a walk through the district's events reads thirty to show one."""
    hands.desk.list_events(status="open", area="410105", limit=100)
    (text,) = [one for one in said if "FROM events" in one and "is_open IS 1" in one]
    with closing(sqlite3.connect(hands.url.removeprefix("sqlite:///"))) as connection:
        rows = connection.execute(f"EXPLAIN QUERY PLAN {text}", [0] * text.count("?")).fetchall()
    assert [row[3] for row in rows] == ["SEARCH events USING INDEX events_open_by_district (district=?)"]


@SQLITE_ONLY
def test_the_check_itself_sees_a_walk(hands: Hands) -> None:
    assert walks(hands.url, {"SELECT event_id FROM events WHERE title = ?"})
    assert not walks(hands.url, {"SELECT event_id FROM events WHERE event_id = ?"})
