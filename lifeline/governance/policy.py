"""What a site decides about its queue: limits, calendar, escalation, merging of reports, emergencies; pure.

One TOML text, checked as a whole. The engine keeps it in the database (``settings``), so every door applies the same.
Without a file ``Policy()`` holds: it is the documented default.
"""

from __future__ import annotations

import re
import tomllib
from datetime import date, time
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from lifeline.core.errors import ConfigurationError, Problem
from lifeline.core.schema import LEVELS
from lifeline.governance.calendars import OFFICE_HOURS, WorkingCalendar
from lifeline.governance.emergency import EMERGENCY

if TYPE_CHECKING:
    from collections.abc import Iterator

STAGES: Final = ("triage", "dispatch", "accept", "handle", "check")
"""What may take too long: judging, choosing a unit, taking it on, doing it, checking it."""
_WITHIN: Final = re.compile(r"^(\d+(?:\.\d+)?)\s*(min|h|d|working hours?|working days?)$")
_SECONDS: Final = {"min": 60, "h": 3600, "d": 86_400}
WORKING_DAYS_MAX: Final = 2000
"""The longest span of work: a calendar looks no further than eleven years for a deadline."""

Stage = Literal["triage", "dispatch", "accept", "handle", "check"]
Level = Literal["red", "orange", "yellow", "blue"]


class Section(BaseModel):
    """A table of the policy: unknown keys are refused, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, ignored_types=(cached_property,))


class Within(Section):
    """A span of time: natural, or of work."""

    number: float = Field(gt=0, le=100_000)
    unit: str

    @property
    def working(self) -> bool:
        """Whether only working time counts."""
        return self.unit.startswith("working")

    def after(self, start: int, calendar: WorkingCalendar) -> int:
        """The moment (epoch ms) at which it is over."""
        if not self.working:
            return start + round(self.number * _SECONDS[self.unit] * 1000)
        day = self.unit.startswith("working day")
        return calendar.add(start, self.number * (calendar.day_s if day else 3600))


def _within(value: object) -> object:
    if not isinstance(value, str):
        return value
    found = _WITHIN.match(value.strip())
    if not found:
        raise ValueError("write 30min, 2h, 1d, 4 working hours or 3 working days")
    unit = f"{found[2].removesuffix('s')}s" if found[2].startswith("working") else found[2]
    return {"number": float(found[1]), "unit": unit}


Span = Annotated[Within, BeforeValidator(_within)]


def _hours(value: object) -> object:
    if not isinstance(value, list | tuple):
        return value
    made = []
    for one in value:
        if not isinstance(one, str):
            made.append(one)
            continue
        start, dash, end = one.partition("-")
        if not dash:
            raise ValueError("write hours as 08:30-12:00")
        made.append((time.fromisoformat(start.strip()), time.fromisoformat(end.strip())))
    return tuple(made)


class CalendarPolicy(Section):
    """``[calendar]``: what counts as working time."""

    country: str | None = "CN"
    subdivision: str | None = None
    hours: Annotated[tuple[tuple[time, time], ...], BeforeValidator(_hours)] = OFFICE_HOURS
    holidays: frozenset[date] = frozenset()
    workdays: frozenset[date] = frozenset()


class LimitPolicy(Section):
    """``[[limit]]``: how long a stage may take.

    The row that names most wins; among equals the later one. The file's come after the built-in ones.
    """

    stage: Stage
    level: Level | None = None
    kind: str | None = None
    within: Span
    emergency: Span | None = None
    """Instead, while the area is in an emergency; without it ``within`` by the emergency's ``factor``."""


class AlarmPolicy(Section):
    """``[alarm]``: what operators may do to alarms."""

    shelve_max: dict[Level, Span] = {}
    """The longest that an alarm of a level may be shelved; a week where nothing is said."""


class EscalationPolicy(Section):
    """``[escalation]``: what happens before and after a deadline."""

    remind: float = Field(default=0.75, gt=0, lt=1)
    """Share of the time after which the unit is reminded."""
    step: dict[Level, Span] = {
        "red": Within(number=15, unit="min"),
        "orange": Within(number=30, unit="min"),
        "yellow": Within(number=2, unit="h"),
        "blue": Within(number=1, unit="working days"),
    }
    """How long each centre has, once overdue, before the next one up is told."""


class ReportPolicy(Section):
    """``[report]``: when what people tell belongs to an event that is there already."""

    radius_m: float = Field(default=200, gt=0, le=10_000)
    within: Span = Within(number=2, unit="h")
    level: Level = "yellow"


class TriggerPolicy(Section):
    """``[[emergency.trigger]]``: so many events in a district open one by rule."""

    level: Level = "red"
    events: int = Field(default=5, ge=1, le=100_000)
    within: Span = Within(number=10, unit="min")
    hours: float = Field(default=2, gt=0, le=720)
    """How long it lasts; ``hours_max`` at the most."""


class EmergencyPolicy(Section):
    """``[emergency]``: what an emergency (急) changes in its area."""

    hours_max: float = Field(default=72, gt=0, le=720)
    factor: float = Field(default=0.5, gt=0, le=1)
    """Limits shrink to this share, and run in natural time."""
    direct: frozenset[Level] = frozenset({"red", "orange"})
    """New events of these levels are filed and dispatched at once, without waiting for triage."""
    fold: frozenset[Level] = frozenset({"yellow", "blue"})
    """Alarms of these levels open no event of their own: they go into the incident."""
    readers: frozenset[str] = frozenset({"operator", "dispatcher", "analyst"})
    """Roles that may read the area's events meanwhile, whatever area they are of."""
    overrides: dict[str, dict[str, float]] = {}
    """Rule parameters that hold meanwhile: ``{ "gas.ch4.high" = { limit = 20.0 } }``."""
    trigger: tuple[TriggerPolicy, ...] = Field(default=(), max_length=20)


