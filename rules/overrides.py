"""Parameters that hold for a while (emergencies): which of a rule's points they are for, and what they make of it.

A parameter at a reading is decided by the reading alone: by its point and by when it was received
(``lifeline.core.override``). So a late reading that is judged again, a replay and a backtest use what was in force.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lifeline.core.areas import AreaTree, lies_in
from lifeline.core.errors import Problem
from rules import conditions, features, vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from lifeline.core.override import ParameterSpan
    from lifeline.core.registry import Registry
    from rules.spec import RuleSpec

FIXED = frozenset(features.OPTIONS) | frozenset(vocabulary.GROUP_OPTIONS)
"""Parameters that shape a rule's memory: they are the same at all times."""


class Insides:
    """Which points lie in an area, found out once an area."""

    def __init__(self, current: Callable[[], Registry]) -> None:
        self._current = current
        self._registry: Registry | None = None
        self._known: dict[str, NDArray[np.bool_]] = {}

    def __call__(self, area: str) -> NDArray[np.bool_]:
        """One entry a point of the newest registry."""
        registry = self._current()
        if registry is not self._registry:
            self._registry, self._known = registry, {}
        if area not in self._known:
            self._known[area] = _inside(registry, area)
        return self._known[area]


def _inside(registry: Registry, area: str) -> NDArray[np.bool_]:
    rows = registry.areas.select(("area_code", "level", "name", "parent_code"))
    tree = AreaTree(zip(*(column.to_pylist() for column in rows.columns), strict=True))
    codes = registry.select(["area_code"])["area_code"].combine_chunks().dictionary_encode()
    known: list[str] = codes.dictionary.to_pylist()
    there = np.array([*(lies_in(area, (code, *tree.around(code))) for code in known), False], bool)  # null: the last
    return np.asarray(there[codes.indices.fill_null(len(known)).to_numpy(zero_copy_only=False)])


class Overlay:
    """What spans make of one rule's parameters."""

    def __init__(self, rule: RuleSpec, spans: Iterable[ParameterSpan], inside: Callable[[str], Any]) -> None:
        self._inside = inside
        self._spans: list[tuple[ParameterSpan, dict[str, float]]] = []
        for span in spans:
            given = span.params.get(rule.id, {})
            params = {n: float(v) for n, v in given.items() if n in rule.params and n not in FIXED}
            seasons = dict(rule.seasons)  # what holds for a while holds during every calendar
            params |= {name: params[n] for n in list(params) for _, name in seasons.get(n, ())}
            if params:
                self._spans.append((span, params))

        self.names = frozenset(name for _, params in self._spans for name in params)
        """Parameters that differ at some time."""

    def put(
        self, name: str, made: NDArray[np.float64], points: NDArray[np.int32], at: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """``made`` (one parameter's column) with what holds at these points and times of receipt put in, in place."""
        if not self._spans or not len(at):
            return made
        first, last = at.min(), at.max()
        for span, params in self._spans:
            if name in params and span.since <= last and first < span.until:
                rows = (at >= span.since) & (at < span.until)
                made[rows & self._inside(span.area_code)[points]] = params[name]
        return made

    def holding(self, point: int, at: int) -> list[dict[str, Any]]:
        """The spans that hold at a point and time, as an alarm tells them; the last one wins."""
        return [
            {"name": span.name, "area_code": span.area_code, "since": span.since, "until": span.until, "params": params}
            for span, params in self._spans
            if span.since <= at < span.until and bool(self._inside(span.area_code)[point])
        ]


def faults(rules: Sequence[RuleSpec], given: Mapping[str, Mapping[str, float]], file: str, key: str) -> list[Problem]:
    """What is wrong with overrides by rule and parameter."""
    known = {rule.id: rule for rule in rules}
    problems = []
    for rule_id, params in given.items():
        rule = known.get(rule_id)
        if rule is None:
            problems.append(
                Problem(file, f"{key}.{rule_id}", "there is no such rule", conditions.nearest(rule_id, known))
            )
            continue
        for name in params:
            where = f"{key}.{rule_id}.{name}"
            if name not in rule.params:
                remedy = conditions.nearest(name, rule.params) if rule.params else "the rule has no params"
                problems.append(Problem(file, where, "the rule has no such parameter", remedy))
            elif name in FIXED:
                problems.append(Problem(file, where, "shapes what the rule remembers", "only limits can change"))
    return problems
