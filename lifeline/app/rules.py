"""``lifeline rules check | list | page``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lifeline.app.site import load_site
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


def check_rules(path: Path) -> list[dict[str, Any]]:
    """The rules of a file or folder.

    Raises:
        ConfigurationError: everything that is wrong with them.
    """
    return _rows(RuleSet.load([path]))


def rules_page(path: Path) -> str:
    """The rules of a file or folder as Markdown.

    Raises:
        ConfigurationError: everything that is wrong with them.
    """
    return page(RuleSet.load([path]).rules, PAGE_TITLE)


def list_rules(config: Path) -> list[dict[str, Any]]:
    """The rules that a configuration loads."""
    return _rows(RuleSet.load(load_site(config).config.rule_files))
