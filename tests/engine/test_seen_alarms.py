"""A latched alarm that somebody acknowledged ends in a backtest over the lake as it ended live, and no other does."""

from __future__ import annotations

from pathlib import Path

import pytest

from lifeline.app.seen_alarms import ends_by_people, with_ends
from lifeline.governance.actor import Actor
from lifeline.governance.desk import GovernanceDesk
from rules.backtest import BacktestResult, run
from rules.rule_set import RuleSet
from tests.engine.conftest import Running

RULE = "gas.ch4.high-high"


def rows(result: BacktestResult) -> dict[str, int | None]:
    """Ends by alarm, epoch ms."""
    told = result.alarms.to_pylist()
    return {one["alarm_id"]: one["cleared_at"] and round(one["cleared_at"].timestamp() * 1000) for one in told}


@pytest.mark.parametrize("seen_while_up", [True, False])
def test_acknowledged_alarms_end_as_they_ended_live(seen_while_up: bool, config: Path) -> None:
    """Seen while the condition stands, it ends with it; seen when it is over, it ends by that; unseen, by the next."""
    running = Running(config)
    rules = RuleSet.load(running.site.config.rule_files)

    def read(*values: float) -> None:
        for value in values:
            running.read(value)
            running.now = running.records[-1].received_at

    def acknowledge() -> None:
        desk = GovernanceDesk(running.site.database_url, lambda: running.now)
        row = desk.list_alarms(rule_id=RULE, active=True)[0][0]
        desk.ack(row["alarm_id"], Actor("li", "operator"))
        desk.close()
        running.now += 1_000
        running.catch_up()

    assert ends_by_people(running.site, rules) == {}
    read(1.0, 60.0, 60.0)
    if seen_while_up:
        acknowledge()
    read(1.0, 1.0, 1.0, 1.0)
    if not seen_while_up:
        acknowledge()
    read(1.0, 60.0, 1.0, 1.0, 1.0, 1.0, 60.0, 1.0, 1.0, 1.0, 1.0)

    desk = GovernanceDesk(running.site.database_url, lambda: running.now)
    live = {row["alarm_id"]: row["cleared_at"] for row in desk.list_alarms(limit=100)[0]}
    desk.close()
    known = running.ledger.current()
    result = run(rules, known, [record.readings for record in running.records], "Asia/Shanghai")
    (seen,) = [alarm for alarm, end in rows(result).items() if end != live[alarm]]
    ended = with_ends(result, ends_by_people(running.site, rules))
    assert rows(ended) == live
    assert {row["id"]: row["cleared"] for row in ended.rules} == {row["id"]: row["cleared"] for row in result.rules}
    assert live[seen] is not None

    of_rule = {one["alarm_id"] for one in result.alarms.to_pylist() if one["rule_id"] == RULE}
    (last,) = [alarm for alarm, end in live.items() if end is None and alarm in of_rule]
    cut = with_ends(result, {last: result.end_ms})
    before, after = ({row["id"]: row["cleared"] for row in one.rules}[RULE] for one in (result, cut))
    assert (rows(cut)[last], after) == (result.end_ms, before + 1)
    assert with_ends(result, {last: result.end_ms + 1}) is result, "after the period's end it still stands there"
