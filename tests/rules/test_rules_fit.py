"""Fitting limits to a normal period, what alarms cost an operator, and scoring alarms about groups."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lifeline.core.errors import ConfigurationError
from lifeline.core.schema import TRUTH
from rules import backtest
from rules.burden import burden
from rules.fit import Fitted, Written, fit, proposal, scaled
from rules.rule_set import RuleSet
from rules.score import score

NOISY = {"raise_": '"value > limit"', "clear": '"value <= limit"', "params": "{ limit = 1.0 }"}


def noise(kit: Any, days: int = 4) -> Any:
    random = np.random.default_rng(7)
    return kit.readings([(0, t, t, float(random.normal())) for t in range(kit.t0, kit.t0 + days * 86_400_000, 60_000)])


def fitted(kit: Any, text: str, budget: float, names: tuple[str, ...] = ()) -> list[Fitted]:
    registry, rows = kit.registry([{}]), noise(kit)
    return fit(RuleSet.parse(text), lambda rules, _k, _of: backtest.run(rules, registry, [rows]), budget, names)


def test_the_most_sensitive_limit_within_the_budget_is_proposed(kit: Any) -> None:
    (one,) = fitted(kit, kit.rule(**NOISY), budget=2.0)
    assert one.cost > 100
    assert one.cost_proposed <= 2.0
    nearest = max(value for value, _ in one.tried if value < one.proposed)
    assert dict(one.tried)[nearest] > 2.0
    assert 2.4 < one.proposed < 4.0
    assert one.row()["alarms_per_day"] == {"value": one.cost, "proposed": one.cost_proposed}


def test_a_limit_below_which_it_alarms_is_fitted_downwards(kit: Any) -> None:
    low = kit.rule(raise_='"value + 5 < limit"', clear='"value + 5 >= limit"', params="{ limit = 4.0 }")
    (one,) = fitted(kit, low, budget=2.0)
    assert one.proposed < 4.0
    assert one.cost_proposed <= 2.0 < one.cost


def test_a_budget_that_no_step_keeps_is_said(kit: Any) -> None:
    (one,) = fitted(kit, kit.rule(**{**NOISY, "params": "{ limit = 0.01 }"}), budget=0.1)
    assert one.cost_proposed > 0.1
    assert one.row()["within_budget"] is False


def test_a_period_that_says_nothing_changes_nothing(kit: Any) -> None:
    (one,) = fitted(kit, kit.rule(params="{ limit = 2500.0, deadband = 1.0 }"), budget=1.0)
    assert (one.proposed, one.cost) == (2500.0, 0.0)


def test_limits_of_standards_are_fitted_only_when_named(kit: Any) -> None:
    text = kit.rule(**NOISY, stability='"stable"')
    assert fitted(kit, text, 1.0) == []
    assert len(fitted(kit, text, 1.0, ("gas.ch4.high",))) == 1
    with pytest.raises(ConfigurationError, match=r"did you mean gas\.ch4\.high"):
        fitted(kit, text, 1.0, ("gas.ch4.hihg",))
    with pytest.raises(ConfigurationError, match="has no limit to fit"):
        fitted(kit, kit.rule(raise_='"value > 1"', clear='"true"', params=""), 1.0, ("gas.ch4.high",))


def test_rules_without_points_are_left_out(kit: Any) -> None:
    assert fitted(kit, kit.rule(**NOISY, where="\"quantity = 'c2h6'\""), 1.0) == []


def test_the_proposal_is_a_rule_file_that_fires_as_fitted(kit: Any, tmp_path: Path) -> None:
    override = "[[rule.override]]\nwhere = \"kind = 'tunnel-cabin'\"\nparams = { limit = 2.0 }\n"
    file = tmp_path / "mine.toml"
    file.write_text("# comment\n" + kit.rule(**NOISY, tail=override), "utf-8")
    rules = RuleSet.load([file])
    (rule,) = rules.rules
    one = Fitted(rule, "limit", 1.0, 3.0, 50.0, 0.5, (), within=True, by=3.0)
    (made,) = RuleSet.parse(proposal(Written.of([tmp_path], rules), [one], 1.0)).rules
    assert [o.params["limit"] for o in made.overrides] == [2.0, 3.0, 6.0]
    registry = kit.registry([{}, {"kind": "tunnel-cabin"}])
    rows = kit.readings(
        [(p, t, t, v) for p in range(2) for t, v in ((kit.t0, 2.9), (kit.t0 + 1, 3.1), (kit.t0 + 2, 7))]
    )
    by_file = backtest.run(RuleSet((made,)), registry, [rows]).alarms
    by_scale = backtest.run(RuleSet((scaled(rule, "limit", 3.0),)), registry, [rows]).alarms
    assert made.version == rule.version + 1  # a running engine refuses another meaning of the same version
    by_file, by_scale = (table.drop_columns(["rule_version", "alarm_id"]) for table in (by_file, by_scale))
    assert by_file.equals(by_scale)
    assert by_file.num_rows == 2


def test_what_calendars_change_is_fitted_too_and_the_proposal_brings_its_calendars(kit: Any, tmp_path: Path) -> None:
    """Before, the night's limit stayed: no step kept the budget, and the file named a calendar that it did not have."""
    night = '[calendar.late-shift]\nhours = [\n  "22:00-06:00",\n]\n[calendar.other]\nhours = "08:00-09:00"\n'
    override = '[[rule.override]]\nduring = "late-shift"\nparams = { limit = 0.9 }\n'
    file = tmp_path / "mine.toml"
    file.write_text(kit.rule(**NOISY, tail=night + override) + "\n# of another\n" + kit.rule(id='"a.b"'), "utf-8-sig")
    rules = RuleSet.load([file])
    registry, rows = kit.registry([{}]), noise(kit)

    def replay(changed: RuleSet, _number: int = 1, _of: int = 1) -> backtest.BacktestResult:
        return backtest.run(changed, registry, [rows])

    (one,) = fit(rules, replay, 2.0, ("gas.ch4.high",))
    assert one.within
    text = proposal(Written.of([tmp_path], rules), [one], 2.0)
    (made,) = RuleSet.parse(text).rules
    assert [name for name, _ in made.calendars] == ["late_shift"]
    assert [list(o.params.values()) for o in made.overrides][1:] == [[one.proposed], [pytest.approx(0.9 * one.by)]]
    assert "calendar.other" not in text
    assert "of another" not in text
    told = replay(RuleSet((made,)))
    assert told.alarms.num_rows / told.days == one.cost_proposed <= 2.0


