"""Rule files (TOML, contract section 7) to ``RuleSpec``; every problem of every file at once.

A key that is unknown, a word that is not in its closed list and a column that does not exist are answered with the
nearest right one. Nothing is guessed: a file with a problem gives no rules.
"""

from __future__ import annotations

import math
import re
import tomllib
from typing import TYPE_CHECKING, Any, Final

from lifeline.core.errors import ConfigurationError, Problem
from lifeline.core.schema import LEVELS
from rules import conditions, features, spec
from rules.instances import INSTANCES_MAX, VALUE, Instance, by_column, circle, default_instances
from rules.spec import Delay, Override, RuleSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

RULES_MAX: Final = 10_000
"""Rules in one set: the pairs of rule and point are what costs, and a rule index is an int16."""

SAMPLES_MAX: Final = 1_000_000
REALARM_S_MIN: Final = 60.0
"""What is said again within a minute is no reminder but a nuisance."""
SECONDS_MAX: Final = 366 * 86_400.0
UNITS_S: Final = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|h|d)")
_ID: Final = re.compile(r"[a-z0-9][a-z0-9_-]*(\.[a-z0-9][a-z0-9_-]*)+")
_PARAM: Final = re.compile(r"[a-z][a-z0-9_]*")

REQUIRED: Final = ("id", "version", "title", "where", "raise", "clear", "level", "category")
OPERATOR: Final = ("cause", "consequence", "action", "respond_within")
OPTIONAL: Final = (
    *("params", "override", "raise_after", "clear_after", "latch", "active"),
    *("event", "place", "evaluate", "source", "stability", "features", "learn", "shadow", "realarm_after"),
)
GROUPED: Final = ("group", "hit", "terms", "train")
"""Keys of a rule with ``evaluate = "group"`` only."""
TERMS_MAX: Final = 8
KEYS: Final = (*REQUIRED, *OPERATOR, *OPTIONAL, *GROUPED)


def load_files(paths: Iterable[Path]) -> tuple[RuleSpec, ...]:
    """Rules of all files (a directory stands for its ``*.toml``), sorted by id.

    Raises:
        ConfigurationError: every problem of every file.
    """
    problems: list[Problem] = []
    rules: list[RuleSpec] = []
    for path in paths:
        files = sorted(path.glob("*.toml")) if path.is_dir() else [path]
        if not files:
            problems.append(Problem(str(path), "files", "no *.toml in this directory", "put rule files there"))
        for file in files:
            try:
                text = file.read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                problems.append(
                    Problem(str(file), "file", f"cannot be read: {error}", "check path and encoding (UTF-8)")
                )
                continue
            rules += load_text(text, str(file), problems)
    return finish(rules, problems)


def finish(rules: Iterable[RuleSpec], problems: list[Problem]) -> tuple[RuleSpec, ...]:
    """Sort (candidates last), look for ids given twice, and raise if anything was wrong."""
    known: dict[str, RuleSpec] = {}
    candidates: dict[str, RuleSpec] = {}
    for rule in rules:
        among = candidates if rule.shadow else known
        if rule.id in among:
            message = f"the id is already taken in {among[rule.id].file}"
            problems.append(Problem(rule.file, f"rule {rule.id}.id", message, "give every rule its own id"))
        among.setdefault(rule.id, rule)
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


def _check_candidate(rule: RuleSpec, known: Mapping[str, RuleSpec], problems: list[Problem]) -> None:
    """A candidate names a rule that there is, and carries another version than the one of its own id."""
    if rule.shadow != rule.id and rule.shadow not in known:
        remedy = conditions.nearest(rule.shadow, known) if known else "check its file together with it"
        problems.append(Problem(rule.file, f"rule {rule.id}.shadow", f"there is no rule {rule.shadow}", remedy))
    if rule.id in known and rule.version <= known[rule.id].version:
        version = known[rule.id].version
        message = f"the rule in {known[rule.id].file} is version {version} itself"
        problems.append(Problem(rule.file, f"rule {rule.id}.version", message, f"version = {version + 1}"))


