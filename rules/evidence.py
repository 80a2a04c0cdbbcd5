"""Why an alarm was raised, in the words of the rule that raised it: what the alarm carries with it for good.

A rule file changes and readings grow old; the alarm keeps the condition, the parameters of its point, the window that
satisfied it, and the readings of that window with their positions in the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rules.journal import Evidence
    from rules.plan import BoundRule

READINGS_MAX: Final = 16
"""Newest readings of the window that an alarm carries."""


def tell(rule: BoundRule, slot: int, start: int, end: int, readings: Iterable[Evidence]) -> str:
    """The alarm's ``detail``, as JSON.

    ``raise clear active`` (text), ``params`` (of this point), ``raise_after`` ([samples, seconds]), ``from to`` (the
    window, epoch ms of event time; of log time for rules over silence), ``readings`` ([log position, epoch ms, value],
    oldest first, the newest 16; none for rules over silence and over every row).
    """
    spec = rule.spec
    told: dict[str, Any] = {
        "raise": spec.raise_,
        "clear": spec.clear,
        "active": spec.active,
        "params": rule.params_of(slot),
        "raise_after": [spec.raise_after.samples, spec.raise_after.seconds],
        "from": start,
        "to": end,
        "readings": [[one.lsn, one.ts, one.value] for one in readings],
    }
    return orjson.dumps(told).decode()
