"""Events that are put aside, looked at when what explains them may be over: they lapse, or people are told of them.

    all alarms of it over │ what explained them over, by its alarm or by its case        lapses
                          │ late readings: one of its causes never was                   is told: nothing explains it
                          │ otherwise                                                    waits
    an alarm of it stands │ a person closes the case of what explains it, which stands   is told: it is in no case now
                          │ otherwise (``consequences``, ``reasons``)                    waits

What they wait for is in the rows, so a restart or a repetition finds the same and does nothing twice. Opens no
transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import bindparam, select

from lifeline.core.schema import LEVELS
from lifeline.governance import aside
from lifeline.governance.actor import ENGINE
from lifeline.governance.asking import ask, ask_rows, fetch
from lifeline.governance.effects import Effects
from lifeline.governance.schema import EVENTS, alarms, events
from lifeline.governance.states import EXPLAINED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sqlalchemy import Connection

    from lifeline.governance.policy import Policy

Row = dict[str, Any]

ROWS_MAX: Final = 1000
"""Events in one transaction; the rest follow with the next tick."""
WAITING_MAX: Final = 20_000
"""Events that are looked at."""
NAMED_MAX: Final = 3
"""Causes that are named in a line of a log."""
_cause = alarms.alias("cause")
_case = events.alias("case_of_cause")
_ASIDE: Final = events.c.level.in_(LEVELS) & (events.c.status == EXPLAINED)  # two columns of an index
_OVER: Final = EVENTS.where(_ASIDE, events.c.active_count == 0).order_by(events.c.event_id).limit(WAITING_MAX)
_REASONS: Final = (
    select(
        alarms.c.event_id.label("of"),
        alarms.c.active.label("explained_stands"),
        _cause.c.alarm_id,
        _cause.c.rule_id,
        _cause.c.active,
        _cause.c.raised_at,
        _cause.c.cleared_at,
        _cause.c.event_id,
        _case.c.is_open,
    )
    .join(_cause, _cause.c.alarm_id == alarms.c.cause_id)
    .outerjoin(_case, _case.c.event_id == _cause.c.event_id)
    .order_by(_cause.c.alarm_id)
)
"""Alarms of events and what explains each of them."""
_BENEATH: Final = (
    select(events.c.event_id)
    .join(alarms, alarms.c.event_id == events.c.event_id)
    .join(_cause, _cause.c.alarm_id == alarms.c.cause_id)
    .where(_ASIDE, _cause.c.event_id == bindparam("_case"), _cause.c.active.is_(True))
    .distinct()
)
"""Events that are put aside beneath a case, by an alarm of it that stands."""


class Found(NamedTuple):
    """What came of a look; ``more``: it was too much for one transaction."""

    effects: Effects
    more: bool


def look(connection: Connection, policy: Policy, now_ms: int) -> Found:
    """What is put aside and over lapses with its cause."""
    effects = Effects()
    over = ask_rows(connection, _OVER)
    reasons = _reasons(connection, [row["event_id"] for row in over])
    due = [row for row in over if not _stands(reasons[row["event_id"]])]
    effects.hold(due[:ROWS_MAX])
    for row in effects.events.values():
        _end(effects, row, reasons[row["event_id"]], policy, now_ms)
    return Found(effects, len(due) > ROWS_MAX)


def beneath(connection: Connection, case: Row) -> list[str]:
    """Events that are put aside beneath a case by an alarm of it that stands, in order."""
    if not case["active_count"]:
        return []
    return sorted(event_id for (event_id,) in ask(connection, _BENEATH, {"_case": case["event_id"]}))


def after_closing(connection: Connection, effects: Effects, policy: Policy, now_ms: int) -> None:
    """People have closed cases whose alarms stand: nobody has in hand any longer what these explain.

    What of it stands is told, and the log of the case says of how many events that is; what is over lapses with it.
    """
    closed = [after for before, after in effects.changed() if before["is_open"] and not after["is_open"]]
    for case in closed:
        if not (ids := beneath(connection, case)):  # what explains others has ended: the queue looks after them
            continue
        effects.hold(fetch(connection, EVENTS, events.c.event_id, ids))
        reasons = _reasons(connection, ids, {one["event_id"] for one in closed})
        told = 0
        for row in (effects.events[event_id] for event_id in ids):
            told += _after_closing(effects, row, reasons[row["event_id"]], policy, now_ms)
        if told:
            words = f"曾由此归因的 {told} 起事件恢复新报 / {told} events that it explained are new again"
            effects.say(case, now_ms, ENGINE, "untied", words)


def _after_closing(effects: Effects, row: Row, reasons: list[Row], policy: Policy, now_ms: int) -> bool:
    """Whether an event beneath a case that was closed is told."""
    if row["status"] != EXPLAINED:  # somebody has taken it in the same moment
        return False
    if row["active_count"] == 0:
        if not _stands(reasons):
            _end(effects, row, reasons, policy, now_ms)
        return False
    if not any(one["explained_stands"] and one["active"] and one["is_open"] is False for one in reasons):
        return False
    aside.tell(effects, row, "起因的事件已结，报警未恢复 / the case of its cause was closed, it stands", policy, now_ms)
    return True


def _reasons(connection: Connection, ids: Iterable[str], closed: Collection[str] = ()) -> dict[str, list[Row]]:
    """What explains the alarms of events, by event; ``closed``: cases that this transaction closes."""
    found: dict[str, list[Row]] = {event_id: [] for event_id in ids}
    for row in fetch(connection, _REASONS, alarms.c.event_id, found):
        found[row["of"]].append(row | ({"is_open": False} if row["event_id"] in closed else {}))
    return found


def _stands(reasons: Iterable[Row]) -> bool:
    """Whether something that explains an event goes on: an alarm stands, in a case that is open, or that needs none."""
    return any(one["active"] and one["is_open"] is not False for one in reasons)


def _end(effects: Effects, row: Row, reasons: list[Row], policy: Policy, now_ms: int) -> None:
    """It is over, and so is what explained it; where that never was, people judge it as any other that is over."""
    never = [one for one in reasons if not one["active"] and one["cleared_at"] == one["raised_at"]]
    if never or not reasons:
        words = "迟到数据：起因不成立 / late readings: there was no such cause"
        aside.tell(effects, row, words, policy, now_ms)
        return
    causes = sorted({f"{one['event_id'] or one['alarm_id']} · {one['rule_id']}" for one in reasons})
    more = "" if len(causes) <= NAMED_MAX else f" +{len(causes) - NAMED_MAX}"
    words = f"报警已恢复，起因已消除 / its alarms and their cause are over: {'; '.join(causes[:NAMED_MAX])}{more}"
    aside.lapse(effects, row, words, policy, now_ms)
