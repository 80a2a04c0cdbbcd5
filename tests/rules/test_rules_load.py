"""Rule files: every problem at once, each with place and remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from lifeline.app.rules import check_rules
from lifeline.cli.main import app
from lifeline.core.errors import ConfigurationError, Problem
from rules import conditions, vocabulary
from rules.durations import parse_duration
from rules.rule_set import RuleSet


def problems(text: str) -> dict[str, Problem]:
    with pytest.raises(ConfigurationError) as caught:
        RuleSet.parse(text, "gas.toml")
    assert all(p.file == "gas.toml" for p in caught.value.problems)
    return {p.key: p for p in caught.value.problems}


def test_all_problems_of_a_file_at_once(kit: Any) -> None:
    found = problems(
        kit.rule(
            raise_='"valeu >= limit"',
            clear='"SUM(value) < 1"',
            level='"ornage"',
            cause="",
            respond_within='"soon"',
            version="0",
            raise_after="{ sample = 2 }",
            wehre="1",
            tail="[[rule.override]]\nwhere = \"kidn = 'x'\"\nparams = { limt = 1 }",
        )
        + kit.rule(id='"device.b"', category='"devices"', title='{ zh = "a" }', params="{ limit = nan, value = 1 }")
    )
    expected = {
        "rule gas.ch4.high.raise": "did you mean value?",
        "rule gas.ch4.high.clear": "allowed: ABS",
        "rule gas.ch4.high.level": "did you mean orange?",
        "rule gas.ch4.high.cause": "an alarm without it is an event",
        "rule gas.ch4.high.respond_within": "30min",
        "rule gas.ch4.high.version": "version = 1",
        "rule gas.ch4.high.raise_after.sample": "did you mean samples?",
        "rule gas.ch4.high.wehre": "did you mean where?",
        "rule gas.ch4.high.override #1.where": "did you mean kind?",
        "rule gas.ch4.high.override #1.params.limt": "did you mean limit?",
        "rule device.b.category": "did you mean device?",
        "rule device.b.title.en": "title = {",
        "rule device.b.params.limit": "parameters are numbers",
        "rule device.b.params.value": "choose another name",
    }
    for key, remedy in expected.items():
        assert remedy in found[key].remedy, (key, found.get(key))


@pytest.mark.parametrize(
    "key", ["cause", "consequence", "action", "respond_within", "where", "raise", "clear", "title"]
)
def test_what_is_required_is_required(kit: Any, key: str) -> None:
    assert f"rule gas.ch4.high.{key}" in problems(kit.rule(**{key: ""}))


def test_a_re_alarm_time_is_a_duration_of_a_minute_at_least(kit: Any) -> None:
    (rule,) = RuleSet.parse(kit.rule(realarm_after='"30min"')).rules
    assert rule.info().realarm_s == 1800
    assert rule.meaning == RuleSet.parse(kit.rule()).rules[0].meaning, "it decides nothing about raising"
    for text in ('"5s"', '"soon"', "30"):
        assert "min" in problems(kit.rule(realarm_after=text))["rule gas.ch4.high.realarm_after"].remedy


def test_what_explains_an_alarm_is_a_rule_that_there_is_and_no_circle(kit: Any) -> None:
    pump = kit.rule(id='"pump.off"', announce="false", cause="", consequence="", action="", respond_within="")
    text = pump + kit.rule(suppressed_by='{ rules = ["pump.off"], place = "zone" }')
    state, rule = sorted(RuleSet.parse(text).rules, key=lambda one: one.announce)
    assert (state.info().announce, rule.info().suppressed_by, rule.info().suppressed_at) == (
        False,
        ("pump.off",),
        "zone",
    )
    assert rule.meaning == RuleSet.parse(kit.rule()).rules[0].meaning, "it is raised all the same"
    found = problems(
        kit.rule(suppressed_by='{ rules = ["pump.of"], plce = "zone" }', folds_under='{ rules = [], place = "zone" }')
        + kit.rule(id='"pump.off"', announce='"no"', folds_under='{ rules = ["pump.off"], place = "zoe" }')
    )
    assert found["rule gas.ch4.high.suppressed_by.plce"].remedy == "did you mean place?"
    assert found["rule gas.ch4.high.folds_under.rules"].remedy.startswith("folds_under = {")
    assert found["rule pump.off.announce"].remedy == "announce = false"
    assert found["rule pump.off.folds_under.place"].remedy == "did you mean zone?"
    circle = kit.rule(id='"a.b"', suppressed_by='{ rules = ["a.c"] }')
    circle += kit.rule(id='"a.c"', suppressed_by='{ rules = ["a.b"] }') + kit.rule(suppressed_by='{ rules = ["a.x"] }')
    found = problems(circle)
    assert "circle" in found["rule a.b.suppressed_by"].message
    assert "did you mean" in found["rule gas.ch4.high.suppressed_by"].remedy


def test_a_settle_time_is_a_duration_of_two_days_at_most_and_none_for_a_red_rule(kit: Any) -> None:
    pump = kit.rule(id='"pump.off"', announce="false", cause="", consequence="", action="", respond_within="")

    def text(settle: str, level: str) -> str:
        return str(pump + kit.rule(suppressed_by=f'{{ rules = ["pump.off"], settle = {settle} }}', level=f'"{level}"'))

    (rule,) = (one for one in RuleSet.parse(text('"90min"', "yellow")).rules if one.announce)
    assert rule.info().settle_s == 5400
    assert rule.meaning == RuleSet.parse(kit.rule(level='"yellow"')).rules[0].meaning, "it is raised all the same"
    for wrong in ('"3d"', '"0s"', '"soon"', "90"):
        assert "min" in problems(text(wrong, "yellow"))["rule gas.ch4.high.suppressed_by.settle"].remedy
    assert "red" in problems(text('"1h"', "red"))["rule gas.ch4.high.suppressed_by.settle"].message
    folded = problems(pump + kit.rule(folds_under='{ rules = ["pump.off"], settle = "1h" }'))
    assert "settle" in folded["rule gas.ch4.high.folds_under.settle"].message


def test_who_refers_to_a_rule_that_is_wrong_is_not_wrong_too(kit: Any, tmp_path: Path) -> None:
    """One mistyped column was told of every rule that the first explains."""
    cause = kit.rule(id='"a.cause"', raise_='"valeu > 1"')
    told = kit.rule(id='"b.told"', suppressed_by='{ rules = ["a.cause"], place = "zone" }')
    assert set(problems(cause + told)) == {"rule a.cause.raise"}
    assert "there is no rule a.cause" in problems(told)["rule b.told.suppressed_by"].message
    (tmp_path / "a.toml").write_text("[[rule]\n", "utf-8")
    (tmp_path / "b.toml").write_text(told, "utf-8")
    with pytest.raises(ConfigurationError) as caught:
        RuleSet.load([tmp_path])
    assert [p.key for p in caught.value.problems] == ["file"]


def test_same_id_twice_and_unreadable_files(kit: Any, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(kit.rule(), "utf-8")
    (tmp_path / "b.toml").write_text(kit.rule(), "utf-8")
    (tmp_path / "c.toml").write_text("[[rule]\n", "utf-8")
    with pytest.raises(ConfigurationError) as caught:
        RuleSet.load([tmp_path, tmp_path / "missing.toml"])
    assert {(Path(p.file).name, p.key) for p in caught.value.problems} == {
        ("b.toml", "rule gas.ch4.high.id"), ("c.toml", "file"), ("missing.toml", "file"),
    }  # fmt: skip


def test_a_byte_order_mark_is_passed_over(kit: Any, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(kit.rule(), "utf-8-sig")
    assert [rule.id for rule in RuleSet.load([tmp_path]).rules] == ["gas.ch4.high"]


def test_a_parameter_that_cannot_be_is_one_problem(kit: Any) -> None:
    """And not one more for each condition that uses it."""
    assert set(problems(kit.rule(params="{ limit = nan, deadband = 5.0 }"))) == {"rule gas.ch4.high.params.limit"}


def test_a_misspelt_option_is_no_parameter(kit: Any) -> None:
    """It would leave the option at its default in silence; a parameter that is just not used harms nobody."""
    found = problems(kit.rule(params="{ limit = 25.0, deadband = 5.0, rate_windw_s = 60 }"))
    assert found["rule gas.ch4.high.params.rate_windw_s"].remedy == "did you mean rate_window_s?"
    assert RuleSet.parse(kit.rule(params="{ limit = 25.0, deadband = 5.0, spare = 1, rate_window_s = 60 }"), "a.toml")


def test_defaults(kit: Any) -> None:
    (rule,) = RuleSet.parse(kit.rule()).rules
    assert (rule.event, rule.place, rule.evaluate, rule.latch) == ("gas-ch4", "asset", "reading", False)
    assert rule.respond_within_s == 1800
    info = RuleSet.parse(kit.rule(cause='{ zh = "漏", en = "leak" }')).info()["gas.ch4.high"]
    assert (info.cause, info.title_zh) == ("漏 / leak", "甲烷")


def test_fingerprint_follows_meaning_only(kit: Any) -> None:
    base = RuleSet.parse(kit.rule()).fingerprint
    assert RuleSet.parse(kit.rule(cause='"another text"')).fingerprint == base
    assert RuleSet.parse(kit.rule(params="{ limit = 26.0, deadband = 5.0 }")).fingerprint != base


def test_features_that_a_rule_declares(kit: Any) -> None:
    (rule,) = RuleSet.parse(
        kit.rule(
            raise_='"slow_rate > 1 OR cusum_high > 9 OR z_robust_z > limit OR minutes_to_limit < 5"',
            params="{ limit = 4.0, deadband = 1.0, rate_window_s = 60, baseline_slots = 48 }",
            features='{ slow = { feature = "rate", window_s = "1h" }, cusum = { on = "baseline_z", k = 0.75 }, '
            'z = { feature = "robust", on = "slow_rate", n = 7 } }',
        )
    ).rules
    slow, cusum, z = rule.features
    assert (slow.outputs, slow.options, slow.on) == (("slow_rate",), (3600.0,), "value")
    assert (cusum.outputs, cusum.options[1], cusum.on) == (("cusum_high", "cusum_low"), 0.75, "baseline_z")
    assert (z.outputs, z.options) == (("z_median", "z_mad", "z_robust_z"), (7.0,))
    assert RuleSet.parse(kit.rule()).fingerprint != RuleSet.parse(kit.rule(learn='"training"')).fingerprint


def test_wrong_features_are_named(kit: Any) -> None:
    declared = """{ a = { feature = "rte" }, b = { feature = "rate", windw_s = 1 },
        c = { feature = "rate", window_s = "1x" },
        rate = { feature = "ewma" }, d = { feature = "robust", n = 2.5 }, e = { feature = "cusum", on = "baselin_z" },
        f = { feature = "ewma", on = "f_ewma" }, g = { feature = "baseline", slots = 13 } }""".replace("\n", " ")
    found = problems(
        kit.rule(features=declared, raise_='"slow_rate > 1"', params="{ deadband = 1.0, limit = 2.0, robust_n = 1 }")
        + kit.rule(id='"b.b"', raise_='"minutes_to_limit < 3"', clear='"value < 1"', params="{}")
        + kit.rule(
            id='"b.c"', evaluate='"clock"', raise_='"silent_s > 3"', clear='"silent_s < 3"', features="{ ewma = {} }"
        )
        + kit.rule(id='"b.d"', features="{ ewma = 3 }", learn='"never"')
    )
    expected = {
        "rule gas.ch4.high.features.a.feature": "did you mean rate?",
        "rule gas.ch4.high.features.b.windw_s": "did you mean window_s?",
        "rule gas.ch4.high.features.c.window_s": "seconds",
        "rule gas.ch4.high.features.rate": "a new word",
        "rule gas.ch4.high.features.d.n": "readings",
        "rule gas.ch4.high.features.e.on": "did you mean baseline_z?",
        "rule gas.ch4.high.features.f.on": "a column that does not need it",
        "rule gas.ch4.high.features.g.slots": "slots of a day",
        "rule gas.ch4.high.raise": "did you mean c_rate?",
        "rule gas.ch4.high.params.robust_n": "readings",
        "rule b.b.params.limit": "limit = 25",
        "rule b.c.features": 'evaluate = "reading"',
        "rule b.d.features": "features = {",
        "rule b.d.learn": "known: always, training",
    }
    for key, remedy in expected.items():
        assert key in found, (key, sorted(found))
        assert remedy in found[key].remedy, (key, found[key])


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30min", 1800), ("6h", 21600), ("3d", 259200), ("x", None)]
)
def test_durations(text: str, seconds: float | None) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "value", "value +", "SUM(value) > 1", "value > (SELECT 1)", "value > 1; DROP", "value::INT > 1", '"value" > 1',
        "NOW() > 1", "value OVER ()", "x.value > 1", "", "value >", "CAST(value AS INT) > 1", "random() > 0",
        "value > 1 AS x", "TRUE limit", "value > 1 value", "(value > 1) 2",
        "* > 1", "value LIKE 'a'", "value /", "SQRT(value) > 1", "value > 1 --", "a" * 5000, "silent_s > 1",
        "device_ > 1",
    ],
)  # fmt: skip
def test_refused_conditions(text: str) -> None:
    columns = dict.fromkeys(vocabulary.COLUMNS["reading"], vocabulary.FLOAT)
    assert conditions.parse(text, columns, (vocabulary.SIBLING,))[1]


WORDS = (
    "( ) + - * / % , < > = value rate limit 1 0.5 'a' kind AND OR NOT IS NULL IN BETWEEN CASE WHEN "
    "THEN ELSE END LIKE TRUE ABS COALESCE NULLIF ROUND GREATEST DISTINCT"
)
words = st.sampled_from(WORDS.split())


@settings(max_examples=300, deadline=None)
@given(st.lists(words, min_size=1, max_size=9).map(" ".join))
def test_any_words_are_judged_and_what_passes_can_run(text: str) -> None:
    """The legal outcomes are faults, or a condition that gives true or false for each row."""
    columns = dict.fromkeys((*vocabulary.COLUMNS["reading"], "limit"), vocabulary.FLOAT)
    condition, faults = conditions.parse(text, columns)
    if not faults:
        import numpy as np
        import polars as pl

        frame = pl.DataFrame({n: [1.0, None, -2.0] for n in condition.names if n != "limit"})
        (mask,) = conditions.evaluate(frame, 3, [condition.expression({"limit": -0.5})])
        assert mask.dtype == np.bool_
        assert len(mask) == 3


def test_features_of_a_group_rule_are_those_of_its_hit(kit: Any) -> None:
    """Declared over a reading's columns, though ``raise`` and ``clear`` speak of frames."""
    text = kit.rule(
        evaluate='"group"', hit='"value > minutes_ewma"', raise_='"hits >= 2"', clear='"hits = 0"', params="{}",
        tail='[rule.features]\nminutes = { feature = "ewma", tau_s = "20min" }',
    )  # fmt: skip
    (rule,) = RuleSet.parse(text).rules
    assert [instance.name for instance in rule.features] == ["minutes"]


