"""The first page of any filter in the same time, whatever the filter and however many events there are.

    index (district, level, status, utility, time)     one seek for one value of each
    index (level, status, utility, time)               the same for the whole city

A filter that leaves a facet open is taken apart into one query for each value of it (their lists are closed and short),
each of which is one seek that reads no more rows than the page has; the pieces are merged by time. So "cancelled heat
events of one district", rare among millions, costs as little as "all". Small areas (township and below) hold so few
events that their own index is walked instead; without any filter the index by time is. What is open in the city or in
a district, the pages that people look at all day, has indices of its own, of open events only.

What an event touches beside its own place (``event_areas``) is looked for in the same way, by the same indices, and
joined in; nothing is asked where no event crosses a border.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import and_, func, or_, select, text

from lifeline.core.principal import area_prefixes
from lifeline.core.schema import LEVELS, UTILITIES
from lifeline.governance import statements
from lifeline.governance.asking import fetch
from lifeline.governance.errors import FieldError
from lifeline.governance.schema import EVENTS, OPEN, REACHES_OPEN, event_areas, events
from lifeline.governance.statements import PAGE_ROWS_MAX, one_of, page, read_cursor
from lifeline.governance.states import OPEN_STATES, STATES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import ColumnElement, Connection, Select, Table

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
    wanted = _values(_spread(status), STATES, "status (or 'open')")
    if area and not area.isalnum():
        raise FieldError(f"{area[:40]!r} is no area code: letters and digits only")
    levels, utilities = _values(level, LEVELS, "level"), _values(utility, UTILITIES, "utility")
    return Filter(levels, wanted, utilities, area or None, since)


def _spread(status: str | Sequence[str] | None) -> Sequence[str] | None:
    """``open``, alone or among others, is every status of an open event."""
    named = [status] if isinstance(status, str) else status
    if not named:
        return None
    return [one for name in named for one in (OPEN_STATES if name == "open" else (name,))]


def _values(given: str | Sequence[str] | None, known: Iterable[str], what: str) -> tuple[str, ...]:
    if given is None:
        return ()
    one_of(events.c.level, given, known, what)
    return (given,) if isinstance(given, str) else tuple(dict.fromkeys(given))


def find(
    connection: Connection, wanted: Filter, within: Iterable[Grant] | None, cursor: str | None, limit: int
) -> tuple[list[Row], str | None]:
    """A page of events, newest detection first, and the cursor of the next. Raises FieldError."""
    if not 1 <= limit <= PAGE_ROWS_MAX:
        raise FieldError(f"limit must be 1 to {PAGE_ROWS_MAX}, not {limit}")
    search = _narrowed(wanted, None if within is None else list(within))
    if search is None:
        return [], None
    rows, following = _own(connection, search, cursor, limit)
    anywhere = search.grants is None and search.wanted.area is None and not search.wanted.utilities
    if anywhere or connection.scalar(_ANY_CROSSING) is None:
        return rows, following
    keys = _crossing(connection, search, cursor, limit)
    return _joined(connection, rows, following, keys, limit) if keys else (rows, following)


_ANY_CROSSING: Final = select(event_areas.c.event_id).limit(1)


class _Search(NamedTuple):
    """The filter within the rights of whoever looks."""

    wanted: Filter
    codes: tuple[str, ...] | None
    """What area codes must begin with (empty: anything); None: ``grants`` stay a condition of their own."""
    grants: list[Grant] | None


def _own(connection: Connection, search: _Search, cursor: str | None, limit: int) -> tuple[list[Row], str | None]:
    """The page of events whose own place lies within."""
    wanted = search.wanted
    if _in_vain(connection, events, wanted):
        return [], None
    if _takes_facets(search):
        found = _by_facets(connection, events, search, cursor, limit)
        rows = fetch(connection, EVENTS, events.c.event_id, [event_id for _, event_id in found[:limit]])
        by_id = {row["event_id"]: row for row in rows}
        following = f"{found[limit - 1][0]}-{found[limit - 1][1]}" if len(found) > limit else None
        return [by_id[event_id] for _, event_id in found[:limit]], following
    query = _walk(events, select(events), search)
    return page(connection, query, (events.c.detected_at, events.c.event_id), cursor, limit)


def _crossing(connection: Connection, search: _Search, cursor: str | None, limit: int) -> list[tuple[int, str]]:
    """(time, id) of up to ``limit`` + 1 events that touch a further place within, newest first."""
    if _in_vain(connection, event_areas, search.wanted):
        return []
    if _takes_facets(search):
        return _by_facets(connection, event_areas, search, cursor, limit)
    time, key = event_areas.c.detected_at, event_areas.c.event_id
    query = _walk(event_areas, select(time, key).distinct(), search)
    if cursor is not None:
        at, last = read_cursor(cursor)
        query = query.where(or_(time < at, and_(time == at, key < last)))
    return [(at, one) for at, one in connection.execute(query.order_by(time.desc(), key.desc()).limit(limit + 1))]


def _joined(
    connection: Connection, rows: list[Row], following: str | None, keys: list[tuple[int, str]], limit: int
) -> tuple[list[Row], str | None]:
    """Both pages in one order, each event once."""
    known = {row["event_id"]: row for row in rows}
    newest = sorted({*keys, *((row["detected_at"], row["event_id"]) for row in rows)}, reverse=True)
    shown = newest[:limit]
    lacking = [event_id for _, event_id in shown if event_id not in known]
    known |= {row["event_id"]: row for row in fetch(connection, EVENTS, events.c.event_id, lacking)}
    more = len(newest) > limit or following is not None
    return [known[event_id] for _, event_id in shown], f"{shown[-1][0]}-{shown[-1][1]}" if more else None


def _in_vain(connection: Connection, table: Table, wanted: Filter) -> bool:
    """Whether a wide area holds nothing at all: else the whole index would be walked to find that."""
    if not wanted.area or _area_column(wanted.area) != "wide":
        return False
    return connection.scalar(select(table.c.event_id).where(in_area(wanted.area, table)).limit(1)) is None


def _takes_facets(search: _Search) -> bool:
    wanted = search.wanted
    named = wanted.has_facets and _area_column(wanted.area) in {"", "wide", "district"}
    return named and search.codes is not None and wanted[:3] != ((), OPEN_STATES, ()) and _count(wanted) <= PIECES_MAX


def _walk(table: Table, query: Select[Any], search: _Search) -> Select[Any]:
    """The filter as one query, for the index of its area, or that of time without one or for a wide one.

    What another index could be taken for stands in ``coalesce``: planners take a common level for a rare one.
    """
    wanted = search.wanted
    column = _area_column(wanted.area)
    if wanted.statuses == OPEN_STATES and (column in {"", "wide"} or (column == "district" and table is events)):
        query = query.where(OPEN if table is events else REACHES_OPEN)
    elif wanted.statuses:
        query = query.where(_not_by_index(table.c.status).in_(wanted.statuses))
    for name, values in (("level", wanted.levels), ("utility", wanted.utilities)):
        if values:
            query = query.where(_not_by_index(table.c[name]).in_(values))
    if wanted.area and column == "wide":
        inside = _not_by_index(table.c.area_code)
        ranges = ((inside >= prefix) & (inside < prefix + _END) for prefix in area_prefixes(wanted.area))
        query = query.where(or_(*ranges))
    elif wanted.area:
        query = query.where(in_area(wanted.area, table))
    if wanted.since is not None:
        time = table.c.detected_at
        query = query.where((_not_by_index(time) if column == "code" else time) >= wanted.since)
    if search.codes:
        return query.where(or_(*(func.substr(table.c.area_code, 1, len(code)) == code for code in search.codes)))
    if search.codes is None and search.grants is not None:
        return query.where(statements.within(table.c.area_code, table.c.utility, search.grants))
    return query


def _not_by_index(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The column's value in words that no index serves."""
    return func.coalesce(column, column)


