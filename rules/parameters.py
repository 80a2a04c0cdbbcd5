"""Parameters of a rule (``params``) and what overrides change of them, for some points or during a calendar."""

from __future__ import annotations

import difflib
import math
import re
from typing import TYPE_CHECKING, Final

from rules import calendars, conditions, features, spec, vocabulary
from rules.spec import Override

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rules.calendars import Calendar
    from rules.entries import Entries

NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
"""What parameters, terms and features may be called."""
NEAR: Final = 0.8
"""How alike (difflib) a parameter that nobody uses is to the option for which it is a slip of the pen."""

Seasons = dict[str, list[tuple[str, str]]]
"""Parameters that calendars change: each with (column of the calendar, name of its value then)."""


def read_params(rule: Entries, key: str, table: object, fixed: tuple[str, ...]) -> dict[str, float]:
    """Numbers by name; options of features and groups within their range. ``fixed``: names that may not stand here."""
    if not isinstance(table, dict):
        rule.wrong(key, "is not a table", f"{key} = {{ limit = 25.0 }}")
        return {}
    found = {}
    for name, value in table.items():
        if not NAME.fullmatch(name) or name.upper() in conditions.KEYWORDS:
            rule.wrong(f"{key}.{name}", f"{name!r} cannot be a parameter's name", "lower-case letters, digits and _")
        elif name in fixed:
            rule.wrong(f"{key}.{name}", f"{name} is the same for all points of a rule", "write a second rule")
        elif isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            rule.wrong(f"{key}.{name}", f"{value!r} is not a finite number", "parameters are numbers")
            found[name] = 0.0  # so that the conditions that use it are not called wrong as well
        elif name in features.OPTIONS and (fault := features.OPTIONS[name].fault(value)):
            rule.wrong(f"{key}.{name}", f"{value!r} {fault}", features.OPTIONS[name].note)
        elif rule.table.get("evaluate") == "group" and (fault := vocabulary.group_fault(name, value)):
            rule.wrong(f"{key}.{name}", f"{value!r} {fault}", vocabulary.GROUP_OPTIONS[name].note)
        else:
            found[name] = float(value)
    return found


def find_misspelt(rule: Entries, params: Mapping[str, float], words: Iterable[str]) -> None:
    """A parameter that no condition uses and that is called like an option: the option would keep its default."""
    options = (*features.OPTIONS, *(vocabulary.GROUP_OPTIONS if rule.table.get("evaluate") == "group" else ()))
    for name in sorted(set(params) - set(words) - set(options)):
        if difflib.get_close_matches(name, options, n=1, cutoff=NEAR):
            rule.wrong(f"params.{name}", "no condition uses it", conditions.nearest(name, options))


def read_overrides(
    rule: Entries, params: Mapping[str, float], known: Mapping[str, Calendar]
) -> tuple[tuple[Override, ...], Seasons]:
    """Overrides, and the parameters that calendars change."""
    seasons: Seasons = {}
    tables = rule.table.get("override", [])
    if not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables):
        rule.wrong("override", "is not a list of tables", "begin each with [[rule.override]]")
        return (), seasons
    result = []
    for number, table in enumerate(tables, 1):
        key = f"override #{number}"
        words = ("where", "during", "params")
        for name in set(table) - set(words):
            rule.wrong(f"{key}.{name}", f"unknown key {name}", conditions.nearest(name, words))
        where = table.get("where", "true" if "during" in table else None)
        if not isinstance(where, str):
            rule.wrong(f"{key}.where", "is missing or not text", "say which points it is for")
            continue
        rule.condition(f"{key}.where", where, vocabulary.WHERE)
        if table.get("params", {}) == {}:
            rule.wrong(f"{key}.params", "is missing: the override changes nothing", "params = { limit = 30.0 }")
        values = read_params(
            rule, f"{key}.params", table.get("params", {}), (*features.OPTIONS, *vocabulary.GROUP_OPTIONS)
        )
        for name in set(values) - set(params):
            remedy = conditions.nearest(name, params) if params else "the rule has no params"
            rule.wrong(f"{key}.params.{name}", f"unknown parameter {name}", remedy)
        if "during" in table:
            values = _during(rule, key, table["during"], values, seasons, known)
        result.append(Override(where, values))
    return tuple(result), seasons


def _during(
    rule: Entries,
    key: str,
    name: object,
    values: Mapping[str, float],
    seasons: Seasons,
    dated: Mapping[str, Calendar],
) -> dict[str, float]:
    """The values under names of their own, which ``seasons`` keeps."""
    known = {spec.HEATING_SEASON, *dated}
    if not isinstance(name, str) or name not in known:
        rule.wrong(f"{key}.during", f"there is no calendar {name}", conditions.nearest(str(name), known))
        return {}
    column = calendars.column_of(name)
    found = {}
    for param, value in values.items():
        if param in features.OPTIONS or param in vocabulary.GROUP_OPTIONS:
            rule.wrong(f"{key}.params.{param}", "shapes what the rule remembers", "the same at all times")
        found[f"{param}__{column}"] = value
        pair = column, f"{param}__{column}"
        if pair not in seasons.setdefault(param, []):
            seasons[param].append(pair)
    return found
