"""Sums of events: what each event adds to which counter; pure. ``store`` writes the difference an act makes.

A counter is never counted anew: an event's contribution before is taken away, its contribution after is put on, in the
transaction that changes the event. ``of_all`` counts from scratch; tests hold the two together.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from lifeline.governance.reach import further

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lifeline.governance.effects import Effects

Row = dict[str, Any]
Cell = tuple[str, int, str, str, str]
"""(scope, day, district, key, utility)."""
Place = tuple[str, str, str, str]
"""(scope, district, key, utility)."""
Time = tuple[str, int, str, str, str, int]
"""(scope, day, district, key, measure, bucket)."""

SATISFIED: Final = 4
"""Ratings of 4 and 5 of 5 are satisfied."""
ALSO: Final = "+"
"""Before a scope: sums of cases that began elsewhere. A district's figures take them in, the city's do not."""
PER_OCTAVE: Final = 8
"""Buckets for each doubling of a duration: a median read from them is within 4.5 % of the true one."""
COLUMNS: Final = (
    *("level", "status", "is_open", "owner", "district", "township", "kind", "utility", "rule_id", "source"),
    *("detected_at", "filed_at", "first_accepted_at", "first_dispatched_at", "resolved_at", "closed_at", "due_at"),
    *("overdue_at", "reworks", "returns", "extensions", "satisfaction", "false_alarm", "verified", "also_in"),
)
"""Columns of an event that its contribution depends on."""


class Sums:
    """Differences of all counters that a transaction makes."""

    def __init__(self, timezone: str, *, monthly: bool = True) -> None:
        """``monthly``: durations of all scopes but the city's by the first day of their month, not by their day."""
        self._monthly = monthly
        self.days: dict[Cell, Counter[str]] = defaultdict(Counter)
        self.times: Counter[Time] = Counter()
        self.tallies: Counter[tuple[str, str]] = Counter()
        self._timezone = timezone

    def take(self, effects: Effects) -> None:
        """What these effects change."""
        for row in effects.new_events:
            self.add(row, 1)
        for before, after in effects.changed():
            if any(before[name] != after[name] for name in COLUMNS):
                self._move(before, after)

    def add(self, row: Mapping[str, Any], sign: int) -> None:
        """Put an event's contribution on (1) or take it away (-1)."""
        self._tally(row, sign)
        places = _places(row)
        self._count(places, _marks(row), sign)
        self._measure(places, _spans(row), sign)

    def add_further(self, row: Mapping[str, Any]) -> None:
        """Put on only what an event contributes to the districts and townships that are not its own."""
        places = _further(row)
        self._count(places, _marks(row), 1)
        self._measure(places, _spans(row), 1)

    def _move(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """An event's contribution before becomes that after; what stays the same is left alone."""
        self._tally(before, -1)
        self._tally(after, 1)
        places, were = _places(after), _places(before)
        marks, had = _marks(after), _marks(before)
        spans, lasted = _spans(after), _spans(before)
        if places == were:
            self._count(places, [one for one in had if one not in marks], -1)
            self._count(places, [one for one in marks if one not in had], 1)
            self._measure(places, [one for one in lasted if one not in spans], -1)
            self._measure(places, [one for one in spans if one not in lasted], 1)
            return
        for where, counted, timed, sign in ((were, had, lasted, -1), (places, marks, spans, 1)):
            self._count(where, counted, sign)
            self._measure(where, timed, sign)

    def _tally(self, row: Mapping[str, Any], sign: int) -> None:
        if row["is_open"]:
            self.tallies["state", f"{row['level']} {row['status']}"] += sign
            if row["owner"]:
                self.tallies["load", row["owner"]] += sign

    def _count(self, places: Iterable[Place], marks: Iterable[tuple[str, int]], sign: int) -> None:
        for measure, at in marks:
            day = day_of(at, self._timezone)
            for scope, where, key, of in places:
                self.days[scope, day, where, key, of][measure] += sign

    def _measure(self, places: Sequence[Place], spans: Iterable[tuple[str, int, int]], sign: int) -> None:
        for measure, at, span in spans:
            day, slot = day_of(at, self._timezone), bucket(span)
            if any(scope == "all" for scope, *_ in places):
                self.times["city", day, "", "", measure, slot] += sign
            month = month_of(day) if self._monthly else day
            for scope, where, key, _ in places:
                self.times[scope, month, where, key, measure, slot] += sign


def _places(row: Mapping[str, Any]) -> list[Place]:
    """Where an event counts."""
    district, utility = row["district"] or "", row["utility"] or ""
    places = [
        ("all", district, "", utility),
        ("town", district, row["township"] or "", utility),
        ("kind", district, row["kind"], utility),
    ]
    if row["owner"]:
        places.append(("unit", district, row["owner"], utility))
    if row["rule_id"]:
        places.append(("rule", "", row["rule_id"], utility))
    return places + _further(row) if row["also_in"] else places


def _further(row: Mapping[str, Any]) -> list[Place]:
    """Where else an event counts: in each district and township that it touches, once; never again for the city."""
    utility, owner = row["utility"] or "", row["owner"]
    pairs = further(row)
    places: list[Place] = []
    for district in sorted({district for district, _ in pairs} - {row["district"] or "", ""}):
        places += [(f"{ALSO}all", district, "", utility), (f"{ALSO}kind", district, row["kind"], utility)]
        places += [(f"{ALSO}unit", district, owner, utility)] if owner else []
    for township in sorted({township for _, township in pairs} - {row["township"] or "", ""}):
        district = next(one for one, two in pairs if two == township)
        places.append((f"{ALSO}town", district, township, utility))
    return places


def of_all(rows: Iterable[Mapping[str, Any]], timezone: str) -> Sums:
    """The sums of these events, counted from scratch."""
    sums = Sums(timezone)
    for row in rows:
        sums.add(row, 1)
    return sums


def _marks(row: Mapping[str, Any]) -> list[tuple[str, int]]:
    """(measure, the time on whose day it counts)."""
    detected, due, closed = row["detected_at"], row["due_at"], row["closed_at"]
    marks = [("received", detected)]
    if row["filed_at"] is not None:
        marks.append(("filed", detected))
    if row["status"] == "cancelled":
        marks.append(("cancelled", detected))
    elif row["filed_at"] is not None and due is not None:
        marks.append(("due", due))
        if row["overdue_at"] is not None:
            marks.append(("overdue", due))
        if closed is not None:
            marks.append(("closed_due", due))
            if row["resolved_at"] is not None and row["resolved_at"] <= due:
                marks.append(("on_time", due))
    if closed is not None:
        counted = {
            "closed": True,
            "reworked": row["reworks"] > 0,
            "returned": row["returns"] > 0,
            "extended": row["extensions"] > 0,
            "rated": row["satisfaction"] is not None,
            "satisfied": (row["satisfaction"] or 0) >= SATISFIED,
            "judged": row["false_alarm"] is not None and row["source"] == "telemetry",
            "false_alarms": bool(row["false_alarm"]) and row["source"] == "telemetry",
            "checkable": row["verified"] is not None,
            "verified": bool(row["verified"]),
        }
        marks += [(measure, closed) for measure, holds in counted.items() if holds]
    return marks


def _spans(row: Mapping[str, Any]) -> list[tuple[str, int, int]]:
    """(measure, the time on whose day it counts, duration in ms)."""
    spans = []
    if row["first_accepted_at"] is not None:
        spans.append(("response", row["first_accepted_at"], row["first_accepted_at"] - row["detected_at"]))
    if row["closed_at"] is not None and row["resolved_at"] is not None and row["first_dispatched_at"] is not None:
        spans.append(("handling", row["closed_at"], row["resolved_at"] - row["first_dispatched_at"]))
    return spans


def bucket(span_ms: int) -> int:
    """The bucket of a duration: 0 up to a second, then ``PER_OCTAVE`` for each doubling."""
    return max(0, math.ceil(PER_OCTAVE * math.log2(max(span_ms, 1) / 1000)))


def bucket_ms(number: float) -> float:
    """The duration at the upper edge of a bucket (fractions: between edges)."""
    return float(1000 * 2 ** (number / PER_OCTAVE))


def day_of(at: int, timezone: str) -> int:
    """The local day of a moment, counted from 1970-01-01."""
    return _day(at // 900_000, timezone)


@lru_cache(maxsize=100_000)
def _day(quarter: int, timezone: str) -> int:
    """Offsets of all zones since 1970 that matter are whole quarters of an hour."""
    utc = datetime.fromtimestamp(quarter * 900, UTC)
    return utc.astimezone(ZoneInfo(timezone)).date().toordinal() - _EPOCH


@lru_cache(maxsize=10_000)
def month_of(day: int) -> int:
    """The first day of the month that a day lies in; both counted from 1970-01-01."""
    return day - date.fromordinal(day + _EPOCH).day + 1


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC).date().toordinal()
