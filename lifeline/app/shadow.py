"""Candidates beside production: their run follows the rule files, and the difference is told.

rule files ──► ShadowRun (``lifeline.engine.shadow``) ──► its book ─┐
                                    alarms of the queue ────────────┴─► view ``shadow_differences``, status, metrics
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from lifeline.app.site import load_site
from lifeline.core.errors import UnavailableError
from lifeline.core.schema import TIME
from lifeline.engine.shadow import Candidate, ShadowRun
from lifeline.lake.query import open_catalog
from rules.evaluate import RuleMachine
from rules.rule_set import RuleSet, digest
from rules.shadow import DIFFERENCES, compare

if TYPE_CHECKING:
    from pathlib import Path

    from lifeline.core.metrics import Metrics
    from lifeline.core.ports import Clock, Log
    from lifeline.core.registry import RegistrySource
    from lifeline.engine.rules_follower import RulesFollower
    from lifeline.engine.snapshots import SnapshotStore
    from lifeline.governance.desk import GovernanceDesk
    from lifeline.lake.catalog import Catalog

EVERY_MS: Final = 10_000
UNCHANGED_MS: Final = 60_000
SPAN_MS: Final = 30 * 86_400_000
"""Alarms of the last thirty days are compared: a candidate is judged in weeks."""
ROWS_MAX: Final = 20_000
VIEW: Final = "shadow_differences"

_NOTHING: Final[dict[str, Any]] = {"rules": [], "position": None, "gaps": 0, "busy_s": 0.0, "fault": None}

_SCHEMA: Final = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("rule_id", "against", "difference", "alarm_id", "level")),
        *(pa.field(name, pa.int32()) for name in ("rule_version", "point")),
        *(pa.field(name, TIME) for name in ("raised_at", "detected_at", "cleared_at")),
        pa.field("value", pa.float64()),
        pa.field("production_alarm_id", pa.string()),
        *(pa.field(name, TIME) for name in ("production_raised_at", "production_cleared_at")),
    ]
)


class ShadowDesk:
    """A chore of the engine: one run at a time, none while no rule is a shadow."""

    def __init__(
        self,
        log: Log,
        registry: RegistrySource,
        snapshots: SnapshotStore,
        desk: GovernanceDesk,
        catalog: Catalog,
        metrics: Metrics,
        clock: Clock,
        production: RulesFollower,
    ) -> None:
        """``production`` tells how far it has judged the log, and which parameters hold for a while."""
        self._log, self._registry, self._snapshots = log, registry, snapshots
        self._desk, self._catalog, self._metrics, self._clock = desk, catalog, metrics, clock
        self._production = production
        self._run: ShadowRun | None = None
        self._rules = RuleSet(())
        self._figures: list[dict[str, Any]] = []
        self._at = 0
        self._compared: tuple[object, ...] | None = None
        self._compared_at = 0
        self._complete = False
        self._empty = False
        self._told: dict[str, Any] = dict(_NOTHING)

    def use(self, rules: RuleSet, timezone: str) -> None:
        """Run the candidates of a rule set from now on; those that are as they were keep their state and their book."""
        if rules.shadow == self._rules.shadow:
            return
        self.close()
        self._rules, self._told = rules, dict(_NOTHING)
        self._compared, self._figures, self._empty = None, [], False
        if not rules.shadow:
            return
        known = {rule.id: Candidate(rule.version, rule.shadow, digest(rule.meaning)) for rule in rules.shadow}
        make = lambda: RuleMachine(rules.candidates, self._registry, timezone)  # noqa: E731 - a factory
        self._run = ShadowRun(
            *(self._log, make, known, self._snapshots, self._clock),
            judged=lambda: self._production.position,
            spans=lambda: self._production.spans,
        )
        self._run.start()

    def using(self, rules: RuleSet, timezone: str) -> ShadowDesk:
        """Itself, after ``use``."""
        self.use(rules, timezone)
        return self

    def keep(self) -> None:
        """One turn: every ten seconds the difference, where anything has changed.

        Raises:
            UnavailableError: database or disk refuses; tried again.
        """
        now = self._clock()
        if now - self._at < EVERY_MS:
            return
        self._at = now
        if self._run is None:
            self._clear()
            return
        # without new alarms of either there is nothing new to say, once the shadow has seen all that production has
        complete = self._run.position >= self._production.position
        seen = (self._run.book.revision, self._desk.newest_mark().entry, len(self._run.book.since))
        if seen == self._compared and (self._complete or now - self._compared_at < UNCHANGED_MS):
            return
        rows, since, at = self._run.copied()
        since = {rule: max(start, now - SPAN_MS) for rule, start in since.items()}
        against = {rule.id: rule.shadow for rule in self._rules.shadow}
        production = self._desk.alarms_of_rules(set(against.values()), min(since.values(), default=now), at, ROWS_MAX)
        figures, differences = compare(against, since, rows, production, at)
        self._catalog.publish_table(VIEW, pa.Table.from_pylist(differences[-ROWS_MAX:], _SCHEMA))
        versions = {rule.id: rule.version for rule in self._rules.shadow}
        self._figures = [{"version": versions[one.rule_id], **one._asdict()} for one in figures]
        for one in self._figures:
            for name in ("same", *DIFFERENCES):
                self._metrics.shadow_alarms.labels(one["rule_id"], name).set(one[name])
        self._compared, self._compared_at, self._complete = seen, now, complete

    def status(self) -> dict[str, Any]:
        """For ``lifeline status``: ``{rules, position, gaps, busy_s, fault}``."""
        if (run := self._run) is not None:
            self._told = {
                "rules": self._figures,
                "position": run.position,
                "gaps": run.gaps,
                "busy_s": round(run.busy_s, 3),
                "fault": run.fault,
            }
        return self._told

    def close(self) -> None:
        """Stop the run and keep its state."""
        if self._run is not None:
            self._run.close()
            self.status()  # what was found stays to be read after a stop
            self._run = None

    def _clear(self) -> None:
        """Without candidates there is no difference: said once."""
        if not self._empty:
            self._catalog.publish_table(VIEW, _SCHEMA.empty_table())
            self._metrics.shadow_alarms.clear()
            self._empty = True


def read_shadow(config: Path, limit: int) -> dict[str, Any]:
    """``{rules, position, gaps, fault, differences}``: figures of each candidate, the newest differences first.

    Raises:
        UnavailableError: no engine has run here yet.
        ConfigurationError: the configuration is wrong, or nothing was published yet.
    """
    import orjson

    site = load_site(config)
    try:
        status = orjson.loads(site.status_path.read_bytes())
    except FileNotFoundError:
        raise UnavailableError(
            f"{site.status_path}: no engine has run here yet; start it with: lifeline run -c {config}"
        ) from None
    connection = open_catalog(site.data)
    try:
        query = (
            f"SELECT s.*, p.device_id, p.quantity FROM {VIEW} s LEFT JOIN points p USING (point) "  # noqa: S608 - ours
            f"ORDER BY s.detected_at DESC, s.alarm_id LIMIT {limit}"
        )
        rows = connection.sql(query).to_arrow_table().to_pylist()
    finally:
        connection.close()
    return {**status.get("shadow", {"rules": [], "gaps": 0, "fault": None}), "differences": rows}
