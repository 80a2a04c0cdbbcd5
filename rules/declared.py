"""Features that a rule declares itself: the tables of ``[rule.features]`` (``rules/instances.py``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rules import conditions, features, vocabulary
from rules.durations import parse_duration
from rules.instances import INSTANCES_MAX, VALUE, Instance, circle
from rules.parameters import NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rules.entries import Entries
    from rules.feature import Feature, Option


def read_declared(rule: Entries, evaluate: str, params: Mapping[str, float]) -> tuple[Instance, ...]:
    """What is declared; options that are not said are those of ``params`` where the feature has its own name."""
    table = rule.table.get("features", {})
    if not isinstance(table, dict) or not all(isinstance(t, dict) for t in table.values()):
        rule.wrong(
            "features", "is not a table of tables", 'features = { slow = { feature = "rate", window_s = "1h" } }'
        )
        return ()
    if table and evaluate not in {"reading", "group"}:
        rule.wrong("features", f"a rule that evaluates {evaluate!r} has no features", 'evaluate = "reading"')
    if len(table) > INSTANCES_MAX:
        rule.wrong("features", f"more than {INSTANCES_MAX}", "split the rule")
    found = [_instance(rule, name, entry, params) for name, entry in table.items()]
    return tuple(instance for instance in found if instance is not None)


def check_sources(
    rule: Entries, declared: Iterable[Instance], made: Mapping[str, Instance], columns: Mapping[str, Any]
) -> None:
    """Whether each declared feature is computed on a column that there is, and not on itself."""
    known = set(columns) - set(rule.table.get("params", {}))
    for instance in declared:
        key = f"features.{instance.name}.on"
        if instance.on not in known and not vocabulary.is_sibling(instance.on):
            rule.wrong(key, f"unknown column {instance.on}", conditions.nearest(instance.on, known))
        elif circle(instance, made):
            rule.wrong(key, f"{instance.name} is computed from itself", "on = a column that does not need it")


def _instance(rule: Entries, name: str, entry: Mapping[str, Any], params: Mapping[str, float]) -> Instance | None:
    key = f"features.{name}"
    kind = entry.get("feature", name)
    feature = features.FEATURE.get(kind) if isinstance(kind, str) else None
    if feature is None:
        rule.wrong(f"{key}.feature", f"there is no feature {kind}", conditions.nearest(str(kind), features.FEATURE))
        return None
    if not NAME.fullmatch(name) or (name in features.FEATURE and name != kind):
        rule.wrong(key, f"{name!r} cannot be the name of a {kind}", "lower-case letters, digits and _, a new word")
        return None
    on = entry.get("on", VALUE)
    if not isinstance(on, str):
        rule.wrong(f"{key}.on", f"is {type(on).__name__}, not the name of a column", 'on = "increment_h"')
        on = VALUE
    known = [option.name for option in feature.options]
    for word in entry:
        if word not in {"feature", "on", *known}:
            rule.wrong(f"{key}.{word}", f"{kind} has no option {word}", conditions.nearest(word, [*known, "on"]))
    return Instance(name, feature, tuple(_option(rule, key, entry, feature, o, params) for o in feature.options), on)


def _option(
    rule: Entries,
    key: str,
    entry: Mapping[str, Any],
    feature: Feature,
    option: Option,
    params: Mapping[str, float],
) -> float:
    given = entry.get(option.name)
    if given is None:
        own = f"{feature.name}_{option.name}"
        return params.get(own, option.default) if key == f"features.{feature.name}" else option.default
    number = parse_duration(given) if isinstance(given, str) and option.name.endswith("_s") else given
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        rule.wrong(f"{key}.{option.name}", f"{given!r} is no number", option.note)
        return option.default
    if fault := option.fault(number):
        rule.wrong(f"{key}.{option.name}", f"{given!r} {fault}", option.note)
    return float(number)
