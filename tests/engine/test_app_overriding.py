"""An emergency changes the rules' limits: live, over restarts, in a backtest, and no longer than it lasts."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import orjson
import pytest

from lifeline.app.assembly import load_rules
from lifeline.app.check import check_site
from lifeline.app.overriding import past_spans
from lifeline.app.site import load_site
from lifeline.core.batch import Readings
from lifeline.core.errors import ConfigurationError
from lifeline.governance.actor import Actor
from lifeline.governance.desk import GovernanceDesk
from rules import backtest
from rules.rule_set import RuleSet
from tests.engine.conftest import T0, Running

MIN = 60_000
POLICY = '[emergency]\noverrides = { "gas.ch4.high" = { limit = 20.0, deadband = 5.0 } }\n'
WANG = Actor("wang", "dispatcher")


@pytest.fixture
def stormy(config: Path) -> Path:
    """A site whose emergencies lower the limit of methane from 25 to 20."""
    (config.parent / "policy.toml").write_text(POLICY, "utf-8")
    text = config.read_text("utf-8")
    config.write_text(text.replace("[governance]", '[governance]\npolicy = "policy.toml"', 1), "utf-8")
    return config


class City(Running):
    """Readings a minute apart; the clock goes with them."""

    def feed(self, *values: float) -> None:
        for value in values:
            self.now = T0 + len(self.records) * MIN
            self.read(value)

    def high(self) -> list[tuple[int, float, int | None, list[str]]]:
        """Onset (minute), limit, end (minute) and whose parameters, of the alarms of ``gas.ch4.high``."""
        with closing(GovernanceDesk(self.site.database_url, lambda: self.now)) as desk:
            rows = [row for row in desk.list_alarms(limit=100)[0] if row["rule_id"] == "gas.ch4.high"]
            return sorted(
                (
                    (row["raised_at"] - T0) // MIN,
                    row["limit"],
                    None if row["cleared_at"] is None else (row["cleared_at"] - T0) // MIN,
                    [one["name"] for one in orjson.loads(row["detail"]).get("overrides", [])],
                )
                for row in rows
            )

    def area(self) -> str:
        return str(self.ledger.current().rows([self.point], ["area_code"])["area_code"][0].as_py())

    def switch(self, minutes: float | None) -> None:
        with closing(GovernanceDesk(self.site.database_url, lambda: self.now)) as desk:
            if minutes is None:
                desk.end_emergency(self.area(), "雨停", WANG)
            else:
                desk.start_emergency(self.area(), self.now + round(minutes * MIN), "暴雨", WANG)
        self.now += 1_500  # the rules ask once a second
        self.catch_up()


def test_the_limit_holds_over_a_restart_and_ends_by_itself(stormy: Path) -> None:
    city = City(stormy)
    city.feed(1.0, 22.0)
    city.switch(10)
    assert city.high() == []

    city.feed(22.0, 1.0, 1.0, 1.0)
    assert city.high() == [(2, 20.0, 5, ["emergency 1"])]

    again = City(stormy, city.records)  # killed: the newest checkpoint, and what the log holds after it
    again.catch_up()
    again.feed(22.0)
    assert again.high() == [(2, 20.0, 5, ["emergency 1"]), (6, 20.0, None, ["emergency 1"])]
    again.feed(1.0, 1.0, 1.0, 1.0, 1.0, 22.0)
    assert (again.now - T0) // MIN == 12
    assert again.high()[-1] == (6, 20.0, 9, ["emergency 1"])
    again.feed(26.0)
    assert again.high()[-1] == (13, 25.0, None, [])


def test_ending_it_early_holds_from_the_next_reading_and_a_backtest_agrees(stormy: Path) -> None:
    city = City(stormy)
    city.feed(1.0)
    city.switch(60)
    city.feed(22.0, 1.0, 1.0, 1.0)
    city.switch(None)
    city.feed(22.0, 26.0)
    assert city.high() == [(1, 20.0, 4, ["emergency 1"]), (6, 25.0, None, [])]

    rows = Readings.concat([record.readings for record in city.records])
    spans = past_spans(city.site)
    rules = RuleSet.load(city.site.config.rule_files)
    made = backtest.run(rules, city.ledger.current(), [rows], "Asia/Shanghai", spans=spans).alarms.to_pylist()
    with closing(GovernanceDesk(city.site.database_url, lambda: city.now)) as desk:
        stored = {row["alarm_id"] for row in desk.list_alarms(limit=100)[0]}
    assert {row["alarm_id"] for row in made} == stored
    without = backtest.run(rules, city.ledger.current(), [rows], "Asia/Shanghai").alarms.to_pylist()
    assert {row["alarm_id"] for row in without} != stored


def test_changed_rules_keep_what_an_emergency_has_set(stormy: Path) -> None:
    city = City(stormy)
    city.feed(1.0)
    city.switch(60)
    gas = next(file for file in city.site.config.rule_files if file.name == "gas.toml")
    text = gas.read_text("utf-8")
    old = text[text.index('id = "gas.ch4.high"') :][:60]
    gas.write_text(text.replace(old, old.replace("version = 1", "version = 2"), 1), "utf-8")
    city.look()
    assert city.follower.reload_fault is None
    city.feed(22.0)
    assert city.high() == [(1, 20.0, None, ["emergency 1"])]


def test_overrides_that_fit_no_rule_are_a_fault_of_the_configuration(stormy: Path) -> None:
    (stormy.parent / "policy.toml").write_text(POLICY.replace("ch4.high", "ch4.hihg"), "utf-8")
    with pytest.raises(ConfigurationError, match=r"did you mean gas\.ch4\.high"):
        check_site(stormy, None, lambda _: None)
    with pytest.raises(ConfigurationError, match=r"emergency\.overrides\.gas\.ch4\.hihg: there is no such rule"):
        load_rules(load_site(stormy))
