"""Limits from a normal period: at which value would a rule have cost no more than so many alarms a day?

Everything in the period is taken to be normal, so every alarm in it is false. The rule is replayed with its limit
scaled by powers of ``RATIO``, each replay by the very machine that runs live; the most sensitive value within the
budget is proposed, never further than ``STEPS`` powers from what is written. Where even the most sensitive costs
nothing too much, the period says nothing about the limit and it stays. Limits that come from a standard (stability
``stable``) are fitted only when their rule is named.
"""

from __future__ import annotations

import itertools
import json
import re
import tomllib
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from lifeline.core.errors import ConfigurationError, Problem
from rules import calendars, conditions
from rules.rule_set import RuleSet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from rules.backtest import BacktestResult
    from rules.spec import RuleSpec

    Replay = Callable[[RuleSet, int, int], BacktestResult]

RATIO: Final = 1.25
STEPS: Final = 8
"""1.25 to the 8th is 6: what is further off is another rule."""
TUNED: Final = ("limit", "factor", "drop", "rise", "least", "tukey_k")
"""Parameters that are limits, the first that a rule has in this order."""
_RULE: Final = re.compile(r"(?m)^(?=[ \t]*\[\[[ \t]*rule[ \t]*\]\])")
_VERSION: Final = re.compile(r"(?m)^([ \t]*version[ \t]*=[ \t]*)\d+")
_COMMENT: Final = re.compile(r"(?:^[ \t]*#[^\n]*\n)+\Z", re.MULTILINE)
"""The lines of comment right above what comes next."""
_CALENDAR: Final = re.compile(
    r"(?m)^[ \t]*\[[ \t]*calendar\b[^\n]*\n(?:(?![ \t]*\[{1,2}[ \t]*(?:rule|calendar)\b)[^\n]*\n?)*"
)
"""A calendar's table, up to the next one."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a rule's limit is, what it should be, and what either costs in alarms a day of the period."""

    rule: RuleSpec
    param: str
    value: float
    proposed: float
    cost: float
    cost_proposed: float
    tried: tuple[tuple[float, float], ...]
    """(value, alarms a day), in the order of the values."""
    within: bool
    """Whether the proposed one stays within the budget: where no step does, the dullest is proposed."""
    by: float = 1.0
    """By what the limit, and every override of it, is multiplied."""

    def row(self) -> dict[str, Any]:
        """For a report."""
        return {
            "id": self.rule.id,
            "param": self.param,
            "value": self.value,
            "proposed": self.proposed,
            "alarms_per_day": {"value": self.cost, "proposed": self.cost_proposed},
            "within_budget": self.within,
            "steps": [{"value": value, "alarms_per_day": cost} for value, cost in self.tried],
        }


def fit(rules: RuleSet, replay: Replay, budget: float, names: Sequence[str] = ()) -> list[Fitted]:
    """Fit every rule that has a limit and looks at any point, or those named; ``budget`` in alarms a day and rule.

    ``replay`` runs a rule set over the period, and is told the number of the rule and how many there are.

    Raises:
        ConfigurationError: a rule that is named does not exist or has nothing to fit.
    """
    known = {rule.id: rule for rule in rules.rules}
    problems = []
    for name in names:
        if name not in known:
            problems.append(Problem("command line", "--rule", f"no rule {name}", conditions.nearest(name, known)))
        elif _param(known[name]) is None:
            remedy = f"one of its parameters must be named {', '.join(TUNED)}"
            problems.append(Problem(known[name].file, f"rule {name}.params", "has no limit to fit", remedy))
    if problems:
        raise ConfigurationError(problems)
    chosen = [known[n] for n in names] or [r for r in rules.rules if r.stability != "stable"]
    wanted = [(rule, param) for rule in chosen if (param := _param(rule)) is not None]
    found = []
    for number, (rule, param) in enumerate(wanted, 1):
        one = _fit(rule, param, partial(_alone, replay, number, len(wanted)), budget)
        if one is not None:
            found.append(one)
    return found


def _alone(replay: Replay, number: int, of: int, rule: RuleSpec) -> BacktestResult:
    return replay(RuleSet((rule,)), number, of)


def _fit(rule: RuleSpec, param: str, replay: Callable[[RuleSpec], BacktestResult], budget: float) -> Fitted | None:
    """None when the rule looks at no point of the history."""
    tried: dict[int, float] = {}

    def cost(step: int) -> float:
        if step not in tried:
            result = replay(scaled(rule, param, RATIO**step))
            if not result.rules[0]["points"]:
                raise LookupError
            tried[step] = result.alarms.num_rows / result.days
        return tried[step]

    try:
        stricter = 1 if cost(STEPS) <= cost(-STEPS) else -1
    except LookupError:
        return None
    # the steps from sensitive to dull; the costs fall along them, so bisection finds the first within the budget
    low, high = 0, 2 * STEPS
    while low < high:
        middle = (low + high) // 2
        if cost(stricter * (middle - STEPS)) <= budget:
            high = middle
        else:
            low = middle + 1
    best = stricter * (low - STEPS) if low else 0
    value = rule.params[param]
    by = RATIO**best
    steps = tuple((_times(value, RATIO**step), tried[step]) for step in sorted(tried))
    return Fitted(rule, param, value, _times(value, by), cost(0), cost(best), steps, cost(best) <= budget, by)