def _default_limits() -> tuple[LimitPolicy, ...]:
    rows: list[tuple[Stage, Level | None, str]] = [
        ("triage", None, "1h"),
        ("triage", "red", "5min"),
        ("triage", "orange", "15min"),
        ("dispatch", None, "1h"),
        ("dispatch", "red", "5min"),
        ("dispatch", "orange", "15min"),
        ("accept", None, "4 working hours"),
        ("accept", "red", "10min"),
        ("accept", "orange", "30min"),
        ("check", None, "1 working day"),
        ("check", "red", "2h"),
        ("check", "orange", "4h"),
    ]
    return tuple(LimitPolicy.model_validate({"stage": s, "level": lv, "within": w}) for s, lv, w in rows)


class Policy(Section):
    """A whole policy."""

    calendar: CalendarPolicy = CalendarPolicy()
    limit: tuple[LimitPolicy, ...] = Field(default_factory=_default_limits, max_length=1000)
    alarm: AlarmPolicy = AlarmPolicy()
    escalation: EscalationPolicy = EscalationPolicy()
    report: ReportPolicy = ReportPolicy()
    emergency: EmergencyPolicy = EmergencyPolicy()
    timezone: str = "UTC"
    """The site's; not written in the file."""

    @cached_property
    def working(self) -> WorkingCalendar:
        """The calendar."""
        return WorkingCalendar(self.timezone, **dict(self.calendar))

    def spans(self) -> Iterator[tuple[str, Within]]:
        """Every span that is written in it, with its place."""
        for number, row in enumerate(self.limit):
            yield f"limit.{number}.within", row.within
            if row.emergency is not None:
                yield f"limit.{number}.emergency", row.emergency
        yield from ((f"alarm.shelve_max.{level}", span) for level, span in self.alarm.shelve_max.items())
        yield from ((f"escalation.step.{level}", span) for level, span in self.escalation.step.items())
        yield "report.within", self.report.within
        yield from ((f"emergency.trigger.{i}.within", one.within) for i, one in enumerate(self.emergency.trigger))

    def deadline(self, stage: str, level: str, kind: str, mode: str, since: int) -> tuple[int, str] | None:
        """When ``stage`` is overdue (epoch ms) and in which time it runs, or None without a limit.

        The incident of an emergency that lasts has only limits that name its kind: the centre that declared it holds
        it, and to be late with judging or taking it would say nothing.
        """
        best: LimitPolicy | None = None
        for row in self.limit:
            fits = row.stage == stage and row.level in {None, level} and row.kind in {None, kind}
            if fits and (best is None or _names(row) >= _names(best)):
                best = row
        if best is None:
            return None
        if kind == mode == EMERGENCY and best.kind is None:
            return None
        if mode == "normal":
            return best.within.after(since, self.working), "working" if best.within.working else "natural"
        if best.emergency is not None:
            span = best.emergency
            return span.after(since, self.working), "working" if span.working else "natural"
        return since + round(_natural_s(best.within, self.working) * 1000 * self.emergency.factor), "natural"

    def shelved_until(self, level: str, at: int) -> int:
        """The latest end of a shelf that begins at ``at``."""
        span = self.alarm.shelve_max.get(level) or Within(number=7, unit="d")  # type: ignore[call-overload]
        made: int = span.after(at, self.working)
        return made

    def next_centre(self, level: str, at: int) -> int:
        """When the next centre up is told, counted from ``at``."""
        span = self.escalation.step.get(level) or Within(number=1, unit="d")  # type: ignore[call-overload]
        made: int = span.after(at, self.working)
        return made


def _names(row: LimitPolicy) -> int:
    """How much a row names: the kind of event weighs more than its level."""
    return 2 * (row.kind is not None) + (row.level is not None)


def _natural_s(span: Within, calendar: WorkingCalendar) -> float:
    """A span in seconds as if all time were working time."""
    if span.unit in _SECONDS:
        return span.number * _SECONDS[span.unit]
    return span.number * (calendar.day_s if span.unit.startswith("working day") else 3600)


def read_policy(text: str, timezone: str, name: str = "policy") -> Policy:
    """A policy from its TOML text.

    Raises:
        ConfigurationError: every problem of the text at once.
    """
    try:
        given: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError([Problem(name, "", f"is no TOML: {error}", "mend the file")]) from None
    if "timezone" in given:
        raise ConfigurationError([Problem(name, "timezone", "belongs to [site]", "remove it here")])
    try:
        policy = Policy(timezone=timezone, **given)
        longest_s = WORKING_DAYS_MAX * policy.working.day_s
    except ValidationError as error:
        problems = [
            Problem(name, ".".join(map(str, one["loc"])), one["msg"], "see docs/governance.md")
            for one in error.errors()
        ]
        raise ConfigurationError(problems) from None
    except ValueError as error:
        raise ConfigurationError([Problem(name, "calendar", str(error), "see docs/governance.md")]) from None
    long = [where for where, span in policy.spans() if span.working and _natural_s(span, policy.working) > longest_s]
    if long:
        message = "is more work than is planned"
        remedy = f"write at most {WORKING_DAYS_MAX} working days, or the span in d"
        raise ConfigurationError([Problem(name, where, message, remedy) for where in long])
    return policy.model_copy(update={"limit": (*_default_limits(), *policy.limit)}) if "limit" in given else policy


assert set(LEVELS) == {"red", "orange", "yellow", "blue"}