def test_what_is_proposed_is_what_was_replayed_to_the_last_digit(kit: Any) -> None:
    """A value that is read off a scale lies on the limit itself: a sixth digit decides."""
    (rule,) = RuleSet.parse(kit.rule(**{**NOISY, "params": "{ limit = 0.1234567 }"})).rules
    value = scaled(rule, "limit", 1.25**3).params["limit"]
    assert value == float(f"{value:.6g}")
    assert scaled(rule, "limit", 1.0).params["limit"] == 0.1234567


def test_rules_that_are_indented_are_written_anew_and_those_that_are_no_tables_are_refused(
    kit: Any, tmp_path: Path
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("".join(f"  {line}\n" for line in kit.rule(**NOISY).splitlines()), "utf-8")
    rules = RuleSet.load([file])
    one = Fitted(rules.rules[0], "limit", 1.0, 3.0, 50.0, 0.5, (), within=True, by=3.0)
    (made,) = RuleSet.parse(proposal(Written.of([file], rules), [one], 1.0)).rules
    assert made.version == rules.rules[0].version + 1
    with pytest.raises(ConfigurationError, match="is not a"):
        Written.of([], rules)


def test_a_candidate_in_the_same_file_is_not_what_is_written_anew(kit: Any, tmp_path: Path) -> None:
    """The proposal was the candidate's text, with shadow = true, and changed nothing in production."""
    candidate = kit.rule(**{**NOISY, "clear": '"value <= limit - 0.5"'}, version="2", shadow="true")
    file = tmp_path / "mine.toml"
    file.write_text(kit.rule(**NOISY) + candidate, "utf-8")
    rules = RuleSet.load([file])
    one = Fitted(rules.rules[0], "limit", 1.0, 3.0, 50.0, 0.5, (), within=True, by=3.0)
    made = RuleSet.parse(proposal(Written.of([file], rules), [one], 1.0))
    assert [rule.clear for rule in made.rules] == ["value <= limit"]
    assert made.shadow == ()


def alarms(*rows: tuple[Any, ...]) -> pa.Table:
    names = ("rule_id", "point", "detected_at", "cleared_at", "level", "group", "device_id", "quantity")
    full = {"rule_version": 1, "category": "process", "value": 1.0, "alarm_id": "a"}
    made = [{**full, **dict(zip(names, row, strict=True))} for row in rows]
    return pa.Table.from_pylist([{**row, "raised_at": row["detected_at"]} for row in made], backtest.ALARMS)


def at(minutes: float) -> datetime:
    return datetime.fromtimestamp(minutes * 60, UTC)


def test_burden_counts_windows_floods_and_what_stands() -> None:
    rows = [("r", k % 3, at(25 + k / 10), at(40), "blue", None, "D", "q") for k in range(12)]
    rows += [("r", 9, at(31), at(32), "red", None, "D", "q") for _ in range(6)]
    rows += [("s", 7, at(90), None, "blue", None, "D", "q")]
    got = burden(alarms(*rows), 0, 4 * 86_400_000)
    assert got["alarms"] == 19
    assert got["alarms_per_10min"] == {"mean": pytest.approx(19 / 576), "max": 12}
    assert got["flood_share"] == pytest.approx(2 / 576)  # the flood goes on while a window has five
    assert (got["standing_max"], got["stale"]) == (18, 1)
    assert got["levels"] == {"blue": 13 / 19, "red": 6 / 19}
    empty = burden(alarms(), 0, 1000)
    assert (empty["alarms"], empty["flood_share"], empty["top_ten_share"]) == (0, 0.0, 0.0)


def test_what_is_raised_by_the_last_reading_stands_and_what_was_over_does_not() -> None:
    still = [("r", k, at(10), None, "red", None, "d", "q") for k in range(2)]
    over = [("r", 2 + k, at(9), at(1), "red", None, "d", "q") for k in range(3)]
    assert burden(alarms(*still, *over), 0, 600_000)["standing_max"] == 2


def test_an_alarm_about_a_group_meets_a_fault_of_any_member() -> None:
    truth = pa.Table.from_pylist(
        [{"fault_id": "F", "kind": "leak", "device_id": "B", "quantity": "flow", "start": at(0), "end": at(9)}], TRUTH
    )
    raised = alarms(("g", 0, at(1), None, "red", "zone", "A", "level"))
    members = {("g", "zone"): frozenset({"A", "B"})}
    assert score(raised, truth, 1.0)["recall"] == 0.0
    assert score(raised, truth, 1.0, members)["recall"] == 1.0
    assert score(raised, truth, 1.0, {("other", "zone"): frozenset({"B"})})["recall"] == 0.0
