"""Calendars of a rule file: seasons, days of the week, working days and hours of the site's clock; pure.

::

    [calendar.irrigation]
    dates = ["04-15..09-30"]          # month and day, both included, over new year too; or 2026-10-01..2026-10-07
    weekdays = ["mon-fri"]            # mon tue wed thu fri sat sun
    hours = ["22:00-06:00"]           # from, until before; over midnight it belongs to the day on which it begins
    days = "working"                  # or "free": weekends and public holidays of ``country``
    country = "CN"                    # with subdivision, holidays = ["2026-12-31"], workdays = […]: the site's own

It holds where everything that is said holds. A calendar is a column of every condition, 1 or 0, with ``_`` for ``-``;
``heating-season`` is there from the beginning (column ``heating``) and may be said anew.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lifeline.core.errors import Problem
from rules import conditions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

HEATING: Final = "heating-season"
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAYS: Final = ("working", "free")
CALENDARS_MAX: Final = 64
SPANS_MAX: Final = 400
DAY_MS: Final = 86_400_000
MINUTES: Final = 1440
_EPOCH: Final = date(1970, 1, 1)
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_TIME: Final = re.compile(r"(\d{1,2}):(\d{2})")

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Calendar:
    """When something is in force, by the site's wall clock. What is empty restricts nothing."""

    yearly: tuple[Span, ...] = ()
    """Month * 100 + day, both included; the first may be later in the year than the second."""
    spans: tuple[Span, ...] = ()
    """Days since 1970, both included."""
    weekdays: tuple[int, ...] = ()
    """Monday 0 to Sunday 6."""
    hours: tuple[Span, ...] = ()
    """Minutes of the day, the end excluded; an end not after the beginning lies on the next day."""
    days: str = ""
    country: str = ""
    subdivision: str = ""
    holidays: tuple[int, ...] = ()
    workdays: tuple[int, ...] = ()
    """Days since 1970."""

    def holds(self, local_ms: NDArray[np.int64]) -> NDArray[np.bool_]:
        """One entry a row, by milliseconds since 1970 of the local wall clock."""
        day = local_ms // DAY_MS
        if not self.hours:
            return self._days(day)
        minute = local_ms % DAY_MS // 60_000
        found = np.zeros(len(day), np.bool_)
        for start, end in self.hours:
            if start < end:
                found |= (minute >= start) & (minute < end) & self._days(day)
            else:
                found |= (minute >= start) & self._days(day) | (minute < end) & self._days(day - 1)
        return found

    def _days(self, day: NDArray[np.int64]) -> NDArray[np.bool_]:
        if not len(day):
            return np.zeros(0, np.bool_)
        if day[0] == day[-1] and (day == day[0]).all():
            return np.full(len(day), _holds_on(self, int(day[0])))
        known, where = np.unique(day, return_inverse=True)
        return np.array([_holds_on(self, int(one)) for one in known], np.bool_)[where]


@lru_cache(maxsize=65_536)
def _holds_on(calendar: Calendar, day: int) -> bool:
    """Whether a calendar holds at some hour of a day."""
    at = _EPOCH + timedelta(days=day)
    if calendar.yearly or calendar.spans:
        number = at.month * 100 + at.day
        yearly = any(a <= number <= b if a <= b else number >= a or number <= b for a, b in calendar.yearly)
        if not yearly and not any(a <= day <= b for a, b in calendar.spans):
            return False
    if calendar.weekdays and at.weekday() not in calendar.weekdays:
        return False
    return not calendar.days or _works(calendar, at, day) == (calendar.days == "working")


def _works(calendar: Calendar, at: date, day: int) -> bool:
    """The site's word first, then the country's, then the weekend."""
    if day in calendar.workdays:
        return True
    if day in calendar.holidays:
        return False
    public = _public(calendar.country, calendar.subdivision)
    return at.weekday() < 5 if public is None else bool(public.is_working_day(at))


@lru_cache(maxsize=16)
def _public(country: str, subdivision: str) -> Any:
    """Public holidays and make-up days of a country. Raises NotImplementedError when nobody knows them."""
    if not country:
        return None
    from lifeline.core.holidays import public_holidays  # the library is large, and few calendars need it

    return public_holidays(country, subdivision or None)


def is_name(text: str) -> bool:
    """Whether a text could be a calendar's name."""
    return _NAME.fullmatch(text) is not None


def column_of(name: str) -> str:
    """The column that a calendar is in conditions."""
    return "heating" if name == HEATING else name.replace("-", "_")


# --- reading -----------------------------------------------------------------------------------------------------


def read_calendars(given: object, file: str, problems: list[Problem]) -> dict[str, Calendar]:
    """The ``[calendar.…]`` tables of a file; what is wrong is appended, and such a calendar left out."""
    if not isinstance(given, dict) or not all(isinstance(table, dict) for table in given.values()):
        problems.append(Problem(file, "calendar", "is not a table of calendars", "begin each with [calendar.name]"))
        return {}
    found = {}
    for name, table in given.items():
        before = len(problems)
        calendar = _Reader(file, name, table, problems).calendar()
        if len(problems) == before:
            found[name] = calendar
    return found


