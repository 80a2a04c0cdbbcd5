"""Rule files that change under a running engine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lifeline.app.bookkeeping import record_reload
from lifeline.app.reloading import LOOK_MS, RuleWatch, check_versions
from lifeline.app.site import Site, load_site
from lifeline.cli.main import app
from lifeline.core.batch import LogRecord, Readings
from lifeline.core.errors import ConfigurationError, UnavailableError
from lifeline.core.metrics import Metrics
from lifeline.engine.rules_follower import RulesFollower
from lifeline.engine.snapshots import SnapshotStore
from lifeline.governance.actor import Actor
from lifeline.governance.desk import GovernanceDesk
from lifeline.governance.places import PlaceLookup
from lifeline.governance.queue import GovernanceQueue
from lifeline.registry import read_areas, read_points
from lifeline.registry.ledger import RegistryLedger
from rules.evaluate import RuleMachine
from rules.rule_set import RuleSet

T0 = 1_795_000_000_000


class Running:
    """The parts of an engine that a change of rules goes through, without a log and a broker."""

    def __init__(self, config: Path) -> None:
        self.site = load_site(config)
        self.site.state.mkdir(parents=True, exist_ok=True)
        registry = self.site.config.registry
        assert registry.file is not None
        areas = read_areas(registry.areas) if registry.areas else None
        self.ledger = RegistryLedger(self.site.state, read_points(registry.file), areas)
        rules = RuleSet.load(self.site.config.rule_files)
        machine = RuleMachine(rules, self.ledger, "Asia/Shanghai")
        self.now = T0
        places = PlaceLookup(self.ledger.current)
        self.queue = GovernanceQueue(self.site.database_url, rules.info(), places, lambda: self.now)
        self.follower = RulesFollower(
            *(machine, self.queue, SnapshotStore(self.site.state, "rules"), lambda: self.now, Metrics()),
            acknowledged=self.queue.acknowledged,
        )
        self.full = False
        self.watch = RuleWatch(config, rules, self.ledger, self.follower, self.queue, lambda: self.now, self.record)
        known = self.ledger.current()
        self.point = next(p for p, q in enumerate(known.point_quantity) if known.quantities[q] == "ch4")
        self.records: list[LogRecord] = []

    def read(self, value: float) -> None:
        """One reading; the follower is fed as ``Follow`` does: from its position on."""
        rows = Readings.empty(1)
        at = T0 + len(self.records) * 60_000
        rows.point[:], rows.ts[:], rows.received_at[:], rows.value[:] = self.point, at, at, value
        self.records.append(LogRecord(len(self.records) + 1, at, rows))
        self.catch_up()

    def catch_up(self) -> None:
        for _ in range(2):  # a change of rules sends it back
            self.follower.consume(self.records[self.follower.position :])
            self.follower.tick(self.now)

    def look(self) -> None:
        self.now += LOOK_MS
        self.watch.keep()
        self.catch_up()
        self.catch_up()

    def record(self, site: Site) -> None:
        """Audit as the engine does, unless the disk is full."""
        if self.full:
            raise UnavailableError("disk full")
        desk = GovernanceDesk(self.site.database_url, lambda: self.now)
        try:
            record_reload(desk, site)
        finally:
            desk.close()

    def audited(self) -> list[str]:
        desk = GovernanceDesk(self.site.database_url, lambda: self.now)
        try:
            return [row["action"] for row in desk.list_audit()[0]]
        finally:
            desk.close()

    def alarms(self) -> set[tuple[str, int, bool]]:
        desk = GovernanceDesk(self.site.database_url, lambda: self.now)
        try:
            return {(row["rule_id"], row["rule_version"], row["active"]) for row in desk.list_alarms(limit=100)[0]}
        finally:
            desk.close()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    assert CliRunner().invoke(app, ["init", str(tmp_path / "site")]).exit_code == 0
    return tmp_path / "site" / "lifeline.toml"


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
    expected = {("gas.ch4.high", 1, False), ("gas.ch4.high", 2, True), ("gas.ch4.high-high", 1, True)}
    assert expected <= running.alarms()
    running.read(60.0)
    assert expected <= running.alarms()


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


def test_another_meaning_needs_another_version(config: Path) -> None:
    text = gas(config).read_text("utf-8")
    old, new = RuleSet.parse(text), RuleSet.parse(text.replace("limit = 50.0", "limit = 45.0"))
    with pytest.raises(ConfigurationError, match="version = 2"):
        check_versions(old, new)
    check_versions(old, RuleSet.parse(text.replace("A large leak", "A very large leak")))
