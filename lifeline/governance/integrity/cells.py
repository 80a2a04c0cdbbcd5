"""Each value by itself: what a column can hold at all; pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import orjson
from sqlalchemy import BigInteger, Boolean, Float, Integer, String

from lifeline.core.schema import LEVELS, UTILITIES
from lifeline.governance.alarm_state import ALARM_STATES
from lifeline.governance.causes import CAUSES
from lifeline.governance.fields import SATISFACTION_MAX, SUPERVISION_MAX, TIME_MS_MAX
from lifeline.governance.reports import SOURCES
from lifeline.governance.states import ROLES, STATES, SYSTEM

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from sqlalchemy import Column, Table

NOT_TIMES: Final = frozenset(
    (
        *("alarms.lsn", "alarms.clear_lsn", "events.lsn", "followers.position", "sinks.position", "meta.value"),
        *("audit.entry", "audit_nodes.number", "outbox.entry", "undelivered.entry", "warnings_issued.entry"),
        *("tallies.n", "kpi_times.n", "touched.stamp", "sinks.delivered", "sinks.given_up"),
    )
)
"""64-bit columns that hold no epoch milliseconds."""
JSON: Final = frozenset(
    (
        *("event_log.fields", "audit.fields", "outbox.data", "modes.settings", "modes.review"),
        *("events.routing", "events.recheck", "alarms.detail", "commands.fields"),
    )
)
_HEX: Final = frozenset("0123456789abcdef")
IDS: Final = {
    "events.event_id": 20,
    "events.incident_id": 20,
    "events.related_id": 20,
    "events.first_alarm_id": 24,
    "alarms.alarm_id": 24,
    "alarms.event_id": 20,
    "alarms.cause_id": 24,
    "audit.leaf": 64,
    "audit_nodes.hash": 64,
    "idempotency.digest": 32,
    "sinks.target": 32,
    "reports.report_id": 20,
}
"""Columns of so many hex digits."""
WORDS: Final[dict[str, Collection[str]]] = {
    "events.level": LEVELS,
    "events.status": STATES,
    "events.utility": UTILITIES,
    "events.source": {"telemetry", *SOURCES},
    "events.mode": {"normal", "emergency"},
    "events.category": {"process", "device"},
    "events.due_kind": {"natural", "working"},
    "events.place_kind": {"device", "asset", "zone", "gateway", "area", "report"},
    "events.cause": CAUSES,
    "alarms.level": LEVELS,
    "alarms.state": ALARM_STATES,
    "alarms.utility": UTILITIES,
    "event_areas.utility": {*UTILITIES, ""},
    "event_log.role": {*ROLES, SYSTEM, "reporter"},
    "event_log.from_status": STATES,
    "event_log.to_status": STATES,
    "alarm_log.role": {*ROLES, SYSTEM},
    "alarm_log.from_state": ALARM_STATES,
    "alarm_log.to_state": ALARM_STATES,
    "escalations.level": LEVELS,
    "reports.utility": UTILITIES,
    "reports.source": SOURCES,
    "holds.kind": {"shelved", "suppressed", "out-of-service"},
    "modes.mode": {"emergency"},
    "touched.kind": {"event", "alarm", "begin"},
}
RANGES: Final = {
    "lon": (-180.0, 180.0),
    "lat": (-90.0, 90.0),
    "supervision": (0, SUPERVISION_MAX),
    "satisfaction": (1, SATISFACTION_MAX),
    "step": (0, 4),
}
"""By the column's name, whatever the table."""


def checks_of(table: Table) -> list[Callable[[Any], str | None]]:
    """For each column: what is wrong with a value of it as the driver gives it, None for nothing."""
    return [_check_of(table, column) for column in table.columns]


def _check_of(table: Table, column: Column[Any]) -> Callable[[Any], str | None]:
    name, kind = f"{table.name}.{column.name}", column.type
    if isinstance(kind, Boolean):
        return _nullable(column, lambda value: isinstance(value, int) and value in {0, 1})
    if isinstance(kind, Integer | Float):
        low, high = _range(name, column)
        types = int if isinstance(kind, Integer) else int | float
        return _nullable(column, lambda value: isinstance(value, types) and low <= value <= high)
    assert isinstance(kind, String), name
    return _nullable(column, _text_check(name, kind.length or math.inf))


def _text_check(name: str, chars_max: float) -> Callable[[Any], bool]:
    if name in WORDS:
        words = WORDS[name]
        return lambda value: value in words
    if name in IDS:
        digits = IDS[name]
        return lambda value: isinstance(value, str) and len(value) == digits and set(value) <= _HEX
    if name in JSON:
        return _is_json
    return lambda value: isinstance(value, str) and len(value) <= chars_max and _is_text(value)


def _range(name: str, column: Column[Any]) -> tuple[float, float]:
    if column.name in RANGES:
        return RANGES[column.name]
    if isinstance(column.type, Float):
        return -math.inf, math.inf
    if isinstance(column.type, BigInteger):
        return 0, 2**63 - 1 if name in NOT_TIMES else TIME_MS_MAX
    return -(2**31), 2**31 - 1


def _nullable(column: Column[Any], holds: Callable[[Any], bool]) -> Callable[[Any], str | None]:
    nullable = bool(column.nullable)

    def check(value: Any) -> str | None:
        if value is None:
            return None if nullable else "is empty"
        return None if holds(value) else f"cannot be {_shown(value)}"

    return check


def _is_text(value: str) -> bool:
    """Text as the doors let it in: UTF-8 (a half surrogate stands for a byte that is none), no control characters."""
    return not any((char < " " and char not in "\n\t\x1f") or "\ud800" <= char <= "\udfff" for char in value)


def _is_json(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        return value == "" or isinstance(orjson.loads(value), dict | list)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        return False


def _shown(value: object) -> str:
    return ascii(value)[:60]