def test_the_rule_of_the_contract_is_right_as_it_stands(kit: Any) -> None:
    """Its texts are left open with an ellipsis: a sample that people copy is no mistake."""
    text = kit.rule(cause='"…"', action='"…"', consequence='"…"')
    assert len(RuleSet.parse(text).rules) == 1
    found = problems(kit.rule(consequence='" "', action='{ zh = "关阀", en = " " }'))
    assert found["rule gas.ch4.high.consequence"].message == "is empty"
    assert "zh and en" in found["rule gas.ch4.high.action"].message


def test_a_check_that_finds_no_rule_is_not_green(kit: Any, tmp_path: Path) -> None:
    """An empty file, one that only holds remarks, a folder of such; beside rules, a file without any is named."""
    bare, calendars, good = (tmp_path / f"{name}.toml" for name in ("bare", "calendars", "good"))
    bare.write_text("# nothing yet\n", "utf-8")
    for path in (bare, tmp_path):
        with pytest.raises(ConfigurationError) as caught:
            check_rules(path)
        assert [(p.file, p.key) for p in caught.value.problems] == [(str(path), "rule")]
        assert "[[rule]]" in caught.value.problems[0].remedy
    assert CliRunner().invoke(app, ["rules", "check", str(bare)]).exit_code == 2
    calendars.write_text('[calendar.irrigation]\ndates = ["04-15..09-30"]\n', "utf-8")
    rules, warnings = check_rules(calendars)
    assert (rules, len(warnings)) == ([], 1)
    good.write_text(kit.rule(), "utf-8")
    rules, warnings = check_rules(tmp_path)
    assert len(rules) == 1
    assert [warning.partition(":")[0] for warning in warnings] == [str(bare)]