def load_text(text: str, file: str, problems: list[Problem]) -> list[RuleSpec]:
    """Rules of one file's text; problems are appended, and rules that have one are left out."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problems.append(Problem(file, "file", f"not TOML: {error}", "see docs/rules.md for a rule file"))
        return []
    unknown = [key for key in document if key != "rule"]
    problems += [Problem(file, key, f"unknown key {key}", conditions.nearest(key, ["rule"])) for key in unknown]
    tables = document.get("rule", [])
    if not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables):
        problems.append(Problem(file, "rule", "is not a list of tables", "begin each rule with [[rule]]"))
        return []
    rules = []
    for number, table in enumerate(tables, 1):
        before = len(problems)
        rule = _Reader(file, table, number, problems).rule()
        if len(problems) == before:
            rules.append(rule)
    return rules


def parse_duration(text: str) -> float | None:
    """Seconds of ``90s``, ``30min``, ``6h`` or ``3d``; None when it is none of them."""
    match = _DURATION.fullmatch(text.strip())
    return float(match[1]) * UNITS_S[match[2]] if match else None


class _Reader:
    """Reads one ``[[rule]]`` table, noting what is wrong and going on."""

    def __init__(self, file: str, table: Mapping[str, Any], number: int, problems: list[Problem]) -> None:
        self.file, self.table, self.problems = file, table, problems
        name = table.get("id")
        self.name = f"rule {name}" if isinstance(name, str) and name else f"rule #{number}"

    def wrong(self, key: str, message: str, remedy: str = "") -> None:
        self.problems.append(Problem(self.file, f"{self.name}.{key}", message, remedy))

    def rule(self) -> RuleSpec:
        for key in self.table:
            if key not in KEYS:
                self.wrong(key, f"unknown key {key}", conditions.nearest(key, KEYS))
        for key in (*REQUIRED, *OPERATOR):
            if key not in self.table:
                why = "an alarm without it is an event (ISA-18.2)" if key in OPERATOR else "every rule has one"
                self.wrong(key, "is missing", f"add it: {why}")
        rule_id = self.text("id")
        if rule_id and not _ID.fullmatch(rule_id):
            self.wrong("id", f"{rule_id!r} is not an id", "lower-case words joined by dots, e.g. gas.ch4.high")
        evaluate = self.choice("evaluate", spec.EVALUATIONS, "reading")
        params = self.params("params", self.table.get("params", {}), ())
        declared = self.instances(evaluate, params)
        made = by_column((*default_instances(params).values(), *declared))
        own = made if evaluate == "reading" else {}
        terms = self.grouped(evaluate, params, made)
        parts = [f"{term}_{part}" for term, _ in terms for part in features.TERM_PARTS]
        columns = dict.fromkeys((*features.COLUMNS[evaluate], *own, *parts, *params), features.FLOAT)
        for name in set(params) & {*features.DESCRIPTIONS, *own, *parts}:
            self.wrong(f"params.{name}", f"{name} is a column of the rule", "choose another name")
        siblings = (features.SIBLING,) if evaluate == "reading" else ()
        for key in ("raise", "clear"):
            self.condition(key, self.text(key), columns, siblings)
        active = self.text("active", spec.ALWAYS)
        if active not in {spec.ALWAYS, spec.HEATING_SEASON}:
            self.condition("active", active, columns, siblings)
        self.condition("where", self.text("where"), features.WHERE)
        judged = "reading" if evaluate == "group" else evaluate  # a group rule's features are its hit's, of readings
        self.sources(declared, made, dict.fromkeys((*features.COLUMNS[judged], *made, *params), features.FLOAT))
        texts = " ".join((self.text("raise"), self.text("clear"), active))
        if "limit" not in params and any(
            column in texts for column, one in made.items() if one.feature.limit and column.endswith("_to_limit")
        ):
            self.wrong("params.limit", "is missing: minutes_to_limit needs it", "params = { limit = 25.0 }")
        return RuleSpec(
            id=rule_id,
            version=int(self.number("version", self.table.get("version", 1), low=1, whole=True)),
            title_zh=self.title("zh"),
            title_en=self.title("en"),
            where=self.text("where"),
            raise_=self.text("raise"),
            clear=self.text("clear"),
            level=self.choice("level", LEVELS, LEVELS[-1]),
            category=self.choice("category", spec.CATEGORIES, spec.CATEGORIES[0]),
            cause=self.bilingual("cause"),
            consequence=self.bilingual("consequence"),
            action=self.bilingual("action"),
            respond_within_s=self.duration("respond_within"),
            params=params,
            overrides=self.overrides(params),
            features=declared,
            learn=self.choice("learn", spec.LEARNING, spec.LEARNING[0]),
            raise_after=self.delay("raise_after"),
            clear_after=self.delay("clear_after"),
            latch=self.flag("latch"),
            realarm_s=self.realarm(),
            active=active,
            event=self.text("event", "-".join(rule_id.split(".")[:2])),
            place=self.choice("place", spec.PLACES, "asset"),
            group=self.choice("group", spec.GROUPS, spec.GROUP),
            hit=self.text("hit"),
            terms=terms,
            train_s=self.duration("train") or spec.TRAIN_S,
            evaluate=evaluate,  # type: ignore[arg-type] # one of EVALUATIONS
            source=self.text("source", ""),
            stability=self.choice("stability", spec.STABILITIES, "experimental"),
            shadow=self.shadow(rule_id),
            file=self.file,
        )

    def text(self, key: str, default: str = "") -> str:
        value = self.table.get(key, default)
        if not isinstance(value, str):
            self.wrong(key, f"is {type(value).__name__}, not text", "put it in quotes")
            return default
        if key in self.table and not value.strip() and key not in {"where", "raise", "clear"}:
            self.wrong(key, "is empty", "say it, or leave the key out where it is optional")
        return value

    def choice(self, key: str, allowed: tuple[str, ...], default: str) -> str:
        value = self.text(key, default)
        if value in allowed:
            return value
        self.wrong(key, f"{value!r} is not one of {', '.join(allowed)}", conditions.nearest(value, allowed))
        return default

    def title(self, language: str) -> str:
        value = self.table.get("title", {})
        title = value.get(language) if isinstance(value, dict) else None
        if isinstance(title, str) and title.strip():
            return title
        if "title" in self.table:
            self.wrong(f"title.{language}", "is missing", 'title = { zh = "…", en = "…" }')
        return ""

    def bilingual(self, key: str) -> str:
        """Text, or a table of ``zh`` and ``en``, which are shown one after the other."""
        value = self.table.get(key, "")
        if isinstance(value, dict):
            parts = [p for p in (value.get("zh"), value.get("en")) if isinstance(p, str) and p.strip()]
            if set(value) == {"zh", "en"} and len(parts) == 2:
                return " / ".join(parts)
            self.wrong(key, "needs zh and en, both not empty", f'{key} = {{ zh = "…", en = "…" }}, or one text')
            return ""
        return self.text(key)

    def shadow(self, rule_id: str) -> str:
        """The rule that a candidate is compared with: of its own id, or another that is named."""
        value = self.table.get("shadow", False)
        if isinstance(value, bool):
            return rule_id if value else ""
        if not isinstance(value, str) or not _ID.fullmatch(value):
            self.wrong(
                "shadow", f"{value!r} is not true, false or the id of a rule", 'shadow = true, or "gas.ch4.high"'
            )
            return ""
        return value

    def flag(self, key: str) -> bool:
        value = self.table.get(key, False)
        if not isinstance(value, bool):
            self.wrong(key, f"is {value!r}, not true or false", f"{key} = true")
            return False
        return value

    def number(self, key: str, value: object, *, low: float, high: float = math.inf, whole: bool = False) -> float:
        right = isinstance(value, int) if whole else isinstance(value, (int, float))
        if not right or isinstance(value, bool) or not low <= float(value) <= high:  # type: ignore[arg-type] # checked
            kind = "a whole number" if whole else "a number"
            self.wrong(
                key, f"{value!r} is not {kind} from {low:g} to {high:g}", f"{key.rpartition('.')[2]} = {max(low, 1):g}"
            )
            return low
        return float(value)  # type: ignore[arg-type] # checked

    def duration(self, key: str) -> float:
        value = self.table.get(key)
        seconds = parse_duration(value) if isinstance(value, str) else None
        if seconds is None or seconds <= 0:
            if key in self.table:
                self.wrong(key, f"{value!r} is not a duration", 'e.g. "90s", "30min", "6h", "3d"')
            return 0.0
        return seconds

    def realarm(self) -> float:
        """Seconds after which it is annunciated again, 0 for never."""
        seconds = self.duration("realarm_after") if "realarm_after" in self.table else 0.0
        if 0.0 < seconds < REALARM_S_MIN:
            given = self.table["realarm_after"]
            self.wrong("realarm_after", f"{given!r} is shorter than a minute", 'realarm_after = "30min"')
        return seconds

    def delay(self, key: str) -> Delay:
        value = self.table.get(key, {})
        if not isinstance(value, dict):
            self.wrong(key, f"is {value!r}, not a table", f"{key} = {{ samples = 3 }}")
            return Delay()
        for name in value:
            if name not in {"samples", "seconds"}:
                self.wrong(f"{key}.{name}", f"unknown key {name}", conditions.nearest(name, ["samples", "seconds"]))
        samples = self.number(f"{key}.samples", value.get("samples", 1), low=1, high=SAMPLES_MAX, whole=True)
        return Delay(int(samples), self.number(f"{key}.seconds", value.get("seconds", 0), low=0, high=SECONDS_MAX))

    def grouped(
        self, evaluate: str, params: Mapping[str, float], made: Mapping[str, Instance]
    ) -> tuple[tuple[str, str], ...]:
        """Check what only rules over groups have; gives their terms."""
        if evaluate == "group":
            readings = dict.fromkeys((*features.COLUMNS["reading"], *made, *params), features.FLOAT)
            self.sources(made.values(), made, readings)
            self.condition("hit", self.text("hit"), readings, (features.SIBLING,))
            return self.terms()
        for key in GROUPED:
            if key in self.table:
                self.wrong(key, "is for rules over groups", 'evaluate = "group", or leave it out')
        return ()

    def terms(self) -> tuple[tuple[str, str], ...]:
        value = self.table.get("terms", {})
        if not isinstance(value, dict) or not all(isinstance(where, str) for where in value.values()):
            self.wrong("terms", "is not a table of conditions", "terms = { inlet = \"kind = 'dma-inlet'\" }")
            return ()
        if len(value) > TERMS_MAX:
            self.wrong("terms", f"more than {TERMS_MAX}", "split the rule")
            return ()
        for name, where in value.items():
            if not _PARAM.fullmatch(name):
                self.wrong(f"terms.{name}", f"{name!r} cannot be a term's name", "lower-case letters, digits and _")
            for message, remedy in conditions.parse(where, features.WHERE)[1]:
                self.wrong(f"terms.{name}", message, remedy)
        return tuple(value.items())

    def params(self, key: str, table: object, fixed: tuple[str, ...]) -> dict[str, float]:
        if not isinstance(table, dict):
            self.wrong(key, "is not a table", f"{key} = {{ limit = 25.0 }}")
            return {}
        found = {}
        for name, value in table.items():
            if not _PARAM.fullmatch(name) or name.upper() in conditions.KEYWORDS:
                self.wrong(
                    f"{key}.{name}", f"{name!r} cannot be a parameter's name", "lower-case letters, digits and _"
                )
            elif name in fixed:
                self.wrong(f"{key}.{name}", f"{name} is the same for all points of a rule", "write a second rule")
            elif isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                self.wrong(f"{key}.{name}", f"{value!r} is not a finite number", "parameters are numbers")
            elif name in features.OPTIONS and (fault := features.OPTIONS[name].fault(value)):
                self.wrong(f"{key}.{name}", f"{value!r} {fault}", features.OPTIONS[name].note)
            elif self.table.get("evaluate") == "group" and (fault := features.group_fault(name, value)):
                self.wrong(f"{key}.{name}", f"{value!r} {fault}", features.GROUP_OPTIONS[name].note)
            else:
                found[name] = float(value)
        return found

    def instances(self, evaluate: str, params: Mapping[str, float]) -> tuple[Instance, ...]:
        table = self.table.get("features", {})
        if not isinstance(table, dict) or not all(isinstance(t, dict) for t in table.values()):
            self.wrong(
                "features", "is not a table of tables", 'features = { slow = { feature = "rate", window_s = "1h" } }'
            )
            return ()
        if table and evaluate not in {"reading", "group"}:
            self.wrong("features", f"a rule that evaluates {evaluate!r} has no features", 'evaluate = "reading"')
        if len(table) > INSTANCES_MAX:
            self.wrong("features", f"more than {INSTANCES_MAX}", "split the rule")
        found = [self.instance(name, entry, params) for name, entry in table.items()]
        return tuple(instance for instance in found if instance is not None)

    def instance(self, name: str, entry: Mapping[str, Any], params: Mapping[str, float]) -> Instance | None:
        key = f"features.{name}"
        kind = entry.get("feature", name)
        feature = features.FEATURE.get(kind) if isinstance(kind, str) else None
        if feature is None:
            self.wrong(f"{key}.feature", f"there is no feature {kind}", conditions.nearest(str(kind), features.FEATURE))
            return None
        if not _PARAM.fullmatch(name) or (name in features.FEATURE and name != kind):
            self.wrong(key, f"{name!r} cannot be the name of a {kind}", "lower-case letters, digits and _, a new word")
            return None
        on = entry.get("on", VALUE)
        if not isinstance(on, str):
            self.wrong(f"{key}.on", f"is {type(on).__name__}, not the name of a column", 'on = "increment_h"')
            on = VALUE
        known = [option.name for option in feature.options]
        for word in entry:
            if word not in {"feature", "on", *known}:
                self.wrong(f"{key}.{word}", f"{kind} has no option {word}", conditions.nearest(word, [*known, "on"]))
        return Instance(name, feature, tuple(self.option(key, entry, feature, o, params) for o in feature.options), on)

    def option(
        self,
        key: str,
        entry: Mapping[str, Any],
        feature: features.Feature,
        option: features.Option,
        params: Mapping[str, float],
    ) -> float:
        given = entry.get(option.name)
        if given is None:
            own = f"{feature.name}_{option.name}"
            return params.get(own, option.default) if key == f"features.{feature.name}" else option.default
        number = parse_duration(given) if isinstance(given, str) and option.name.endswith("_s") else given
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            self.wrong(f"{key}.{option.name}", f"{given!r} is no number", option.note)
            return option.default
        if fault := option.fault(number):
            self.wrong(f"{key}.{option.name}", f"{given!r} {fault}", option.note)
        return float(number)

    def sources(self, declared: Iterable[Instance], made: Mapping[str, Instance], columns: Mapping[str, Any]) -> None:
        """Whether each declared feature is computed on a column that there is, and not on itself."""
        known = set(columns) - set(self.table.get("params", {}))
        for instance in declared:
            key = f"features.{instance.name}.on"
            if instance.on not in known and not features.is_sibling(instance.on):
                self.wrong(key, f"unknown column {instance.on}", conditions.nearest(instance.on, known))
            elif circle(instance, made):
                self.wrong(key, f"{instance.name} is computed from itself", "on = a column that does not need it")

    def overrides(self, params: Mapping[str, float]) -> tuple[Override, ...]:
        tables = self.table.get("override", [])
        if not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables):
            self.wrong("override", "is not a list of tables", "begin each with [[rule.override]]")
            return ()
        result = []
        for number, table in enumerate(tables, 1):
            key = f"override #{number}"
            for name in set(table) - {"where", "params"}:
                self.wrong(f"{key}.{name}", f"unknown key {name}", conditions.nearest(name, ["where", "params"]))
            where = table.get("where")
            if not isinstance(where, str):
                self.wrong(f"{key}.where", "is missing or not text", "say which points it is for")
                continue
            self.condition(f"{key}.where", where, features.WHERE)
            values = self.params(f"{key}.params", table.get("params", {}), (*features.OPTIONS, *features.GROUP_OPTIONS))
            for name in set(values) - set(params):
                remedy = conditions.nearest(name, params) if params else "the rule has no params"
                self.wrong(f"{key}.params.{name}", f"unknown parameter {name}", remedy)
            result.append(Override(where, values))
        return tuple(result)

    def condition(self, key: str, text: str, columns: Mapping[str, Any], prefixes: tuple[str, ...] = ()) -> None:
        base = key.rpartition(".")[2] if key.startswith("override") else key
        if base in self.table or key.startswith("override"):
            for message, remedy in conditions.parse(text, columns, prefixes)[1]:
                self.wrong(key, message, remedy)
