"""Policy, units and matrix over HTTP: versions, rights, errors with their place, in force at once and after a start."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from lifeline.app.check import check_site
from lifeline.core.principal import Grant
from lifeline.governance.desk import GovernanceDesk
from lifeline.governance.places import PlaceLookup
from lifeline.governance.queue import GovernanceQueue
from lifeline.governance.regulations import KEEPERS
from tests.console.conftest import NOW_MS, RULE, raised, registry

POLICY = '[[limit]]\nstage = "triage"\nlevel = "orange"\nwithin = "7min"\n'
WHY = "汛期缩短研判时限"


def engine(client: Any, **policy: Any) -> GovernanceQueue:
    """As the engine opens the queue; it stays open over what people change."""
    rules = {RULE.rule_id: RULE}
    return GovernanceQueue(
        client.town.site.database_url, rules, PlaceLookup(registry), lambda: NOW_MS, timezone="Asia/Shanghai", **policy
    )


def put(client: Any, name: str, version: int | None, as_: str = "admin", **body: Any) -> Any:
    headers = {} if version is None else {"If-Match": f'"{version}"'}
    return client.ask("PUT", f"/api/v1/settings/{name}", as_=as_, json={"reason": WHY, **body}, headers=headers)


def triage_due(client: Any, queue: GovernanceQueue, point: int, onset: int) -> int:
    """Minutes until a new event's triage is overdue."""
    (event_id,) = queue.apply([raised(point, onset)], queue.position + 1, NOW_MS)
    with closing(GovernanceDesk(client.town.site.database_url, lambda: NOW_MS)) as desk, desk._database.read() as found:
        row = found.exec_driver_sql(
            f"SELECT due_at - since FROM timers WHERE event_id = '{event_id}' AND stage = 'triage'"
        )
        return int(row.scalar() or 0) // 60_000


@pytest.mark.both_databases
def test_a_policy_is_in_force_at_once_and_after_a_start(client: Any) -> None:
    first = client.get("/api/v1/settings/policy", as_="viewer")
    assert (first.json()["version"], first.json()["source"], first.headers["etag"]) == (0, "built-in", '"0"')
    for event in client.town.events[:2]:  # so that the next alarms there open new ones
        act = f"/api/v1/events/{event['event_id']}/actions/cancel"
        assert client.ask("POST", act, as_="dispatcher", json={"note": "no"}).status_code == 200
    queue = engine(client)
    assert triage_due(client, queue, 0, NOW_MS - 5_000) == 15

    assert put(client, "policy", None, text=POLICY).status_code == 428
    made = put(client, "policy", 0, text=POLICY)
    assert (made.status_code, made.headers["etag"], made.json()["actor"]) == (200, '"1"', "admin1")
    assert triage_due(client, queue, 1, NOW_MS - 4_000) == 7
    queue.close()

    assert put(client, "policy", 0, text="").status_code == 412
    queue = engine(client)  # a start without a file keeps it
    assert client.get("/api/v1/settings/policy", as_="viewer").json()["text"] == POLICY
    queue.close()
    entry = client.get("/api/v1/audit?object=settings/policy", as_="auditor").json()["entries"]
    assert [(one["action"], one["result"]) for one in entry] == [("set", "refused"), ("set", "done")]
    assert entry[1]["kind"] == "configuration"
    assert '+within = "7min"' in str(entry[1]["fields"])


