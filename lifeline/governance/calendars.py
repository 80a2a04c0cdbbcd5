"""Working time: which hours of which days count, and when a span of them is over; pure but for the holidays' data.

Public holidays and make-up working days come from the ``holidays`` library (offline, data inside); a site's own days
override it. Times are epoch ms UTC; hours of work are local wall time, so they move with daylight saving.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

Span = tuple[int, int]

DAYS_MAX: Final = 4000
"""How far a deadline is looked for: eleven years. Only a calendar without working days gets there."""
OFFICE_HOURS: Final = ((time(8, 30), time(12, 0)), (time(14, 0), time(18, 0)))


@dataclass(frozen=True)
class WorkingCalendar:
    """Working time of a place.

    ``country``: ISO 3166 code for public holidays, ``None`` for weekends alone. ``holidays`` and ``workdays`` are the
    site's own, stronger than the library's.

    Raises:
        ValueError: no hours, hours that overlap or end before they begin, or a country that the library lacks.
    """

    timezone: str = "UTC"
    country: str | None = None
    subdivision: str | None = None
    hours: tuple[tuple[time, time], ...] = OFFICE_HOURS
    holidays: frozenset[date] = frozenset()
    workdays: frozenset[date] = frozenset()
    _spans: dict[date, tuple[Span, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the hours and the country."""
        if not self.hours:
            raise ValueError("a working day needs hours, such as 08:30-12:00")
        edges = [edge for span in self.hours for edge in span]
        if edges != sorted(set(edges)):
            raise ValueError("working hours must follow one another without overlap, each ending after it begins")
        _public(self.country, self.subdivision)

    @property
    def day_s(self) -> float:
        """Seconds of work in a day."""
        return sum((_minutes(end) - _minutes(start)) * 60 for start, end in self.hours)

    def is_working_day(self, day: date) -> bool:
        """Whether people work on that day: the site's word first, then the country's, then the weekend."""
        if day in self.workdays:
            return True
        if day in self.holidays:
            return False
        public = _public(self.country, self.subdivision)
        return day.weekday() < 5 if public is None else bool(public.is_working_day(day))

    def spans(self, day: date) -> tuple[Span, ...]:
        """The working hours of a local day as (start, end) in epoch ms."""
        found = self._spans.get(day)
        if found is None:
            zone = ZoneInfo(self.timezone)
            made = [(_epoch(day, start, zone), _epoch(day, end, zone)) for start, end in self.hours]
            found = tuple(span for span in made if span[0] < span[1]) if self.is_working_day(day) else ()
            self._spans[day] = found
        return found

    def add(self, start: int, seconds: float) -> int:
        """The moment at which ``seconds`` of work after ``start`` have passed.

        Raises:
            ValueError: not within ``DAYS_MAX`` days.
        """
        left = round(seconds * 1000)
        for begin, end in self._from(start):
            since = max(begin, start)
            if end - since >= left:
                return since + left
            left -= end - since
        raise ValueError(f"{seconds:.0f} s of work do not end within {DAYS_MAX} days: does the calendar have workdays?")

    def between(self, start: int, end: int) -> float:
        """Seconds of work from ``start`` to ``end``; 0 when ``end`` is not later."""
        total = 0
        for begin, finish in self._from(start):
            if begin >= end:
                break
            total += max(0, min(finish, end) - max(begin, start))
        return total / 1000

    def local_day(self, at: int) -> date:
        """The local date of a moment."""
        return datetime.fromtimestamp(at / 1000, ZoneInfo(self.timezone)).date()

    def _from(self, start: int) -> Iterator[Span]:
        """Spans in order, from that of ``start`` on."""
        day = self.local_day(start)
        for number in range(DAYS_MAX):
            for span in self.spans(day + timedelta(days=number)):
                if span[1] > start:
                    yield span


def _minutes(of: time) -> int:
    return of.hour * 60 + of.minute


def _epoch(day: date, at: time, zone: ZoneInfo) -> int:
    """Epoch ms of a local wall time; a time that daylight saving skips is taken as the offset before has it."""
    return int(datetime.combine(day, at, zone).astimezone(UTC).timestamp() * 1000)


@lru_cache(maxsize=16)
def _public(country: str | None, subdivision: str | None) -> Any:
    """The library's calendar of a country. Raises ValueError when it has none."""
    if country is None:
        return None
    from lifeline.core.holidays import public_holidays  # the library is large, and few calendars need it

    try:
        return public_holidays(country, subdivision)
    except NotImplementedError as error:
        raise ValueError(f"no public holidays are known for {country} {subdivision or ''}: {error}") from None
