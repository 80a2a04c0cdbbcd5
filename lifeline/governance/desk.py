"""The people's door: reading the queue and acting on it, from the console and the command line.

Any process may open a desk while the engine runs: reads see one committed moment and block nobody, acts take turns
with the engine. Every method is one transaction; acts on events that come at once share one. Methods may be called
from any thread.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lifeline.governance import (
    alarms,
    audit,
    audit_proofs,
    events,
    export,
    idempotency,
    kpi,
    modes,
    reference,
    regulations,
    reports,
    touched,
)
from lifeline.governance.acts import GroupCommit, Outcome, take_acts
from lifeline.governance.audit import AuditEntry
from lifeline.governance.books import Books
from lifeline.governance.database import Database
from lifeline.governance.errors import RefusedError
from lifeline.governance.load import AlarmLoad, alarm_load
from lifeline.governance.nuisance import Nuisance, nuisances
from lifeline.governance.outgoing import downlink, outbox
from lifeline.governance.reference import Router
from lifeline.governance.settings import current_policy
from lifeline.governance.steps import Act

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
    from datetime import date

    import pyarrow as pa

    from lifeline.core.errors import Problem
    from lifeline.core.override import ParameterSpan
    from lifeline.core.ports import Clock
    from lifeline.governance.actor import Actor
    from lifeline.governance.journal import Journal
    from lifeline.governance.recheck import LastReadings
    from lifeline.governance.reports import Report
    from lifeline.governance.touched import Mark

Row = dict[str, Any]


class GovernanceDesk:
    """A desk on the database at ``url``, which must exist (the engine makes it). Times are epoch ms everywhere.

    Raises:
        ConfigurationError, UnavailableError, CorruptionError: as ``Database``.
    """

    def __init__(
        self, url: str, clock: Clock, *, journal: Journal | None = None, last_readings: LastReadings | None = None
    ) -> None:
        """``journal``: None for ``Books`` (audit); ``last_readings``: newest values, for the check by telemetry."""
        self._clock = clock
        self._journal = journal or Books(clock)
        self._last_readings = last_readings
        self._database = Database(url, create=False)
        self._group: GroupCommit[Act, Outcome] = GroupCommit(self._take)

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

    # --- reports of people ---------------------------------------------------------------------------------------

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

    # --- normal and emergency ------------------------------------------------------------------------------------

    def start_emergency(
        self, area: str, until: int | None, reason: str, actor: Actor, *, hours: float = 0.0, key: str | None = None
    ) -> Row:
        """Put an area into emergency mode until a time, or (None) for so many hours; as ``modes.switch_on``.

        ``key``: idempotency key; the same request with it again gives what the first one began.
        """
        digest = idempotency.digest_of("emergency", area, until, reason, hours)
        with (
            self._refused_is_audited(actor, "mode", f"mode/{area}", "configuration"),
            self._database.write() as connection,
        ):
            known = idempotency.known(connection, actor.id, key, digest)
            if known is not None:
                return modes.get_mode(connection, int(known))
            now_ms = self._clock()
            end = now_ms + round(hours * 3_600_000) if until is None else until
            policy = current_policy(connection)
            row = modes.switch_on(connection, area, end, reason, actor, now_ms, policy=policy, journal=self._journal)
            idempotency.remember(connection, actor.id, key, digest, str(row["entry"]), now_ms)
            return row

    def end_emergency(self, area: str, reason: str, actor: Actor) -> Row:
        """End an area's emergency; the row has the review; as ``modes.switch_off``."""
        with (
            self._refused_is_audited(actor, "mode", f"mode/{area}", "configuration"),
            self._database.write() as connection,
        ):
            policy = current_policy(connection)
            return modes.switch_off(
                connection, area, reason, actor, self._clock(), policy=policy, journal=self._journal
            )

    def list_emergencies(self, **filters: Any) -> tuple[list[Row], str | None]:
        """A page of emergencies past and present, newest first; filters as ``modes.list_modes``."""
        with self._database.read() as connection:
            return modes.list_modes(connection, **filters)

    def get_emergency(self, entry: int) -> Row:
        """One emergency with settings and review."""
        with self._database.read() as connection:
            return modes.get_mode(connection, entry)

    def emergency_readers(self) -> list[modes.Readers]:
        """Who may read more because of an emergency."""
        with self._database.read() as connection:
            return modes.readers(connection, self._clock())

    def rule_spans(self) -> list[ParameterSpan]:
        """For which readings emergencies set rule parameters, now and before; as ``modes.spans``."""
        with self._database.read() as connection:
            return modes.spans(connection)

    # --- figures -------------------------------------------------------------------------------------------------

    def kpi(self, start: date, end: date, **filters: Any) -> Row:
        """Key figures of local days with their denominators; as ``kpi.kpi``."""
        with self._database.read() as connection:
            return kpi.kpi(connection, start, end, **filters)

    # --- reference data ------------------------------------------------------------------------------------------

    def load_reference(
        self,
        tables: Mapping[str, Iterable[Mapping[str, Any]]],
        sources: Mapping[str, str] | None = None,
        files: Mapping[str, str] | None = None,
    ) -> list[str]:
        """Replace reference tables (areas, units, duties, staff, cameras); names of those that changed.

        ``sources``: digests of what they were read from; ``reference_sources`` gives them back. ``files``: the file
        that keeps units or duties from now on, "" for none (``regulations``).
        """
        with self._database.write() as connection:
            before = {name: regulations.content_of(connection, name) for name in files or {}}
            reference.remember_sources(connection, sources or {})
            changed = reference.load_all(connection, tables)
            for name, file in (files or {}).items():
                regulations.taken_from_file(connection, name, file, before[name], self._clock())
            return changed

    def reference_sources(self) -> dict[str, str]:
        """What each reference table was last read from."""
        with self._database.read() as connection:
            return reference.sources(connection)

    # --- policy, units, duties -----------------------------------------------------------------------------------

    def get_setting(self, name: str) -> Row:
        """What is in force of policy, units or duties; as ``regulations.get``."""
        with self._database.read() as connection:
            return regulations.get(connection, name)

    def list_setting_versions(self, name: str, before: int | None, limit: int) -> tuple[list[Row], int | None]:
        """Its versions, newest first; as ``regulations.list_versions``."""
        with self._database.read() as connection:
            return regulations.list_versions(connection, name, before, limit)

    def get_setting_version(self, name: str, version: int) -> Row:
        """One version with its content."""
        with self._database.read() as connection:
            return regulations.get_version(connection, name, version)

    def set_policy(self, text: str, reason: str, actor: Actor, version: int, faults: Sequence[Problem] = ()) -> Row:
        """Put a policy into force; durable and audited on return; as ``regulations.set_policy``."""
        kept = self._refused_is_audited(actor, "set", "settings/policy", "configuration")
        with kept, self._database.write() as connection:
            return regulations.set_policy(
                *(connection, text, reason, actor, version, self._clock()), journal=self._journal, faults=faults
            )

    def set_rows(self, name: str, rows: Sequence[Mapping[str, Any]], reason: str, actor: Actor, version: int) -> Row:
        """Make these the units or duties; durable and audited on return; as ``regulations.set_rows``."""
        kept = self._refused_is_audited(actor, "set", f"settings/{name}", "configuration")
        with kept, self._database.write() as connection:
            return regulations.set_rows(
                *(connection, name, rows, reason, actor, version, self._clock()), journal=self._journal
            )

    # --- alarms ------------------------------------------------------------------------------------------------

    def list_alarms(self, **filters: Any) -> tuple[list[Row], str | None]:
        """A page of alarms and the next cursor; filters as ``alarms.list_alarms``."""
        with self._database.read() as connection:
            return alarms.list_alarms(connection, **filters)

    def get_alarm(self, alarm_id: str) -> Row:
        """One alarm with its log."""
        with self._database.read() as connection:
            return events.get_alarm(connection, alarm_id)

    def alarms_of_rules(self, rule_ids: Iterable[str], since: int, until: int, rows_max: int) -> list[Row]:
        """Alarms of some rules as they were at ``until``; as ``alarms.of_rules``."""
        with self._database.read() as connection:
            return alarms.of_rules(connection, rule_ids, since, until, rows_max)

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
            return alarms.list_holds(connection)

    def alarm_load(self, start: int, end: int, *, utility: str | None = None, area: str | None = None) -> AlarmLoad:
        """Alarm load after ISA-18.2 between two times."""
        with self._database.read() as connection:
            return alarm_load(connection, start, end, utility=utility, area=area)

    # --- audit ------------------------------------------------------------------------------------------------

    def nuisances(self, start: int, end: int, *, utility: str | None = None, area: str | None = None) -> list[Nuisance]:
        """Chattering and fleeting alarms, each with a proposal (``nuisance.nuisances``)."""
        with self._database.read() as connection:
            return nuisances(connection, start, end, utility=utility, area=area)

    def record(self, *entries: AuditEntry) -> None:
        """Audit what changes no event: a login, an account, a setting, a sensitive read; durable on return.

        Call it before the act takes effect or the answer leaves: when it raises, neither may happen.
        """
        with self._database.write() as connection:
            audit.append(connection, entries, self._clock())

    def list_audit(self, **filters: Any) -> tuple[list[Row], str | None]:
        """A page of the audit and the next cursor; filters as ``audit.list_entries``."""
        with self._database.read() as connection:
            return audit.list_entries(connection, **filters)

    def prove_entry(self, entry: int, size: int | None = None) -> Row:
        """That an entry is in the audit; as ``audit_proofs.inclusion``."""
        with self._database.read() as connection:
            return audit_proofs.inclusion(connection, entry, size)

    def prove_consistency(self, older: int, size: int | None = None) -> Row:
        """That the audit begins with an older one; as ``audit_proofs.consistency``."""
        with self._database.read() as connection:
            return audit_proofs.consistency(connection, older, size)

    # --- outgoing ----------------------------------------------------------------------------------------------

    def list_sinks(self) -> list[Row]:
        """Where every sink stands: position, what waits, the last error."""
        with self._database.read() as connection:
            return outbox.list_sinks(connection)

    def command(self, actor: Actor, device_id: str, action: str, *, place: Mapping[str, Any], **given: Any) -> Row:
        """Ask a device to look more closely; durable, audited and on its way on return; as ``downlink.order``.

        Raises:
            IllegalActionError, ForbiddenError, FieldError: nothing was sent; the refusal is audited.
        """
        with self._refused_is_audited(actor, action, f"device/{device_id}"), self._database.write() as connection:
            return downlink.order(connection, actor, device_id, action, place=place, now_ms=self._clock(), **given)

    def list_commands(self, **filters: Any) -> tuple[list[Row], str | None]:
        """A page of commands with their replies, newest first; filters as ``downlink.list_commands``."""
        with self._database.read() as connection:
            return downlink.list_commands(connection, **filters)

    def get_command(self, command_id: str) -> Row:
        """One command with its reply."""
        with self._database.read() as connection:
            return downlink.get_command(connection, command_id)

    # --- export ------------------------------------------------------------------------------------------------

    def newest_mark(self) -> Mark:
        """The end of the trace of changes; equal marks: nothing has changed between them. Cheap."""
        with self._database.read() as connection:
            return touched.newest(connection)

    def changed(self, mark: Mark) -> export.Changes | None:
        """Rows of the published views that were changed after a mark; as ``export.changed``."""
        with self._database.read() as connection:
            return export.changed(connection, mark)

    def whole(self, rows: int, orders: Mapping[str, str]) -> Generator[Mark | tuple[str, pa.RecordBatch], None, None]:
        """The mark of a moment, then every row of the published views at that moment; as ``export.whole``.

        One transaction is open until the last has been taken, or the iterator is closed.
        """
        with self._database.read() as connection:
            yield touched.newest(connection)
            yield from export.whole(connection, rows, orders)

    def forget_changes(self, before: Mark) -> bool:
        """Some of the trace before a mark, which is needed no more; whether there is more of it."""
        with self._database.write() as connection:
            return touched.forget(connection, before)

    def snapshot_tables(self, names: Iterable[str] = ("alarms", "events", "event_log")) -> dict[str, pa.Table]:
        """The published views as Arrow tables, all of one moment."""
        with self._database.read() as connection:
            return export.snapshot_tables(connection, names)

    @contextmanager
    def _refused_is_audited(self, actor: Actor, action: str, subject: str, kind: str = "data") -> Iterator[None]:
        """What is tried and not done leaves an entry of its own; the transaction of the act has none."""
        try:
            yield
        except RefusedError as error:
            what = (actor.id, action, subject, actor.role, actor.address, "refused", str(error))
            self.record(AuditEntry(kind, *what))
            raise

    def close(self) -> None:
        """Close the database."""
        self._database.close()
