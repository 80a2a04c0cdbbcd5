"""The people's door: reading the queue and acting on it, from the console and the command line.

Any process may open a desk while the engine runs: reads see one committed moment and block nobody, acts take turns
with the engine. Every method is one transaction. Methods may be called from any thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lifeline.governance import alarms, events, export
from lifeline.governance.database import REVISIONS, Database
from lifeline.governance.load import AlarmLoad, alarm_load

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

    from lifeline.core.ports import Clock

Row = dict[str, Any]


class GovernanceDesk:
    """A desk on the database at ``url``, which must exist (the engine makes it). Times are epoch ms everywhere.

    Raises:
        ConfigurationError, UnavailableError, CorruptionError: as ``Database``.
    """

    def __init__(self, url: str, clock: Clock) -> None:
        self._clock = clock
        self._database = Database(url, create=False)

    # --- events ------------------------------------------------------------------------------------------------

    def list_events(self, **filters: Any) -> tuple[list[Row], str | None]:
        """A page of events and the next cursor; filters as ``events.list_events``."""
        with self._database.read() as connection:
            return events.list_events(connection, **filters)

    def get_event(self, event_id: str) -> Row:
        """One event with alarms, log and legal actions; as ``events.get_event``."""
        with self._database.read() as connection:
            return events.get_event(connection, event_id)

    def act(
        self,
        event_id: str,
        action: str,
        actor: str,
        role: str,
        note: str | None = None,
        *,
        expected_version: int | None = None,
        **fields: object,
    ) -> Row:
        """Take an action of ``states.TABLE`` on an event; durable on return; as ``events.act``."""
        with self._database.write() as connection:
            return events.act(
                connection,
                event_id,
                action,
                actor=actor,
                role=role,
                now_ms=self._clock(),
                note=note,
                expected_version=expected_version,
                **fields,
            )

    def newest_change(self) -> int:
        """The number of the newest entry of the event log; cheap."""
        with self._database.read() as connection:
            return events.newest_change(connection)

    def changes(self, after: int, limit: int = 1000) -> list[Row]:
        """Entries of the event log after a number, each with its event; as ``events.changes``."""
        with self._database.read() as connection:
            return events.changes(connection, after, limit)

    def open_counts(self) -> dict[tuple[str, str], int]:
        """Open events by (level, status)."""
        with self._database.read() as connection:
            return events.open_counts(connection)

    # --- alarms ------------------------------------------------------------------------------------------------

    def list_alarms(self, **filters: Any) -> tuple[list[Row], str | None]:
        """A page of alarms and the next cursor; filters as ``alarms.list_alarms``."""
        with self._database.read() as connection:
            return alarms.list_alarms(connection, **filters)

    def get_alarm(self, alarm_id: str) -> Row:
        """One alarm with its log."""
        with self._database.read() as connection:
            return events.get_alarm(connection, alarm_id)

    def act_alarm(
        self, alarm_id: str, action: str, actor: str, role: str, note: str | None = None, until: int | None = None
    ) -> Row:
        """Take an action of ``alarms.ACTS`` on an alarm; durable on return; as ``alarms.act``."""
        with self._database.write() as connection:
            now_ms = self._clock()
            return alarms.act(
                connection,
                alarm_id,
                action,
                actor=actor,
                role=role,
                now_ms=now_ms,
                note=(note or "").strip() or None,
                until=until,
            )

    def ack(self, alarm_id: str, actor: str, role: str, note: str | None = None) -> Row:
        """Acknowledge an alarm."""
        return self.act_alarm(alarm_id, "ack", actor, role, note)

    def shelve(self, alarm_id: str, actor: str, role: str, reason: str, until: int) -> Row:
        """Quiet an alarm's rule on its point until a time; it comes back by itself."""
        return self.act_alarm(alarm_id, "shelve", actor, role, reason, until)

    def suppress(self, alarm_id: str, actor: str, role: str, reason: str) -> Row:
        """Quiet an alarm's rule on its point by design, until taken back (``unsuppress``)."""
        return self.act_alarm(alarm_id, "suppress", actor, role, reason)

    def out_of_service(self, alarm_id: str, actor: str, role: str, reason: str) -> Row:
        """Quiet an alarm's rule on its point for maintenance, until taken back (``in-service``)."""
        return self.act_alarm(alarm_id, "out-of-service", actor, role, reason)

    def list_holds(self) -> list[Row]:
        """What is shelved, suppressed or out of service right now, by whom and why."""
        with self._database.read() as connection:
            return alarms.list_holds(connection)

    def alarm_load(self, start: int, end: int, *, utility: str | None = None, area: str | None = None) -> AlarmLoad:
        """Alarm load after ISA-18.2 between two times."""
        with self._database.read() as connection:
            return alarm_load(connection, start, end, utility=utility, area=area)

    # --- export ------------------------------------------------------------------------------------------------

    def revisions(self) -> dict[str, int]:
        """Change counters of the published views."""
        with self._database.read() as connection:
            return export.revisions(connection)

    def snapshot_tables(self, names: Iterable[str] = REVISIONS) -> dict[str, pa.Table]:
        """The published views as Arrow tables, all of one moment."""
        with self._database.read() as connection:
            return export.snapshot_tables(connection, names)

    def close(self) -> None:
        """Close the database."""
        self._database.close()
