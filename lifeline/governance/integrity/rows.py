"""Rows against each other, streamed in the order of their keys; nothing is held but one event and what belongs to it.

    events ⋈ event_log, alarms, escalations, event_areas, reports, timers, audit      by event
    alarms ⋈ alarm_log, audit                                                          by alarm
    kpi_days, kpi_times, tallies = the sums of the events                              once, at the end

Of the audit, whose hashes ``audit_verify`` checks, the acts of people are compared with both logs: entry by entry from
the newest back, for logs may be older than the audit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import DBAPIError

from lifeline.core.errors import CorruptionError
from lifeline.governance.integrity.alarms import check_alarms
from lifeline.governance.integrity.events import check_events
from lifeline.governance.integrity.streams import OPEN, DamageError, any_text, stream
from lifeline.governance.schema import metadata

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SEPARATELY: Final = frozenset({"audit", "audit_nodes", "kpi_days", "kpi_times", "tallies"})


def check_rows(connection: Connection, place: str) -> None:
    """Raises CorruptionError: the first row that cannot be what was written, by table, key and column."""
    try:
        with any_text(connection):
            check_events(connection)
            check_alarms(connection)
            done = {"events", "alarms", "event_log", "alarm_log", "escalations", "event_areas", "reports", "timers"}
            for table in metadata.sorted_tables:
                if table.name not in done | _SEPARATELY:
                    for _ in stream(connection, table, *table.primary_key.columns):
                        pass
    except DamageError as error:
        raise CorruptionError(f"{place}: {error}") from None
    except (UnicodeError, OverflowError, ValueError, KeyError, TypeError, DBAPIError) as error:
        raise CorruptionError(f"{place}: a row cannot be read: {error!r:.200}") from None
    finally:
        for found in connection.info.pop(OPEN, ()):
            found.close()