def scaled(rule: RuleSpec, param: str, by: float) -> RuleSpec:
    """The rule with its parameter, and every override of it, multiplied: those of calendars too."""
    names = {param, *(name for _, name in dict(rule.seasons).get(param, ()))}

    def times(params: Mapping[str, float]) -> dict[str, float]:
        return {name: _times(value, by) if name in names else value for name, value in params.items()}

    overrides = tuple(replace(one, params=times(one.params)) for one in rule.overrides)
    return replace(rule, params=times(rule.params), overrides=overrides)


def _times(value: float, by: float) -> float:
    """As it is written in the proposal: what was replayed is what is proposed, to the last digit."""
    return value if by == 1.0 else float(f"{value * by:.6g}")


def proposal(written: Written, fits: Iterable[Fitted], budget: float) -> str:
    """A rule file of the rules that should change, each as written with overrides appended, and their calendars.

    Each has the next version: a limit is part of what a rule means, and a running engine refuses another meaning of the
    same version.
    """
    parts = [
        f"# Fitted to a normal period at a budget of {budget:g} alarms a day and rule.",
        "# Put these rules in the place of those of the same id.",
    ]
    changed = [one for one in fits if one.proposed != one.value]
    named = {column for one in changed for column, _ in one.rule.calendars}
    parts += [text for name, text in written.calendars.items() if calendars.column_of(name) in named]
    for one in changed:
        lines = [
            f"# {one.param} {one.value:g} cost {one.cost:.3g} alarms a day, {one.proposed:.6g} {one.cost_proposed:.3g}",
            "[[rule.override]]",
            'where = "true"',
            f"params = {{ {one.param} = {one.proposed:.6g} }}",
        ]
        during = {name: column for column, name in dict(one.rule.seasons).get(one.param, ())}
        for override in one.rule.overrides:
            for name, value in override.params.items():
                if name == one.param or name in during:
                    lines += ["[[rule.override]]", f"where = {_quoted(override.where)}"]
                    lines += [f'during = "{written.called(during[name])}"'] if name in during else []
                    lines += [f"params = {{ {one.param} = {_times(value, one.by):.6g} }}"]
        text = _VERSION.sub(rf"\g<1>{one.rule.version + 1}", written.rules[one.rule.id], count=1)
        parts.append(text + "\n" + "\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _param(rule: RuleSpec) -> str | None:
    used = set(re.findall(r"[a-z_][a-z0-9_]*", f"{rule.raise_} {rule.hit}"))
    fixed = {name for name in rule.params if name.startswith("tukey_")}
    for name in TUNED:
        if name in rule.params and rule.params[name] > 0 and (name in used or name in fixed):
            return name
    return None


@dataclass(frozen=True, slots=True)
class Written:
    """Rules and calendars of files as they are written, by id and by name."""

    rules: Mapping[str, str]
    calendars: Mapping[str, str]

    @classmethod
    def of(cls, paths: Iterable[Path], rules: RuleSet) -> Written:
        """Of files that were loaded as these rules.

        Raises:
            ConfigurationError: a rule is written in another way than as a [[rule]] table.
        """
        blocks: dict[str, str] = {}
        tables: dict[str, str] = {}
        for path in paths:
            for file in sorted(path.glob("*.toml")) if path.is_dir() else [path]:
                text = file.read_text("utf-8-sig")
                blocks |= _blocks(text)
                for name, table in tomllib.loads(text).get("calendar", {}).items():
                    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in table.items()]
                    tables[name] = "\n".join([f"[calendar.{name}]", *lines])
        problems = [
            Problem(
                one.file, f"rule {one.id}", "is not a [[rule]] table, so that it cannot be written anew", "[[rule]]"
            )
            for one in rules.rules
            if one.id not in blocks
        ]
        if problems:
            raise ConfigurationError(problems)
        return cls(blocks, tables)

    def called(self, column: str) -> str:
        """The calendar behind a column of conditions."""
        return next(
            (name for name in (calendars.HEATING, *self.calendars) if calendars.column_of(name) == column), column
        )


def _blocks(text: str) -> dict[str, str]:
    """The text of each rule by id, with the comment above it and without calendars that stand between."""
    found = {}
    chunks = _RULE.split(_CALENDAR.sub("", text))
    for before, chunk in itertools.pairwise(chunks):
        above = _COMMENT.search(before)
        own = chunk if chunk is chunks[-1] else _COMMENT.sub("", chunk)
        rule = tomllib.loads(own)["rule"][0]
        if not rule.get("shadow"):  # a candidate has the id of its rule, which is fitted
            found[str(rule.get("id"))] = (above[0] if above and before is not chunks[0] else "") + own.rstrip()
    return found


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