@pytest.mark.parametrize(
    ("changed", "remedy"),
    [
        ({"raise_": '"hits >= 2"'}, 'evaluate = "group"'),  # "did you mean nights?" led astray
        ({"raise_": "\"kind = 'regulator'\""}, "in where"),
        ({"raise_": '"silent_n > 3"'}, 'evaluate = "clock"'),
        ({"raise_": '"value > 1"', "evaluate": '"clock"', "clear": '"silent_n < 3"'}, '"reading" or "every"'),
        ({"raise_": '"value > 1"', "evaluate": '"group"', "clear": '"hits = 0"'}, "it stands in hit"),
        ({"raise_": '"ch4_of_neighbour > 1"'}, "device_flow"),
        ({"raise_": '"value == limit"'}, "write ="),
        ({"raise_": '"prev = NULL"'}, "IS NULL"),
        ({"raise_": '"value > 1 OR NULL <> prev"'}, "IS NULL"),
        ({"raise_": "\"value >= '25'\""}, "without quotes"),
    ],
)
def test_a_name_that_is_right_elsewhere_is_told_where_and_slips_what_to_write(
    kit: Any, changed: dict[str, str], remedy: str
) -> None:
    found = problems(kit.rule(**changed))
    assert remedy in found["rule gas.ch4.high.raise"].remedy, found


def test_a_column_of_readings_selects_no_points_and_an_override_changes_something(kit: Any) -> None:
    found = problems(kit.rule(where='"value > 3"', tail="[[rule.override]]\nwhere = \"kind = 'x'\"\n"))
    assert "raise, clear or active" in found["rule gas.ch4.high.where"].remedy
    assert "changes nothing" in found["rule gas.ch4.high.override #1.params"].message
