"""The first page of any filter in the same time, whatever the filter and however many events there are.

    index (district, level, status, utility, time)     one seek for one value of each
    index (level, status, utility, time)               the same for the whole city

A filter that leaves a facet open is taken apart into one query for each value of it (their lists are closed and short),
each of which is one seek that reads no more rows than the page has; the pieces are merged by time. So "cancelled heat
events of one district", rare among millions, costs as little as "all". Small areas (township and below) hold so few
events that their own index is walked instead; without any filter the index by time is.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import func, or_, select, text

from lifeline.core.principal import area_prefixes
from lifeline.core.schema import LEVELS, UTILITIES
from lifeline.governance import statements
from lifeline.governance.errors import FieldError
from lifeline.governance.schema import EVENTS, OPEN, events
from lifeline.governance.statements import PAGE_ROWS_MAX, one_of, page, read_cursor
from lifeline.governance.states import OPEN_STATES, STATES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import ColumnElement, Connection, Select

    from lifeline.core.principal import Grant

Row = dict[str, Any]

PIECES_MAX: Final = 400
"""SQLite takes 500 selects in a union; beyond this the filter names so much that walking by time finds it at once."""
_END: Final = "\U0010ffff"
"""Sorts behind every code."""


class Filter(NamedTuple):
    """What is looked for; empty means any."""

    levels: tuple[str, ...]
    statuses: tuple[str, ...]
    utilities: tuple[str, ...]
    area: str | None
    since: int | None

    @property
    def has_facets(self) -> bool:
        """Whether one of the facets is named."""
        return bool(self.levels or self.statuses or self.utilities)


def read_filter(
    level: str | Sequence[str] | None,
    status: str | Sequence[str] | None,
    utility: str | Sequence[str] | None,
    area: str | None,
    since: int | None,
) -> Filter:
    """The filter. Raises FieldError for a value that cannot be; the message lists those that can."""
    wanted = OPEN_STATES if status == "open" else _values(status, STATES, "status (or 'open')")
    if area and not area.isalnum():
        raise FieldError(f"{area[:40]!r} is no area code: letters and digits only")
    levels, utilities = _values(level, LEVELS, "level"), _values(utility, UTILITIES, "utility")
    return Filter(levels, wanted, utilities, area or None, since)


def _values(given: str | Sequence[str] | None, known: Iterable[str], what: str) -> tuple[str, ...]:
    if given is None:
        return ()
    one_of(events.c.level, given, known, what)
    return (given,) if isinstance(given, str) else tuple(dict.fromkeys(given))


def find(
    connection: Connection, wanted: Filter, within: Iterable[Grant] | None, cursor: str | None, limit: int
) -> tuple[list[Row], str | None]:
    """A page of events, newest detection first, and the cursor of the next. Raises FieldError."""
    grants = None if within is None else list(within)
    narrowed = _narrowed(wanted, grants)
    if narrowed is None:
        return [], None
    wanted, codes = narrowed
    column = _area_column(wanted.area)
    if column == "wide" and wanted.area and _is_empty(connection, in_area(wanted.area)):
        return [], None  # else the whole index would be walked to find nothing
    pieces = _pieces(wanted)
    by_facets = wanted.has_facets and column in {"", "wide", "district"} and len(pieces) <= PIECES_MAX
    if by_facets and codes is not None and wanted[:3] != ((), OPEN_STATES, ()):
        return _by_facets(connection, wanted, pieces, codes, cursor, limit)
    query = _walk(wanted)
    if codes:
        query = query.where(or_(*(func.substr(events.c.area_code, 1, len(code)) == code for code in codes)))
    elif codes is None and grants is not None:
        query = query.where(statements.within(events.c.area_code, events.c.utility, grants))
    return page(connection, query, (events.c.detected_at, events.c.event_id), cursor, limit)


def _walk(wanted: Filter) -> Select[Any]:
    """The filter as one query, for the index of its area, or that of time without one or for a wide one.

    What another index could be taken for stands in ``coalesce``: planners take a common level for a rare one.
    """
    query = select(events)
    column = _area_column(wanted.area)
    if wanted.statuses == OPEN_STATES and column in {"", "wide"}:
        query = query.where(OPEN)
    elif wanted.statuses:
        query = query.where(_not_by_index(events.c.status).in_(wanted.statuses))
    for name, values in (("level", wanted.levels), ("utility", wanted.utilities)):
        if values:
            query = query.where(_not_by_index(events.c[name]).in_(values))
    if wanted.area and column == "wide":
        codes = _not_by_index(events.c.area_code)
        inside = ((codes >= prefix) & (codes < prefix + _END) for prefix in area_prefixes(wanted.area))
        query = query.where(or_(*inside))
    elif wanted.area:
        query = query.where(in_area(wanted.area))
    if wanted.since is not None:
        time = events.c.detected_at
        query = query.where((_not_by_index(time) if column == "code" else time) >= wanted.since)
    return query


def _not_by_index(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The column's value in words that no index serves."""
    return func.coalesce(column, column)


