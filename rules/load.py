"""Rule files (TOML, contract section 7) to ``RuleSpec``; every problem of every file at once.

A key that is unknown, a word that is not in its closed list and a column that does not exist are answered with the
nearest right one. Nothing is guessed: a file with a problem gives no rules.
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any, Final

from lifeline.core.errors import ConfigurationError, Problem
from rules import calendars, conditions, spec, vocabulary
from rules.reader import read_rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from rules.calendars import Calendar
    from rules.spec import RuleSpec

RULES_MAX: Final = 10_000
"""Rules in one set: the pairs of rule and point are what costs, and a rule index is an int16."""

TABLES: Final = ("rule", "calendar")


def load_files(paths: Iterable[Path], beside: Iterable[RuleSpec] = ()) -> tuple[RuleSpec, ...]:
    """Rules of all files (a directory stands for its ``*.toml``), sorted by id.

    ``beside``: rules of other files that they may refer to.

    Raises:
        ConfigurationError: every problem of every file.
    """
    problems: list[Problem] = []
    texts: list[tuple[str, str]] = []
    for path in paths:
        files = sorted(path.glob("*.toml")) if path.is_dir() else [path]
        if not files:
            problems.append(Problem(str(path), "files", "no *.toml in this directory", "put rule files there"))
        for file in files:
            try:
                text = file.read_text("utf-8-sig")
            except (OSError, UnicodeDecodeError) as error:
                problems.append(
                    Problem(str(file), "file", f"cannot be read: {error}", "check path and encoding (UTF-8)")
                )
                continue
            texts.append((text, str(file)))
    return finish(load_texts(texts, problems), problems, beside)


def finish(rules: Iterable[RuleSpec], problems: list[Problem], beside: Iterable[RuleSpec] = ()) -> tuple[RuleSpec, ...]:
    """Sort (candidates last), look for ids given twice, and raise if anything was wrong."""
    known: dict[str, RuleSpec] = {}
    candidates: dict[str, RuleSpec] = {}
    for rule in rules:
        among = candidates if rule.shadow else known
        if rule.id in among:
            message = f"the id is already taken in {among[rule.id].file}"
            problems.append(Problem(rule.file, f"rule {rule.id}.id", message, "give every rule its own id"))
        among.setdefault(rule.id, rule)
    others = {rule.id: rule for rule in beside} | known
    for rule in known.values():
        _check_causes(rule, others, problems)
    for rule in candidates.values():
        _check_candidate(rule, known, problems)
    if len(candidates) > spec.SHADOWS_MAX:
        message = f"more than {spec.SHADOWS_MAX} shadow rules"
        problems.append(Problem("", "rules", message, "judge some, then take them in or away"))
    if len(known) > RULES_MAX:
        problems.append(Problem("", "rules", f"more than {RULES_MAX} rules", "use overrides instead of copies"))
    if problems:
        raise ConfigurationError(problems)
    return tuple(known[key] for key in sorted(known)) + tuple(candidates[key] for key in sorted(candidates))


def _check_causes(rule: RuleSpec, known: Mapping[str, RuleSpec], problems: list[Problem]) -> None:
    """What explains a rule's alarms is a rule that there is, and is not itself explained by them."""
    for key, names in (("suppressed_by", rule.suppressed_by), ("folds_under", rule.folds_under)):
        for name in names:
            if name not in known:
                if _may_be_there(name, problems):
                    continue
                remedy = conditions.nearest(name, known)
                problems.append(Problem(rule.file, f"rule {rule.id}.{key}", f"there is no rule {name}", remedy))
            elif _leads_to(name, rule.id, known, key):
                message = f"{name} is explained by {rule.id} in the end: a circle, in which nobody would be told"
                problems.append(Problem(rule.file, f"rule {rule.id}.{key}", message, "name the cause only"))


def _may_be_there(name: str, problems: Iterable[Problem]) -> bool:
    """Whether a rule is not known only because something is wrong with it, or with a file: that is told already."""
    return any(problem.key == "file" or problem.key.startswith(f"rule {name}.") for problem in problems)


def _leads_to(name: str, to: str, known: Mapping[str, RuleSpec], key: str) -> bool:
    seen, ahead = set[str](), [name]
    while ahead:
        at = ahead.pop()
        if at == to:
            return True
        if at not in seen and at in known:
            seen.add(at)
            ahead += getattr(known[at], key)
    return False


def _check_candidate(rule: RuleSpec, known: Mapping[str, RuleSpec], problems: list[Problem]) -> None:
    """A candidate names a rule that there is, and carries another version than the one of its own id."""
    if rule.shadow != rule.id and rule.shadow not in known and not _may_be_there(rule.shadow, problems):
        remedy = conditions.nearest(rule.shadow, known) if known else "check its file together with it"
        problems.append(Problem(rule.file, f"rule {rule.id}.shadow", f"there is no rule {rule.shadow}", remedy))
    if rule.id in known and rule.version <= known[rule.id].version:
        version = known[rule.id].version
        message = f"the rule in {known[rule.id].file} is version {version} itself"
        problems.append(Problem(rule.file, f"rule {rule.id}.version", message, f"version = {version + 1}"))


def load_texts(texts: Iterable[tuple[str, str]], problems: list[Problem]) -> list[RuleSpec]:
    """Rules of (text, file); problems are appended, and rules that have one are left out.

    Calendars hold for the rules of all files.
    """
    documents = [(document, file) for text, file in texts if (document := _document(text, file, problems)) is not None]
    known: dict[str, Calendar] = {}
    where: dict[str, str] = {}
    for document, file in documents:
        for name, calendar in calendars.read_calendars(document.get("calendar", {}), file, problems).items():
            column = calendars.column_of(name)
            if name in known and known[name] != calendar:
                message = f"{where[name]} says otherwise"
                problems.append(Problem(file, f"calendar {name}", message, "say it once, for all files"))
            if name != spec.HEATING_SEASON and (column in vocabulary.DESCRIPTIONS or vocabulary.is_sibling(column)):
                problems.append(Problem(file, f"calendar {name}", f"{column} is a column already", "another name"))
            known.setdefault(name, calendar)
            where.setdefault(name, file)
    if len(known) > calendars.CALENDARS_MAX:
        problems.append(
            Problem("", "calendar", f"more than {calendars.CALENDARS_MAX}", "use fewer, with several dates")
        )
    rules = []
    for document, file in documents:
        rules += _rules_of(document, file, known, problems)
    return rules


def _document(text: str, file: str, problems: list[Problem]) -> dict[str, Any] | None:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problems.append(Problem(file, "file", f"not TOML: {error}", "see docs/rules.md for a rule file"))
        return None
    unknown = [key for key in document if key not in TABLES]
    problems += [Problem(file, key, f"unknown key {key}", conditions.nearest(key, TABLES)) for key in unknown]
    return document


def _rules_of(
    document: Mapping[str, Any], file: str, known: Mapping[str, Calendar], problems: list[Problem]
) -> list[RuleSpec]:
    tables = document.get("rule", [])
    if not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables):
        problems.append(Problem(file, "rule", "is not a list of tables", "begin each rule with [[rule]]"))
        return []
    rules = []
    for number, table in enumerate(tables, 1):
        before = len(problems)
        rule = read_rule(file, table, number, problems, known)
        if len(problems) == before:
            rules.append(rule)
    return rules