def test_a_file_goes_before_and_says_so(client: Any) -> None:
    site = client.town.site
    assert put(client, "policy", 0, text=POLICY).status_code == 200
    file = site.config.path.parent / "policy.toml"
    file.write_text("[report]\nradius_m = 50\n")
    config = site.config.path.read_text()
    site.config.path.write_text(f'{config}\n[governance]\npolicy = "policy.toml"\n')
    try:
        (told,) = check_site(site.config.path, None, lambda _: None)["settings"]["warnings"]
        assert "version 1" in told
        assert "admin1" in told
        engine(client, policy=file.read_text(), policy_file=str(file)).close()

        shown = client.get("/api/v1/settings/policy", as_="admin").json()
        assert (shown["version"], shown["source"], shown["file"]) == (2, "file", str(file))
        refused = put(client, "policy", 2, text=POLICY)
        assert refused.status_code == 409
        assert str(file) in refused.json()["detail"]
    finally:
        site.config.path.write_text(config)

    engine(client).close()  # named no longer: what it said last holds, and people keep it from now on
    shown = client.get("/api/v1/settings/policy", as_="admin").json()
    assert (shown["version"], shown["file"], shown["text"]) == (2, None, file.read_text())
    assert put(client, "policy", 2, text=POLICY).json()["version"] == 3
    versions = client.get("/api/v1/settings/policy/versions?limit=2", as_="viewer").json()
    assert ([one["version"] for one in versions["versions"]], versions["next"]) == ([3, 2], 2)
    assert client.get("/api/v1/settings/policy/versions/1", as_="viewer").json()["text"] == POLICY
    assert client.get("/api/v1/settings/policy/versions/9", as_="viewer").status_code == 404


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('[[limit]]\nstage = "triage"\nwithin = "soon"\n', "limit.0.within"),
        ("[report]\nradius = 5\n", "report.radius"),
        ("limit = [", ""),
        ('[calendar]\ncountry = "XX"\n', "calendar"),
        ('[emergency]\noverrides = { "no.such.rule" = { limit = 1.0 } }\n', "emergency.overrides"),
    ],
)
def test_a_wrong_policy_is_refused_with_its_place(client: Any, text: str, where: str) -> None:
    answer = put(client, "policy", 0, text=text)
    assert answer.status_code == 422
    assert any(".".join(one["where"]).startswith(f"body.text.{where}".rstrip(".")) for one in answer.json()["errors"])
    assert client.get("/api/v1/settings/policy", as_="admin").json()["version"] == 0


@pytest.mark.both_databases
def test_the_next_proposal_goes_by_the_new_matrix(client: Any) -> None:
    event_id = client.town.events[0]["event_id"]
    rows = [{"utility": "gas", "area_code": "410102", "unit": "中原燃气所"}, {"unit": "值班室"}]
    assert put(client, "units", 0, rows=[{"unit": "中原燃气所", "capacity": 20}]).status_code == 200
    made = put(client, "duties", 0, rows=rows).json()
    assert [row["unit"] for row in made["rows"]] == ["中原燃气所", "值班室"]
    proposal = client.get(f"/api/v1/events/{event_id}/proposal", as_="dispatcher").json()
    assert proposal["unit"] == "中原燃气所"

    put(client, "duties", 1, rows=rows[1:])
    proposal = client.get(f"/api/v1/events/{event_id}/proposal", as_="dispatcher").json()
    assert proposal["unit"] == "值班室"


def test_a_wrong_row_is_named(client: Any) -> None:
    doubled = put(client, "units", 0, rows=[{"unit": "a"}, {"unit": "a"}])
    assert (doubled.status_code, "row 2" in doubled.json()["detail"]) == (422, True)
    for row in ({"unit": "a", "utility": "steam"}, {"unit": "a", "areas": "x"}, {"unit": ""}, {"unit": "a\x00"}):
        wrong = put(client, "duties", 0, rows=[{"unit": "b"}, row])
        assert wrong.status_code == 422
        assert wrong.json()["errors"][0]["where"][:3] == ["body", "rows", "1"]
    assert client.get("/api/v1/settings/duties", as_="admin").json()["version"] == 0


def test_only_the_whole_citys_centre_may(client: Any) -> None:
    town = client.town
    town.tokens["city"] = town.account("city1", Grant("dispatcher", ("410100",)))
    town.tokens["district"] = town.account("district1", Grant("dispatcher", ("410105",)))
    town.tokens["gas"] = town.account("gas-centre1", Grant("dispatcher", (), ("gas",)))
    for name in ("district", "gas", "viewer", "operator", "auditor", "security", "analyst", "reporter"):
        assert put(client, "policy", 0, as_=name, text=POLICY).status_code == 403, name
    refused = client.get("/api/v1/audit?object=settings/policy", as_="auditor").json()["entries"]
    assert {(one["actor"], one["result"]) for one in refused} == {("district1", "refused"), ("gas-centre1", "refused")}
    assert KEEPERS == ("admin", "dispatcher")
    with closing(GovernanceDesk(town.site.database_url, lambda: NOW_MS)) as desk:
        desk.load_reference({"areas": registry().areas.to_pylist()})
    assert put(client, "policy", 0, as_="city", text=POLICY).status_code == 200
