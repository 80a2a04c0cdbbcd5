"""A rehearsal: an alarm that nobody raised goes through the queue and is undone, so that no real one is the first.

What an alarm writes is forty statements, each put together when it is first needed, and a tree of all areas: 70 ms for
a city, while somebody waits for a warning. Nothing of it stays: the transaction is rolled back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lifeline.core.alarm import AlarmChange

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lifeline.core.alarm import RuleInfo

ALARM_ID: Final = "0" * 24
POINT: Final = 0


class UndoneError(Exception):
    """Ends the transaction of a rehearsal, and undoes it."""


def changes(rules: Iterable[RuleInfo], position: int, now_ms: int) -> list[AlarmChange]:
    """An alarm of the first process rule at the first point is raised, and cleared; [] without such a rule."""
    rule = next((one for one in rules if one.category == "process"), None)
    if rule is None:
        return []
    name = (ALARM_ID, rule.rule_id, rule.version, POINT, now_ms, now_ms, float("nan"), float("nan"), rule.level)
    return [AlarmChange("raised", *name, position), AlarmChange("cleared", *name, position, cleared_at=now_ms)]