def _narrowed(wanted: Filter, grants: list[Grant] | None) -> tuple[Filter, tuple[str, ...] | None] | None:
    """The filter within the rights of whoever looks, so that an index serves both; None: nothing can be seen.

    With it what the area's codes begin with: an index finds by the registry's districts, rights go by the code.
    Without codes (None) the grants are too many for that and stay a condition of their own.
    """
    if grants is None:
        return wanted, ()
    if len(grants) != 1 or len(grants[0].areas) > 1:
        return wanted, None
    (grant,) = grants
    utilities = tuple(u for u in wanted.utilities if u in grant.utilities) if wanted.utilities else grant.utilities
    if grant.utilities and not utilities:
        return None
    area = wanted.area
    if grant.areas and (area is None or not area.startswith(grant.prefixes)):
        inside = area is None or grant.areas[0].startswith(area_prefixes(area))
        if not inside:
            return None
        area = grant.areas[0]
    return wanted._replace(area=area, utilities=utilities or wanted.utilities), grant.prefixes


def _is_empty(connection: Connection, inside: ColumnElement[bool]) -> bool:
    return connection.scalar(select(events.c.event_id).where(inside).limit(1)) is None


def in_area(area: str) -> ColumnElement[bool]:
    """Events of an area and of everything below it, in words that an index serves."""
    column = _area_column(area)
    if column in {"district", "township"}:
        return events.c[column] == area
    codes = events.c.area_code
    return or_(*((codes >= prefix) & (codes < prefix + _END) for prefix in area_prefixes(area)))


def _area_column(area: str | None) -> str:
    """How an area is looked for: its own column, "code" by the code, "wide" when it holds whole districts."""
    if not area:
        return ""
    stem = area_prefixes(area)[0]
    if len(stem) < 6:
        return "wide"
    return {6: "district", 9: "township"}.get(len(area) if area.isdigit() else 0, "code")


def _pieces(wanted: Filter) -> list[tuple[str, str, str | None]]:
    levels = wanted.levels or LEVELS
    statuses = wanted.statuses or tuple(STATES)
    utilities: tuple[str | None, ...] = wanted.utilities or (*UTILITIES, None)
    return list(product(levels, statuses, utilities))


def _by_facets(
    connection: Connection,
    wanted: Filter,
    pieces: Sequence[tuple[str, str, str | None]],
    codes: Sequence[str],
    cursor: str | None,
    limit: int,
) -> tuple[list[Row], str | None]:
    """The pieces' newest, merged. Values of the closed lists stand in the text, all else is bound."""
    if not 1 <= limit <= PAGE_ROWS_MAX:
        raise FieldError(f"limit must be 1 to {PAGE_ROWS_MAX}, not {limit}")
    bound: dict[str, Any] = {"rows": limit + 1}
    more = ""
    if wanted.area and _area_column(wanted.area) == "district":
        bound["area"] = wanted.area
        more += " AND district = :area"
    elif wanted.area:  # whole districts: nearly all there is, so the pieces' first rows are looked at
        bound |= {"low": area_prefixes(wanted.area)[0], "high": area_prefixes(wanted.area)[0] + _END}
        more += " AND district >= :low AND district < :high"
    if codes:
        bound |= {f"code{i}": code for i, code in enumerate(codes)}
        more += f" AND ({' OR '.join(f'substr(area_code, 1, {len(c)}) = :code{i}' for i, c in enumerate(codes))})"
    if wanted.since is not None:
        bound["since"] = wanted.since
        more += " AND detected_at >= :since"
    if cursor is not None:
        bound["at"], bound["last"] = read_cursor(cursor)
        more += " AND (detected_at, event_id) < (:at, :last)"
    order = "ORDER BY detected_at DESC, event_id DESC LIMIT :rows"
    selects = [
        f"SELECT * FROM (SELECT detected_at, event_id FROM events WHERE level = '{level}' AND status = '{status}' "  # noqa: S608
        f"AND utility {'IS NULL' if utility is None else f'= {utility!r}'}{more} {order}) AS piece"
        for level, status, utility in pieces
    ]
    union = f"SELECT * FROM ({' UNION ALL '.join(selects)}) AS pieces {order}"  # noqa: S608 - as above
    found = connection.execute(text(union), bound).all()
    rows = statements.fetch(connection, EVENTS, events.c.event_id, [event_id for _, event_id in found[:limit]])
    by_id = {row["event_id"]: row for row in rows}
    shown = [by_id[event_id] for _, event_id in found[:limit]]
    following = f"{found[limit - 1][0]}-{found[limit - 1][1]}" if len(found) > limit else None
    return shown, following
