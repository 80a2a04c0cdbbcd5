"""Rules as a Markdown page for people: what each looks for, its limits and where they come from.

``docs/library.md`` is this page of the standard rules (``lifeline rules page rules/library``); a test holds it to them.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from lifeline.core.schema import LEVELS
from rules import spec
from rules.durations import span

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rules.spec import Delay, RuleSpec


def page(rules: Iterable[RuleSpec], title: str) -> str:
    """The page of these rules: an overview as a table, then a section each, by the first word of the id."""
    ordered = sorted(rules, key=lambda rule: rule.id)
    levels = Counter(rule.level for rule in ordered)
    counted = ", ".join(f"{levels[level]} {level}" for level in LEVELS if levels[level])
    lines = [f"# {title}", "", f"{len(ordered)} rules: {counted}.", ""]
    lines += ["| rule | level | what | stability |", "|---|---|---|---|"]
    lines += [
        f"| [`{r.id}`](#{_anchor(r)}) | {r.level} | {_cell(f'{r.title_zh} / {r.title_en}')} | {r.stability} |"
        for r in ordered
    ]
    for word in dict.fromkeys(rule.id.split(".")[0] for rule in ordered):
        lines += ["", f"## {word}"]
        for rule in ordered:
            if rule.id.split(".")[0] == word:
                lines += ["", *_section(rule)]
    return "\n".join(lines) + "\n"


def _section(rule: RuleSpec) -> list[str]:
    judged = f"groups by `{rule.group}`" if rule.evaluate == "group" else f"each {rule.evaluate}"
    about = [
        rule.level,
        rule.category,
        judged.replace("each clock", "the clock").replace("each every", "every row"),
        f"event `{rule.event}` by {rule.place}",
        f"respond within {span(rule.respond_within_s)}",
        rule.stability,
        *(["latched"] if rule.latch else []),
        *([rule.active] if rule.active != spec.ALWAYS else []),
    ]
    lines = [f"### {rule.id}", "", f"**{rule.title_zh} / {rule.title_en}** · " + " · ".join(about), ""]
    lines.append(f"- looks at `{rule.where}`")
    if rule.hit:
        lines.append(f"- a hit is `{rule.hit}`")
    lines += [f"- `{term}` are members with `{where}`" for term, where in rule.terms]
    lines.append(f"- raises when `{rule.raise_}`{_after(rule.raise_after)}")
    lines.append(f"- clears when `{rule.clear}`{_after(rule.clear_after)}")
    if rule.params:
        lines.append(f"- with {_params(rule.params)}" + "".join(_override(o) for o in rule.overrides))
    if rule.suppressed_by:
        settled = f", and for {span(rule.settle_s)} after" if rule.settle_s else ""
        stands = f"{_named(rule.suppressed_by)} stands at the same {rule.suppressed_at}"
        lines.append(f"- suppressed while {stands}{settled}")
    if rule.folds_under:
        lines.append(f"- in a flood folds beneath {_named(rule.folds_under)} at the same {rule.folds_at}")
    lines += [f"- limit from: {rule.source or 'not said'}"]
    lines += [f"- cause: {rule.cause}", f"- consequence: {rule.consequence}", f"- action: {rule.action}"]
    return lines


def _named(rules: Sequence[str]) -> str:
    return " or ".join(f"`{rule}`" for rule in rules)


def _override(override: spec.Override) -> str:
    return f"; where `{override.where}`: {_params(override.params)}"


def _params(params: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in params.items() if not math.isnan(value))


def _after(delay: Delay) -> str:
    parts: Sequence[str] = [
        *([f"{delay.samples} in a row"] if delay.samples > 1 else []),
        *([span(delay.seconds)] if delay.seconds else []),
    ]
    return f" for {' and '.join(parts)}" if parts else ""


def _anchor(rule: RuleSpec) -> str:
    return rule.id.replace(".", "")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
