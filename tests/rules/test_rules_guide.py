"""The rules in docs/rules.md are rules: what the guide shows is accepted as it stands, but for what it leaves out."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from lifeline.core.errors import Problem
from rules.load import load_texts

GUIDE = Path(__file__).parents[2].joinpath("docs/rules.md").read_text("utf-8")
BLOCKS = [block for block in re.findall(r"^```toml\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL) if "\nid = " in block]
WORDS = {
    "version": 1,
    "title": {"zh": "题", "en": "Title"},
    "where": "true",
    "raise": "value > limit",
    "level": "yellow",
    "category": "process",
    **dict.fromkeys(("cause", "consequence", "action"), "said elsewhere"),
    "respond_within": "1h",
}


def told(block: str) -> list[dict[str, Any]]:
    """The rules of a block; ``# …`` stands for keys that every rule has."""
    tables = tomllib.loads(block)
    for table in tables["rule"]:
        own = {"clear": "hits = 0" if table.get("evaluate") == "group" else "value < limit", "params": {}}
        for key, value in (WORDS | own).items():
            table.setdefault(key, value)
        table["params"].setdefault("limit", 1.0)
    found: list[dict[str, Any]] = tables["rule"]
    return found


def toml(table: dict[str, Any]) -> str:
    """One inline table."""
    return "{ " + ", ".join(f"{json.dumps(key)} = {written(value)}" for key, value in table.items()) + " }"


def written(value: Any) -> str:
    """A value as TOML; nested tables are inline."""
    if isinstance(value, dict):
        return toml(value)
    if isinstance(value, list):
        return "[" + ", ".join(written(one) for one in value) + "]"
    return json.dumps(value, ensure_ascii=False)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.partition('\nid = "')[2].partition('"')[0])
def test_what_the_guide_shows_is_accepted(block: str) -> None:
    calendars = "".join(
        f"[calendar.{name}]\n" + "".join(f"{key} = {written(value)}\n" for key, value in table.items())
        for name, table in tomllib.loads(block).get("calendar", {}).items()
    )
    rules = "".join(
        "[[rule]]\n" + "".join(f"{key} = {written(value)}\n" for key, value in table.items()) for table in told(block)
    )
    problems: list[Problem] = []
    found = load_texts([(calendars + rules, "docs/rules.md")], problems)
    assert problems == []
    assert len(found) == block.count("\nid = ")
