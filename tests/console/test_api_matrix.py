"""Access: route × role × (none, expired, revoked, disabled, other area, other utility); wrong allows 0 (S01).

And the description: schemathesis asks every route with what it makes up; no answer is a 5xx (S02).
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from lifeline.client import Lifeline
from lifeline.console.access import OPEN, POLICY
from lifeline.console.app import ROUTES
from lifeline.console.limits import Buckets, Rate
from lifeline.core.principal import ROLES, Grant
from lifeline.governance.actor import Actor
from lifeline.governance.desk import GovernanceDesk
from lifeline.governance.places import PlaceLookup
from lifeline.governance.queue import GovernanceQueue
from tests.console.conftest import NOW_MS, RULE, registry

BODIES: dict[str, dict[str, Any]] = {
    "/api/v1/sql": {"sql": "SELECT 1"},
    "/api/v1/events": {
        "source": "citizen",
        "description": "smell of gas",
        "utility": "gas",
        "area_code": "410102001001",
    },
    "/api/v1/emergencies": {"area_code": "410105", "reason": "storm"},
    "/api/v1/emergencies/{emergency_id}/end": {"reason": "over"},
    "/api/v1/devices/{device}/commands": {"action": "sample-faster"},
    "/api/v1/accounts": {"name": "made1", "grants": [{"role": "viewer"}]},
    "/api/v1/accounts/{name}/grants": {"grants": [{"role": "operator", "areas": ["410102"]}], "grade": "general"},
    "/api/v1/settings/policy": {"text": "", "reason": "as it was"},
    "/api/v1/settings/units": {"rows": [], "reason": "as it was"},
    "/api/v1/settings/duties": {"rows": [], "reason": "as it was"},
    "/api/v1/tokens": {"account": "spare1", "days": 1},
}
LIMITED = ("other-area", "other-utility")
"""Tokens of accounts that hold viewer, operator, dispatcher and analyst, but not here."""


SHARED = {
    ("GET", "/api/v1/emergencies/{emergency_id}", "other-utility"),
    *(
        ("GET", f"/api/v1/settings/{{name}}{more}", other)
        for more in ("", "/versions", "/versions/{version}")
        for other in LIMITED
    ),
}
"""An emergency is of an area, whatever utility somebody looks after there; without its review. Policy, units and matrix
are the whole city's, and no secret."""


def routes() -> Iterator[tuple[str, str]]:
    """(method, path) of every route there is."""
    yield "GET", "/api/openapi.json"
    for module in ROUTES:
        for route in module.router.routes:
            for method in route.methods:
                yield method, route.path


def path_of(template: str, client: Any) -> str:
    """A real address for a route's path."""
    if "report_id" in template and "report" not in client.town.tokens:
        made = client.ask("POST", "/api/v1/events", as_="operator", json=BODIES["/api/v1/events"])
        client.town.tokens["report"] = made.json()["report_id"]
    values = {
        "event_id": client.town.events[0]["event_id"],
        "alarm_id": client.town.alarms[0]["alarm_id"],
        "action": "ack" if "alarms" in template else "note",
        "device": "D00000",
        "quantity": "value",
        "entry": "0",
        "report_id": client.town.tokens.get("report", ""),
        **client.town.tokens.get("made", {}),
    }
    if "settings" in template:
        values |= {"name": "policy", "version": "1"}
    return re.sub(r"\{(\w+)\}", lambda slot: values[slot[1]], template)


def ask(client: Any, method: str, template: str, token: str | None) -> int:
    """The status of an honest request."""
    path = path_of(template, client)
    body = None if method == "GET" else BODIES.get(template, {"note": "seen"})
    if template == "/open311/v2/requests.json" and method == "GET":
        path += f"?service_request_id={path_of('{report_id}', client)}"
    if template == "/api/v1/audit/consistency":
        path += "?older=1"
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    if template.endswith("/stream"):
        with client.http.stream(method, path, headers=headers) as answer:
            return int(answer.status_code)
    return int(client.http.request(method, path, headers=headers, json=body).status_code)


def test_every_route_has_a_policy_and_every_policy_a_route() -> None:
    assert set(routes()) == set(POLICY) | OPEN
    assert not set(POLICY) & OPEN


