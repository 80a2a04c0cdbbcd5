"""``lifeline rules check | list | page``."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any, Final

from lifeline.app.site import load_site
from lifeline.core.errors import ConfigurationError, Problem
from rules.page import page
from rules.rule_set import RuleSet

if TYPE_CHECKING:
    from pathlib import Path

PAGE_TITLE: Final = "规则库 / Rule library"


def _rows(rules: RuleSet) -> list[dict[str, Any]]:
    return [
        {
            "id": rule.id,
            "version": rule.version,
            "level": rule.level,
            "category": rule.category,
            "title": f"{info.title_zh} / {info.title_en}",
            "event": info.event,
            "place": info.place,
            "shadow": rule.shadow or None,
        }
        for rule, info in ((rule, rule.info()) for rule in (*rules.rules, *rules.shadow))
    ]


def check_rules(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """The rules of a file or folder, and what is odd about them: files that hold no rule.

    Raises:
        ConfigurationError: everything that is wrong with them, or there is nothing in them.
    """
    rules = RuleSet.load([path])
    used = {rule.file for rule in (*rules.rules, *rules.shadow)}
    bare = [file for file in (sorted(path.glob("*.toml")) if path.is_dir() else [path]) if str(file) not in used]
    calendars = {file for file in bare if "calendar" in tomllib.loads(file.read_text("utf-8-sig"))}
    if not used and not calendars:
        raise ConfigurationError([no_rules(path)])
    return _rows(rules), [
        f"{file}: calendars, but no rule (只有日历，没有规则)"
        if file in calendars
        else f"{file}: no rule in it; a rule begins with [[rule]] (文件中没有规则)"
        for file in bare
        if file not in calendars or not used  # a file of calendars beside files of rules is as it should be
    ]


def no_rules(path: Path) -> Problem:
    """A file or folder that was asked for its rules and has none: whoever asked means another one."""
    message = f"there is no rule in {'these files' if path.is_dir() else 'this file'} (没有任何规则)"
    return Problem(str(path), "rule", message, "begin each rule with [[rule]]; docs/rules.md has one to copy")


def rules_page(path: Path) -> str:
    """The rules of a file or folder as Markdown.

    Raises:
        ConfigurationError: everything that is wrong with them.
    """
    return page(RuleSet.load([path]).rules, PAGE_TITLE)


def list_rules(config: Path) -> list[dict[str, Any]]:
    """The rules that a configuration loads."""
    return _rows(RuleSet.load(load_site(config).config.rule_files))
