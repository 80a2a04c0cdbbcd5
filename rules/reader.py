"""One ``[[rule]]`` table to a ``RuleSpec``: which keys there are, and what they must be together.

What an entry may be by itself is in ``rules/entries.py``; parameters and their overrides, declared features and what
explains a rule's alarms have modules of their own (``parameters``, ``declared``, ``relations``).
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

from lifeline.core.schema import LEVELS
from rules import calendars, conditions, spec, vocabulary
from rules.declared import check_sources, read_declared
from rules.entries import Entries
from rules.instances import by_column, default_instances
from rules.parameters import NAME, find_misspelt, read_overrides, read_params
from rules.relations import read_relation
from rules.spec import RuleSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lifeline.core.errors import Problem
    from rules.calendars import Calendar
    from rules.instances import Instance
    from rules.parameters import Seasons

REALARM_S_MIN: Final = 60.0
"""What is said again within a minute is no reminder but a nuisance."""
_ID: Final = re.compile(r"[a-z0-9][a-z0-9_-]*(\.[a-z0-9][a-z0-9_-]*)+")

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
KEYS: Final = (*REQUIRED, *OPERATOR, *OPTIONAL, *GROUPED)


def read_rule(
    file: str, table: Mapping[str, Any], number: int, problems: list[Problem], known: Mapping[str, Calendar]
) -> RuleSpec:
    """The rule of one table, the ``number``-th of its file; to be used only when no problem was appended.

    ``known``: calendars by name.
    """
    return _Reader(file, table, number, problems, known).rule()


class _Reader(Entries):
    """Reads one ``[[rule]]`` table, noting what is wrong and going on."""

    def __init__(
        self,
        file: str,
        table: Mapping[str, Any],
        number: int,
        problems: list[Problem],
        known: Mapping[str, Calendar],
    ) -> None:
        name = table.get("id")
        called = f"rule {name}" if isinstance(name, str) and name else f"rule #{number}"
        super().__init__(file, table, called, problems)
        self.calendars = known
        self.columns_of_calendars = {calendars.column_of(one): calendar for one, calendar in known.items()}

    def rule(self) -> RuleSpec:
        self.keys()
        rule_id = self.text("id")
        if rule_id and not _ID.fullmatch(rule_id):
            self.wrong("id", f"{rule_id!r} is not an id", "lower-case words joined by dots, e.g. gas.ch4.high")
        evaluate = self.choice("evaluate", spec.EVALUATIONS, "reading")
        params = read_params(self, "params", self.table.get("params", {}), ())
        declared = read_declared(self, evaluate, params)
        made = by_column((*default_instances(params).values(), *declared))
        own = made if evaluate == "reading" else {}
        terms = self.grouped(evaluate, params, made)
        parts = [f"{term}_{part}" for term, _ in terms for part in vocabulary.TERM_PARTS]
        dated = self.columns_of_calendars
        columns = dict.fromkeys((*vocabulary.COLUMNS[evaluate], *own, *parts, *params, *dated), vocabulary.FLOAT)
        for name in set(params) & {*vocabulary.DESCRIPTIONS, *own, *parts, *dated}:
            self.wrong(f"params.{name}", f"{name} is a column of the rule", "choose another name")
        siblings = (vocabulary.SIBLING,) if evaluate == "reading" else ()
        for key in ("raise", "clear"):
            self.condition(key, self.text(key), columns, siblings)
        active = self.text("active", spec.ALWAYS)
        self.active(active, columns, siblings)
        overrides, seasons = read_overrides(self, params, self.calendars)
        self.condition("where", self.text("where"), vocabulary.WHERE)
        judged = "reading" if evaluate == "group" else evaluate  # a group rule's features are its hit's, of readings
        check_sources(
            self, declared, made, dict.fromkeys((*vocabulary.COLUMNS[judged], *made, *params), vocabulary.FLOAT)
        )
        texts = " ".join((self.text("raise"), self.text("clear"), active))
        self.limits(texts, made, params, seasons)
        words = set(re.findall(r"[a-z][a-z0-9_]*", f"{texts} {self.table.get('hit', '')}"))
        words |= {column for values in seasons.values() for column, _ in values} | {calendars.column_of(active)}
        find_misspelt(self, params, words)
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

    def limits(self, texts: str, made: Mapping[str, Instance], params: Mapping[str, float], seasons: Seasons) -> None:
        """What asks how long it is to the limit needs one, and the same at all times."""
        if "limit" not in params and any(
            column in texts for column, one in made.items() if one.feature.limit and column.endswith("_to_limit")
        ):
            self.wrong("params.limit", "is missing: minutes_to_limit needs it", "params = { limit = 25.0 }")
        if "limit" in seasons and "_to_limit" in texts:
            self.wrong("override", "minutes_to_limit has one limit at all times", "two rules, each with its active")

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

    def realarm(self) -> float:
        """Seconds after which it is annunciated again, 0 for never."""
        seconds = self.duration("realarm_after") if "realarm_after" in self.table else 0.0
        if 0.0 < seconds < REALARM_S_MIN:
            given = self.table["realarm_after"]
            self.wrong("realarm_after", f"{given!r} is shorter than a minute", 'realarm_after = "30min"')
        return seconds

    def grouped(
        self, evaluate: str, params: Mapping[str, float], made: Mapping[str, Instance]
    ) -> tuple[tuple[str, str], ...]:
        """Check what only rules over groups have; gives their terms."""
        if evaluate == "group":
            dated = self.columns_of_calendars
            readings = dict.fromkeys((*vocabulary.COLUMNS["reading"], *made, *params, *dated), vocabulary.FLOAT)
            check_sources(self, made.values(), made, readings)
            self.condition("hit", self.text("hit"), readings, (vocabulary.SIBLING,))
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
            if not NAME.fullmatch(name):
                self.wrong(f"terms.{name}", f"{name!r} cannot be a term's name", "lower-case letters, digits and _")
            for message, remedy in conditions.parse(where, vocabulary.WHERE)[1]:
                self.wrong(f"terms.{name}", message, remedy)
        return tuple(value.items())
