"""The guide teaches what works, and the library's page says what the library does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from rules.page import page, span
from rules.rule_set import RuleSet

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_of_the_library_is_current() -> None:
    """``lifeline rules page rules/library > docs/library.md`` makes it so."""
    from lifeline.app.rules import PAGE_TITLE

    assert DOCS.joinpath("library.md").read_text("utf-8") == page(RuleSet.standard().rules, PAGE_TITLE)


def test_the_page_names_every_rule_with_its_limits_and_source() -> None:
    text = DOCS.joinpath("library.md").read_text("utf-8")
    for rule in RuleSet.standard().rules:
        section = text.split(f"### {rule.id}\n")[1].split("\n### ")[0]
        assert f"- limit from: {rule.source}" in section
        assert rule.stability in section
        assert all(f"{name} {value:g}" in section for name, value in rule.params.items())


def test_the_rule_of_the_guide_works_as_it_is_printed(kit: Any) -> None:
    """Copied from ``docs/rules.md``, fed with three low readings: it raises, and an override holds for its zone."""
    guide = DOCS.joinpath("rules.md").read_text("utf-8")
    rules = re.findall(r"```toml\n(\[\[rule\]\].*?)```", guide.split("## What a condition may say")[0], re.DOTALL)
    assert len(rules) == 1
    point = {"utility": "water", "quantity": "pressure", "interval_s": 10.0}
    machine = kit.machine(rules[0], kit.registry([point, {**point, "zone": "DMA-0007"}]))
    rows = [(p, kit.t0 + k * 10_000, kit.t0 + k * 10_000, 0.22 if k < 5 else 0.18) for k in range(8) for p in (0, 1)]
    found = machine.process(kit.record(1, rows))
    assert [(c.point, c.raised_at - kit.t0) for c in found] == [(1, 0), (0, 50_000)]


def test_lengths_of_time_read_well() -> None:
    assert [span(s) for s in (86_400, 3600, 5400, 90, 0.5)] == ["1 d", "1 h", "90 min", "90 s", "0.5 s"]
