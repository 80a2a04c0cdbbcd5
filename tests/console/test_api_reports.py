"""Reports of people over both doors, and the key figures that follow from them."""

from __future__ import annotations

from typing import Any

import pytest

GAS = {"source": "119", "service": "gas-smell", "description": "smell at the school", "area_code": "410102001001"}


def report(client: Any, as_: str = "reporter", headers: dict[str, str] | None = None, **more: Any) -> Any:
    return client.ask("POST", "/api/v1/events", as_=as_, json=GAS | more, headers=headers or {})


@pytest.mark.both_databases
def test_a_report_opens_an_event_and_its_reporter_stays_hidden(client: Any) -> None:
    answer = report(client, reporter="王先生", contact="13800000000", address="school road 1")
    assert answer.status_code == 201
    body = answer.json()
    assert answer.headers["location"] == f"/api/v1/events/{body['event_id']}"
    event = client.get(f"/api/v1/events/{body['event_id']}", as_="operator")
    assert event.json()["reports_received"][0]["description"] == "smell at the school"
    assert "王先生" not in event.text
    assert "13800000000" not in event.text
    purpose = {"X-Purpose": "call back", "X-Case-Id": body["event_id"]}
    shown = client.get(f"/api/v1/events/{body['event_id']}", as_="analyst", headers=purpose)
    assert "13800000000" in shown.text
    assert client.get(f"/api/v1/events/{body['event_id']}", as_="reporter").status_code == 403


def test_the_same_report_twice_is_one(client: Any) -> None:
    first = report(client, external_ref="119-4711").json()
    assert report(client, external_ref="119-4711").json() == first
    keyed = report(client, headers={"Idempotency-Key": "k"}).json()
    assert report(client, headers={"Idempotency-Key": "k"}).json() == keyed


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"source": "telemetry"}, 422),
        ({"description": ""}, 422),
        ({"lon": 113.6}, 422),
        ({"lat": 91, "lon": 1}, 422),
        ({"service": "no-such"}, 422),
        ({"colour": "red"}, 422),
    ],
)
def test_other_reports_are_refused(client: Any, more: dict[str, Any], status: int) -> None:
    assert report(client, **more).status_code == status


def test_reporting_ends_where_the_grants_end(client: Any) -> None:
    assert report(client, as_="other-area").status_code == 403
    assert report(client, as_="other-utility").status_code == 403
    assert report(client, as_="viewer").status_code == 403


def test_a_portal_speaks_open311(client: Any) -> None:
    services = client.get("/open311/v2/services.json", as_="reporter").json()
    assert {"gas-smell", "water-leak", "heat-cold"} <= {service["service_code"] for service in services}
    form = {
        "api_key": client.town.tokens["reporter"],
        "service_code": "water-leak",
        "description": "水管爆裂",
        "lat": "34.75",
        "long": "113.62",
        "first_name": "Li",
        "phone": "13900000000",
    }
    answer = client.ask("POST", "/open311/v2/requests.json", data=form)
    assert answer.status_code == 201, answer.text
    (made,) = answer.json()
    (state,) = client.get(f"/open311/v2/requests/{made['service_request_id']}.json", as_="reporter").json()
    assert (state["status"], state["service_code"], state["description"]) == ("open", "water-leak", "水管爆裂")
    assert "13900000000" not in str(state)
    listed = client.get(f"/open311/v2/requests.json?service_request_id={made['service_request_id']}", as_="reporter")
    assert listed.json() == [state]


def test_a_portals_token_never_works_in_the_address(client: Any) -> None:
    token = client.town.tokens["reporter"]
    assert client.get(f"/open311/v2/services.json?api_key={token}").status_code == 401
    answer = client.ask("POST", f"/open311/v2/requests.json?api_key={token}", data={"service_code": "water-leak"})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "form",
    [{}, {"service_code": "nothing"}, {"service_code": "gas-smell", "lat": "north", "long": "1"},
     {"service_code": "gas-smell", "lat": "nan", "long": "1"}, {"service_code": "gas-smell", "lat": "99", "long": "1"}],
)  # fmt: skip
def test_other_forms_are_refused(client: Any, form: dict[str, str]) -> None:
    answer = client.ask("POST", "/open311/v2/requests.json", as_="reporter", data=form)
    assert answer.status_code in {400, 415, 422}
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.both_databases
def test_figures_name_their_denominators_and_keep_to_the_grants(client: Any) -> None:
    report(client)
    body = client.get("/api/v1/kpi", as_="viewer").json()
    assert body["total"]["counts"]["received"] >= 1
    assert body["meaning"]["closing_rate"]["denominator"]
    assert client.get("/api/v1/kpi?by=district", as_="viewer").status_code == 200
    assert client.get("/api/v1/kpi", as_="other-area").status_code == 403
    assert client.get("/api/v1/kpi?by=rule", as_="other-area").status_code == 403
    assert client.get("/api/v1/kpi?district=420000", as_="other-area").status_code == 200
    assert client.get("/api/v1/kpi?district=410102&utility=heat", as_="other-utility").status_code == 200
    assert client.get("/api/v1/kpi?utility=gas", as_="other-utility").status_code == 403
    assert client.get("/api/v1/kpi?from=2026-02-01&to=2026-01-01", as_="viewer").status_code == 422
    assert client.get("/api/v1/kpi?by=colour", as_="viewer").status_code == 422
