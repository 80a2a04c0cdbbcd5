"""Rules that a registry makes blind by a slip of the pen: what their conditions name is in none of its rows."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

from rules import conditions, vocabulary
from rules.census import Census

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

    from lifeline.core.registry import Registry
    from rules.rule_set import RuleSet
    from rules.spec import RuleSpec

NAMED: Final = ("quantity", "utility", "kind")
"""Columns whose values a rule knows by name."""
NEAR: Final = 0.8
"""How alike (difflib) a name that nobody has is to the one that is meant: standard rules name much that sites lack."""


def blind(rules: RuleSet, registry: Registry) -> list[str]:
    """Rules that look at no point, and other quantities of a device that no point has, where a name looks like one."""
    census = Census(registry)
    census.ask(rule.where for rule in (*rules.rules, *rules.shadow))
    known = {name: {str(value) for value in registry.column(name) if value} for name in NAMED if name != "quantity"}
    known["quantity"] = {registry.quantities[of] for of in registry.point_quantity}
    doubts = []
    for rule in (*rules.rules, *rules.shadow):
        if not len(census.points(rule.where)):
            named = list(_literals(rule.where))
            met = {column for column, value in named if value in known[column]}  # one of several alternatives is there
            for column, value in named:
                near = _near(value, known[column])
                if near and column not in met:
                    said = f"no point of the registry has {column} {value!r}, did you mean {near!r}?"
                    doubts.append(f"rule {rule.id} looks at no point: {said} (没有此类测点，规则不评判任何测点)")
        for name in _siblings(rule):
            value = name.removeprefix(vocabulary.SIBLING)
            near = _near(value, known["quantity"])
            if near:
                said = f"no point of the registry has quantity {value!r}, did you mean {vocabulary.SIBLING}{near}?"
                doubts.append(f"rule {rule.id}: {name} is always NULL: {said} (没有此量，恒为空值)")
    return doubts


def _near(word: str, known: AbstractSet[str]) -> str:
    """The name that is meant (letters that changed places, or alike); empty where the word is one, or like none."""
    if word in known:
        return ""
    swapped = [name for name in sorted(known) if sorted(name) == sorted(word)]
    return next(iter(swapped or difflib.get_close_matches(word, sorted(known), n=1, cutoff=NEAR)), "")


def _literals(where: str) -> Iterator[tuple[str, str]]:
    """Texts of a condition, each with the column before it."""
    column = ""
    for token in conditions.accepted(where, vocabulary.WHERE).tokens:
        if token.kind == "name" and token.text in vocabulary.WHERE:
            column = token.text
        elif token.kind == "string" and column in NAMED:
            yield column, token.text[1:-1].replace("''", "'")


def _siblings(rule: RuleSpec) -> list[str]:
    """Other quantities of a device that a rule's conditions name."""
    texts = [rule.hit] if rule.evaluate == "group" else [rule.raise_, rule.clear, rule.active]
    words = {word for text in texts for word in conditions.words(text)}
    return sorted(word for word in words if vocabulary.is_sibling(word) and word not in rule.params)