class _Reader:
    """Reads one calendar, noting what is wrong and going on."""

    KEYS: Final = ("dates", "weekdays", "hours", "days", "country", "subdivision", "holidays", "workdays")

    def __init__(self, file: str, name: str, table: Mapping[str, Any], problems: list[Problem]) -> None:
        self.file, self.name, self.table, self.problems = file, name, table, problems

    def wrong(self, key: str, message: str, remedy: str) -> None:
        self.problems.append(Problem(self.file, f"calendar {self.name}{key and '.'}{key}", message, remedy))

    def calendar(self) -> Calendar:
        if not _NAME.fullmatch(self.name):
            self.wrong("", f"{self.name!r} is no name", "lower-case words joined by -, e.g. irrigation")
        for key in self.table:
            if key not in self.KEYS:
                self.wrong(key, f"unknown key {key}", conditions.nearest(key, self.KEYS))
        if not {"dates", "weekdays", "hours", "days"} & set(self.table):
            self.wrong("", "says nothing", 'dates = ["04-15..09-30"], weekdays, hours or days')
        yearly, spans = self.dates()
        days = self.table.get("days", "")
        if days and days not in DAYS:
            self.wrong("days", f"{days!r} is not working or free", conditions.nearest(str(days), DAYS))
        country, subdivision = self.country()
        if not days and {"country", "subdivision", "holidays", "workdays"} & set(self.table):
            self.wrong("days", "is missing: holidays decide which days are working", 'days = "working", or "free"')
        return Calendar(
            yearly=yearly,
            spans=spans,
            weekdays=self.weekdays(),
            hours=self.several("hours", self.span_of_hours),
            days=str(days),
            country=country,
            subdivision=subdivision,
            holidays=self.several("holidays", self.day),
            workdays=self.several("workdays", self.day),
        )

    def several(self, key: str, read: Callable[[str, str], Any]) -> tuple[Any, ...]:
        value = self.table.get(key, [])
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            self.wrong(key, "is not a list of texts", f'{key} = ["…", "…"]')
            return ()
        if len(texts) > SPANS_MAX:
            self.wrong(key, f"more than {SPANS_MAX}", "use several calendars")
            return ()
        return tuple(one for text in texts if (one := read(key, text.strip())) is not None)

    def dates(self) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
        found = self.several("dates", self.span_of_dates)
        yearly = tuple(span for kind, span in found if kind == "yearly")
        return yearly, tuple(span for kind, span in found if kind == "span")

    def span_of_dates(self, key: str, text: str) -> tuple[str, Span] | None:
        first, _, last = text.partition("..")
        ends = [first.strip(), (last or first).strip()]
        remedy = '"04-15..09-30" each year, "2026-10-01..2026-10-07" once, or a single day'
        try:
            if all(len(end) == 5 for end in ends):  # a leap year, so that 29 February is one
                a, b = (date.fromisoformat(f"2024-{end}") for end in ends)
                return "yearly", (a.month * 100 + a.day, b.month * 100 + b.day)
            start, end = ((date.fromisoformat(one) - _EPOCH).days for one in ends)
        except ValueError:
            self.wrong(key, f"{text!r} is no date and no span of dates", remedy)
            return None
        if start > end:
            self.wrong(key, f"{text!r} ends before it begins", remedy)
        return "span", (start, end)

    def day(self, key: str, text: str) -> int | None:
        try:
            return (date.fromisoformat(text) - _EPOCH).days
        except ValueError:
            self.wrong(key, f"{text!r} is no date", '"2026-12-31"')
            return None

    def weekdays(self) -> tuple[int, ...]:
        found: set[int] = set()
        for part in self.several("weekdays", lambda _, text: text.lower().split("-")):
            places = [WEEKDAYS.index(word) for word in part if word in WEEKDAYS]
            if len(places) != len(part) or len(part) > 2:
                word = next((word for word in part if word not in WEEKDAYS), "-".join(part))
                self.wrong("weekdays", f"{word!r} is no day of the week", conditions.nearest(word, WEEKDAYS))
                continue
            first, last = places[0], places[-1]
            found |= {day % 7 for day in range(first, (last if last >= first else last + 7) + 1)}
        return tuple(sorted(found))

    def span_of_hours(self, key: str, text: str) -> Span | None:
        first, dash, last = text.partition("-")
        start, end = _minute(first.strip()), _minute(last.strip())
        if not dash or start is None or end is None or start in {end, MINUTES}:
            self.wrong(key, f"{text!r} is no span of hours", '"08:30-12:00", "18:00-24:00", "22:00-06:00"')
            return None
        return start, end

    def country(self) -> tuple[str, str]:
        country, subdivision = self.table.get("country", ""), self.table.get("subdivision", "")
        if not isinstance(country, str) or not isinstance(subdivision, str):
            self.wrong("country", "is not text", 'country = "CN"')
            return "", ""
        try:
            _public(country, subdivision)
        except NotImplementedError:
            where = f"{country} {subdivision}".strip()
            self.wrong("country", f"no public holidays are known for {where!r}", 'an ISO 3166 code, e.g. "CN"')
            return "", ""
        return country, subdivision


def _minute(text: str) -> int | None:
    match = _TIME.fullmatch(text)
    if match is None or int(match[2]) > 59:
        return None
    minute = int(match[1]) * 60 + int(match[2])
    return minute if minute <= MINUTES else None
