"""Alarms as they are asked for: pages for people, what stands, what is acknowledged, what is quiet; nothing changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select

from lifeline.core.schema import LEVELS, UTILITIES
from lifeline.governance import statements
from lifeline.governance.alarm_state import ALARM_STATES, is_historic
from lifeline.governance.schema import alarms, holds
from lifeline.governance.statements import one_of, page

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection

    from lifeline.core.principal import Grant

Row = dict[str, Any]

OLDER_MS: Final = 7 * 86_400_000
ACKNOWLEDGED_MAX: Final = 10_000


def list_alarms(
    connection: Connection,
    *,
    state: str | Sequence[str] | None = None,
    level: str | Sequence[str] | None = None,
    utility: str | None = None,
    rule_id: str | None = None,
    event_id: str | None = None,
    active: bool | None = None,
    since: int | None = None,
    within: Iterable[Grant] | None = None,
    cursor: str | None = None,
    limit: int = 100,
) -> tuple[list[Row], str | None]:
    """A page of alarms, newest detection first, and the cursor of the next page.

    ``since``: epoch ms of detection; ``within``: the grants of whoever looks (None: everything).

    Raises:
        FieldError: a filter, limit or cursor that cannot be.
    """
    query = select(alarms)
    if state is not None:
        query = query.where(one_of(alarms.c.state, state, ALARM_STATES, "alarm state"))
    if level is not None:
        query = query.where(one_of(alarms.c.level, level, LEVELS, "level"))
    if utility is not None:
        query = query.where(one_of(alarms.c.utility, utility, UTILITIES, "utility"))
    if rule_id is not None:
        query = query.where(alarms.c.rule_id == rule_id)
    if event_id is not None:
        query = query.where(alarms.c.event_id == event_id)
    if active is not None:
        query = query.where(alarms.c.active.is_(active))
    if since is not None:
        query = query.where(alarms.c.detected_at >= since)
    if within is not None:
        query = query.where(statements.within(alarms.c.area_code, alarms.c.utility, within))
    rows, following = page(connection, query, (alarms.c.detected_at, alarms.c.alarm_id), cursor, limit)
    return [row | {"historic": is_historic(row)} for row in rows], following


def of_rules(
    connection: Connection, rule_ids: Iterable[str], since: int, until: int, rows_max: int
) -> list[dict[str, Any]]:
    """Alarms of some rules, as they were at ``until`` (log time, epoch ms), the newest of them, in order of detection.

    Those detected from a week before ``since`` on; those that late readings have withdrawn are left out.
    """
    names = ("alarm_id", "rule_id", "rule_version", "point", "raised_at", "detected_at", "cleared_at", "value", "level")
    query = select(*(alarms.c[name] for name in names), alarms.c.clear_detected_at)
    query = query.where(alarms.c.detected_at >= since - OLDER_MS, alarms.c.detected_at <= until)
    query = query.where(alarms.c.rule_id.in_(list(rule_ids)))
    query = query.order_by(alarms.c.detected_at.desc(), alarms.c.alarm_id).limit(rows_max)
    found = []
    for row in connection.execute(query).mappings():
        ended = row["clear_detected_at"]
        if row["cleared_at"] == row["raised_at"]:
            continue  # withdrawn: it ended as it began
        alarm = {name: row[name] for name in names}
        if ended is not None and ended > until:
            alarm["cleared_at"] = None
        found.append(alarm)
    return found[::-1]


def acknowledged(connection: Connection, rule_ids: Sequence[str]) -> list[tuple[str, int, int]]:
    """Standing alarms of these rules that somebody has acknowledged: (rule id, point, onset), 10,000 at most."""
    query = select(alarms.c.rule_id, alarms.c.point, alarms.c.raised_at)
    query = query.where(alarms.c.state == "acked", alarms.c.rule_id.in_(rule_ids)).limit(ACKNOWLEDGED_MAX)
    return [(rule_id, point, onset) for rule_id, point, onset in connection.execute(query)]


def list_holds(connection: Connection, limit: int = 1000) -> list[Row]:
    """What is quiet right now and why, the next to end first (those without an end last)."""
    of = (alarms.c.point == holds.c.point) & (alarms.c.rule_id == holds.c.rule_id)
    names = (
        select(alarms.c[name]).where(of).limit(1).scalar_subquery().label(name) for name in ("device_id", "quantity")
    )
    query = select(holds, *names).order_by(holds.c.until.is_(None), holds.c.until, holds.c.rule_id, holds.c.point)
    return [dict(row) for row in connection.execute(query.limit(limit)).mappings()]
