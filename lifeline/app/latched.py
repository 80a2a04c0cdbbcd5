"""Which alarms only stand because nobody has acknowledged them: latched ones whose condition has returned to normal.

The queue keeps what people and the log say of an alarm; that its condition is over, while it is held up by its latch,
is the rule machine's own state. The engine tells it in its status, and what the last engine told holds while none runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Latched = frozenset[tuple[str, int, int]]
"""(rule id, point, onset) of alarms."""
MEANINGS: Final = {
    "unacked": "报警中未确认",
    "acked": "报警中已确认",
    "returned-unacked": "已恢复未确认",
    "normal": "已恢复已确认",
    "shelved": "已搁置",
    "suppressed": "已抑制",
    "out-of-service": "已停用",
}
"""States of ISA-18.2 (``alarm_state``) in Chinese."""
LATCHED: Final = "latched 已恢复待确认"
LEGEND: Final = (
    "latched: the condition has returned to normal; the alarm ends when it is acknowledged (lifeline alarms ack ID) "
    "锁存报警：条件已恢复，确认后即解除"
)


def read_latched(status_path: Path) -> Latched:
    """Latched alarms whose condition is over, as the engine last told them; none where it told nothing."""
    try:
        told = orjson.loads(status_path.read_bytes()).get("latched", ())
    except (OSError, ValueError):
        return frozenset()
    return frozenset((one["rule_id"], one["point"], one["raised_at"]) for one in told)


def is_latched(row: Mapping[str, Any], latched: Latched) -> bool:
    """Whether an alarm's row (times in epoch ms) is one that only its latch holds up."""
    return bool(row["active"]) and (row["rule_id"], row["point"], row["raised_at"]) in latched


def told_state(row: Mapping[str, Any]) -> str:
    """The state of an alarm's row for people, in both languages; by ``latched`` of the row its condition is over."""
    state: str = row["state"]
    if row.get("latched"):
        return LATCHED if state == "unacked" else f"{state} {MEANINGS.get(state, '')} · {LATCHED}"
    return f"{state} {MEANINGS.get(state, '')}".strip()
