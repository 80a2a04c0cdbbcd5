"""Levels of the library follow from what an alarm is about and how long there is: the table of ``docs/rules.md``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from rules.rule_set import RuleSet
from rules.spec import RuleSpec

LEVELS: Final = ("red", "orange", "yellow", "blue")
MINUTE, HOUR = 60.0, 3600.0
WITHIN: Final = (10 * MINUTE, 30 * MINUTE, 4 * HOUR, float("inf"))
"""Ends of the columns: minutes, half an hour, some hours, later."""
MATRIX: Final = {
    "lives": ("red", "orange", "yellow", "blue"),
    "many": ("orange", "yellow", "yellow", "blue"),
    "one": ("yellow", "yellow", "blue", "blue"),
    "measuring": ("yellow", "blue", "blue", "blue"),
}
LIVES: Final = """
    gas.ch4.high gas.ch4.high-high gas.ch4.rise gas.ch4.trend gas.ch4.corroborated gas.ethane.present gas.pressure.high
    gas.pressure.low gas.inlet.high gas.flow.surge methane.mine.high methane.ambient.plume methane.ambient.agree
    methane.ambient.slow methane.ambient.percent
    scada.energy.pattern heat.makeup.surge heat.pressure.drop water.burst.confirmed water.burst.pressure
    scada.water.pattern scada.water.habit scada.energy.habit quality.water.drift quality.water.pattern
"""
"""Explosion, scalding, a street that collapses, unfit water for a whole network."""
MANY: Final = """
    gas.cover.opened gas.inlet.low gas.meter.overflow gas.ch4.biogas meter.gas.over meter.gas.running
    methane.mine.warning methane.mine.rising methane.mine.seldom heat.loop.outage heat.circulation.lost heat.rooms.cold
    heat.pressure.low heat.pressure.high heat.supply.high water.burst.flow water.inlet.closed water.pressure.low
    water.pressure.high water.flow.reverse water.meter.reversed water.hydrant.tilted meter.gas.days
"""
"""The supply or the health of many, or the life of one."""
EARLY: Final = """
    gas.ch4.rise gas.ch4.trend gas.flow.surge heat.pressure.drop water.burst.pressure methane.mine.rising
    methane.mine.seldom
"""
"""One weak witness, or what only leads there: a level lower than what it foretells."""
ABOUT: Final = dict.fromkeys(LIVES.split(), "lives") | dict.fromkeys(MANY.split(), "many")
RULES: Final = {rule.id: rule for rule in RuleSet.standard().rules}


@pytest.mark.parametrize("one", RULES.values(), ids=lambda rule: rule.id)
def test_a_level_is_what_consequence_and_time_make_it(one: RuleSpec) -> None:
    about = "measuring" if one.category == "device" else ABOUT.get(one.id, "one")
    column = next(k for k, end in enumerate(WITHIN) if one.respond_within_s <= end)
    level = LEVELS.index(MATRIX[about][column]) + (one.id in EARLY.split())
    assert one.level == LEVELS[level]


def test_the_lists_name_rules_about_the_process() -> None:
    assert len(ABOUT) == len(LIVES.split()) + len(MANY.split())
    assert {*ABOUT, *EARLY.split()} <= {rule.id for rule in RULES.values() if rule.category == "process"}


def test_the_table_of_the_guide_is_this_one() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .+ \| (red|orange|yellow|blue) \| (\w+) \| (\w+) \| (\w+) \|$", guide, re.MULTILINE)
    assert rows == list(MATRIX.values())
