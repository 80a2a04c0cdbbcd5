"""Where a case reaches: its own area and utility, and every further pair that an alarm or a report of it lies in.

    events.also_in   "410105/410105006 410102/"     the townships and districts, sorted; null: its own place is all
    event_areas      (event, area, utility)         each further pair, for lists, streams and rights

The first is part of the row, so that what is counted by district follows from the row alone; the second has the grain
of the rights. Opens no transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select

from lifeline.governance.asking import fetch
from lifeline.governance.schema import event_areas

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection

Row = dict[str, Any]
Place = tuple[str | None, str | None]
"""(area, utility)."""

FACETS: Final = ("level", "status", "is_open", "detected_at")
"""What ``event_areas`` repeats of the event."""
_PLACES: Final = select(event_areas.c.event_id, event_areas.c.area_code, event_areas.c.utility)


def widened(also_in: str | None, district: str | None, township: str | None) -> str:
    """``also_in`` with one more place."""
    return " ".join(sorted({*(also_in or "").split(), f"{district or ''}/{township or ''}"}))


def further(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(district, township) that an event touches beside its own; "" for none."""
    if not row["also_in"]:
        return []
    own = (row["district"] or "", row["township"] or "")
    pairs = (tuple(one.split("/")) for one in row["also_in"].split())
    return [(district, township) for district, township in pairs if (district, township) != own]


def codes(row: Mapping[str, Any]) -> list[str]:
    """The smallest named areas that an event touches beside its own: townships, else districts."""
    return [township or district for district, township in further(row) if township or district]


def places(connection: Connection, rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Place]]:
    """(area, utility) of everything that these events touch, by event; their own first."""
    found: dict[str, list[Place]] = {row["event_id"]: [(row["area_code"], row["utility"])] for row in rows}
    crossing = [row["event_id"] for row in rows if row["also_in"]]
    for one in fetch(connection, _PLACES, event_areas.c.event_id, crossing):
        found[one["event_id"]].append((one["area_code"] or None, one["utility"] or None))
    return found
