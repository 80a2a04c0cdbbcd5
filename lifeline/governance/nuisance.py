"""Alarms that wear people out: chattering, fleeting and repeating ones, each with a proposal (ISA-18.2, IEC 62682).

    chattering   one rule at one point, three or more alarms within a minute
    fleeting     most of its alarms are over within a minute, before anybody can act
    repeating    six or more alarms within a day: a sensor that reports by the quarter of an hour cannot chatter faster

Nothing is done to them here: a person decides. The proposal names the cheapest thing that would have helped.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, select, tuple_

from lifeline.governance.load import scope
from lifeline.governance.schema import alarms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

SPAN_MS: Final = 60_000
ALARMS: Final = 3
"""Chattering: so many alarms within ``SPAN_MS`` (the operational rule of ISA-18.2's benchmarks)."""
FLEETING_SHARE: Final = 0.5
DAY_MS: Final = 86_400_000
REPEATS: Final = 6
"""A starting value: one alarm in 24 of the 144 that a console may have in a day, where the ten most frequent sources
together should have at most one in 20."""
SHOWN_MAX: Final = 50
ROWS_MAX: Final = 20_000


@dataclass(frozen=True, slots=True)
class Nuisance:
    """One rule at one point that should be looked after."""

    rule_id: str
    point: int
    device_id: str
    quantity: str
    alarms: int
    most_in_a_minute: int
    fleeting: int
    """Alarms that were over within a minute."""
    kind: str
    """``chattering``, ``fleeting`` or ``repeating``."""
    alarm_id: str
    """The newest: what to shelve."""
    proposal_zh: str
    proposal_en: str


def nuisances(
    connection: Connection, start: int, end: int, *, utility: str | None = None, area: str | None = None
) -> list[Nuisance]:
    """Chattering, fleeting and repeating alarms detected in [start, end) (epoch ms), 50 at most, the busiest first."""
    span = [alarms.c.detected_at >= start, alarms.c.detected_at < end, *scope(utility, area)]
    rows = func.count().label("rows")
    often = select(alarms.c.rule_id, alarms.c.point).where(*span).group_by(alarms.c.rule_id, alarms.c.point)
    often = often.having(rows >= ALARMS).order_by(rows.desc(), alarms.c.rule_id, alarms.c.point).limit(SHOWN_MAX)
    keys = [tuple(row) for row in connection.execute(often)]
    if not keys:
        return []
    of = tuple_(alarms.c.rule_id, alarms.c.point)
    order = alarms.c.rule_id, alarms.c.point, alarms.c.raised_at
    found = connection.execute(select(alarms).where(*span, of.in_(keys)).order_by(*order).limit(ROWS_MAX)).mappings()
    judged = [_judge(list(group)) for _, group in groupby(found, key=lambda row: (row["rule_id"], row["point"]))]
    return sorted((one for one in judged if one is not None), key=lambda one: -one.alarms)


def _judge(rows: Sequence[Any]) -> Nuisance | None:
    raised = [row["raised_at"] for row in rows]
    most = _most_within(raised, SPAN_MS)
    fleeting = sum(row["cleared_at"] is not None and row["cleared_at"] - row["raised_at"] < SPAN_MS for row in rows)
    if most < ALARMS and fleeting < FLEETING_SHARE * len(rows) and _most_within(raised, DAY_MS) < REPEATS:
        return None
    newest = rows[-1]
    if most >= ALARMS:
        kind = "chattering"
        zh = "反复报警：加大回差或 clear_after；在此之前可搁置（alarms shelve）"
        en = "chatters: widen the deadband or clear_after; until then shelve it (alarms shelve)"
    elif fleeting >= FLEETING_SHARE * len(rows):
        kind = "fleeting"
        zh = "转瞬即逝：提高 raise_after；若数值本身跳变，请检修传感器"
        en = "fleeting: raise raise_after; if the values themselves jump, have the sensor looked at"
    else:
        kind = "repeating"
        zh = "一日内多次重复：查明同一原因并消除；若数值在限值附近摆动，加大回差或 clear_after"
        en = "repeats: find the one cause and mend it; where values sway about the limit, widen deadband or clear_after"
    names = (newest["rule_id"], newest["point"], newest["device_id"], newest["quantity"])
    return Nuisance(*names, len(rows), most, fleeting, kind, newest["alarm_id"], zh, en)


def _most_within(raised: Sequence[int], span_ms: int) -> int:
    """Most alarms that began within a span; ``raised`` in order."""
    return max(bisect_left(raised, at + span_ms) - k for k, at in enumerate(raised))
