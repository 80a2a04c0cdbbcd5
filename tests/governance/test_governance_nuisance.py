"""Chattering and fleeting alarms are found, and nothing else is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from lifeline.governance.actor import Actor
from tests.governance.conftest import T0, Hands, cleared, raised, registry

MINUTE = 60_000


def test_what_wears_people_out_is_found_with_a_proposal(hands: Hands) -> None:
    changes = []
    for k in range(6):  # every ten seconds, over after three
        alarm = raised("ch4.high", 0, T0 + k * 10_000)
        changes += [alarm, cleared(alarm, T0 + k * 10_000 + 3_000)]
    for k in range(4):  # every ten minutes, over after twenty seconds
        alarm = raised("ch4.high", 1, T0 + k * 10 * MINUTE)
        changes += [alarm, cleared(alarm, T0 + k * 10 * MINUTE + 20_000)]
    for k in range(4):  # as often, but they last: work, not nuisance
        alarm = raised("ch4.high", 2, T0 + k * 10 * MINUTE)
        changes += [alarm, cleared(alarm, T0 + k * 10 * MINUTE + 5 * MINUTE)]
    hands.apply(*changes)
    found = hands.desk.nuisances(T0, T0 + 100 * MINUTE)
    assert [(one.point, one.kind, one.alarms, one.most_in_a_minute, one.fleeting) for one in found] == [
        (0, "chattering", 6, 6, 6),
        (1, "fleeting", 4, 1, 4),
    ]
    assert all("shelve" in one.proposal_en or "raise_after" in one.proposal_en for one in found)
    assert found[0].alarm_id == raised("ch4.high", 0, T0 + 50_000).alarm_id
    assert hands.desk.nuisances(T0, T0 + 100 * MINUTE, utility="heat") == []
    hands.desk.shelve(found[0].alarm_id, Actor("li", "operator"), "chatters", hands.now + MINUTE)
    load = hands.desk.alarm_load(T0, T0 + 100 * MINUTE)
    assert sum(load.levels.values()) == sum(load.windows) == 13
    assert load.standing == 0


def test_alarm_load_on_the_command_line(tmp_path: Path) -> None:
    """A new site: figures of nothing, and no error."""
    command = [sys.executable, "-m", "lifeline.cli"]
    subprocess.run([*command, "init", str(tmp_path)], check=True, capture_output=True)
    from lifeline.app.site import load_site
    from lifeline.governance.places import PlaceLookup
    from lifeline.governance.queue import GovernanceQueue

    site = load_site(tmp_path / "lifeline.toml")
    site.data.mkdir(parents=True, exist_ok=True)
    GovernanceQueue(site.database_url, {}, PlaceLookup(registry), lambda: T0).close()
    arguments = ["alarms", "load", "-c", str(tmp_path / "lifeline.toml")]
    told = subprocess.run([*command, *arguments, "--json"], check=True, capture_output=True, text=True).stdout
    assert json.loads(told)["alarms"] == 0
    shown = subprocess.run([*command, *arguments], check=True, capture_output=True, text=True).stdout
    assert "mean in 10 min" in shown
    assert "share that is red" in shown
