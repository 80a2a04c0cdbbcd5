"""What a rule is: frozen values, without behaviour. ``load`` makes them from TOML, ``plan`` binds them to points.

A rule says *which points* (``where``), *when it is wrong* (``raise``), *when it is right again* (``clear``), *how long
either must last* (``raise_after``, ``clear_after``) and *what the operator must know*: cause, consequence, action and
time to respond. A rule without the last four is refused: ISA-18.2 calls that an event, not an alarm.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from lifeline.core.alarm import RuleInfo

if TYPE_CHECKING:
    from rules.calendars import Calendar
    from rules.instances import Instance

Evaluate = Literal["reading", "every", "clock", "group"]

CATEGORIES: Final = ("process", "device")
EVALUATIONS: Final = ("reading", "every", "clock", "group")
PLACES: Final = ("device", "asset", "zone", "gateway", "area")
LEARNING: Final = ("always", "training")
GROUP: Final = "group"
GROUPS: Final = (GROUP, "zone", "gateway", "asset_id", "area_code", "device_id")
"""Columns of the registry whose equal values make a group."""
TRAIN_S: Final = 14 * 86_400.0
"""Two weeks: every hour of the week twice."""
SHADOWS_MAX: Final = 16
"""Candidates at a time: they share a quarter of a core."""
STABILITIES: Final = ("experimental", "stable", "deprecated")

ALWAYS: Final = "always"
HEATING_SEASON: Final = "heating-season"
"""15 November to 15 March in the site's time zone, both days included (domain facts, 1.4: Zhengzhou's season)."""


@dataclass(frozen=True, slots=True)
class Delay:
    """A condition must hold for ``samples`` readings in a row *and* for ``seconds`` of event time."""

    samples: int = 1
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Override:
    """Other parameters for the points of ``where``; a later override wins over an earlier one.

    Those that hold during a calendar only have names of their own (``RuleSpec.seasons``).
    """

    where: str
    params: dict[str, float]


@dataclass(frozen=True, slots=True)
class RuleSpec:
    """One rule as written. Conditions are SQL text that was checked against the known columns."""

    id: str
    version: int
    title_zh: str
    title_en: str
    where: str
    raise_: str
    clear: str
    level: str
    category: str
    cause: str
    consequence: str
    action: str
    respond_within_s: float
    params: dict[str, float] = field(default_factory=dict)
    overrides: tuple[Override, ...] = ()
    features: tuple[Instance, ...] = ()
    """Those that the rule declares itself; all others have their options from ``params``."""
    learn: str = "always"
    """Whether features and judges go on learning what is normal after the training period."""
    raise_after: Delay = field(default_factory=Delay)
    clear_after: Delay = field(default_factory=Delay)
    latch: bool = False
    active: str = ALWAYS
    realarm_s: float = 0.0
    """It is annunciated again after standing for so long; 0: never."""
    announce: bool = True
    """False: a state for other rules, not an alarm for people."""
    suppressed_by: tuple[str, ...] = ()
    """Rules whose alarm at the same place (``suppressed_at``) explains its alarms."""
    suppressed_at: str = ""
    settle_s: float = 0.0
    """What still stands is told so long after its cause has ended."""
    folds_under: tuple[str, ...] = ()
    """The same in a flood."""
    folds_at: str = ""
    event: str = ""
    place: str = "asset"
    evaluate: Evaluate = "reading"
    group: str = GROUP
    """``evaluate = "group"``: the registry column whose equal values make a group."""
    hit: str = ""
    """``evaluate = "group"``: the condition over a reading that counts in ``hits``."""
    terms: tuple[tuple[str, str], ...] = ()
    """``evaluate = "group"``: name and ``where`` of members that are summed up together."""
    train_s: float = TRAIN_S
    """``evaluate = "group"``: seconds from a group's first frame that are its normal period."""
    source: str = ""
    stability: str = "experimental"
    shadow: str = ""
    """A candidate that tells nobody: the id of the production rule that it is compared with. Empty: production."""
    file: str = ""
    calendars: tuple[tuple[str, Calendar], ...] = ()
    """Those that it uses, by the name of their column."""
    seasons: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()
    """Parameters that calendars change: each with (column of the calendar, name of its value then), the later wins."""

    @property
    def active_text(self) -> str:
        """``active`` as a condition."""
        if self.active == HEATING_SEASON:
            return "heating = 1"
        column = self.active.replace("-", "_")
        return f"{column} = 1" if column in dict(self.calendars) else self.active

    def compiled(self, text: str) -> str:
        """A condition with what calendars make of parameters written out; most rules have none."""
        for name, values in self.seasons:
            then = [f"{value} * NULLIF({column}, 0)" for column, value in reversed(values)]
            written = f"COALESCE({', '.join([*then, name])})"
            parts = re.split(rf"('(?:[^']|'')*'|\b{name}\b)", text)  # what stands in quotes is no name
            text = "".join(written if part == name else part for part in parts)
        return text

    def info(self) -> RuleInfo:
        """What the governance queue and the screens must know of it."""
        return RuleInfo(
            rule_id=self.id,
            version=self.version,
            title_zh=self.title_zh,
            title_en=self.title_en,
            level=self.level,
            category=self.category,
            event=self.event,
            place=self.place,
            cause=self.cause,
            consequence=self.consequence,
            action=self.action,
            respond_within_s=self.respond_within_s,
            realarm_s=self.realarm_s,
            announce=self.announce,
            suppressed_by=self.suppressed_by,
            suppressed_at=self.suppressed_at,
            settle_s=self.settle_s,
            folds_under=self.folds_under,
            folds_at=self.folds_at,
        )

    @property
    def meaning(self) -> tuple[object, ...]:
        """Everything that decides when the rule fires: two specs of one meaning give the same alarms."""
        overrides = tuple((o.where, tuple(sorted(o.params.items()))) for o in self.overrides)
        delays = (
            self.raise_after.samples,
            self.raise_after.seconds,
            self.clear_after.samples,
            self.clear_after.seconds,
        )
        texts = (self.id, self.version, self.where, self.raise_, self.clear, self.active, self.evaluate)
        declared = tuple(instance.meaning for instance in self.features)
        grouped = (self.group, self.hit, self.terms, self.train_s)
        seasonal = (self.calendars, self.seasons) if self.calendars else ()
        return (
            *texts,
            *grouped,
            *seasonal,
            tuple(sorted(self.params.items())),
            overrides,
            delays,
            self.latch,
            declared,
            self.learn,
        )
