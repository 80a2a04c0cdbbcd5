"""Limits from a normal period: at which value would a rule have cost no more than so many alarms a day?

Everything in the period is taken to be normal, so every alarm in it is false. The rule is replayed with its limit
scaled by powers of ``RATIO``, each replay by the very machine that runs live; the most sensitive value within the
budget is proposed, never further than ``STEPS`` powers from what is written. Where even the most sensitive costs
nothing too much, the period says nothing about the limit and it stays. Limits that come from a standard (stability
``stable``) are fitted only when their rule is named.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from lifeline.core.errors import ConfigurationError, Problem
from rules import conditions
from rules.rule_set import RuleSet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from rules.backtest import BacktestResult
    from rules.spec import RuleSpec

    Replay = Callable[[RuleSet, int, int], BacktestResult]

RATIO: Final = 1.25
STEPS: Final = 8
"""1.25 to the 8th is 6: what is further off is another rule."""
TUNED: Final = ("limit", "factor", "drop", "rise", "least", "tukey_k")
"""Parameters that are limits, the first that a rule has in this order."""


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
    steps = tuple((value * RATIO**step, tried[step]) for step in sorted(tried))
    return Fitted(rule, param, value, value * RATIO**best, cost(0), cost(best), steps, cost(best) <= budget)


def scaled(rule: RuleSpec, param: str, by: float) -> RuleSpec:
    """The rule with its parameter, and every override of it, multiplied."""
    overrides = tuple(
        replace(o, params={**o.params, param: o.params[param] * by}) if param in o.params else o for o in rule.overrides
    )
    return replace(rule, params={**rule.params, param: rule.params[param] * by}, overrides=overrides)


def proposal(paths: Iterable[Path], fits: Iterable[Fitted], budget: float) -> str:
    """A rule file of the rules that should change, each as written with overrides appended.

    Each has the next version: a limit is part of what a rule means, and a running engine refuses another meaning of the
    same version.
    """
    blocks = _blocks(paths)
    parts = [
        f"# Fitted to a normal period at a budget of {budget:g} alarms a day and rule.",
        "# Put these rules in the place of those of the same id.",
    ]
    for one in fits:
        if one.proposed == one.value:
            continue
        by = one.proposed / one.value
        lines = [
            f"# {one.param} {one.value:g} cost {one.cost:.3g} alarms a day, {one.proposed:.6g} {one.cost_proposed:.3g}",
            "[[rule.override]]",
            'where = "true"',
            f"params = {{ {one.param} = {one.proposed:.6g} }}",
        ]
        for override in one.rule.overrides:
            if one.param in override.params:
                value = override.params[one.param] * by
                lines += ["[[rule.override]]", f"where = {_quoted(override.where)}"]
                lines += [f"params = {{ {one.param} = {value:.6g} }}"]
        text = re.sub(r"(?m)^(version\s*=\s*)\d+", rf"\g<1>{one.rule.version + 1}", blocks[one.rule.id], count=1)
        parts.append(text + "\n" + "\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _param(rule: RuleSpec) -> str | None:
    used = set(re.findall(r"[a-z_][a-z0-9_]*", f"{rule.raise_} {rule.hit}"))
    fixed = {name for name in rule.params if name.startswith("tukey_")}
    for name in TUNED:
        if name in rule.params and rule.params[name] > 0 and (name in used or name in fixed):
            return name
    return None


def _blocks(paths: Iterable[Path]) -> dict[str, str]:
    """The text of each rule by id."""
    found = {}
    for path in paths:
        for file in sorted(path.glob("*.toml")) if path.is_dir() else [path]:
            for block in re.split(r"(?m)^(?=\[\[rule\]\])", file.read_text("utf-8"))[1:]:
                name = re.search(r'(?m)^id\s*=\s*["\']([^"\']+)["\']', block)
                if name:
                    found[name[1]] = block.rstrip()
    return found


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
