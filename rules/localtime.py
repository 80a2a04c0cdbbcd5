"""The site's clock: UTC milliseconds to local hours, weekdays and seasons, for whole columns at once.

Zone transitions are looked up once, by walking the years in steps of a day and bisecting each change, so that no
per-row call into the zone database is needed. Covers 2000 to 2070; outside, the nearest known offset holds.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rules.calendars import Calendar

FIRST_YEAR, LAST_YEAR = 2000, 2070
DAY_MS = 86_400_000
HOUR_MS = 3_600_000

Millis = NDArray[np.int64]


@lru_cache(maxsize=8)
def transitions(timezone: str) -> tuple[Millis, Millis]:
    """Instants (epoch ms) from which each offset (ms) holds; the first instant is the beginning of the table."""
    zone = ZoneInfo(timezone)

    def offset(second: int) -> int:
        return int(datetime.fromtimestamp(second, zone).utcoffset().total_seconds())  # type: ignore[union-attr]

    low = int(datetime(FIRST_YEAR, 1, 1, tzinfo=UTC).timestamp())
    end = int(datetime(LAST_YEAR, 1, 1, tzinfo=UTC).timestamp())
    at, offsets = [low], [offset(low)]
    for day in range(low, end, 86_400):
        if offset(day + 86_400) != offsets[-1]:
            a, b = day, day + 86_400
            while b - a > 1:
                middle = (a + b) // 2
                a, b = (middle, b) if offset(middle) == offsets[-1] else (a, middle)
            at.append(b)
            offsets.append(offset(b))
    return np.array(at, np.int64) * 1000, np.array(offsets, np.int64) * 1000


class LocalClock:
    """Local time of one zone. Every method takes epoch milliseconds (int64) and gives one entry a row."""

    def __init__(self, timezone: str, calendars: Mapping[str, Calendar] | None = None) -> None:
        """``calendars`` by the name of their column."""
        self.timezone = timezone
        self._calendars = dict(calendars or {})
        self._at, self._offsets = transitions(timezone)
        self._season = self._season_edges()

    def local_ms(self, ts: Millis) -> Millis:
        """Milliseconds since 1970 of the local wall clock."""
        if not len(ts):
            return ts.copy()
        offset = self.offset_ms(ts)
        if offset is not None:
            return np.asarray(ts + np.int64(offset), np.int64)
        where = np.clip(np.searchsorted(self._at, ts, side="right") - 1, 0, None)
        return np.asarray(ts + self._offsets[where], np.int64)

    def offset_ms(self, ts: Millis) -> int | None:
        """What local time is ahead by, where that is the same at all these times, of which there must be some.

        Nearly always: rows of one day, and a zone that has given up summer time.
        """
        ends = np.array([ts.min(), ts.max()])
        first, last = np.clip(np.searchsorted(self._at, ends, side="right") - 1, 0, None).tolist()
        return int(self._offsets[first]) if first == last else None

    def column(self, name: str, ts: Millis) -> NDArray[np.float64]:
        """The calendar column of that name: hour, minute, weekday, month, heating, or a calendar's (1 or 0)."""
        if name in self._calendars:
            return self._calendars[name].holds(self.local_ms(ts)).astype(np.float64)
        values: NDArray[np.float64] = getattr(self, name)(ts)
        return values.astype(np.float64)

    def hour(self, ts: Millis) -> NDArray[np.float64]:
        """Hour of the day, 0 to 23."""
        return (self.local_ms(ts) % DAY_MS // HOUR_MS).astype(np.float64)

    def minute(self, ts: Millis) -> NDArray[np.float64]:
        """Minute of the hour, 0 to 59."""
        return (self.local_ms(ts) % HOUR_MS // 60_000).astype(np.float64)

    def weekday(self, ts: Millis) -> NDArray[np.float64]:
        """Monday 1 to Sunday 7 (ISO 8601); 1 January 1970 was a Thursday."""
        return ((self.local_ms(ts) // DAY_MS + 3) % 7 + 1).astype(np.float64)

    def month(self, ts: Millis) -> NDArray[np.float64]:
        """Month, 1 to 12."""
        months = self.local_ms(ts).astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)
        return (months % 12 + 1).astype(np.float64)

    def heating(self, ts: Millis) -> NDArray[np.bool_]:
        """Whether it is the heating season: 15 November to 15 March, both days included."""
        return np.asarray(np.searchsorted(self._season, ts, side="right") % 2 == 1)

    def _season_edges(self) -> Millis:
        zone = ZoneInfo(self.timezone)

        def midnight(day: date) -> int:
            return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() * 1000)

        edges = []
        for year in range(FIRST_YEAR - 1, LAST_YEAR):
            edges += [midnight(date(year, 11, 15)), midnight(date(year + 1, 3, 15) + timedelta(days=1))]
        return np.array(edges, np.int64)
