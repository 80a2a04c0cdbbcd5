"""Alarm load after ISA-18.2: how many alarms people get, and which few rules cause most of them.

Rates are counted over fixed windows of 600 s from the start of the span, empty ones included (IEC 62682): a mean
over the busy ones alone would flatter nobody. Give ``utility`` or ``area`` to look at one console's share: a
city-wide rate hides overload.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, select

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
    top: tuple[tuple[str, int, int], ...]
    """The most frequent (rule id, point, alarms)."""
    top_share: float
    """Their share of all; acceptable is 1 to 5 %."""
    stale: int
    """Alarms standing at ``end`` for longer than a day."""
    standing: int
    """Alarms standing now."""
    levels: dict[str, int]
    """Alarms by level; good practice is 80 / 15 / 5 from the mildest up, and under 1 % of the worst."""


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
    query = select(alarms.c.rule_id, alarms.c.point, rows).where(*span).group_by(alarms.c.rule_id, alarms.c.point)
    query = query.order_by(rows.desc(), alarms.c.rule_id, alarms.c.point).limit(TOP)
    top = tuple((rule_id, point, found) for rule_id, point, found in connection.execute(query))
    now = select(func.count()).select_from(alarms).where(alarms.c.active.is_(True), *seen)
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
        top_share=sum(found for _, _, found in top) / total if total else 0.0,
        stale=connection.scalar(now.where(alarms.c.detected_at < end - STALE_MS)) or 0,
        standing=connection.scalar(now) or 0,
        levels={str(level): int(found) for level, found in connection.execute(by_level)},
    )


def scope(utility: str | None, area: str | None) -> list[ColumnElement[Any]]:
    """Conditions for the alarms that reach one console's people."""
    held = alarms.c.suppressed | alarms.c.out_of_service | alarms.c.shelved_until.is_not(None)
    conditions: list[ColumnElement[Any]] = [~held]
    if utility is not None:
        conditions.append(alarms.c.utility == utility)
    if area:
        conditions.append(func.substr(alarms.c.area_code, 1, len(area)) == area)
    return conditions
