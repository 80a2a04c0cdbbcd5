"""Names that a condition may not use where it stands, but that are right elsewhere: the remedy says where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rules import vocabulary

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from rules.conditions import Fault

UNKNOWN: Final = "unknown column "


def placed(fault: Fault, columns: Mapping[str, Any], prefixes: Collection[str], evaluate: str) -> Fault:
    """What is wrong with a condition over these columns; of a name that is a column elsewhere, where it stands."""
    message, remedy = fault
    if not message.startswith(UNKNOWN):
        return fault
    word = message.removeprefix(UNKNOWN)
    where = _elsewhere(word, evaluate, selects=columns.keys() == vocabulary.WHERE.keys())
    if not where and remedy.startswith("known: ") and vocabulary.SIBLING in prefixes:
        where = f"{remedy}; another quantity of the device: {vocabulary.SIBLING}…, e.g. {vocabulary.SIBLING}flow"
    return message, where or remedy


def _elsewhere(word: str, evaluate: str, *, selects: bool) -> str:
    """Where a name is a column, empty where it is none. ``selects``: it stands in a condition over points."""
    if word not in vocabulary.DESCRIPTIONS:
        known = word in vocabulary.WHERE and not selects
        return "a column of the registry, which selects points: in where, also in an override's" if known else ""
    if selects:
        return "a column of readings, not of points: it stands in raise, clear or active"
    if evaluate == "group" and word in vocabulary.COLUMNS["reading"]:
        return "a column of one reading: in a rule over groups it stands in hit"
    others = [f'"{name}"' for name, columns in vocabulary.COLUMNS.items() if word in columns and name != evaluate]
    return f"a column of rules with evaluate = {' or '.join(others)}" if others else ""
