"""What explains a rule's alarms: the tables ``suppressed_by`` and ``folds_under`` of a rule (docs/rules.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rules import conditions, spec
from rules.durations import EXAMPLES, parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SETTLE_S_MAX: Final = 2 * 86_400.0
"""Nobody is left without word of what stands for longer than this."""
KEYS: Final = {"suppressed_by": ("rules", "place", "settle"), "folds_under": ("rules", "place")}


class Relation(NamedTuple):
    """Rules whose alarms explain those of this rule."""

    rules: tuple[str, ...] = ()
    place: str = ""
    """The kind of place at which they do."""
    settle_s: float = 0.0
    """What still stands is told so long after its cause has ended."""


def read_relation(rule: Mapping[str, Any], key: str, wrong: Callable[[str, str, str], None]) -> Relation:
    """One of the two tables of a ``[[rule]]``; ``wrong`` is told of a key, what is wrong with it, and the remedy."""
    remedy = f'{key} = {{ rules = ["device.gateway.silent"], place = "gateway" }}'
    table = rule.get(key)
    if table is None:
        return Relation()
    if not isinstance(table, dict):
        wrong(key, f"is {table!r}, not a table", remedy)
        return Relation()
    for name in table:
        if name not in KEYS[key]:
            wrong(f"{key}.{name}", f"unknown key {name}", conditions.nearest(name, KEYS[key]))
    names, place = table.get("rules"), table.get("place", rule.get("place", "asset"))
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        wrong(f"{key}.rules", f"{names!r} is not a list of rule ids", remedy)
        return Relation()
    if place not in spec.PLACES:
        wrong(f"{key}.place", f"{place!r} is no kind of place", conditions.nearest(str(place), spec.PLACES))
    settle_s = _settle(rule, table["settle"], f"{key}.settle", wrong) if "settle" in table else 0.0
    return Relation(tuple(names), str(place), settle_s)


def _settle(rule: Mapping[str, Any], value: object, key: str, wrong: Callable[[str, str, str], None]) -> float:
    seconds = parse_duration(value) if isinstance(value, str) else None
    if seconds is None or not 0.0 < seconds <= SETTLE_S_MAX:
        wrong(key, f"{value!r} is not a duration of two days at most", EXAMPLES)
        return 0.0
    if rule.get("level") == "red":
        wrong(key, "a red alarm waits for nothing once its cause has ended", "leave it out")
        return 0.0
    return seconds