def test_wrong_allows_are_none(client: Any) -> None:
    accounts, database = client.town.accounts()
    client.town.account("spare1", Grant("viewer"))
    client.town.tokens["made"] = {"name": "spare1", "token_id": accounts.create_token("spare1", actor="test")[0]}
    client.town.tokens["made"] |= facts(client.town)
    _, expired = accounts.create_token("admin1", actor="test", days=1e-9)
    token_id, revoked = accounts.create_token("analyst1", actor="test")
    accounts.revoke_token(token_id, actor="test")
    client.town.account("gone1", *_grants())
    _, disabled = accounts.create_token("gone1", actor="test")
    accounts.disable("gone1", actor="test")
    database.close()
    cells, wrong = 0, []
    for (method, path), roles in POLICY.items():
        for token in (None, expired, revoked, disabled, "lft_" + "x" * 43):
            cells += 1
            status = ask(client, method, path, token)
            if status != 401 and not (path == "/" and status == 303):
                wrong.append((method, path, "no valid credential", status))
        for role in ROLES:
            cells += 1
            status = ask(client, method, path, client.town.tokens[role])
            if (status == 403) != (role not in roles) or status >= 500 or status == 401:
                wrong.append((method, path, role, status))
        for other in LIMITED:
            cells += 1
            status = ask(client, method, path, client.town.tokens[other])
            if "{" in path and status not in {403, 404} and (method, path, other) not in SHARED:
                wrong.append((method, path, other, status))
    print(f"cells {cells}; wrong {len(wrong)}")
    assert wrong == []


def facts(town: Any) -> dict[str, str]:
    """An emergency and a command to a device, to be asked for."""
    with sqlite3.connect(town.site.config.database_path) as db:
        db.execute(
            "INSERT INTO sinks VALUES ('downlink', 'bus', 0, 0, NULL, 0, NULL, NULL, 0, 0) ON CONFLICT DO NOTHING"
        )
    db.close()
    desk = GovernanceDesk(town.site.database_url, lambda: town.alarms[0]["detected_at"])
    mode = desk.start_emergency("410102", None, "storm", Actor("wang", "admin"), hours=2)
    desk.end_emergency("410102", "over", Actor("wang", "admin"))  # while one holds others may read, as they should
    place = {"area_code": "410102001001", "utility": "gas"}
    command = desk.command(Actor("wang", "admin"), "D00000", "sample-faster", place=place)
    desk.close()
    return {"emergency_id": str(mode["entry"]), "command_id": command["command_id"]}


def _grants() -> list[Any]:
    return [Grant(role) for role in ("viewer", "operator", "dispatcher", "analyst", "admin")]


@pytest.mark.both_databases
def test_lists_show_nothing_of_other_areas_and_utilities(client: Any) -> None:
    for path, name in (
        ("/api/v1/events", "events"), ("/api/v1/alarms", "alarms"), ("/api/v1/points", "points"),
        ("/api/v1/live", "values"), ("/events.json", "events"),
    ):  # fmt: skip
        for other in LIMITED:
            assert client.get(path, as_=other).json()[name] == [], (path, other)
        assert len(client.get(path, as_="viewer").json()[name]) == 4


@pytest.mark.both_databases
def test_the_supervision_feed_shows_each_what_is_theirs(client: Any) -> None:
    """Reminders and overdue steps of four events in two districts and utilities, each once, page by page."""
    town = client.town
    queue = GovernanceQueue(
        town.site.database_url, {RULE.rule_id: RULE}, PlaceLookup(registry), lambda: NOW_MS, monotonic=lambda: 0.0
    )
    queue.tick(NOW_MS)
    queue._steady.trusts = lambda _: True  # type: ignore[method-assign]
    queue.tick(NOW_MS + 3_600_000)
    queue.close()
    whole = client.get("/api/v1/escalations", as_="viewer").json()
    assert whole["next"] is None
    assert len({row["event_id"] for row in whole["escalations"]}) == 4
    paged, after = [], 0
    while after is not None:
        page = client.get(f"/api/v1/escalations?limit=3&after={after}", as_="viewer").json()
        paged += page["escalations"]
        after = page["next"]
    assert paged == whole["escalations"]
    near = town.account("near1", Grant("viewer", ("410102",), ("gas",)))
    seen = client.get("/api/v1/escalations", as_=near).json()["escalations"]
    assert seen
    assert seen == [row for row in paged if row["utility"] == "gas" and row["area_code"].startswith("410102")]
    for other in LIMITED:
        assert client.get("/api/v1/escalations", as_=other).json()["escalations"] == []
    centre = client.get("/api/v1/escalations?centre=410105", as_="viewer").json()["escalations"]
    assert centre == [row for row in paged if row["centre"] == "410105"]
    with Lifeline(f"http://127.0.0.1:{client.port}", town.tokens["dispatcher"]) as city:
        assert list(city.escalations(page=2)) == paged
        assert city.proposal(town.events[0]["event_id"])["unit"]


