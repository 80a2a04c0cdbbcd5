"""Rule files that change under a running engine."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
from typer.testing import CliRunner

from lifeline.app.http.queue import HttpQueue
from lifeline.app.latched import read_latched
from lifeline.app.reloading import check_versions
from lifeline.app.site import load_site
from lifeline.cli.main import app
from lifeline.core.errors import ConfigurationError, UnavailableError
from lifeline.engine.status import LATCHED
from lifeline.governance.actor import Actor
from lifeline.governance.desk import GovernanceDesk
from rules.rule_set import RuleSet
from tests.engine.conftest import Running


def gas(config: Path) -> Path:
    return next(file for file in load_site(config).config.rule_files if file.name == "gas.toml")


def test_a_changed_file_comes_into_force_and_the_rest_keeps_its_state(config: Path) -> None:
    running = Running(config)
    for value in (1.0, 60.0, 60.0):
        running.read(value)
    assert {("gas.ch4.high", 1, True), ("gas.ch4.high-high", 1, True)} <= running.alarms()
    text = gas(config).read_text("utf-8")
    old = text[text.index('id = "gas.ch4.high"') :][:60]
    gas(config).write_text(text.replace(old, old.replace("version = 1", "version = 2"), 1), "utf-8")
    running.look()
    assert running.follower.reload_fault is None
    desk = GovernanceDesk(running.site.database_url, lambda: running.now)
    (ended,) = [row for row in desk.list_alarms(rule_id="gas.ch4.high")[0] if row["rule_version"] == 1]
    assert desk.get_alarm(ended["alarm_id"])["log"][0]["note"] == "规则已修改 / the rule has changed"
    desk.close()
    expected = {("gas.ch4.high", 1, False), ("gas.ch4.high", 2, True), ("gas.ch4.high-high", 1, True)}
    assert expected <= running.alarms()
    running.read(60.0)
    assert expected <= running.alarms()


def test_a_file_that_is_empty_for_a_moment_hides_no_alarm(config: Path) -> None:
    """As an editor leaves it that empties before it writes: the alarm stands, as a backtest of the same log has it."""
    running = Running(config)
    for value in (1.0, 60.0):
        running.read(value)
    text = gas(config).read_text("utf-8")
    gas(config).write_text("", "utf-8")
    running.look()
    assert ("gas.ch4.high-high", 1, False) in running.alarms()
    gas(config).write_text(text, "utf-8")
    running.look()
    running.read(60.0)
    assert {("gas.ch4.high", 1, True), ("gas.ch4.high-high", 1, True)} <= running.alarms()
    assert ("gas.ch4.high-high", 1, False) not in running.alarms()


def test_a_change_of_rules_is_audited_and_waits_until_it_can_be(config: Path) -> None:
    running = Running(config)
    text = gas(config).read_text("utf-8")
    old = text[text.index('id = "gas.ch4.high"') :][:60]
    gas(config).write_text(text.replace(old, old.replace("version = 1", "version = 2"), 1), "utf-8")
    running.full = True
    with pytest.raises(UnavailableError):
        running.look()
    running.read(60.0)
    assert ("gas.ch4.high", 2, True) not in running.alarms()

    running.full = False
    running.look()
    running.read(60.0)
    assert ("gas.ch4.high", 2, True) in running.alarms()
    assert running.audited() == ["rules-reload"]


def test_a_file_with_a_fault_leaves_the_rules_in_force(config: Path) -> None:
    running = Running(config)
    text = gas(config).read_text("utf-8")
    gas(config).write_text(text.replace("value >= limit", "valeu >= limit"), "utf-8")
    running.look()
    assert "did you mean value?" in (running.follower.reload_fault or "")
    running.read(1.0)
    running.read(60.0)
    assert ("gas.ch4.high-high", 1, True) in running.alarms()
    gas(config).write_text(text, "utf-8")
    os.utime(gas(config), ns=(1, 1))
    running.look()
    assert running.follower.reload_fault is None


def test_a_policy_in_another_encoding_leaves_the_rules_in_force(config: Path) -> None:
    policy = config.parent / "policy.toml"
    policy.write_text("# 政策\n", "utf-8")
    config.write_text(
        config.read_text("utf-8").replace("[governance]", '[governance]\npolicy = "policy.toml"', 1), "utf-8"
    )
    running = Running(config)
    policy.write_bytes("# 政策\n".encode("gbk"))
    os.utime(gas(config), ns=(1, 1))
    running.look()
    assert "policy.toml: governance.policy: cannot be read" in (running.follower.reload_fault or "")
    running.read(1.0)
    running.read(60.0)
    assert ("gas.ch4.high-high", 1, True) in running.alarms()


def test_a_latched_alarm_ends_when_somebody_has_seen_it(config: Path) -> None:
    running = Running(config)
    for value in (1.0, 60.0, 1.0, 1.0, 1.0, 1.0):
        running.read(value)
    latched = ("gas.ch4.high-high", 1, True)
    assert latched in running.alarms()
    desk = GovernanceDesk(running.site.database_url, lambda: running.now)
    (row,) = desk.list_alarms(rule_id="gas.ch4.high-high")[0]
    desk.ack(row["alarm_id"], Actor("li", "operator"))
    desk.close()
    running.now += 1_000
    running.catch_up()
    assert latched not in running.alarms()


def seen(config: Path, *arguments: str) -> str:
    """What the command line says of alarms, where there is room for it."""
    result = CliRunner().invoke(app, ["alarms", *arguments, "-c", str(config)], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.output


def tell_status(running: Running) -> None:
    """The part of the engine's status that says which alarms only their latch holds up."""
    told = [dict(zip(LATCHED, one, strict=True)) for one in running.follower.latched]
    running.site.status_path.write_bytes(orjson.dumps({"latched": told}))


