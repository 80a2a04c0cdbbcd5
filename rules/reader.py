"""One ``[[rule]]`` table to a ``RuleSpec``: what each key may be, and what to say when it is not."""

from __future__ import annotations

import difflib
import math
import re
from typing import TYPE_CHECKING, Any, Final

from lifeline.core.errors import Problem
from lifeline.core.schema import LEVELS
from rules import calendars, conditions, features, spec
from rules.durations import EXAMPLES, parse_duration
from rules.instances import INSTANCES_MAX, VALUE, Instance, by_column, circle, default_instances
from rules.relations import read_relation
from rules.spec import Delay, Override, RuleSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rules.calendars import Calendar
    from rules.feature import Feature, Option

SAMPLES_MAX: Final = 1_000_000
REALARM_S_MIN: Final = 60.0
"""What is said again within a minute is no reminder but a nuisance."""
SECONDS_MAX: Final = 366 * 86_400.0
_ID: Final = re.compile(r"[a-z0-9][a-z0-9_-]*(\.[a-z0-9][a-z0-9_-]*)+")
_PARAM: Final = re.compile(r"[a-z][a-z0-9_]*")

REQUIRED: Final = ("id", "version", "title", "where", "raise", "clear", "level", "category")
OPERATOR: Final = ("cause", "consequence", "action", "respond_within")
OPTIONAL: Final = (
    *("params", "override", "raise_after", "clear_after", "latch", "active"),
    *("event", "place", "evaluate", "source", "stability", "features", "learn", "shadow", "realarm_after"),
    *("announce", "suppressed_by", "folds_under"),
)
GROUPED: Final = ("group", "hit", "terms", "train")
"""Keys of a rule with ``evaluate = "group"`` only."""
TERMS_MAX: Final = 8
NEAR: Final = 0.8
"""How alike (difflib) a parameter that nobody uses is to the option for which it is a slip of the pen."""
KEYS: Final = (*REQUIRED, *OPERATOR, *OPTIONAL, *GROUPED)


def read_rule(
    file: str, table: Mapping[str, Any], number: int, problems: list[Problem], known: Mapping[str, Calendar]
) -> RuleSpec:
    """The rule of one table, the ``number``-th of its file; to be used only when no problem was appended.

    ``known``: calendars by name.
    """
    return _Reader(file, table, number, problems, known).rule()


