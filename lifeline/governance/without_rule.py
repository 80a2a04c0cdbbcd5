"""Standing alarms whose rule is gone or has another version: nothing else would ever end them. Reads only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from lifeline.core.alarm import RULE_CHANGED, RULE_GONE, AlarmChange
from lifeline.governance.schema import alarms

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection

    from lifeline.core.alarm import RuleInfo

Row = dict[str, Any]


def ends(connection: Connection, rules: Mapping[str, RuleInfo], now_ms: int) -> list[AlarmChange]:
    """What ends them now, each with the reason, in order of detection."""
    known = {rule_id: rule.version for rule_id, rule in rules.items()}
    gone = [key for key in _standing_rules(connection) if known.get(key[0]) != key[1]]
    return [
        AlarmChange(
            *("cleared", row["alarm_id"], row["rule_id"], row["rule_version"], row["point"], row["raised_at"]),
            *(now_ms, float("nan"), float("nan"), row["level"], row["lsn"], max(now_ms, row["raised_at"])),
            reason=RULE_CHANGED if row["rule_id"] in known else RULE_GONE,
        )
        for row in _standing_of(connection, gone)
    ]


def _standing_rules(connection: Connection) -> list[tuple[str, int]]:
    """(rule id, version) of every alarm that stands."""
    query = select(alarms.c.rule_id, alarms.c.rule_version).where(alarms.c.active.is_(True)).distinct()
    return [(rule_id, version) for rule_id, version in connection.execute(query)]


def _standing_of(connection: Connection, rules: Iterable[tuple[str, int]]) -> list[Row]:
    """Alarms of these rules and versions that stand, in order of detection."""
    found: list[Row] = []
    names = ("alarm_id", "rule_id", "rule_version", "point", "raised_at", "detected_at", "level", "lsn")
    for rule_id, version in rules:
        query = select(*(alarms.c[name] for name in names)).where(alarms.c.active.is_(True))
        query = query.where(alarms.c.rule_id == rule_id, alarms.c.rule_version == version)
        found += [dict(row) for row in connection.execute(query).mappings()]
    return sorted(found, key=lambda row: (row["detected_at"], row["alarm_id"]))