def _narrowed(wanted: Filter, grants: list[Grant] | None) -> _Search | None:
    """The filter within the rights of whoever looks, so that an index serves both; None: nothing can be seen.

    With it what the area's codes begin with: an index finds by the registry's districts, rights go by the code.
    Without codes (None) the grants are too many for that and stay a condition of their own.
    """
    if grants is None:
        return _Search(wanted, (), None)
    if len(grants) != 1 or len(grants[0].areas) > 1:
        return _Search(wanted, None, grants)
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
    return _Search(wanted._replace(area=area, utilities=utilities or wanted.utilities), grant.prefixes, grants)


def in_area(area: str, table: Table = events) -> ColumnElement[bool]:
    """Events (or places of ``event_areas``) in an area and everything below it, in words that an index serves."""
    column = _area_column(area)
    if column in {"district", "township"}:
        return table.c[column] == area
    codes = table.c.area_code
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


def _count(wanted: Filter) -> int:
    return len(_pieces(wanted))


def _by_facets(
    connection: Connection, table: Table, search: _Search, cursor: str | None, limit: int
) -> list[tuple[int, str]]:
    """(time, id) of the pieces' newest, merged, up to ``limit`` + 1.

    Values of the closed lists stand in the text, all else is bound.
    """
    wanted, codes = search.wanted, search.codes or ()
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
    # an event has one row among the events, and may have many among what they touch
    once, nothing = ("", "IS NULL") if table is events else ("DISTINCT ", "= ''")
    selects = [
        f"SELECT * FROM (SELECT {once}detected_at, event_id FROM {table.name} WHERE level = '{level}' "  # noqa: S608
        f"AND status = '{status}' AND utility {f'= {utility!r}' if utility else nothing}{more} {order}) AS piece"
        for level, status, utility in _pieces(wanted)
    ]
    union = f"SELECT {once}* FROM ({' UNION ALL '.join(selects)}) AS pieces {order}"  # noqa: S608 - as above
    return [(at, event_id) for at, event_id in connection.execute(text(union), bound)]
