"""The parts of an engine around the rules follower, without a log and a broker."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from lifeline.app.bookkeeping import record_reload
from lifeline.app.reference import policy_text
from lifeline.app.reloading import LOOK_MS, RuleWatch
from lifeline.app.site import Site, load_site
from lifeline.cli.main import app
from lifeline.core.batch import LogRecord, Readings
from lifeline.core.errors import UnavailableError
from lifeline.core.metrics import Metrics
from lifeline.engine.rules_follower import RulesFollower
from lifeline.engine.snapshots import SnapshotStore
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

    def __init__(self, config: Path, records: list[LogRecord] | None = None) -> None:
        """``records``: what the log holds already, as after a restart."""
        self.site = load_site(config)
        self.site.state.mkdir(parents=True, exist_ok=True)
        registry = self.site.config.registry
        assert registry.file is not None
        areas = read_areas(registry.areas) if registry.areas else None
        self.ledger = RegistryLedger(self.site.state, read_points(registry.file), areas)
        rules = RuleSet.load(self.site.config.rule_files)
        machine = RuleMachine(rules, self.ledger, "Asia/Shanghai")
        self.records = records or []
        self.now = self.records[-1].received_at if self.records else T0
        places = PlaceLookup(self.ledger.current)
        self.queue = GovernanceQueue(
            self.site.database_url, rules.info(), places, lambda: self.now, policy=policy_text(self.site)
        )
        self.follower = RulesFollower(
            *(lambda: machine, self.queue, SnapshotStore(self.site.state, "rules"), lambda: self.now, Metrics()),
            acknowledged=self.queue.acknowledged,
            spans=self.queue.spans,
        )
        self.follower.start_at(1, len(self.records))
        self.follower.open()
        self.full = False
        self.watch = RuleWatch(config, rules, self.ledger, self.follower, self.queue, lambda: self.now, self.record)
        known = self.ledger.current()
        self.point = next(p for p, q in enumerate(known.point_quantity) if known.quantities[q] == "ch4")

    def read(self, value: float) -> None:
        """One reading; the follower is fed as ``Follow`` does: from its position on."""
        rows = Readings.empty(1)
        at = T0 + len(self.records) * 60_000
        rows.point[:], rows.ts[:], rows.received_at[:], rows.value[:] = self.point, at, at, value
        self.records.append(LogRecord(len(self.records) + 1, at, rows))
        self.catch_up()

    def catch_up(self) -> None:
        """Consume what the log holds."""
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
