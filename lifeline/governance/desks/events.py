"""Events: lists, acts, the log, what people report, and key figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lifeline.governance import events, kpi, reports
from lifeline.governance.acts import GroupCommit, Outcome, take_acts
from lifeline.governance.desks.base import BaseDesk
from lifeline.governance.errors import RefusedError
from lifeline.governance.reference import Router
from lifeline.governance.settings import current_policy
from lifeline.governance.steps import Act

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from lifeline.core.ports import Clock
    from lifeline.governance.actor import Actor
    from lifeline.governance.reports import Report

Row = dict[str, Any]


class EventDesk(BaseDesk):
    """Events: lists, acts, the log, what people report, and key figures."""

    def __init__(self, url: str, clock: Clock, **given: Any) -> None:
        """As ``BaseDesk``."""
        super().__init__(url, clock, **given)
        self._group: GroupCommit[Act, Outcome] = GroupCommit(self._take)

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
        actor: Actor,
        note: str | None = None,
        *,
        expected_version: int | None = None,
        key: str | None = None,
        **fields: object,
    ) -> Row:
        """Take an action of ``states.TABLE`` on an event (id or unique beginning of it); durable on return.

        Returns the event's row afterwards. ``key``: idempotency key; the same act with it again changes nothing.

        Raises:
            UnknownIdError, IllegalActionError, ForbiddenError, FieldError, ConflictError: nothing was changed but the
                record of the refusal; the message says what is possible.
        """
        outcome = self._group.submit(Act(event_id, action, actor, note, expected_version, key, fields))
        if isinstance(outcome, RefusedError):
            raise outcome
        return events.unpacked(outcome)

    def _take(self, acts: Sequence[Act]) -> list[Outcome]:
        with self._database.write() as connection:
            return take_acts(
                connection,
                acts,
                self._clock(),
                policy=current_policy(connection),
                journal=self._journal,
                last_readings=self._last_readings,
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

    def propose(self, event_id: str) -> Row:
        """Who should handle an event and why: ``{unit, co_units, centre, routing}``; nothing is changed."""
        with self._database.read() as connection:
            route = Router(connection).propose(events.get_event(connection, event_id))
        return {"unit": route.unit, "co_units": list(route.co_units), "centre": route.centre, "routing": route.routing}

    def list_escalations(
        self, *, after: int = 0, centre: str | None = None, limit: int = 100
    ) -> tuple[list[Row], int | None]:
        """The supervision feed: reminders and overdue steps in order, and ``after`` of the next page (None: the end).

        ``centre``: those told to the centre of one area.
        """
        with self._database.read() as connection:
            return events.list_escalations(connection, after, centre, limit)

    def list_escalations_with_events(self, after: int, centre: str | None, limit: int) -> tuple[list[Row], int | None]:
        """The same, each with its ``event``, that with the ``places`` it touches; of one moment."""
        with self._database.read() as connection:
            rows, following = events.list_escalations(connection, after, centre, limit)
            told = events.with_places(connection, {row["event_id"] for row in rows})
        return [row | {"event": told[row["event_id"]]} for row in rows], following

    def report(self, report: Report, actor: Actor) -> Row:
        """Take in what somebody tells; durable on return; as ``reports.take_report``."""
        with self._database.write() as connection:
            policy = current_policy(connection)
            now_ms = self._clock()
            return reports.take_report(connection, report, actor, now_ms, policy=policy, journal=self._journal)

    def get_report(self, report_id: str) -> Row:
        """One report and its event; reporter and contact are personal."""
        with self._database.read() as connection:
            return reports.get_report(connection, report_id)

    def reports_of(self, event_id: str) -> list[Row]:
        """Reports of an event; reporter and contact are personal."""
        with self._database.read() as connection:
            return reports.reports_of(connection, event_id)

    def kpi(self, start: date, end: date, **filters: Any) -> Row:
        """Key figures of local days with their denominators; as ``kpi.kpi``."""
        with self._database.read() as connection:
            return kpi.kpi(connection, start, end, **filters)
