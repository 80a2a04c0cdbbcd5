"""Q07 over HTTP: every illegal step in every state, stale writers, and repeats; refused, unchanged, on record."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

from lifeline.console.limits import Buckets, Rate
from lifeline.governance import states
from lifeline.governance.actor import Actor
from lifeline.governance.desk import GovernanceDesk
from lifeline.governance.reports import Report

WRITERS = 8
SHARE = 1 if os.environ.get("LIFELINE_SOAK") else 5
"""Every fifth illegal step runs always, all of them under LIFELINE_SOAK=1."""
FIELDS: dict[str, dict[str, Any]] = {
    "dispatch": {"owner": "unit"},
    "co-handle": {"co_owners": "other"},
    "close": {"cause": "leak"},
    "evaluate": {"satisfaction": 5},
}


@pytest.fixture
def patient(client: Any) -> Any:
    """The console without limits of rate: here they are not what is asked about."""
    client.app.state.lifeline.gate._buckets = Buckets(Rate(1e9, 1e9), lambda: 0.0)
    return client


def paths() -> dict[str, list[str]]:
    """The shortest way from ``new`` to every state, as actions of the table."""
    ways: dict[str, list[str]] = {"new": []}
    queue = ["new"]
    for status in queue:
        for action in states.legal(status):
            target = states.BY_KEY[status, action].target
            if target not in ways:
                ways[target] = [*ways[status], action]
                queue.append(target)
    return ways


def in_every_state(client: Any) -> Iterator[tuple[str, str]]:
    """(status, event id): one event walked to each state there is."""
    with closing(GovernanceDesk(client.town.site.database_url, lambda: 1_795_000_000_000)) as desk:
        for number, (status, way) in enumerate(paths().items()):
            told = Report("patrol", "x", utility="gas", area_code="410102001001", external_ref=f"q07-{number}")
            event_id = desk.report(told, Actor("walker", "operator"))["event_id"]
            for action in way:
                step = FIELDS.get(action, {}) | ({"until": 1_795_003_600_000} if action == "ask-extension" else {})
                person = "checker" if action in {"grant-extension", "close", "fail-check", "evaluate"} else "walker"
                desk.act(event_id, action, Actor(person, "admin"), "because", **step)
            assert desk.get_event(event_id)["status"] == status
            yield status, event_id


def refused(client: Any) -> Counter[str]:
    """Refusals on record, by event."""
    found: Counter[str] = Counter()
    params = {"kind": "data", "limit": "500"}
    while True:
        page = client.get("/api/v1/audit", as_="auditor", params=params).json()
        found.update(entry["object"] for entry in page["entries"] if entry["result"] == "refused")
        if page["next"] is None:
            return found
        params["cursor"] = page["next"]


def test_every_illegal_step_in_every_state_is_409_changes_nothing_and_is_audited(patient: Any) -> None:
    actions = sorted(states.ACTIONS)
    seen, cells, wrong, asked = 0, 0, [], Counter()
    for status, event_id in in_every_state(patient):
        before = patient.get(f"/api/v1/events/{event_id}", as_="viewer").json()
        for action in actions:
            if (status, action) in states.BY_KEY:
                continue
            seen += 1
            if seen % SHARE:
                continue
            cells += 1
            asked[f"event/{event_id}"] += 1
            body = {"note": "because"} | FIELDS.get(action, {})
            answer = patient.ask("POST", f"/api/v1/events/{event_id}/actions/{action}", as_="admin", json=body)
            if answer.status_code != 409 or answer.json()["type"] != "/problems/conflict":
                wrong.append((status, action, answer.status_code, answer.text[:100]))
        if patient.get(f"/api/v1/events/{event_id}", as_="viewer").json() != before:
            wrong.append((status, "changed", 0, ""))
    print(f"{cells} illegal steps, wrong {len(wrong)}")
    assert wrong == []
    assert cells > 200 // SHARE
    assert refused(patient) == asked


def all_at_once(client: Any, event_id: str, **headers: str) -> list[Any]:
    """The same note by many writers at one time."""

    def write(_: int) -> Any:
        path = f"/api/v1/events/{event_id}/actions/note"
        return client.ask("POST", path, as_="operator", json={"note": "seen"}, headers=headers)

    with ThreadPoolExecutor(WRITERS) as pool:
        return list(pool.map(write, range(WRITERS)))


def notes(client: Any, event_id: str) -> int:
    log = client.get(f"/api/v1/events/{event_id}", as_="viewer").json()["log"]
    return sum(entry["action"] == "note" for entry in log)


def test_of_writers_that_saw_the_same_version_one_writes(patient: Any) -> None:
    event_id = patient.town.events[0]["event_id"]
    for round_ in range(1, 4):
        version = patient.get(f"/api/v1/events/{event_id}", as_="viewer").headers["etag"]
        answers = all_at_once(patient, event_id, **{"If-Match": version})
        assert Counter(answer.status_code for answer in answers) == {200: 1, 412: WRITERS - 1}
        assert {one.json()["type"] for one in answers if one.status_code == 412} == {"/problems/changed"}
        assert notes(patient, event_id) == round_
    assert refused(patient)[f"event/{event_id}"] == 3 * (WRITERS - 1)


def test_a_repeat_is_one_act_also_when_all_come_at_once_and_after_others_have_written(patient: Any) -> None:
    event_id, other = (patient.town.events[k]["event_id"] for k in (0, 2))
    key = {"Idempotency-Key": "k-1", "If-Match": '"1"'}
    answers = all_at_once(patient, event_id, **key)
    assert {(answer.status_code, answer.json()["version"]) for answer in answers} == {(200, 2)}
    assert notes(patient, event_id) == 1
    all_at_once(patient, event_id)
    late = all_at_once(patient, event_id, **key)[0]  # stale by now, and still the same act: done, not refused
    assert late.status_code == 200
    assert notes(patient, event_id) == 1 + WRITERS
    for path, body in (
        (f"/api/v1/events/{event_id}/actions/note", {"note": "something else"}),
        (f"/api/v1/events/{event_id}/actions/file", {"note": "seen"}),
        (f"/api/v1/events/{other}/actions/note", {"note": "seen"}),
    ):
        answer = patient.ask("POST", path, as_="operator", json=body, headers={"Idempotency-Key": "k-1"})
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/conflict"), path
    mine = patient.ask(
        "POST",
        f"/api/v1/events/{other}/actions/note",
        as_="dispatcher",
        json={"note": "seen"},
        headers={"Idempotency-Key": "k-1"},
    )
    assert mine.status_code == 200  # another person's key is another key
