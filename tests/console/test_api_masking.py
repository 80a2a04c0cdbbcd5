"""What people write may be personal: telephone and identity numbers, households' devices."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lifeline.core.personal import masked_text
from lifeline.governance.places import PlaceLookup
from lifeline.governance.queue import GovernanceQueue
from tests.console.conftest import NOW_MS, RULE, raised, registry

SECRETS = ("13812345678", "138 1234 5678", "0371-66666666", "410105199003071234", "wang@example.com")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("请联系王女士13812345678，谢谢", "请联系王女士138****5678，谢谢"),
        ("call +86 138-1234-5678 now", "call +86 138****5678 now"),
        ("值班 0371-66666666", "值班 0371-****6666"),
        ("身份证410105199003071234", "身份证***"),
        ("mail wang@example.com.", "mail ***."),
        ("1795000000123 is a time, a13812345678f an id, 410105001001 a grid", None),
        ("漏点 113.640123,34.750456 附近", "漏点 113.64,34.75 附近"),
        ("at 34.750456°N, 113.640123°E", "at 34.75°N, 113.64°E"),
        ("经度113.640123，纬度34.750456", "经度113.64，纬度34.75"),
        ("pressures 2.34567, 6.78901 and 25.1234 of 101.3251 kPa", None),
        ("压力 13.812345678 kPa, 2026-11-18 19:07", None),
    ],
)
def test_what_is_personal_in_free_text_is_hidden(text: str, shown: str | None) -> None:
    assert masked_text(text) == (text if shown is None else shown)


def test_nothing_personal_that_people_write_leaves_unmasked(client: Any) -> None:
    household = "D00001"
    event_id = client.town.events[0]["event_id"]
    note = f"{household} 的住户王女士 {' '.join(SECRETS)}"
    path = f"/api/v1/events/{event_id}"
    assert client.ask("POST", f"{path}/actions/note", as_="operator", json={"note": note}).status_code == 200
    report = {"source": "citizen", "description": note, "utility": "gas", "area_code": "410102001001"}
    made = client.ask("POST", "/api/v1/events", as_="operator", json=report).json()
    alarm = f"/api/v1/alarms/{client.town.alarms[0]['alarm_id']}"
    assert client.ask("POST", f"{alarm}/actions/ack", as_="operator", json={"note": note}).status_code == 200
    shown = [path, alarm, f"/api/v1/events/{made['event_id']}", f"/open311/v2/requests/{made['report_id']}.json"]
    for one in shown:
        text = client.get(one, as_="operator").text
        assert "王女士" in text
        assert not [secret for secret in (*SECRETS, household) if secret in text], one
    headers = {"X-Purpose": "call back", "X-Case-Id": event_id}
    text = client.get(path, as_="analyst", headers=headers).text
    assert all(secret in text for secret in (*SECRETS, household))


def test_a_refusal_names_no_household(client: Any) -> None:
    """Closing asks telemetry; the device that has not spoken since the feedback is a household's."""
    event = client.town.events[1]
    change = replace(raised(1), kind="cleared", cleared_at=NOW_MS, detected_at=NOW_MS, value=3.0)
    rules = {RULE.rule_id: RULE}
    queue = GovernanceQueue(client.town.site.database_url, rules, PlaceLookup(registry), lambda: NOW_MS)
    queue.apply([change], queue.position + 1, NOW_MS)
    queue.close()
    path = f"/api/v1/events/{event['event_id']}/actions"
    for action, role in (
        ("file", "operator"),
        ("dispatch", "dispatcher"),
        ("accept", "operator"),
        ("handle", "operator"),
        ("feed-back", "operator"),
    ):
        answer = client.ask("POST", f"{path}/{action}", as_=role, json={"note": "done"})
        assert answer.status_code == 200, answer.text
    refused = client.ask("POST", f"{path}/close", as_="analyst", json={"cause": "leak"})
    assert refused.status_code == 422
    assert "no reading since the feedback" in refused.json()["detail"]
    assert "D00001" not in refused.text
