"""The typed client against the real server: pages, acts once, errors as exceptions, a stream that comes back."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from lifeline.cli.main import app
from lifeline.client import ApiError, ChangedError, Lifeline, NotAllowedError, NotFoundError
from lifeline.governance.merkle import check_consistency, check_inclusion


@pytest.fixture
def city(client: Any) -> Iterator[Any]:
    """Make clients by role."""
    made: list[Lifeline] = []

    def of(role: str) -> Lifeline:
        made.append(Lifeline(f"http://127.0.0.1:{client.port}/", client.town.tokens[role]))
        return made[-1]

    yield of
    for one in made:
        one.close()


def test_pages_are_one_list(city: Any) -> None:
    viewer = city("viewer")
    assert len(list(viewer.events(page=1))) == 4
    assert [point["point"] for point in viewer.points(page=3)] == [0, 1, 2, 3]
    assert {event["utility"] for event in viewer.events(utility="gas", status=["new", "filed"])} == {"gas"}
    assert len(list(viewer.alarms(state="active", page=3))) == 4
    assert [area["area_code"] for area in viewer.areas(level="district")] == ["410102", "410105"]
    assert viewer.me()["name"] == "viewer1"


def test_acts_reports_and_what_they_refuse(city: Any, client: Any) -> None:
    operator, event_id = city("operator"), client.town.events[0]["event_id"]
    event = operator.event(event_id)
    filed = operator.act(event_id, "file", note="by phone", version=event["version"], key="mine")
    assert operator.act(event_id, "file", note="by phone", version=event["version"], key="mine") == filed
    with pytest.raises(ChangedError, match="409"):
        operator.act(event_id, "file")
    with pytest.raises(ChangedError, match="412"):
        operator.act(event_id, "note", note="x", version=1)
    with pytest.raises(NotAllowedError):
        city("viewer").act(event_id, "note", note="x")
    with pytest.raises(NotFoundError):
        operator.event("0" * 20)
    alarm_id = client.town.alarms[0]["alarm_id"]
    assert operator.act_alarm(alarm_id, "shelve", note="works", minutes=5)["state"] == "shelved"
    made = city("reporter").report(source="110", description="smell", service="gas-smell", area_code="410102001001")
    assert operator.event(made["event_id"])["source"] == "110"


def test_readings_figures_and_sql(city: Any) -> None:
    viewer = city("viewer")
    assert viewer.readings("D00000", "value", max_points=10)["downsampled"]
    assert pa.ipc.open_stream(io.BytesIO(viewer.live_arrow())).read_all().num_rows == 1
    assert viewer.kpi(by="utility")["groups"] is not None
    assert city("analyst").sql("SELECT count(*) AS n FROM points")["rows"] == [[4]]


def test_the_stream_goes_on_where_it_was_left(city: Any, client: Any) -> None:
    operator, event_id = city("operator"), client.town.events[0]["event_id"]
    changes = operator.changes(after=0)
    first = [next(changes) for _ in range(4)]
    changes.close()
    operator.act(event_id, "note", note="one")
    again = operator.changes(after=first[-1].entry)
    change = next(again)
    assert (change.action, change.event["event_id"]) == ("note", event_id)
    again.close()


def test_an_auditor_gets_proofs_that_anybody_can_check(city: Any, client: Any) -> None:
    auditor = city("auditor")
    list(auditor._pages("/audit", "entries", {}, 3))
    entry = auditor.audit_proof(0)
    both = auditor.audit_consistency(1)
    with pytest.raises(ApiError, match="there is no tree of"):
        auditor.audit_proof(0, size=10**9)
    with pytest.raises(NotFoundError):
        auditor.audit_proof(10**9)

    proof, root = [bytes.fromhex(one) for one in entry["proof"]], bytes.fromhex(entry["root"])
    assert check_inclusion(bytes.fromhex(entry["leaf"]), 0, entry["size"], proof, root)
    proof, old_root = [bytes.fromhex(one) for one in both["proof"]], bytes.fromhex(both["older_root"])
    assert old_root.hex() == entry["leaf"]
    assert check_consistency(1, old_root, both["size"], bytes.fromhex(both["root"]), proof)
    assert both["size"] > entry["size"]  # asking is an entry too
    config = ["-c", str(client.town.site.config.path), "--size", str(entry["size"]), "--json"]
    assert json.loads(CliRunner().invoke(app, ["audit", "proof", "0", *config]).stdout) == entry
    told = CliRunner().invoke(app, ["audit", "consistency", "1", *config])
    assert json.loads(told.stdout)["older_root"] == both["older_root"]


def test_a_devices_id_stays_one_part_of_the_address() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.raw_path.decode().partition("?")[0])
        return httpx.Response(200, json={})

    with Lifeline("http://lifeline.example", "lft_x") as city:
        city._http = httpx.Client(base_url=city._http.base_url, transport=httpx.MockTransport(answer))
        city.readings("井#3?", "ch4 %")
        city.command("A/1", "inspect-valve")
    assert asked == [
        "/api/v1/points/%E4%BA%95%233%3F/ch4%20%25/readings", "/api/v1/devices/A%2F1/commands",
    ]  # fmt: skip
