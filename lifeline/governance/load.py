"""Alarm load after ISA-18.2: how many alarms people get, and which few rules cause most of them.

Rates are counted over fixed windows of 600 s from the start of the span, empty ones included (IEC 62682): a mean
over the busy ones alone would flatter nobody. Give ``utility`` or ``area`` to look at one console's share: a
city-wide rate hides overload, so the busiest districts are told beside it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import func, or_, select

from lifeline.core.areas import by_digits
from lifeline.core.principal import area_prefixes
from lifeline.governance.errors import FieldError
from lifeline.governance.schema import alarms

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection

WINDOW_MS: Final = 600_000
FLOOD_ALARMS: Final = 10
"""More than ten alarms in a window is a flood."""
STALE_MS: Final = 86_400_000
"""Standing longer than a day is stale."""
WINDOWS_MAX: Final = 53_000
"""A year."""
TOP: Final = 10
DISTRICT_CHARS: Final = 7
"""What tells the district of a grid: its letter, where it has one, and six digits."""


class Source(NamedTuple):
    """One rule at one point, and how often it was heard."""

    rule_id: str
    point: int
    alarms: int
    device_id: str
    quantity: str


class Standing(NamedTuple):
    """An alarm that stands."""

    alarm_id: str
    level: str
    rule_id: str
    device_id: str
    quantity: str
    detected_at: int


@dataclass(frozen=True, slots=True)
class AlarmLoad:
    """Alarm load of [start, end). Held alarms (shelved, suppressed, out of service) reach nobody: not counted."""

    start: int
    end: int
    windows: tuple[int, ...]
    """Alarms in each window, in order."""
    mean_per_window: float
    max_per_window: int
    flood_share: float
    """Share of windows with more than ``FLOOD_ALARMS``; acceptable is under 1 %."""
    top: tuple[Source, ...]
    """The most frequent."""
    top_share: float
    """Their share of all; acceptable is 1 to 5 %."""
    stale: int
    """Alarms standing at ``end`` for longer than a day."""
    standing: int
    """Alarms standing now."""
    levels: dict[str, int]
    """Alarms by level; good practice is 80 / 15 / 5 from the mildest up, and under 1 % of the worst."""
    areas: dict[str, int]
    """Alarms by district, the busiest first: each has a console. What lies in none is left out."""
    oldest: tuple[Standing, ...]
    """The stale ones that have stood longest, ``TOP`` at most."""


def alarm_load(
    connection: Connection, start: int, end: int, *, utility: str | None = None, area: str | None = None
) -> AlarmLoad:
    """The load between two times (epoch ms of detection, end exclusive).

    Raises:
        FieldError: an empty span, or one longer than ``WINDOWS_MAX`` windows.
    """
    count = -(-(end - start) // WINDOW_MS)
    if not 0 < count <= WINDOWS_MAX:
        raise FieldError(f"the span {start} to {end} must hold 1 to {WINDOWS_MAX} windows of {WINDOW_MS // 1000} s")
    seen = scope(utility, area)
    span = [alarms.c.detected_at >= start, alarms.c.detected_at < end, *seen]
    number = (alarms.c.detected_at - start) // WINDOW_MS
    windows = [0] * count
    for index, rows in connection.execute(select(number, func.count()).where(*span).group_by(number)):
        windows[int(index)] = rows
    rows = func.count().label("rows")
    source = alarms.c.rule_id, alarms.c.point
    names = func.min(alarms.c.device_id), func.min(alarms.c.quantity)
    query = select(*source, rows, *names).where(*span).group_by(*source).order_by(rows.desc(), *source).limit(TOP)
    top = tuple(Source(*row) for row in connection.execute(query))
    standing = [alarms.c.active.is_(True), *seen]
    stale = [*standing, alarms.c.detected_at < end - STALE_MS]
    now = select(func.count()).select_from(alarms)
    longest = select(*(alarms.c[name] for name in Standing._fields)).where(*stale)
    longest = longest.order_by(alarms.c.detected_at, alarms.c.alarm_id).limit(TOP)
    by_level = select(alarms.c.level, func.count()).where(*span).group_by(alarms.c.level)
    total = sum(windows)
    return AlarmLoad(
        start=start,
        end=end,
        windows=tuple(windows),
        mean_per_window=total / count,
        max_per_window=max(windows),
        flood_share=sum(one > FLOOD_ALARMS for one in windows) / count,
        top=top,
        top_share=sum(one.alarms for one in top) / total if total else 0.0,
        stale=connection.scalar(now.where(*stale)) or 0,
        standing=connection.scalar(now.where(*standing)) or 0,
        levels={str(level): int(found) for level, found in connection.execute(by_level)},
        areas=_districts(connection, span),
        oldest=tuple(Standing(*row) for row in connection.execute(longest)),
    )


def _districts(connection: Connection, span: list[ColumnElement[Any]]) -> dict[str, int]:
    """Alarms by district, the busiest first."""
    code = func.substr(alarms.c.area_code, 1, DISTRICT_CHARS)
    counts = Counter[str]()
    for beginning, found in connection.execute(select(code, func.count()).where(*span).group_by(code)):
        district = by_digits(beginning, "district")
        if district is not None:
            counts[district] += found
    return dict(sorted(counts.items(), key=lambda row: (-row[1], row[0])))


def scope(utility: str | None, area: str | None) -> list[ColumnElement[Any]]:
    """Conditions for the alarms that reach one console's people."""
    held = alarms.c.suppressed | alarms.c.out_of_service | alarms.c.shelved_until.is_not(None)
    conditions: list[ColumnElement[Any]] = [~held]
    if utility is not None:
        conditions.append(alarms.c.utility == utility)
    if area:
        prefixes = area_prefixes(area)
        conditions.append(or_(*(alarms.c.area_code.startswith(prefix, autoescape=True) for prefix in prefixes)))
    return conditions