def test_a_latched_alarm_whose_condition_is_over_is_told_as_such(config: Path) -> None:
    running = Running(config)
    for value in (1.0, 60.0):
        running.read(value)
    running.now += 1_000
    running.catch_up()
    tell_status(running)
    rule = ("--rule", "gas.ch4.high-high")
    (row,) = json.loads(seen(config, "list", *rule, "--json"))["alarms"]
    assert (row["state"], row["latched"]) == ("unacked", False)
    assert "unacked 报警中未确认" in seen(config, "list", *rule)

    for value in (1.0, 1.0, 1.0, 1.0):
        running.read(value)
    running.now += 1_000
    running.catch_up()
    tell_status(running)
    (row,) = json.loads(seen(config, "list", *rule, "--json"))["alarms"]
    assert (row["state"], row["latched"], row["cleared_at"]) == ("unacked", True, None)
    desk = GovernanceDesk(running.site.database_url, lambda: running.now)
    queue = HttpQueue(
        desk, cast("Any", None), lambda: running.now, "UTC", lambda: read_latched(running.site.status_path)
    )
    event = queue.get_event(row["event_id"], masked=False)
    told = {one["rule_id"]: one["latched"] for one in event["alarms"]}
    assert told == {one["rule_id"]: one["rule_id"] == row["rule_id"] for one in event["alarms"]}
    assert queue.get_alarm(row["alarm_id"], masked=False)["latched"] is True
    (api,) = queue.list_alarms(None, masked=False, rule_id=row["rule_id"])[0]
    assert api["latched"] is True
    desk.close()
    listed = seen(config, "list", *rule)
    assert "latched 已恢复待确认" in listed
    assert "lifeline alarms ack ID" in listed
    assert "latched" not in seen(config, "list", "--rule", "gas.ch4.high")
    assert "state latched 已恢复待确认" in seen(config, "explain", row["alarm_id"])
    assert "its condition is over, so it ends" in seen(config, "ack", row["alarm_id"])
    running.now += 1_000
    running.catch_up()
    tell_status(running)
    assert running.follower.latched == ()
    assert "normal 已恢复已确认" in seen(config, "list", *rule)


def test_what_does_nothing_says_so(config: Path) -> None:
    """Unshelving what is not shelved, acknowledging twice: no tick, and ``changed`` false."""
    running = Running(config)
    for value in (1.0, 60.0):
        running.read(value)
    desk = GovernanceDesk(running.site.database_url, lambda: running.now)
    (row,) = desk.list_alarms(rule_id="gas.ch4.high-high")[0]
    desk.close()
    key = row["alarm_id"]
    for verb, by in (("unshelve", ()), ("unsuppress", ()), ("in-service", ())):
        said = seen(config, verb, key, *by)
        assert said.startswith(f"! {key}: nothing to {verb}, it is unacked 报警中未确认"), said
        assert json.loads(seen(config, verb, key, "--json"))["changed"] is False
    assert CliRunner().invoke(app, ["alarms", "shelve", key, "--reason", " ", "-c", str(config)]).exit_code == 2
    assert seen(config, "shelve", key, "--reason", "work").startswith("✓")
    assert json.loads(seen(config, "unshelve", key, "--json"))["changed"] is True
    both = CliRunner().invoke(app, ["alarms", "list", "--state", "active", "--state", "acked", "-c", str(config)])
    assert (both.exit_code, "ask for it alone" in both.output) == (2, True)
    assert seen(config, "ack", key).startswith("✓")
    assert seen(config, "ack", key).startswith("!")


def test_another_meaning_needs_another_version(config: Path) -> None:
    text = gas(config).read_text("utf-8")
    old, new = RuleSet.parse(text), RuleSet.parse(text.replace("limit = 50.0", "limit = 45.0"))
    with pytest.raises(ConfigurationError, match="version = 2"):
        check_versions(old, new)
    check_versions(old, RuleSet.parse(text.replace("A large leak", "A very large leak")))