class _Reader:
    """Reads one ``[[rule]]`` table, noting what is wrong and going on."""

    def __init__(
        self,
        file: str,
        table: Mapping[str, Any],
        number: int,
        problems: list[Problem],
        known: Mapping[str, Calendar],
    ) -> None:
        self.file, self.table, self.problems, self.calendars = file, table, problems, known
        self.columns_of_calendars = {calendars.column_of(one): calendar for one, calendar in known.items()}
        name = table.get("id")
        self.name = f"rule {name}" if isinstance(name, str) and name else f"rule #{number}"

    def wrong(self, key: str, message: str, remedy: str = "") -> None:
        self.problems.append(Problem(self.file, f"{self.name}.{key}", message, remedy))

    def rule(self) -> RuleSpec:
        self.keys()
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
        dated = self.columns_of_calendars
        columns = dict.fromkeys((*features.COLUMNS[evaluate], *own, *parts, *params, *dated), features.FLOAT)
        for name in set(params) & {*features.DESCRIPTIONS, *own, *parts, *dated}:
            self.wrong(f"params.{name}", f"{name} is a column of the rule", "choose another name")
        siblings = (features.SIBLING,) if evaluate == "reading" else ()
        for key in ("raise", "clear"):
            self.condition(key, self.text(key), columns, siblings)
        active = self.text("active", spec.ALWAYS)
        self.active(active, columns, siblings)
        overrides, seasons = self.overrides(params)
        self.condition("where", self.text("where"), features.WHERE)
        judged = "reading" if evaluate == "group" else evaluate  # a group rule's features are its hit's, of readings
        self.sources(declared, made, dict.fromkeys((*features.COLUMNS[judged], *made, *params), features.FLOAT))
        texts = " ".join((self.text("raise"), self.text("clear"), active))
        if "limit" not in params and any(
            column in texts for column, one in made.items() if one.feature.limit and column.endswith("_to_limit")
        ):
            self.wrong("params.limit", "is missing: minutes_to_limit needs it", "params = { limit = 25.0 }")
        if "limit" in seasons and "_to_limit" in texts:
            self.wrong("override", "minutes_to_limit has one limit at all times", "two rules, each with its active")
        words = set(re.findall(r"[a-z][a-z0-9_]*", f"{texts} {self.table.get('hit', '')}"))
        words |= {column for values in seasons.values() for column, _ in values} | {calendars.column_of(active)}
        self.misspelt(params, words)
        suppressed, folded = (read_relation(self.table, key, self.wrong) for key in ("suppressed_by", "folds_under"))
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
            params=params | {name: math.nan for values in seasons.values() for _, name in values},
            overrides=overrides,
            calendars=tuple(sorted((name, one) for name, one in dated.items() if name in words)),
            seasons=tuple(sorted((name, tuple(values)) for name, values in seasons.items())),
            features=declared,
            learn=self.choice("learn", spec.LEARNING, spec.LEARNING[0]),
            raise_after=self.delay("raise_after"),
            clear_after=self.delay("clear_after"),
            latch=self.flag("latch"),
            realarm_s=self.realarm(),
            announce=self.flag("announce", default=True),
            suppressed_by=suppressed.rules,
            suppressed_at=suppressed.place,
            settle_s=suppressed.settle_s,
            folds_under=folded.rules,
            folds_at=folded.place,
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

    def keys(self) -> None:
        """Which keys there are."""
        for key in self.table:
            if key not in KEYS:
                self.wrong(key, f"unknown key {key}", conditions.nearest(key, KEYS))
        # a state for other rules tells nobody, so it needs no words for the operator
        for key in REQUIRED if self.table.get("announce") is False else (*REQUIRED, *OPERATOR):
            if key not in self.table:
                why = "an alarm without it is an event (ISA-18.2)" if key in OPERATOR else "every rule has one"
                self.wrong(key, "is missing", f"add it: {why}")

    def active(self, active: str, columns: Mapping[str, Any], siblings: tuple[str, ...]) -> None:
        """A calendar, or a condition."""
        known = {spec.ALWAYS, spec.HEATING_SEASON, *self.calendars}
        if active not in known and calendars.is_name(active) and active not in columns:
            self.wrong("active", f"there is no calendar {active}", conditions.nearest(active, known))
        elif active not in known:
            self.condition("active", active, columns, siblings)

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

    def flag(self, key: str, *, default: bool = False) -> bool:
        value = self.table.get(key, default)
        if not isinstance(value, bool):
            self.wrong(key, f"is {value!r}, not true or false", f"{key} = {str(not default).lower()}")
            return default
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
                self.wrong(key, f"{value!r} is not a duration", EXAMPLES)
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
            dated = self.columns_of_calendars
            readings = dict.fromkeys((*features.COLUMNS["reading"], *made, *params, *dated), features.FLOAT)
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
                found[name] = 0.0  # so that the conditions that use it are not called wrong as well
            elif name in features.OPTIONS and (fault := features.OPTIONS[name].fault(value)):
                self.wrong(f"{key}.{name}", f"{value!r} {fault}", features.OPTIONS[name].note)
            elif self.table.get("evaluate") == "group" and (fault := features.group_fault(name, value)):
                self.wrong(f"{key}.{name}", f"{value!r} {fault}", features.GROUP_OPTIONS[name].note)
            else:
                found[name] = float(value)
        return found

    def misspelt(self, params: Mapping[str, float], words: Iterable[str]) -> None:
        """A parameter that no condition uses and that is called like an option: the option would keep its default."""
        options = (*features.OPTIONS, *(features.GROUP_OPTIONS if self.table.get("evaluate") == "group" else ()))
        for name in sorted(set(params) - set(words) - set(options)):
            if difflib.get_close_matches(name, options, n=1, cutoff=NEAR):
                self.wrong(f"params.{name}", "no condition uses it", conditions.nearest(name, options))

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

    def overrides(self, params: Mapping[str, float]) -> tuple[tuple[Override, ...], dict[str, list[tuple[str, str]]]]:
        """Overrides, and parameters that calendars change: each with (column, name of its value then)."""
        seasons: dict[str, list[tuple[str, str]]] = {}
        tables = self.table.get("override", [])
        if not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables):
            self.wrong("override", "is not a list of tables", "begin each with [[rule.override]]")
            return (), seasons
        result = []
        for number, table in enumerate(tables, 1):
            key = f"override #{number}"
            words = ("where", "during", "params")
            for name in set(table) - set(words):
                self.wrong(f"{key}.{name}", f"unknown key {name}", conditions.nearest(name, words))
            where = table.get("where", "true" if "during" in table else None)
            if not isinstance(where, str):
                self.wrong(f"{key}.where", "is missing or not text", "say which points it is for")
                continue
            self.condition(f"{key}.where", where, features.WHERE)
            values = self.params(f"{key}.params", table.get("params", {}), (*features.OPTIONS, *features.GROUP_OPTIONS))
            for name in set(values) - set(params):
                remedy = conditions.nearest(name, params) if params else "the rule has no params"
                self.wrong(f"{key}.params.{name}", f"unknown parameter {name}", remedy)
            if "during" in table:
                values = self.during(key, table["during"], values, seasons)
            result.append(Override(where, values))
        return tuple(result), seasons

    def during(
        self, key: str, name: object, values: Mapping[str, float], seasons: dict[str, list[tuple[str, str]]]
    ) -> dict[str, float]:
        """The values under names of their own, which ``seasons`` keeps."""
        known = {spec.HEATING_SEASON, *self.calendars}
        if not isinstance(name, str) or name not in known:
            self.wrong(f"{key}.during", f"there is no calendar {name}", conditions.nearest(str(name), known))
            return {}
        column = calendars.column_of(name)
        found = {}
        for param, value in values.items():
            if param in features.OPTIONS or param in features.GROUP_OPTIONS:
                self.wrong(f"{key}.params.{param}", "shapes what the rule remembers", "the same at all times")
            found[f"{param}__{column}"] = value
            pair = column, f"{param}__{column}"
            if pair not in seasons.setdefault(param, []):
                seasons[param].append(pair)
        return found

    def condition(self, key: str, text: str, columns: Mapping[str, Any], prefixes: tuple[str, ...] = ()) -> None:
        base = key.rpartition(".")[2] if key.startswith("override") else key
        if base in self.table or key.startswith("override"):
            for message, remedy in conditions.parse(text, columns, prefixes)[1]:
                self.wrong(key, message, remedy)
