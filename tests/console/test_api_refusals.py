"""What the door refuses to somebody it knows is in the audit, bounded and counted; unmasked reads as well."""

from __future__ import annotations

import time
from typing import Any

import pytest

from lifeline.console.limits import REFUSED


def refused(client: Any, *, count: int = 1, **of: str) -> list[dict[str, Any]]:
    """Refusals in the audit, oldest first, once there are ``count`` (some are written after their answer)."""
    until = time.monotonic() + 10
    while True:
        answer = client.get("/api/v1/audit", as_="auditor", params={**of, "limit": 200})
        found = [entry for entry in answer.json()["entries"] if entry["result"] == "refused"][::-1]
        if len(found) >= count or time.monotonic() > until:
            return found
        time.sleep(0.05)


@pytest.mark.both_databases
def test_a_role_that_may_not_is_on_record_before_the_answer(client: Any) -> None:
    assert client.ask("POST", "/api/v1/sql", as_="viewer", json={"sql": "SELECT 1"}).status_code == 403
    (entry,) = refused(client, actor="viewer1")
    assert (entry["kind"], entry["action"], entry["object"]) == ("right", "access.refused", "/api/v1/sql")
    assert (entry["role"], entry["address"]) == ("viewer", "127.0.0.1")
    assert "analyst" in entry["reason"]
    assert "POST" in str(entry["fields"])


def test_what_lies_outside_is_not_there_for_the_caller_and_on_record_for_the_auditor(client: Any) -> None:
    event, alarm = client.town.events[0]["event_id"], client.town.alarms[0]["alarm_id"]
    paths = [f"/api/v1/events/{event}", f"/api/v1/alarms/{alarm}", "/api/v1/points/D00000/value/readings"]
    for path in paths:
        assert client.get(path, as_="other-area").status_code == 404
    assert client.get(f"/api/v1/events/{'0' * 20}", as_="other-area").status_code == 404  # this one is not there
    found = refused(client, count=3, actor="other-area1")
    assert [entry["object"] for entry in found] == paths
    assert {entry["reason"] for entry in found} == {"outside the caller's areas or utilities"}

    act = f"/api/v1/events/{event}/actions/note"
    assert client.ask("POST", act, as_="other-utility", json={"note": "x"}).status_code == 404
    assert [entry["object"] for entry in refused(client, actor="other-utility1")] == [act]


def test_a_thousand_tries_do_not_fill_the_audit_and_are_counted(client: Any, monkeypatch: Any) -> None:
    for _ in range(60):
        assert client.get("/api/v1/audit", as_="viewer").status_code == 403
    burst = int(REFUSED.burst)
    entries = refused(client, actor="viewer1", count=burst)
    assert burst <= len(entries) <= burst + 2
    metrics = client.get("/metrics").text
    assert 'lifeline_console_refused_total{reason="right"} 60' in metrics
    assert 'lifeline_console_refused_total{reason="place"} 0' in metrics

    monkeypatch.setattr(client.app.state.lifeline.refused._buckets, "take", lambda _: 0.0)
    client.get("/api/v1/audit", as_="viewer")
    (last,) = refused(client, actor="viewer1", count=len(entries) + 1)[len(entries) :]
    assert last["fields"]["left_out"] == 60 - len(entries)


def test_unmasking_is_on_record_whether_granted_or_refused(client: Any) -> None:
    asked = {"X-Purpose": "curious", "X-Case-Id": "c-1"}
    assert client.get("/api/v1/points", as_="viewer", headers=asked).status_code == 403
    (entry,) = refused(client, actor="viewer1")
    assert (entry["kind"], entry["action"]) == ("read", "read.unmasked.refused")
    assert "curious" in entry["reason"]
    assert client.get("/api/v1/points", as_="analyst", headers=asked).status_code == 200
    done = client.get("/api/v1/audit?actor=analyst1&kind=read", as_="auditor").json()["entries"]
    assert [(one["action"], one["result"]) for one in done] == [("read.unmasked", "done")]


def test_what_the_queue_has_on_record_is_there_once(client: Any) -> None:
    event_id = client.town.events[0]["event_id"]
    answer = client.ask("POST", f"/api/v1/events/{event_id}/actions/close", as_="operator", json={"cause": "leak"})
    assert answer.status_code in {403, 409}
    assert len(refused(client, actor="operator1")) == 1


def test_a_page_of_somebody_else_is_on_record(client: Any) -> None:
    browser = client.sign_in("operator1")
    event_id = client.town.events[0]["event_id"]
    answer = browser.post(f"/api/v1/events/{event_id}/actions/note", json={"note": "x"})
    assert answer.status_code == 403
    (entry,) = refused(client, actor="operator1")
    assert "page of ours" in entry["reason"]
    browser.close()


def test_an_audit_that_cannot_be_written_refuses_all_the_same(client: Any, monkeypatch: Any) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(client.app.state.lifeline.refused._audit, "record", full)
    assert client.ask("POST", "/api/v1/sql", as_="viewer", json={"sql": "SELECT 1"}).status_code == 403
