"""Alarms: lists, acts, what is held, and the load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lifeline.governance import alarm_lists, alarms, events
from lifeline.governance.desks.base import BaseDesk
from lifeline.governance.load import AlarmLoad, alarm_load
from lifeline.governance.nuisance import Nuisance, nuisances
from lifeline.governance.settings import current_policy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lifeline.governance.actor import Actor

Row = dict[str, Any]


class AlarmDesk(BaseDesk):
    """Alarms: lists, acts, what is held, and the load."""

    def list_alarms(self, **filters: Any) -> tuple[list[Row], str | None]:
        """A page of alarms and the next cursor; filters as ``alarm_lists.list_alarms``."""
        with self._database.read() as connection:
            return alarm_lists.list_alarms(connection, **filters)

    def get_alarm(self, alarm_id: str) -> Row:
        """One alarm with its log."""
        with self._database.read() as connection:
            return events.get_alarm(connection, alarm_id)

    def alarms_of_rules(self, rule_ids: Iterable[str], since: int, until: int, rows_max: int) -> list[Row]:
        """Alarms of some rules as they were at ``until``; as ``alarm_lists.of_rules``."""
        with self._database.read() as connection:
            return alarm_lists.of_rules(connection, rule_ids, since, until, rows_max)

    def act_alarm(
        self,
        alarm_id: str,
        action: str,
        actor: Actor,
        note: str | None = None,
        until: int | None = None,
        *,
        once: bool | None = None,
    ) -> Row:
        """Take an action of ``alarms.ACTS`` on an alarm; durable on return; as ``alarms.act``."""
        with self._database.write() as connection:
            now_ms = self._clock()
            return alarms.act(
                connection,
                alarm_id,
                action,
                actor=actor,
                now_ms=now_ms,
                journal=self._journal,
                policy=current_policy(connection),
                note=(note or "").strip() or None,
                until=until,
                once=once or None,
            )

    def ack(self, alarm_id: str, actor: Actor, note: str | None = None) -> Row:
        """Acknowledge an alarm."""
        return self.act_alarm(alarm_id, "ack", actor, note)

    def shelve(self, alarm_id: str, actor: Actor, reason: str, until: int) -> Row:
        """Quiet an alarm's rule on its point until a time; it comes back by itself."""
        return self.act_alarm(alarm_id, "shelve", actor, reason, until)

    def suppress(self, alarm_id: str, actor: Actor, reason: str) -> Row:
        """Quiet an alarm's rule on its point by design, until taken back (``unsuppress``)."""
        return self.act_alarm(alarm_id, "suppress", actor, reason)

    def out_of_service(self, alarm_id: str, actor: Actor, reason: str) -> Row:
        """Quiet an alarm's rule on its point for maintenance, until taken back (``in-service``)."""
        return self.act_alarm(alarm_id, "out-of-service", actor, reason)

    def list_holds(self) -> list[Row]:
        """What is shelved, suppressed or out of service right now, by whom and why."""
        with self._database.read() as connection:
            return alarm_lists.list_holds(connection)

    def alarm_load(self, start: int, end: int, *, utility: str | None = None, area: str | None = None) -> AlarmLoad:
        """Alarm load after ISA-18.2 between two times."""
        with self._database.read() as connection:
            return alarm_load(connection, start, end, utility=utility, area=area)

    def nuisances(self, start: int, end: int, *, utility: str | None = None, area: str | None = None) -> list[Nuisance]:
        """Chattering and fleeting alarms, each with a proposal (``nuisance.nuisances``)."""
        with self._database.read() as connection:
            return nuisances(connection, start, end, utility=utility, area=area)
