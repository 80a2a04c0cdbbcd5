"""Emergencies, commands to devices, accounts and tokens over the real server, with the typed client."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import orjson
import pytest

from lifeline.client import ApiError, ChangedError, Lifeline, NotAllowedError, NotFoundError
from lifeline.core.principal import Grant

NOW_MS = 1_795_000_000_000


@pytest.fixture
def city(client: Any) -> Iterator[Any]:
    """Make clients by role or token."""
    made: list[Lifeline] = []

    def of(role: str) -> Lifeline:
        made.append(Lifeline(f"http://127.0.0.1:{client.port}/", client.town.tokens.get(role, role)))
        return made[-1]

    yield of
    for one in made:
        one.close()


@contextmanager
def database(client: Any) -> Iterator[sqlite3.Connection]:
    """What no route can: the engine's and the devices' part."""
    with closing(sqlite3.connect(client.town.site.config.database_path)) as db, db:
        yield db


def audited(client: Any, **filters: str) -> list[tuple[str, str, str, str]]:
    entries = client.get("/api/v1/audit", as_="auditor", params=filters).json()["entries"]
    return [(entry["actor"], entry["action"], entry["object"], entry["result"]) for entry in entries]


# --- emergencies ---------------------------------------------------------------------------------------------------


@pytest.mark.both_databases
def test_an_emergency_is_switched_once_listed_ended_and_reviewed(city: Any, client: Any) -> None:
    dispatcher = city("dispatcher")
    begun = dispatcher.start_emergency("410102", "暴雨红色预警", hours=1, key="storm-1")
    assert dispatcher.start_emergency("410102", "暴雨红色预警", hours=1, key="storm-1") == begun
    with pytest.raises(ChangedError, match="already"):
        dispatcher.start_emergency("410102", "again")
    with pytest.raises(ChangedError, match="another request"):
        dispatcher.start_emergency("410102", "other words", hours=1, key="storm-1")
    assert (begun["ended_at"], begun["review"], begun["until"] - begun["since"]) == (None, None, 3_600_000)
    assert [one["emergency_id"] for one in city("viewer").emergencies(state="running")] == [begun["emergency_id"]]
    assert list(city("viewer").emergencies(state="ended")) == []
    incident = city("viewer").event(begun["incident_id"])
    assert (incident["kind"], incident["mode"]) == ("emergency", "emergency")

    ended = dispatcher.end_emergency(begun["emergency_id"], "雨停")
    assert ended["review"]["reason"] == "暴雨红色预警"
    assert ended["ended_by"] == "dispatcher1"
    assert city("viewer").emergency(begun["emergency_id"])["review"] == ended["review"]
    with pytest.raises(ChangedError, match="ended already"):
        dispatcher.end_emergency(begun["emergency_id"], "again")
    assert ("dispatcher1", "mode", "mode/410102", "refused") in audited(client, kind="configuration")
    assert audited(client, kind="configuration").count(("dispatcher1", "mode", "mode/410102", "done")) == 2


def test_emergencies_reach_no_further_than_rights_do(city: Any, client: Any) -> None:
    with database(client) as db:
        db.execute("UPDATE settings SET value = '[emergency]\nreaders = []' WHERE name = 'policy'")
    begun = city("dispatcher").start_emergency("410102", "storm")
    client.town.tokens["near"] = client.town.account("near1", Grant("dispatcher", ("410102001",)))
    client.town.tokens["gas"] = client.town.account("gas1", Grant("dispatcher", (), ("gas",)))
    near, gas = city("near"), city("gas")
    assert [one["emergency_id"] for one in near.emergencies()] == [begun["emergency_id"]]
    assert [one["emergency_id"] for one in gas.emergencies()] == [begun["emergency_id"]]
    assert list(city("other-area").emergencies()) == []
    with pytest.raises(NotFoundError):
        city("other-area").emergency(begun["emergency_id"])
    for one in (near, gas):  # part of the area, part of the utilities: not theirs to switch
        with pytest.raises(NotAllowedError, match="for all utilities"):
            one.end_emergency(begun["emergency_id"], "over")
    city("dispatcher").end_emergency(begun["emergency_id"], "over")
    assert near.emergency(begun["emergency_id"])["review"] is None
    with pytest.raises(ApiError, match="72 h"):
        city("dispatcher").start_emergency("410105", "for ever", hours=100)


def test_while_one_lasts_others_read_but_do_not_act_and_it_is_on_record(city: Any, client: Any) -> None:
    client.town.tokens["far"] = client.town.account("far1", Grant("operator", ("410105",), ("gas",)))
    far, here = city("far"), client.town.events[0]["event_id"]
    with pytest.raises(NotFoundError):
        far.event(here)
    begun = city("dispatcher").start_emergency("410102", "storm")
    time.sleep(1.1)  # the console asks once a second
    assert far.event(here)["actions"] == []
    assert {event["utility"] for event in far.events(area="410102")} == {"gas"}
    with pytest.raises(NotAllowedError):
        far.act(here, "file", note="not mine")
    narrow = city("security").create_token("far1", areas=["410105"])["token"]
    with pytest.raises(NotFoundError):  # a token never reaches further than it was made for
        city(narrow).event(here)
    assert audited(client, actor="far1", kind="read") == [("far1", "read.emergency", "mode/410102", "done")]
    city("dispatcher").end_emergency(begun["emergency_id"], "over")


# --- commands ------------------------------------------------------------------------------------------------------


def downlink(client: Any) -> None:
    with database(client) as db:
        db.execute("INSERT INTO sinks VALUES ('downlink', 'bus', 0, 0, NULL, 0, NULL, NULL, 0, 0)")


def test_a_command_is_sent_once_and_its_reply_is_seen(city: Any, client: Any) -> None:
    operator, event_id = city("operator"), client.town.events[0]["event_id"]
    with pytest.raises(ChangedError, match="no way to devices"):
        operator.command("D00000", "sample-faster")
    downlink(client)
    made = operator.command("D00000", "sample-faster", interval_s=10, event_id=event_id[:8], reason="look", key="c-1")
    again = operator.command("D00000", "sample-faster", interval_s=10, event_id=event_id[:8], reason="look", key="c-1")
    assert again == made
    assert (made["status"], made["event_id"], made["reply"]) == ("queued", event_id, None)
    assert made["fields"] == {"interval_s": 10, "for_s": 3600}
    reply = {"id": made["command_id"], "status": "done", "detail": "10 s now"}
    text = orjson.dumps(reply).decode()
    with database(client) as db:
        db.execute("UPDATE commands SET status = 'done', replied_at = ?, reply = ?", (NOW_MS, text))
        assert db.execute("SELECT count(*) FROM outbox WHERE kind = 'command'").fetchone() == (1,)
    seen = city("viewer").command_state(made["command_id"])
    assert (seen["status"], seen["reply"]) == ("done", reply)
    (listed,) = city("viewer").commands(device="D00000", status="done")
    assert listed == seen
    assert ("operator1", "sample-faster", "device/D00000", "done") in audited(client)


def test_commands_reach_no_further_than_rights_do(city: Any, client: Any) -> None:
    downlink(client)
    made = city("dispatcher").command("D00000", "inspect-valve")
    with pytest.raises(NotAllowedError, match="is for dispatcher, admin"):
        city("operator").command("D00000", "inspect-valve")
    for other in ("other-area", "other-utility"):
        assert list(city(other).commands()) == []
        with pytest.raises(NotFoundError):
            city(other).command_state(made["command_id"])
        with pytest.raises(NotFoundError):
            city(other).command("D00000", "sample-faster")
    with pytest.raises(NotFoundError):
        city("operator").command("D99999", "sample-faster")
    with pytest.raises(NotFoundError):
        city("operator").command("D00000", "sample-faster", event_id="0" * 20)
    with pytest.raises(ApiError, match="does not take"):
        city("dispatcher").command("D00000", "inspect-valve", interval_s=5)
    with pytest.raises(NotFoundError):  # a household's device is known by its pseudonym only
        city("operator").command("D00001", "sample-faster")
    household = next(point["device_id"] for point in city("viewer").points(kind="household-detector"))
    assert city("operator").command(household, "sample-faster")["device_id"] == household
    assert next(city("viewer").commands(device=household))["device_id"] == household


# --- accounts and tokens -------------------------------------------------------------------------------------------


@pytest.mark.both_databases
def test_an_account_is_made_changed_and_closed_by_the_security_administrator(city: Any, client: Any) -> None:
    security = city("security")
    grants = [{"role": "operator", "areas": ["410102"], "utilities": ["gas"]}]
    made = security.add_account("Li.Na", grants, grade="important", key="a-1")
    assert made["name"] == "li.na"
    assert made["link"].endswith(f"/login#{made['one_time']}")
    repeated = security.add_account("Li.Na", grants, grade="important", key="a-1")
    assert (repeated["name"], repeated["one_time"]) == ("li.na", None)
    with pytest.raises(ChangedError, match="already"):
        security.add_account("li.na", grants)
    answer = client.http.post("/login", data={"word": made["one_time"], "password": "ein langes Wort 77"})
    assert answer.status_code == 303
    client.http.cookies.clear()

    with pytest.raises(ChangedError, match="412"):
        security.set_grants("li.na", [{"role": "viewer"}], "general", version="0" * 16)
    changed = security.set_grants("li.na", [{"role": "viewer"}], "general", version=made["version"])
    assert (changed["grade"], changed["grants"]) == ("general", [{"role": "viewer", "areas": [], "utilities": []}])
    with pytest.raises(ApiError, match="different people"):
        security.set_grants("li.na", [{"role": "admin"}, {"role": "auditor"}], "general")
    with pytest.raises(ApiError, match="own rights"):
        security.set_grants("security1", [{"role": "security"}, {"role": "admin"}], "core")
    with pytest.raises(ApiError, match="own account"):
        security.disable_account("security1")
    assert security.invite("li.na")["one_time"]
    assert security.disable_account("li.na")["disabled_at"] is not None
    assert security.disable_account("li.na")["disabled_at"] is not None
    with pytest.raises(ChangedError, match="disabled"):
        security.invite("li.na")
    with pytest.raises(NotFoundError):
        security.disable_account("nobody")
    assert [one["name"] for one in security.accounts(page=3) if one["name"].startswith("li")] == ["li.na"]
    assert not {"password", "digest"} & set(next(iter(security.accounts())))
    done = audited(client, actor="security1")
    assert ("security1", "account.grants", "li.na", "done") in done
    assert ("security1", "account.refused", "security1", "refused") in done
    entry = client.get("/api/v1/audit?actor=security1", as_="auditor").json()["entries"][0]
    assert (entry["role"], entry["address"]) == ("security", "127.0.0.1")


@pytest.mark.both_databases
def test_a_token_is_told_once_narrows_and_is_revoked(city: Any, client: Any) -> None:
    security = city("security")
    made = security.create_token("operator1", label="dashboard", days=1, areas=["410105"], key="t-1")
    again = security.create_token("operator1", label="dashboard", days=1, areas=["410105"], key="t-1")
    assert (again["token_id"], again["token"]) == (made["token_id"], None)
    holder = city(made["token"])
    assert {event["area_code"] for event in holder.events()} == {"410105002001", "R4101050030001"}
    with pytest.raises(ApiError, match="does not hold admin"):
        security.create_token("operator1", roles=["admin"])
    with pytest.raises(NotAllowedError):
        list(holder.tokens())
    listed = list(security.tokens("operator1", page=1))
    assert [one["token_id"] for one in listed].count(made["token_id"]) == 1
    assert len(listed) == 2
    assert made["token"] not in str(listed)
    assert security.revoke_token(made["token_id"])["revoked_at"] is not None
    assert security.revoke_token(made["token_id"])["revoked_at"] is not None
    with pytest.raises(NotAllowedError):
        list(holder.events())
    with pytest.raises(NotFoundError):
        security.revoke_token("0" * 12)
    assert client.ask("POST", f"/api/v1/tokens/{made['token']}/revoke", as_="security").status_code == 422


def test_secrets_of_answers_are_not_stored_by_anybody(client: Any) -> None:
    answer = client.ask("POST", "/api/v1/tokens", as_="security", json={"account": "viewer1"})
    assert answer.headers["cache-control"] == "no-store"
    token = answer.json()["token"]
    folder = client.town.site.config.database_path.parent
    assert all(token.encode() not in path.read_bytes() for path in folder.glob("governance.db*"))
