"""Reading over the API: pages, filters, masks, downsampling, last values."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from lifeline.live.values import LiveValues

NOW_MS = 1_795_000_000_000


@pytest.mark.both_databases
def test_events_are_pages_and_a_page_goes_on_where_the_last_ended(client: Any) -> None:
    seen, cursor = [], None
    while True:
        params = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        body = client.get("/api/v1/events", as_="viewer", params=params).json()
        seen += [event["event_id"] for event in body["events"]]
        cursor = body["next"]
        if cursor is None:
            break
    assert sorted(seen) == sorted(event["event_id"] for event in client.town.events)
    assert len(set(seen)) == 4


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("utility=gas", 2),
        ("utility=gas&area=410102", 1),
        ("area=410105", 2),
        ("area=410100", 4),
        ("status=open", 4),
        ("status=closed", 0),
        ("level=orange&level=red", 4),
        (f"since={NOW_MS}", 0),
        ("since=2026-11-18T00:00:00Z", 4),
    ],
)
def test_events_are_filtered(client: Any, query: str, found: int) -> None:
    assert len(client.get(f"/api/v1/events?{query}", as_="viewer").json()["events"]) == found


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/events?limit=0", "/api/v1/events?limit=x", "/api/v1/events?level=pink", "/api/v1/events?cursor=zz",
        "/api/v1/events?since=yesterday", "/api/v1/events?since=99999999999999999999", "/api/v1/alarms?state=loud",
        "/api/v1/points?cursor=%27", "/api/v1/events?area=%27%20OR%201=1", "/api/v1/areas?limit=1001",
    ],
)  # fmt: skip
def test_what_is_not_understood_is_said(client: Any, path: str) -> None:
    answer = client.get(path, as_="viewer")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json().keys() >= {"type", "title", "status", "detail"}


@pytest.mark.both_databases
def test_one_event_tells_everything_and_what_the_caller_may_do(client: Any) -> None:
    event_id = client.town.events[0]["event_id"]
    answer = client.get(f"/api/v1/events/{event_id[:8]}", as_="operator")
    body = answer.json()
    assert body["event_id"] == event_id
    assert answer.headers["etag"] == f'"{body["version"]}"'
    assert [alarm["device_id"] for alarm in body["alarms"]] == ["D00000"]
    assert body["log"][0]["action"] == "open"
    assert "file" in body["actions"]
    assert client.get(f"/api/v1/events/{event_id}", as_="viewer").json()["actions"] == []


def test_households_and_positions_are_masked_unless_there_is_a_purpose(client: Any) -> None:
    path = "/api/v1/points"
    masked = client.get(path, as_="analyst").json()["points"]
    assert masked[0]["device_id"] == "D00000"
    assert masked[1]["device_id"].startswith("masked-")
    assert masked[1]["asset_id"].startswith("masked-")
    assert (masked[1]["lon"], masked[1]["lat"]) == (114.61, 34.71)
    purpose = {"X-Purpose": "leak search", "X-Case-Id": "C-17"}
    shown = client.get(path, as_="analyst", headers=purpose).json()["points"]
    assert shown[1]["device_id"] == "D00001"
    assert shown[1]["lon"] == 114.612345
    entry = client.get("/api/v1/audit?kind=read&actor=analyst1", as_="auditor").json()["entries"][0]
    assert (entry["action"], entry["object"], entry["reason"]) == ("read.unmasked", path, "leak search")
    assert entry["fields"]["case_id"] == "C-17"
    assert client.get(path, as_="analyst", headers={"X-Purpose": "just so"}).status_code == 422
    assert client.get(path, as_="viewer", headers=purpose).status_code == 403


def test_no_answer_names_a_household(client: Any) -> None:
    event_id = client.town.events[1]["event_id"]
    alarm_id = client.town.alarms[1]["alarm_id"]
    for path in (
        "/api/v1/events", f"/api/v1/events/{event_id}", "/api/v1/alarms", f"/api/v1/alarms/{alarm_id}",
        "/api/v1/points", "/api/v1/live", "/events.json", "/api/v1/points?device=D00001",
    ):  # fmt: skip
        text = client.get(path, as_="viewer").text
        assert "D00001" not in text, path
    assert client.get("/api/v1/points/D00001/value/readings", as_="viewer").status_code == 404
    pseudonym = client.get("/api/v1/points", as_="viewer").json()["points"][1]["device_id"]
    assert client.get(f"/api/v1/points/{pseudonym}/value/readings", as_="viewer").json()["rows"] == 0


def test_readings_keep_their_peaks_when_they_are_thinned(client: Any) -> None:
    path = "/api/v1/points/D00000/value/readings"
    whole = client.get(path, as_="viewer", params={"max_points": 2000}).json()
    assert (whole["rows"], len(whole["readings"]), whole["downsampled"]) == (1000, 1000, False)
    thin = client.get(path, as_="viewer", params={"max_points": 20}).json()
    assert thin["downsampled"]
    assert 10 <= len(thin["readings"]) <= 20
    assert {tuple(row) for row in thin["readings"]} <= {tuple(row) for row in whole["readings"]}
    for extreme in (min, max):
        assert extreme(v for _, v in thin["readings"]) == extreme(v for _, v in whole["readings"])
    assert thin["readings"] == sorted(thin["readings"])
    few = client.get(path, as_="viewer", params={"from": NOW_MS - 9_000, "to": NOW_MS}).json()
    assert few["rows"] == 9
    assert client.get("/api/v1/points/D00000/nothing/readings", as_="viewer").status_code == 404


def test_last_values_come_as_json_and_as_arrow(client: Any) -> None:
    body = client.get("/api/v1/live", as_="viewer").json()
    assert [row["ts"] for row in body["values"]] == [NOW_MS, None, None, None]
    answer = client.get("/api/v1/live", as_="viewer", headers={"Accept": "application/vnd.apache.arrow.stream"})
    table = pa.ipc.open_stream(io.BytesIO(answer.content)).read_all()
    assert table.num_rows == 1
    assert table["device_id"].to_pylist() == ["D00000"]
    assert table["value"].to_pylist() == [body["values"][0]["value"]]


@pytest.mark.parametrize("accept", ["application/json", "application/vnd.apache.arrow.stream"])
def test_points_that_the_engine_has_yet_to_make_room_for_are_asked_for_again(client: Any, accept: str) -> None:
    path = client.town.site.live_path
    whole = path.rename(path.with_name("whole"))  # other tests want it back
    try:
        LiveValues(path, SimpleNamespace(current=lambda: range(2))).close()
        answer = client.get("/api/v1/live", as_="viewer", headers={"Accept": accept})
    finally:
        whole.replace(path)

    assert answer.status_code == 503
    assert "try again" in answer.json()["detail"]


def test_areas_points_and_me(client: Any) -> None:
    areas = client.get("/api/v1/areas?level=district", as_="viewer").json()["areas"]
    assert [area["name"] for area in areas] == ["中原区", "金水区"]
    points = client.get("/api/v1/points?kind=dma-inlet&limit=1", as_="viewer").json()
    assert (points["points"][0]["point"], points["next"]) == (2, "2")
    me = client.get("/api/v1/me", as_="other-area").json()
    assert (me["name"], me["via"]) == ("other-area1", "token")


def test_the_description_lists_every_route_and_no_other(client: Any) -> None:
    document = client.get("/api/openapi.json", as_="viewer").json()
    assert document["openapi"].startswith("3.1")
    assert {"/api/v1/events", "/api/v1/events/{event_id}/actions/{action}", "/api/v1/stream", "/api/v1/sql"} <= set(
        document["paths"]
    )
    assert not any(path.startswith(("/login", "/healthz")) for path in document["paths"])