def test_what_is_not_yours_looks_like_what_is_not_there(client: Any) -> None:
    there = client.town.events[0]["event_id"]
    nowhere = "0" * 20
    theirs = client.get(f"/api/v1/events/{there}", as_="other-area")
    missing = client.get(f"/api/v1/events/{nowhere}", as_="other-area")
    assert (theirs.status_code, missing.status_code) == (404, 404)
    assert theirs.json()["detail"].replace(there, "") == missing.json()["detail"].replace(nowhere, "")


@pytest.mark.both_databases
def test_refused_acts_change_nothing_and_are_audited(client: Any) -> None:
    event_id = client.town.events[0]["event_id"]
    before = client.get(f"/api/v1/events/{event_id}", as_="viewer").json()
    for action, as_, status in (("close", "operator", 409), ("nonsense", "operator", 409), ("file", "other-area", 404)):
        answer = client.ask("POST", f"/api/v1/events/{event_id}/actions/{action}", as_=as_, json={"note": "x"})
        assert answer.status_code == status, (action, answer.text)
    assert client.get(f"/api/v1/events/{event_id}", as_="viewer").json() == before
    entries = client.get("/api/v1/audit?kind=data", as_="auditor").json()["entries"]
    assert [entry["result"] for entry in entries[:2]] == ["refused", "refused"]


@pytest.mark.both_databases
def test_acts_are_done_once_and_on_what_was_seen(client: Any) -> None:
    event_id = client.town.events[0]["event_id"]
    path = f"/api/v1/events/{event_id}/actions/file"

    def act(path: str, **headers: str) -> Any:
        return client.ask("POST", path, as_="operator", json={"note": "by phone"}, headers=headers)

    assert act(path, **{"If-Match": '"99"'}).status_code == 412
    assert act(path, **{"If-Match": '"what"'}).status_code == 412
    first = act(path, **{"If-Match": '"1"', "Idempotency-Key": "k-1"})
    again = act(path, **{"If-Match": '"1"', "Idempotency-Key": "k-1"})
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.headers["etag"] == '"2"'
    assert again.json()["version"] == 2
    log = client.get(f"/api/v1/events/{event_id}", as_="viewer").json()["log"]
    assert [entry["action"] for entry in log] == ["open", "file"]
    other = act(path.replace("file", "note"), **{"Idempotency-Key": "k-1"})
    assert other.status_code in {409, 422}
    assert act(path).status_code == 409


def test_schemathesis_finds_no_server_error(client: Any) -> None:
    import schemathesis  # a second and a half, which no other worker needs to spend

    document = client.get("/api/openapi.json", as_="viewer").json()
    for template in [path for path in document["paths"] if path.endswith("/stream")]:
        del document["paths"][template]  # endless by design; tests of its own
    accounts, database = client.town.accounts()
    client.town.account("all1", *_grants())
    _, token = accounts.create_token("all1", actor="test")
    database.close()
    state = client.app.state.lifeline
    state.gate._buckets = Buckets(Rate(1e9, 1e9), lambda: 0.0)
    examples = 200 if os.environ.get("LIFELINE_SOAK") else 15
    schema = schemathesis.openapi.from_dict(document)
    asked, findings = 0, []
    for result in schema.get_all_operations():
        operation = result.ok()

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def probe(case: Any) -> None:
            nonlocal asked
            asked += 1
            answer = case.call(base_url=f"http://127.0.0.1:{client.port}", headers={"Authorization": f"Bearer {token}"})
            kind = answer.headers.get("content-type", [""])
            if answer.status_code >= 500 or (answer.status_code >= 400 and "problem+json" not in str(kind)):
                findings.append((case.method, case.formatted_path, answer.status_code, answer.text[:200]))

        probe()
    print(f"{asked} requests, findings {len(findings)}")
    assert asked > 100
    assert findings == []
