"""Each alarm against its log, its own columns and the audit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lifeline.core.alarm import alarm_id
from lifeline.governance.actor import ENGINE
from lifeline.governance.alarm_state import alarm_state
from lifeline.governance.integrity.acts import audited, check_acts, check_engine, said
from lifeline.governance.integrity.streams import DamageError, Groups, Row, hold, stream
from lifeline.governance.schema import alarm_log, alarms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection


def check_alarms(connection: Connection) -> None:
    """All of them. Raises DamageError."""
    logged = Groups(
        stream(connection, alarm_log, alarm_log.c.alarm_id, alarm_log.c.entry), lambda row: str(row["alarm_id"])
    )
    acts = audited(connection, "alarm")
    for row in stream(connection, alarms, alarms.c.alarm_id):
        key = row["alarm_id"]
        lines = logged.of(key)
        check_engine(f"alarm_log of {key}", lines)
        identity = row["rule_id"], row["rule_version"], row["device_id"], row["quantity"], row["raised_at"]
        expected: Row = {"state": alarm_state(row)}
        if row["device_id"] != f"point-{row['point']}":  # as ``places`` calls one that no registry knows
            expected["alarm_id"] = alarm_id(*identity)
        over = ("cleared_at", "clear_detected_at", "clear_lsn")
        if row["active"]:
            expected |= dict.fromkeys((*over, "clear_value"))
        elif any(row[name] is None for name in over):
            raise DamageError(f"alarms {key}: it is over, and does not say since when")
        if row["acked"] and not _acknowledged(row, lines):
            raise DamageError(f"alarms {key}: nobody has acknowledged it so")
        if row["realarm_s"] is None:
            expected["realarm_at"] = None
        expected["realarms"] = sum(line["action"] == "re-alarm" for line in lines)
        hold(f"alarms {key}", row, expected)
        check_acts(f"alarm_log of {key}", [said(line) for line in lines if line["role"] != ENGINE.role], acts.of(key))
    logged.drain()


def _acknowledged(row: Row, lines: Sequence[Row]) -> bool:
    who = row["acked_at"], row["acked_by"]
    return any(line["action"] == "ack" and (line["at"], line["actor"]) == who for line in lines)
