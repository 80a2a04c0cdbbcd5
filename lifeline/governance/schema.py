"""Tables of the governance database. Times are epoch milliseconds UTC (BigInteger); nothing is ever deleted here.

    alarms ──event_id──► events ◄──event_id── event_log        what the rules said │ the cases │ who did what
       ▲                   ▲ ▲
       │                   │ └── timers (what is due next), escalations (what was), reports (what people told)
       │                   └──── modes (normal or emergency, by area), tallies, kpi_days, kpi_times (sums of events)
       │                   └── event_areas (where else they reach)
       └── alarm_log (who acknowledged, shelved …)              holds: (rule, point) shelved, suppressed, out of service
    areas, units, duties, staff, cameras: reference data, brought by the engine     settings: policy, time zone
    followers: name → position in the log                       meta: schema version, revision counters

Columns of the published views (contract, section 5) come first and in the contract's order; ``export`` relies on it.
What telemetry says is reproducible from the log, except ``stored_at``, the wall clock of the storing transaction.
"""

from __future__ import annotations

from typing import Final

from lifeline.governance.tables.alarms import REPEATING, WAITING, alarm_log, alarms, causes, holds
from lifeline.governance.tables.books import (
    audit,
    audit_nodes,
    commands,
    followers,
    idempotency,
    meta,
    outbox,
    sinks,
    touched,
    undelivered,
    warnings_issued,
)
from lifeline.governance.tables.cases import (
    EVENTS,
    OPEN,
    REACHES_OPEN,
    TIMERS,
    escalations,
    event_areas,
    event_log,
    events,
    modes,
    reports,
    timers,
)
from lifeline.governance.tables.figures import (
    MEASURES,
    kpi_days,
    kpi_times,
    tallies,
)
from lifeline.governance.tables.metadata import metadata
from lifeline.governance.tables.reference import (
    areas,
    cameras,
    duties,
    regulations,
    settings,
    staff,
    units,
)

SCHEMA_VERSION: Final = 13
"""Raised by one with every change of the tables below, together with a migration from the version before."""

__all__ = [
    "EVENTS",
    "MEASURES",
    "OPEN",
    "REACHES_OPEN",
    "REPEATING",
    "SCHEMA_VERSION",
    "TIMERS",
    "WAITING",
    "alarm_log",
    "alarms",
    "areas",
    "audit",
    "audit_nodes",
    "cameras",
    "causes",
    "commands",
    "duties",
    "escalations",
    "event_areas",
    "event_log",
    "events",
    "followers",
    "holds",
    "idempotency",
    "kpi_days",
    "kpi_times",
    "meta",
    "metadata",
    "modes",
    "outbox",
    "regulations",
    "reports",
    "settings",
    "sinks",
    "staff",
    "tallies",
    "timers",
    "touched",
    "undelivered",
    "units",
    "warnings_issued",
]
