"""``lifeline check``: rules that a misspelt name makes blind are told, what a site merely lacks is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from lifeline.app.rule_doubts import blind
from lifeline.cli.main import app
from rules.rule_set import RuleSet


def test_a_rule_that_looks_at_no_point_by_a_slip_is_told_with_the_name_that_is_meant(kit: Any) -> None:
    registry = kit.registry([{"quantity": "ch4", "utility": "gas"}, {"quantity": "temp", "utility": "gas"}])
    slip = kit.rule(where="\"utility = 'gas' AND quantity IN ('c2h6', 'tmp')\"")
    (doubt,) = blind(RuleSet.parse(slip), registry)
    assert "gas.ch4.high" in doubt
    assert "quantity 'tmp', did you mean 'temp'?" in doubt
    assert blind(RuleSet.parse(kit.rule(where="\"quantity = 'pressure'\"")), registry) == []
    assert blind(RuleSet.parse(kit.rule(where="\"quantity IN ('temp', 'tmp')\"")), registry) == []


def test_another_quantity_of_the_device_that_nobody_has_is_told(kit: Any) -> None:
    """It was NULL for ever, and the rule silent."""
    registry = kit.registry([{"quantity": "ch4", "utility": "gas"}, {"quantity": "temperature", "utility": "gas"}])
    rule = kit.rule(where="\"quantity = 'ch4'\"", raise_='"value > limit AND device_temperatur > 3"')
    (doubt,) = blind(RuleSet.parse(rule), registry)
    assert "did you mean device_temperature?" in doubt
    swapped = kit.rule(where="\"quantity = 'ch4'\"", raise_='"value > limit AND device_ch4 < device_hc4"')
    assert "device_ch4" in blind(RuleSet.parse(swapped), registry)[0]
    right = kit.rule(where="\"quantity = 'ch4'\"", raise_='"value > limit AND COALESCE(device_c2h6, 0) > 3"')
    assert blind(RuleSet.parse(right), registry) == []


def test_the_sample_site_with_the_standard_rules_has_no_doubts_and_check_prints_those_there_are(tmp_path: Path) -> None:
    site = tmp_path / "site"
    run = CliRunner().invoke
    assert run(app, ["init", str(site)]).exit_code == 0
    config = ["-c", str(site / "lifeline.toml")]
    said = run(app, ["check", *config])
    assert said.exit_code == 0
    assert "looks at no point" not in said.output
    assert "always NULL" not in said.output
    gas = site / "rules" / "gas.toml"
    gas.write_text(gas.read_text("utf-8").replace("quantity = 'tilt'", "quantity = 'tillt'"), "utf-8")
    said = run(app, ["check", *config])
    assert said.exit_code == 0
    assert "'tilt'" in " ".join(said.output.split())
